//! The faults of a scenario: what breaks, where, when, for how long, and what the service promises about it.
//!
//! In: windows chosen by a person or a catalog entry; start and target may be left open. Out: checked windows, and by
//! [`drawn`] windows with one start and one target each. What came of a window is a span in the history, numbered by its
//! place in the list. Nothing here does I/O.

use std::fmt;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};

use super::check::require;
use super::{Processes, ScenarioError};
use crate::seed::Seed;

/// Most windows of one scenario.
pub const WINDOWS_MAX: usize = 256;

/// Longest life of any fault, 10 min.
const MAX_MS: u64 = 600_000;

/// One of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// The admission counter.
    Redis,
    /// The ledger.
    Mysql,
}

impl Store {
    /// The name used in files and roles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Mysql => "mysql",
        }
    }
}

/// A kind of harm, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// SIGKILL; heals by a restart on the same ports with the same data.
    Kill,
    /// SIGTERM; heals by a restart. A process that does not end by itself is a finding about the service, not a fault that failed.
    Terminate,
    /// SIGSTOP; heals by SIGCONT.
    Pause,
    /// Replies of a store are late.
    Latency {
        /// On the way to which store.
        store: Store,
        /// Delay, ms.
        latency_ms: u64,
        /// Up to this much more or less, ms.
        jitter_ms: u64,
    },
    /// No byte passes in either direction and none is lost; what waited goes on at the end.
    Partition {
        /// From which store.
        store: Store,
    },
    /// Every open connection is reset, again and again.
    Reset {
        /// To which store.
        store: Store,
        /// Time between two resets, ms.
        every_ms: u64,
    },
    /// Connections are refused and the open ones cut.
    Refuse {
        /// To which store.
        store: Store,
    },
    /// Bytes pass at a limited rate.
    Bandwidth {
        /// To which store.
        store: Store,
        /// KB per second and connection, at least 1.
        rate_kbps: u64,
    },
    /// FLUSHALL.
    RedisFlush,
    /// SCRIPT FLUSH.
    RedisScriptFlush,
    /// SIGKILL, and a restart without any data.
    RedisEmpty,
    /// SIGKILL, and a restart with the last part of the append-only file cut off.
    RedisTruncatedTail {
        /// Part of the file that is kept, percent, 1 to 99.
        keep_percent: u64,
    },
    /// SIGKILL, and a restart with a copy of the data that was taken when the window began.
    RedisStaleRestore {
        /// Age of the copy when it is restored, ms.
        age_ms: u64,
    },
    /// No memory is left for writes.
    RedisMaxmemory,
    /// A foreign hand writes the stock key of the hot item.
    RedisKeyEdited {
        /// What is added to the stock, not 0.
        by: i64,
    },
    /// A replica that lags is promoted, and the old primary is killed.
    RedisPromote {
        /// How long the replica had been cut off before, ms.
        lag_ms: u64,
    },
    /// The server refuses writes.
    MysqlReadOnly,
    /// A stranger holds the lock of the hot item's row.
    MysqlRowLock,
    /// All connections of the server are taken.
    MysqlConnections,
    /// Commits wait, as behind a disk that does not answer.
    MysqlCommitStall,
    /// Something is done exactly when a named step of the protocol passes the proxy.
    Point {
        /// Name of the kill point: `commit_held`.
        point: String,
        /// Which hit is acted on, from 1; earlier ones pass.
        nth: u64,
        /// What is done. After `kill` the process is restarted when the window ends.
        action: PointAction,
    },
}

