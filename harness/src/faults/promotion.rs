//! A failover: the replica of Redis is promoted while it lags, and the primary is killed.
//!
//! The replica is cut off first, so that what the primary takes from then on is lost for sure. Nothing is undone at the end: the service
//! has another primary for the rest of the run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::begun::Begun;
use super::redis_client::{connect, info, number, run_id};
use super::{FaultError, Faults};
use crate::clock::{Offset, RunClock};

const ROLE: &str = "redis";

/// Longest wait until the replica follows.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(20);

/// A replica that has become the primary.
pub(super) struct Promoted {
    /// `run_id` of the primary before and after.
    run: (String, String),
    /// Bytes that the primary had written and the replica had not.
    lost_bytes: u64,
    url: String,
}

impl Promoted {
    /// Cuts the replica off, waits, kills the primary and leads everybody to the replica; `None` if the run was stopped while it waited,
    /// which leaves the primary as it was.
    pub(super) async fn inject(faults: Faults<'_>, lag: Duration, begun: &Begun) -> Result<Option<(Self, String)>, FaultError> {
        let controls = faults.controls;
        let (url, replica) = (controls.redis_url(), controls.replica_url()?);
        let before = run_id(&url).await?;
        until_it_follows(&replica).await?;
        let mut cut_off = connect(&replica).await?;
        let alone = redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut cut_off).await;
        alone.map_err(FaultError::of("promote the replica of redis"))?;
        let had = written(&info(&mut cut_off, "replication").await?);
        if faults.stopped_within(lag).await {
            return Ok(None);
        }
        let ahead = written(&info(&mut connect(&url).await?, "replication").await?);
        begun.now();
        controls.kill(ROLE).await?;
        controls.lead_to_replica().await?;
        let after = run_id(&replica).await?;
        let lost_bytes = ahead.saturating_sub(had);
        let facts = format!("the replica was cut off for {} ms and promoted, the primary killed", lag.as_millis());
        Ok(Some((Self { run: (before, after), lost_bytes, url }, facts)))
    }

    /// Another process serves, and what the first had taken last is lost.
    pub(super) fn proof(&self) -> Option<String> {
        let Self { run: (before, after), lost_bytes, .. } = self;
        let moved = before != after && *lost_bytes > 0;
        moved.then(|| format!("run_id {before} became {after}; {lost_bytes} bytes of writes are lost"))
    }

    /// The new primary serves under the old name.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        let fields = info(&mut connect(&self.url).await?, "replication").await?;
        match fields.get("role").map(String::as_str) {
            Some("master") => Ok(format!("nothing to undo; run_id {} serves as primary", self.run.1)),
            other => Err(FaultError::failed("see the promoted redis serve", format!("its role is {other:?}"))),
        }
    }
}

/// Offset in the stream of writes.
fn written(fields: &BTreeMap<String, String>) -> u64 {
    number(fields, "master_repl_offset")
}

async fn until_it_follows(replica: &str) -> Result<(), FaultError> {
    let clock = RunClock::start();
    loop {
        let fields = info(&mut connect(replica).await?, "replication").await?;
        if fields.get("master_link_status").is_some_and(|status| status == "up") {
            return Ok(());
        }
        if clock.now().since(Offset::ZERO) > FOLLOWS_WITHIN {
            let why = format!("not after {} ms: {fields:?}", FOLLOWS_WITHIN.as_millis());
            return Err(FaultError::failed("wait until the replica of redis follows", why));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
