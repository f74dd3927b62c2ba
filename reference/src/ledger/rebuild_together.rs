//! Rebuilds of several items in one transaction: what Redis lost at once comes back with few round trips and one fsync for many items.
//!
//! In: requests that keep the mode REDIS. Out: what became of each; all of them are committed, or none. Each item has the statements that it has
//! alone (`rebuild`), and its own fence: one that somebody else rebuilt is left out, and the others go on.

use super::connection::Connection;
use super::failure::Failure;
use super::rebuild::{base_of, lock_of, open_epoch, tell_closed};
use super::unit::Unit;
use super::{Ledger, LedgerError, Mode, RebuildRequest, Rebuilt, rows};

impl Ledger {
    /// Opens a new epoch of each item behind the exclusive locks of all. One that somebody has locked is left out, so that the others do not wait
    /// for it, and so is one whose mode is not REDIS any more: what it needs beside is done alone.
    ///
    /// # Errors
    /// `Failed`: certainly nothing was done. `Unknown`: install nothing and start again with a fresh look.
    pub async fn rebuild_together(&self, mut requests: Vec<RebuildRequest>) -> Result<Vec<(RebuildRequest, Rebuilt)>, LedgerError> {
        // The order of all who lock several.
        requests.sort_unstable_by_key(|request| request.item);
        // An item that is named twice would have its epoch installed twice.
        requests.dedup_by_key(|request| request.item);
        self.work(RebuildTogether { requests }).await.inspect_err(|error| {
            if let LedgerError::Unknown { why, .. } = error {
                tracing::warn!(why, "nobody can say whether a rebuild was committed");
            }
        })
    }
}

struct RebuildTogether {
    requests: Vec<RebuildRequest>,
}

impl Unit for RebuildTogether {
    const ACT: &'static str = "rebuild items together";
    // As for one item.
    const REPEATABLE: bool = false;
    type Output = Vec<(RebuildRequest, Rebuilt)>;

    async fn run(&self, connection: &mut Connection) -> Result<Self::Output, Failure> {
        // An item has one row of it as long as it has one shard, so that one is locked or not.
        let free = |request: &RebuildRequest| format!("{} SKIP LOCKED", lock_of(request.item));
        let locked = connection.begin(&packet(&self.requests, free)).await?;
        let (mut open, mut rebuilt) = (Vec::new(), Vec::new());
        for (at, request) in self.requests.iter().enumerate() {
            match locked.rows(at).first().map(rows::epoch_state).transpose()? {
                None => {}
                Some(current) if current.epoch == request.seen && current.mode == Mode::Redis => open.push(request.clone()),
                Some(current) => rebuilt.push((request.clone(), Rebuilt::Superseded { current })),
            }
        }
        if open.is_empty() {
            connection.rollback().await?;
            return Ok(rebuilt);
        }
        let bases = connection.query(packet(&open, |request| base_of(request.item))).await?;
        let mut updates = Vec::with_capacity(open.len());
        for (at, request) in open.into_iter().enumerate() {
            let row =
                bases.rows(at).first().ok_or_else(|| Failure::Broken { why: "an item has an epoch and no balance".into() })?;
            let (epoch, base) = (request.next_epoch(), rows::int(row, "base")?);
            let mode = if base < 0 { Mode::Closed } else { Mode::Redis };
            if base < 0 {
                tell_closed(request.item, base);
            }
            updates.push(open_epoch(&request, epoch, mode, base));
            rebuilt.push((request, Rebuilt::Committed { epoch, base, mode }));
        }
        connection.query(updates.join("; ")).await?;
        connection.commit().await?;
        Ok(rebuilt)
    }
}

fn packet(requests: &[RebuildRequest], statement: impl Fn(&RebuildRequest) -> String) -> String {
    requests.iter().map(statement).collect::<Vec<_>>().join("; ")
}
