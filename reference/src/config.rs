//! Settings of a process: flags and environment, secrets from the environment or a file only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::flow::{FlowSettings, RedisDown};
use crate::http::server::Limits;
use crate::ledger::LedgerSettings;
use crate::stock::StockSettings;
use crate::workers::WorkerSettings;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers HTTP requests.
    Api,
    /// Runs the workers.
    Worker,
}

/// What becomes of orders while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RedisDownChoice {
    /// They are refused with 503 and may be tried again.
    FailFast,
    /// MySQL admits them, under the same fence, until Redis is back.
    Database,
}

/// Reservation service for flash sales: Redis admits, MySQL decides.
#[derive(Debug, Clone, Parser)]
#[command(name = "reservation-service", version)]
pub struct Config {
    /// What this process does; any number of processes of each role may run
    #[arg(long = "role", value_delimiter = ',', default_value = "api,worker")]
    pub roles: Vec<Role>,
    /// Address of the public listener (role api)
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of the admin listener: health, metrics, admin routes
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub admin_listen: SocketAddr,
    /// Redis, as redis://[user:password@]host:port/[db]; a URL with a password belongs into the environment
    #[arg(long, env = "HOLDFAST_REDIS_URL", hide_env_values = true)]
    pub redis_url: Secret,
    /// MySQL or MariaDB, as mysql://user:password@host:port/database; a URL with a password belongs into the environment
    #[arg(long, env = "HOLDFAST_MYSQL_URL", hide_env_values = true)]
    pub mysql_url: Secret,
    /// File that holds the admin token; without it the token is read from the environment variable HOLDFAST_ADMIN_TOKEN
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// An unpaid order expires after this many milliseconds
    #[arg(long, default_value_t = 1_800_000, value_name = "MS")]
    pub order_ttl_ms: u64,
    /// A sold-out answer may be given from memory for this many milliseconds, at most 1000; 0 switches the memory off
    #[arg(long, default_value_t = 1_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub sold_out_memory_ms: u64,
    /// The resolver leaves locks younger than this many milliseconds alone
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    pub resolver_grace_ms: u64,
    /// Pause of a worker after a batch that was not full, milliseconds, 1 to 60000: longer means fewer and larger transactions
    #[arg(long, default_value_t = 50, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub worker_poll_min_ms: u64,
    /// Longest pause of a worker with nothing to do, milliseconds, 20 to 60000
    #[arg(long, default_value_t = 500, value_name = "MS", value_parser = clap::value_parser!(u64).range(20..=60_000))]
    pub worker_poll_max_ms: u64,
    /// The reconciler audits one item every so many milliseconds, 10 to 3600000
    #[arg(long, default_value_t = 1_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub audit_every_ms: u64,
    /// TCP connections to Redis, 1 to 64
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub redis_connections: u16,
    /// Connections that write orders, each one transaction at a time, 1 to 64
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub writer_connections: u32,
    /// Orders being created at once at most, from before they take stock until they are answered; more are refused with 429
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub writer_queue: u32,
    /// Orders written in one transaction at most, 1 to 1000
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub batch_max: u32,
    /// What becomes of orders while Redis does not answer
    #[arg(long, value_enum, default_value = "fail-fast")]
    pub redis_down: RedisDownChoice,
    /// With --redis-down database: MySQL takes over once Redis has not answered for this many milliseconds, 500 to 600000
    #[arg(long, default_value_t = 2_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(500..=600_000))]
    pub degrade_after_ms: u64,
    /// Items that MySQL took over go back to Redis once it has answered without a break for this many milliseconds, 100 to 3600000
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub return_after_ms: u64,
    /// Orders a second of items that MySQL admits, for this process; more are refused with 429; 1 to 1000000
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub database_orders_per_second: u32,
    /// Connections of each listener at once, 16 to 1000000; further clients wait
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub connections_max: u32,
    /// A client has this many milliseconds, 100 to 600000, for the head of a request, for its body, and to take the reply; a connection
    /// that is idle for as long is closed
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub client_timeout_ms: u64,
    /// Threads of the process, 1 to 256
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Longest wait for the stores at start, milliseconds
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    pub start_deadline_ms: u64,
    /// Longest wait for requests and batches under way after SIGTERM, milliseconds
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    pub drain_ms: u64,
    /// Defects to plant, by name or all of the set `seed`, for a harness that wants to know whether it would see them; this build is for nothing else
    #[cfg(feature = "defects")]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub defects: Vec<crate::defects::Wanted>,
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Settings that are each in their range but cannot be used, or a token that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The pauses of the workers are the wrong way round.
    #[error("--worker-poll-min-ms is {min}, longer than --worker-poll-max-ms, {max}")]
    PollReversed {
        /// Shortest pause, ms.
        min: u64,
        /// Longest pause, ms.
        max: u64,
    },
    /// The file of the admin token cannot be read.
    #[error("read admin token from {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The admin token is empty or not given.
    #[error("the admin token is empty: set HOLDFAST_ADMIN_TOKEN or give --admin-token-file")]
    Empty,
}