impl Fault {
    /// The name used in files and on plots.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Kill => "kill".to_owned(),
            Self::Terminate => "terminate".to_owned(),
            Self::Pause => "pause".to_owned(),
            Self::Latency { store, .. } => format!("{}_latency", store.name()),
            Self::Partition { store } => format!("{}_partition", store.name()),
            Self::Reset { store, .. } => format!("{}_reset", store.name()),
            Self::Refuse { store } => format!("{}_refuse", store.name()),
            Self::Bandwidth { store, .. } => format!("{}_bandwidth", store.name()),
            Self::RedisFlush => "redis_flush".to_owned(),
            Self::RedisScriptFlush => "redis_script_flush".to_owned(),
            Self::RedisEmpty => "redis_empty".to_owned(),
            Self::RedisTruncatedTail { .. } => "redis_truncated_tail".to_owned(),
            Self::RedisStaleRestore { .. } => "redis_stale_restore".to_owned(),
            Self::RedisMaxmemory => "redis_maxmemory".to_owned(),
            Self::RedisKeyEdited { .. } => "redis_key_edited".to_owned(),
            Self::RedisPromote { .. } => "redis_promote".to_owned(),
            Self::MysqlReadOnly => "mysql_read_only".to_owned(),
            Self::MysqlRowLock => "mysql_row_lock".to_owned(),
            Self::MysqlConnections => "mysql_connections".to_owned(),
            Self::MysqlCommitStall => "mysql_commit_stall".to_owned(),
            Self::Point { point, action, .. } => format!("{point}:{}", action.name()),
        }
    }

    /// The store whose process or data it touches; `None` if it acts on service processes or their connections.
    #[must_use]
    pub const fn store(&self) -> Option<Store> {
        match self {
            Self::RedisFlush
            | Self::RedisScriptFlush
            | Self::RedisEmpty
            | Self::RedisTruncatedTail { .. }
            | Self::RedisStaleRestore { .. }
            | Self::RedisMaxmemory
            | Self::RedisKeyEdited { .. }
            | Self::RedisPromote { .. } => Some(Store::Redis),
            Self::MysqlReadOnly | Self::MysqlRowLock | Self::MysqlConnections | Self::MysqlCommitStall => Some(Store::Mysql),
            _ => None,
        }
    }

    /// Whether it needs a Redis that writes an append-only file.
    #[must_use]
    pub const fn needs_append_only(&self, target: Target) -> bool {
        let kept = matches!(self, Self::RedisTruncatedTail { .. } | Self::RedisStaleRestore { .. });
        kept || matches!((self, target), (Self::Kill | Self::Terminate, Target::Redis))
    }
}

/// What is done at a kill point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointAction {
    /// Nothing: the frame went on.
    Pass,
    /// The process was killed while the frame was held.
    Kill,
    /// The reply was swallowed and the connection cut.
    DropReply,
    /// The connection was cut before the frame went on.
    CutBefore,
    /// The connection was reset.
    Reset,
    /// The frame was held for a while and then went on.
    Stall,
}

impl PointAction {
    /// The name used in files and on plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Kill => "kill",
            Self::DropReply => "drop_reply",
            Self::CutBefore => "cut_before",
            Self::Reset => "reset",
            Self::Stall => "stall",
        }
    }
}

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The Redis server.
    Redis,
    /// The MySQL server.
    Mysql,
    /// The api process with this number, from 1.
    Api(u16),
    /// The worker process with this number, from 1.
    Worker(u16),
    /// One api process, drawn.
    AnyApi,
    /// One worker process, drawn.
    AnyWorker,
    /// All api processes at once.
    EveryApi,
    /// All worker processes at once.
    EveryWorker,
    /// All service processes at once.
    Services,
}

impl Target {
    /// The roles that it names, among those that run. Nothing for one that is still to be drawn.
    #[must_use]
    pub fn roles(self, processes: Processes) -> Vec<String> {
        let all = |kind: &'static str, count: u16| (1..=count).map(move |number| format!("{kind}-{number}"));
        match self {
            Self::Redis | Self::Mysql | Self::Api(_) | Self::Worker(_) => vec![self.to_string()],
            Self::AnyApi | Self::AnyWorker => Vec::new(),
            Self::EveryApi => all("api", processes.api).collect(),
            Self::EveryWorker => all("worker", processes.worker).collect(),
            Self::Services => all("api", processes.api).chain(all("worker", processes.worker)).collect(),
        }
    }

    const fn is_store(self) -> bool {
        matches!(self, Self::Redis | Self::Mysql)
    }

