//! Whom a fault hits: processes by role, some of them still to be drawn.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scenario::Processes;

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

    pub(super) const fn is_store(self) -> bool {
        matches!(self, Self::Redis | Self::Mysql)
    }

    pub(super) fn is_there(self, processes: Processes) -> bool {
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
