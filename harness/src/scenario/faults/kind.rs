//! The kinds of harm, with their parameters.

use serde::{Deserialize, Serialize};

use super::Target;

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
        /// KB per second and connection, 1 to 10,000.
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
    /// Memory is scarce, and somebody made a cache of the server: it evicts keys that have a TTL, the next to expire first.
    RedisEvicts,
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
    /// A stranger puts a message into the outbox that nobody can ever settle.
    MysqlBadMessage,
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
            Self::RedisEvicts => "redis_evicts".to_owned(),
            Self::RedisKeyEdited { .. } => "redis_key_edited".to_owned(),
            Self::RedisPromote { .. } => "redis_promote".to_owned(),
            Self::MysqlReadOnly => "mysql_read_only".to_owned(),
            Self::MysqlRowLock => "mysql_row_lock".to_owned(),
            Self::MysqlConnections => "mysql_connections".to_owned(),
            Self::MysqlCommitStall => "mysql_commit_stall".to_owned(),
            Self::MysqlBadMessage => "mysql_bad_message".to_owned(),
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
            | Self::RedisEvicts
            | Self::RedisKeyEdited { .. }
            | Self::RedisPromote { .. } => Some(Store::Redis),
            Self::MysqlReadOnly | Self::MysqlRowLock | Self::MysqlConnections | Self::MysqlCommitStall | Self::MysqlBadMessage => {
                Some(Store::Mysql)
            }
            _ => None,
        }
    }

    /// The store on the way to which it acts; `None` if it is no fault of the network.
    #[must_use]
    pub const fn link(&self) -> Option<Store> {
        match self {
            Self::Latency { store, .. }
            | Self::Partition { store }
            | Self::Reset { store, .. }
            | Self::Refuse { store }
            | Self::Bandwidth { store, .. } => Some(*store),
            _ => None,
        }
    }

    /// Time between the start of the window and the harm itself, while the old state that it brings back grows old, ms.
    #[must_use]
    pub const fn lead_ms(&self) -> u64 {
        match self {
            Self::RedisStaleRestore { age_ms } => *age_ms,
            Self::RedisPromote { lag_ms } => *lag_ms,
            _ => 0,
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
    /// The connection was forgotten on the way: the client was reset, and the server was not told.
    Forget,
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
            Self::Forget => "forget",
        }
    }
}
