//! A fault in force, whatever its mechanism.
//!
//! In: a planned window. Out: a [`Standing`] fault that can be asked for proof, and must be healed.

use std::time::Duration;

use super::begun::Begun;
use super::mysql_store::{MysqlFault, Urls};
use super::network::NetworkFault;
use super::points::{PointFault, Watch};
use super::process::{Dead, Stopped};
use super::promotion::Promoted;
use super::redis_data::Lossy;
use super::redis_store::RedisFault;
use super::{FaultError, Faults};
use crate::scenario::FaultWindow;
use crate::scenario::faults::Fault;

/// A fault in force. Dropped unhealed, it stays open in the history, and the evidence is unsound.
#[must_use = "a fault that is not healed makes the evidence of the run unsound"]
pub(super) enum Standing<'a> {
    Dead(Dead<'a>),
    Point(PointFault<'a>),
    Network(NetworkFault),
    Stopped(Stopped<'a>),
    Redis(RedisFault),
    Lossy(Lossy),
    Promoted(Promoted),
    Mysql(MysqlFault),
}

/// Does the harm of `window`, and what was done, in words; `None` if the point that it waits for was not met, or the run was stopped
/// before any harm. If it fails, `begun` tells whether harm may have been done.
///
/// # Errors
/// It could not be done.
pub(super) async fn inject<'a>(
    faults: Faults<'a>,
    id: u32,
    window: &FaultWindow,
    begun: &Begun,
) -> Result<Option<(Standing<'a>, String)>, FaultError> {
    let roles = window.target.roles(faults.scenario.processes);
    match &window.fault {
        Fault::Point { point, nth, action } => {
            let met = Watch::arm(faults, id, window, roles, (point, *nth, *action))?.hit(begun).await?;
            Ok(met.map(|met| of(Standing::Point, met)))
        }
        Fault::Latency { store, .. }
        | Fault::Partition { store }
        | Fault::Reset { store, .. }
        | Fault::Refuse { store }
        | Fault::Bandwidth { store, .. } => {
            Ok(Some(of(Standing::Network, NetworkFault::inject(faults, window, &roles, *store, begun).await?)))
        }
        Fault::RedisStaleRestore { age_ms } => {
            let stale = Lossy::stale(faults, Duration::from_millis(*age_ms), begun).await?;
            Ok(stale.map(|stale| of(Standing::Lossy, stale)))
        }
        Fault::RedisPromote { lag_ms } => {
            let promoted = Promoted::inject(faults, Duration::from_millis(*lag_ms), begun).await?;
            Ok(promoted.map(|promoted| of(Standing::Promoted, promoted)))
        }
        _ => inject_directly(faults, window, roles, begun).await.map(Some),
    }
}

/// Faults of processes and stores.
async fn inject_directly<'a>(
    faults: Faults<'a>,
    window: &FaultWindow,
    roles: Vec<String>,
    begun: &Begun,
) -> Result<(Standing<'a>, String), FaultError> {
    let Faults { controls, scenario, .. } = faults;
    let max = Duration::from_millis(window.max_ms);
    let redis = controls.redis_url();
    let mysql = Urls { own: controls.mysql_url(), service: controls.service_mysql_url() };
    // The first item is the hot one.
    let hot =
        scenario.items.first().map(|sale| sale.item).ok_or_else(|| FaultError::failed("find the hot item", "nothing is sold"))?;
    Ok(match &window.fault {
        Fault::Kill => of(Standing::Dead, Dead::kill(controls, roles, begun).await?),
        Fault::Terminate => of(Standing::Dead, Dead::terminate(controls, roles, begun).await?),
        Fault::Pause => of(Standing::Stopped, Stopped::pause(controls, roles, max, begun).await?),
        Fault::RedisFlush => of(Standing::Redis, RedisFault::flush(&redis, begun).await?),
        Fault::RedisScriptFlush => of(Standing::Redis, RedisFault::flush_scripts(&redis, begun).await?),
        Fault::RedisMaxmemory => of(Standing::Redis, RedisFault::fill(&redis, begun).await?),
        Fault::RedisEvicts => of(Standing::Redis, RedisFault::evict(&redis, begun).await?),
        Fault::RedisKeyEdited { by } => of(Standing::Redis, RedisFault::edit(&redis, hot, *by, begun).await?),
        Fault::RedisEmpty => of(Standing::Lossy, Lossy::empty(controls, begun).await?),
        Fault::RedisTruncatedTail { keep_percent } => of(Standing::Lossy, Lossy::truncated(controls, *keep_percent, begun).await?),
        Fault::MysqlReadOnly => of(Standing::Mysql, MysqlFault::read_only(mysql, max, begun).await?),
        Fault::MysqlRowLock => of(Standing::Mysql, MysqlFault::lock_row(mysql, hot, max, begun).await?),
        Fault::MysqlConnections => of(Standing::Mysql, MysqlFault::take_connections(mysql, max, begun).await?),
        Fault::MysqlCommitStall => of(Standing::Mysql, MysqlFault::stall_commits(mysql, max, begun).await?),
        Fault::MysqlBadMessage => of(Standing::Mysql, MysqlFault::put_message(mysql, hot, max, begun).await?),
        other => return Err(FaultError::failed(format!("inject {}", other.name()), "there is no way to do it")),
    })
}

/// The variant around what a mechanism gives.
fn of<'a, T>(variant: impl FnOnce(T) -> Standing<'a>, (fault, facts): (T, String)) -> (Standing<'a>, String) {
    (variant(fault), facts)
}

impl Standing<'_> {
    /// Proof that it has an effect, once there is some.
    ///
    /// # Errors
    /// What was asked does not answer.
    pub(super) async fn bit(&mut self) -> Result<Option<String>, FaultError> {
        match self {
            Self::Dead(dead) => Ok(Some(dead.proof())),
            Self::Point(fault) => fault.bit(),
            Self::Network(fault) => fault.bit().await,
            Self::Stopped(stopped) => stopped.bit(),
            Self::Redis(fault) => fault.bit().await,
            Self::Lossy(fault) => Ok(fault.proof()),
            Self::Promoted(fault) => Ok(fault.proof()),
            Self::Mysql(fault) => fault.bit().await,
        }
    }

    /// Undoes it and looks that it is undone; what shows that.
    ///
    /// # Errors
    /// It could not be undone, or is not.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        match self {
            Self::Dead(dead) => dead.heal().await,
            Self::Point(fault) => fault.heal().await,
            Self::Network(fault) => fault.heal().await,
            Self::Stopped(stopped) => stopped.heal().await,
            Self::Redis(fault) => fault.heal().await,
            Self::Lossy(fault) => fault.heal().await,
            Self::Promoted(fault) => fault.heal().await,
            Self::Mysql(fault) => fault.heal().await,
        }
    }
}