impl Config {
    /// Whether the process has this role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Checks what no single flag can: that the settings go together.
    ///
    /// # Errors
    /// They do not.
    pub const fn check(&self) -> Result<(), ConfigError> {
        let (min, max) = (self.worker_poll_min_ms, self.worker_poll_max_ms);
        if min > max { Err(ConfigError::PollReversed { min, max }) } else { Ok(()) }
    }

    /// The admin token, from its file or from the environment.
    ///
    /// # Errors
    /// The file cannot be read, or the token is empty.
    pub fn admin_token(&self) -> Result<Secret, ConfigError> {
        let text = match &self.admin_token_file {
            Some(path) => std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.clone(), source })?,
            None => from_environment("HOLDFAST_ADMIN_TOKEN"),
        };
        let token = text.trim();
        if token.is_empty() { Err(ConfigError::Empty) } else { Ok(token.into()) }
    }

    /// Settings of the Redis side.
    #[must_use]
    pub fn stock(&self) -> StockSettings {
        StockSettings { lanes: usize::from(self.redis_connections), ..StockSettings::new(self.redis_url.reveal()) }
    }

    /// Settings of the MySQL side.
    #[must_use]
    pub fn ledger(&self) -> LedgerSettings {
        LedgerSettings {
            writer_connections: self.writer_connections,
            writer_queue: self.writer_queue as usize,
            batch_max: self.batch_max as usize,
            url: self.mysql_url.reveal().to_owned(),
            ..LedgerSettings::default()
        }
    }

    /// Settings of the use cases.
    #[must_use]
    pub fn flow(&self) -> FlowSettings {
        FlowSettings {
            order_ttl: Duration::from_millis(self.order_ttl_ms),
            sold_out_memory: Duration::from_millis(self.sold_out_memory_ms),
            redis_down: match self.redis_down {
                RedisDownChoice::FailFast => RedisDown::FailFast,
                RedisDownChoice::Database => RedisDown::Database { after: Duration::from_millis(self.degrade_after_ms) },
            },
            database_orders_per_second: self.database_orders_per_second,
            ..FlowSettings::default()
        }
    }

    /// What each listener grants.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { connections: self.connections_max as usize, client_timeout: Duration::from_millis(self.client_timeout_ms) }
    }

    /// Settings of the workers.
    #[must_use]
    pub fn workers(&self) -> WorkerSettings {
        let standard = WorkerSettings::default();
        WorkerSettings {
            poll: (Duration::from_millis(self.worker_poll_min_ms), Duration::from_millis(self.worker_poll_max_ms)),
            resolver_grace: Duration::from_millis(self.resolver_grace_ms),
            return_after: Duration::from_millis(self.return_after_ms),
            audit_every: Duration::from_millis(self.audit_every_ms),
            ..standard
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads a secret from the environment")]
fn from_environment(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let config = Config::parse_from(["x", "--redis-url", "redis://:hunter2@h/", "--mysql-url", "mysql://u:hunter2@h/d"]);
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(config.has(Role::Api) && config.has(Role::Worker));
    }

    #[test]
    fn a_shortest_pause_above_the_longest_is_refused() {
        let poll = |min, max| {
            let arguments = ["x", "--redis-url", "redis://h/", "--mysql-url", "mysql://h/d", "--worker-poll-min-ms", min];
            Config::parse_from(arguments.into_iter().chain(["--worker-poll-max-ms", max])).check()
        };
        assert!(poll("50", "50").is_ok());
        let told = poll("51", "50").unwrap_err().to_string();
        assert_eq!(told, "--worker-poll-min-ms is 51, longer than --worker-poll-max-ms, 50");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for flag in ["--sold-out-memory-ms=1001", "--batch-max=0", "--role=cook", "--listen=nowhere"] {
            let arguments = ["x", "--redis-url", "redis://h/", "--mysql-url", "mysql://h/d", flag];
            assert!(Config::try_parse_from(arguments).is_err(), "{flag}");
        }
    }
}