    fn is_there(self, processes: Processes) -> bool {
        match self {
            Self::Api(number) => (1..=processes.api).contains(&number),
            Self::Worker(number) => (1..=processes.worker).contains(&number),
            _ => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis => f.write_str("redis"),
            Self::Mysql => f.write_str("mysql"),
            Self::Api(number) => write!(f, "api-{number}"),
            Self::Worker(number) => write!(f, "worker-{number}"),
            Self::AnyApi => f.write_str("any api"),
            Self::AnyWorker => f.write_str("any worker"),
            Self::EveryApi => f.write_str("every api"),
            Self::EveryWorker => f.write_str("every worker"),
            Self::Services => f.write_str("services"),
        }
    }
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultWindow {
    /// What breaks.
    pub fault: Fault,
    /// Whom it hits.
    pub target: Target,
    /// Earliest and latest start, ms from the start of the load; both the same once drawn.
    pub start_ms: (u64, u64),
    /// Time from the injection (or, for a kill point, from its hit) to the heal.
    pub duration_ms: u64,
    /// Longest time that it may be in force whatever happens; a kill point that was not hit by then is given up.
    pub max_ms: u64,
    /// What the service promises: recovery within this time of the heal; `None` if it promises none.
    pub recovery_ms: Option<u64>,
}

impl FaultWindow {
    /// Latest planned end, ms from the start of the load.
    #[must_use]
    pub const fn latest_end_ms(&self) -> u64 {
        self.start_ms.1.saturating_add(self.duration_ms)
    }
}

/// The windows with one start and one target each, drawn from the stream `faults`. Drawing again changes nothing.
#[must_use]
pub fn drawn(windows: &[FaultWindow], processes: Processes, seed: Seed) -> Vec<FaultWindow> {
    let mut stream = seed.stream("faults");
    let settle = |window: &FaultWindow| {
        let (earliest, latest) = window.start_ms;
        let start = stream.random_range(earliest..=latest.max(earliest));
        let mut one_of = |count: u16| (1..=count).collect::<Vec<u16>>().choose(&mut stream).copied().unwrap_or(1);
        let target = match window.target {
            Target::AnyApi => Target::Api(one_of(processes.api)),
            Target::AnyWorker => Target::Worker(one_of(processes.worker)),
            settled => settled,
        };
        FaultWindow { target, start_ms: (start, start), ..window.clone() }
    };
    windows.iter().map(settle).collect()
}

/// Checks every window against its ranges, the processes and the length of the load.
pub(super) fn check(windows: &[FaultWindow], processes: Processes, load_ms: u64) -> Result<(), ScenarioError> {
    require("faults", windows.len() <= WINDOWS_MAX, "must hold at most 256 windows")?;
    for (index, window) in windows.iter().enumerate() {
        let FaultWindow { fault, target, start_ms, duration_ms, max_ms, recovery_ms } = window;
        let field = |name: &str| format!("faults[{index}].{name}");
        require(&field("target"), target.is_there(processes), "must be a process of the scenario")?;
        require(&field("target"), fits(fault, *target), "must be something that this fault can hit")?;
        let (earliest, latest) = *start_ms;
        let ends = latest.saturating_add(*duration_ms);
        require(&field("start_ms"), earliest <= latest, "must be earliest, then latest")?;
        require(&field("duration_ms"), ends <= load_ms, "must end before the load does")?;
        let max_fits = duration_ms <= max_ms && (1..=MAX_MS).contains(max_ms);
        require(&field("max_ms"), max_fits, "must be at least duration_ms, 1 to 600000")?;
        require(&field("recovery_ms"), recovery_ms.is_none_or(|ms| (1..=MAX_MS).contains(&ms)), "must be 1 to 600000")?;
        check_parameters(fault, *duration_ms, &field("fault"))?;
    }
    check_owners(windows, processes)
}

fn fits(fault: &Fault, target: Target) -> bool {
    match fault {
        Fault::Kill | Fault::Terminate | Fault::Pause => true,
        _ => match fault.store() {
            Some(Store::Redis) => target == Target::Redis,
            Some(Store::Mysql) => target == Target::Mysql,
            None => !target.is_store(),
        },
    }
}

fn check_parameters(fault: &Fault, duration_ms: u64, field: &str) -> Result<(), ScenarioError> {
    let (fits, why) = match fault {
        Fault::Latency { latency_ms, jitter_ms, .. } => {
            ((1..=60_000).contains(latency_ms) && jitter_ms <= latency_ms, "latency_ms must be 1 to 60000, jitter_ms at most that")
        }
        Fault::Reset { every_ms, .. } => ((1..=60_000).contains(every_ms), "every_ms must be 1 to 60000"),
        Fault::Bandwidth { rate_kbps, .. } => ((1..=1_000_000).contains(rate_kbps), "rate_kbps must be 1 to 1000000"),
        Fault::RedisTruncatedTail { keep_percent } => ((1..=99).contains(keep_percent), "keep_percent must be 1 to 99"),
        Fault::RedisStaleRestore { age_ms } => (*age_ms >= 1 && *age_ms <= duration_ms, "age_ms must be 1 to duration_ms"),
        Fault::RedisPromote { lag_ms } => (*lag_ms >= 1 && *lag_ms <= duration_ms, "lag_ms must be 1 to duration_ms"),
        Fault::RedisKeyEdited { by } => (*by != 0, "by must not be 0"),
        Fault::Point { point, nth, .. } => (!point.is_empty() && *nth >= 1, "point must have a name, nth must be at least 1"),
        _ => (true, ""),
    };
    require(field, fits, why)
}

/// A process can be in the hands of one fault at a time.
fn check_owners(windows: &[FaultWindow], processes: Processes) -> Result<(), ScenarioError> {
    let owns = |window: &FaultWindow| {
        let kills = matches!(window.fault, Fault::Point { action: PointAction::Kill, .. });
        kills || window.fault.store().is_some() || matches!(window.fault, Fault::Kill | Fault::Terminate | Fault::Pause)
    };
    for (index, window) in windows.iter().enumerate().filter(|(_, window)| owns(window)) {
        let earlier = windows[..index].iter().filter(|other| owns(other) && other.latest_end_ms() > window.start_ms.0);
        for other in earlier.filter(|other| window.latest_end_ms() > other.start_ms.0) {
            let roles = other.target.roles(processes);
            let shared = window.target.roles(processes).iter().any(|role| roles.contains(role)) || window.target == other.target;
            require(&format!("faults[{index}].start_ms"), !shared, "overlaps an earlier window on the same process")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESSES: Processes = Processes { api: 2, worker: 2 };

    fn window(fault: Fault, target: Target) -> FaultWindow {
        FaultWindow { fault, target, start_ms: (100, 200), duration_ms: 300, max_ms: 1_000, recovery_ms: Some(5_000) }
    }

    #[test]
    fn drawing_settles_start_and_target_and_repeats() {
        let open = [window(Fault::Kill, Target::AnyApi), window(Fault::Pause, Target::AnyWorker)];
        let settled = drawn(&open, PROCESSES, Seed(7));
        for one in &settled {
            assert!(one.start_ms.0 == one.start_ms.1 && (100..=200).contains(&one.start_ms.0), "{one:?}");
            assert_eq!(one.target.roles(PROCESSES).len(), 1, "{one:?}");
        }
        assert_eq!(settled, drawn(&open, PROCESSES, Seed(7)));
        assert_eq!(settled, drawn(&settled, PROCESSES, Seed(7)), "a plan that is run again is not drawn again");
    }

    #[test]
    fn a_window_reads_what_it_writes() {
        let partition = window(Fault::Partition { store: Store::Redis }, Target::Api(2));
        let text = serde_json::to_string(&partition).unwrap();
        assert!(text.contains(r#""fault":{"kind":"partition","store":"redis"},"target":{"api":2}"#), "{text}");
        assert_eq!(serde_json::from_str::<FaultWindow>(&text).unwrap(), partition);
    }

    #[test]
    fn each_field_out_of_its_range_is_named() {
        let spoilt = |spoil: fn(&mut FaultWindow)| {
            let mut one = window(Fault::Kill, Target::Api(1));
            spoil(&mut one);
            check(&[one], PROCESSES, 1_000).unwrap_err().field
        };
        assert_eq!(check(&[window(Fault::Kill, Target::Api(1))], PROCESSES, 1_000), Ok(()));
        assert_eq!(spoilt(|it| it.target = Target::Api(3)), "faults[0].target");
        assert_eq!(spoilt(|it| it.fault = Fault::RedisFlush), "faults[0].target");
        assert_eq!(spoilt(|it| it.start_ms = (2, 1)), "faults[0].start_ms");
        assert_eq!(spoilt(|it| it.duration_ms = 900), "faults[0].duration_ms");
        assert_eq!(spoilt(|it| it.max_ms = 299), "faults[0].max_ms");
        assert_eq!(spoilt(|it| it.recovery_ms = Some(0)), "faults[0].recovery_ms");
        assert_eq!(spoilt(|it| it.fault = Fault::Latency { store: Store::Redis, latency_ms: 1, jitter_ms: 2 }), "faults[0].fault");
    }

    #[test]
    fn a_process_is_in_the_hands_of_one_fault_at_a_time() {
        let twice = |first: Target, second: Target| {
            check(&[window(Fault::Kill, first), window(Fault::Pause, second)], PROCESSES, 1_000).map_err(|error| error.field)
        };
        assert_eq!(twice(Target::Api(1), Target::Api(2)), Ok(()));
        assert_eq!(twice(Target::Api(1), Target::Services), Err("faults[1].start_ms".to_owned()));
        assert_eq!(twice(Target::AnyApi, Target::AnyApi), Err("faults[1].start_ms".to_owned()), "both may draw the same");
    }
}
