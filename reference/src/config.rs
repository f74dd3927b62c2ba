//! Settings of a process: flags and environment, secrets from the environment or a file only.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use crate::flow::{FlowSettings, RedisDown};
use crate::http::server::Limits;
use crate::ledger::LedgerSettings;
use crate::secret::{Secret, SecretError};
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
    /// Redis, as redis://[user:password@]host:port/[db]; a password is taken from the environment or the file only
    #[arg(long, env = "HOLDFAST_REDIS_URL", hide_env_values = true, required_unless_present = "redis_url_file")]
    redis_url: Option<Secret>,
    /// File that holds the URL of Redis; it goes before --redis-url
    #[arg(long, value_name = "FILE")]
    redis_url_file: Option<PathBuf>,
    /// MySQL or MariaDB, as mysql://user:password@host:port/database; a password is taken from the environment or the file only
    #[arg(long, env = "HOLDFAST_MYSQL_URL", hide_env_values = true, required_unless_present = "mysql_url_file")]
    mysql_url: Option<Secret>,
    /// File that holds the URL of MySQL; it goes before --mysql-url
    #[arg(long, value_name = "FILE")]
    mysql_url_file: Option<PathBuf>,
    /// File that holds the admin token; without it the token is read from the environment variable HOLDFAST_ADMIN_TOKEN
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// An unpaid order expires after this many milliseconds, 1 to 31536000000
    #[arg(long, default_value_t = 1_800_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=31_536_000_000))]
    pub order_ttl_ms: u64,
    /// A sold-out answer may be given from memory for this many milliseconds, at most 1000; 0 switches the memory off
    #[arg(long, default_value_t = 1_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub sold_out_memory_ms: u64,
    /// The resolver leaves locks younger than this many milliseconds alone, 0 to 3600000
    #[arg(long, default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
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
    /// Connections of each listener at once, 16 to 1000000, as far as the limit of open files allows; further clients wait
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub connections_max: u32,
    /// A client has this many milliseconds, 100 to 600000, for the head of a request, for its body, and to take the reply; a connection
    /// that is idle for as long is closed
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub client_timeout_ms: u64,
    /// Threads that handle requests and batches, 1 to 256: a second one helps where a core is free for it, and costs wake-ups where none is
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Longest wait for the stores at start, milliseconds, 0 to 3600000
    #[arg(long, default_value_t = 30_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub start_deadline_ms: u64,
    /// Longest wait for requests and batches under way after SIGTERM, milliseconds, 0 to 3600000
    #[arg(long, default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub drain_ms: u64,
    /// Defects to plant, by name or all of the set `seed`, for a harness that wants to know whether it would see them; this build is for nothing else
    #[cfg(feature = "defects")]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub defects: Vec<crate::defects::Wanted>,
}

/// Settings that are each in their range but cannot be used, or a secret that cannot be had.
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
    /// The file of a secret cannot be used.
    #[error("{what}: {source}")]
    Secret {
        /// Which secret.
        what: &'static str,
        /// Why not.
        source: SecretError,
    },
    /// A URL with a password was given on the command line.
    #[error("{flag} holds a password, and everybody can read a command line: use {variable} or {flag}-file")]
    Exposed {
        /// The flag.
        flag: &'static str,
        /// The environment variable to use instead.
        variable: &'static str,
    },
    /// The admin token is empty or not given.
    #[error("the admin token is empty: set HOLDFAST_ADMIN_TOKEN or give --admin-token-file")]
    Empty,
}

impl Config {
    /// The settings that the process was started with. Help, and words that are none of its own, end it.
    ///
    /// # Errors
    /// A password was given on the command line.
    pub fn from_command_line() -> Result<Self, ConfigError> {
        let matches = Self::command().get_matches();
        let config = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let typed = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
        for (url, name, flag, variable) in [
            (&config.redis_url, "redis_url", "--redis-url", "HOLDFAST_REDIS_URL"),
            (&config.mysql_url, "mysql_url", "--mysql-url", "HOLDFAST_MYSQL_URL"),
        ] {
            if typed(name) && url.as_ref().is_some_and(Secret::is_url_with_password) {
                return Err(ConfigError::Exposed { flag, variable });
            }
        }
        Ok(config)
    }

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
        let token = match &self.admin_token_file {
            Some(path) => Secret::read(path).map_err(|source| ConfigError::Secret { what: "admin token", source })?,
            None => from_environment("HOLDFAST_ADMIN_TOKEN").trim().into(),
        };
        if token.reveal().is_empty() { Err(ConfigError::Empty) } else { Ok(token) }
    }

    /// Settings of the Redis side.
    ///
    /// # Errors
    /// The file of the URL cannot be used.
    pub fn stock(&self) -> Result<StockSettings, ConfigError> {
        let url = url("redis url", self.redis_url_file.as_deref(), self.redis_url.as_ref())?;
        Ok(StockSettings { lanes: usize::from(self.redis_connections), ..StockSettings::new(url.reveal()) })
    }

    /// Settings of the MySQL side.
    ///
    /// # Errors
    /// The file of the URL cannot be used.
    pub fn ledger(&self) -> Result<LedgerSettings, ConfigError> {
        let url = url("mysql url", self.mysql_url_file.as_deref(), self.mysql_url.as_ref())?;
        Ok(LedgerSettings {
            writer_connections: self.writer_connections,
            writer_queue: self.writer_queue as usize,
            batch_max: self.batch_max as usize,
            url: url.reveal().to_owned(),
            ..LedgerSettings::default()
        })
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

/// The URL of a store. Without a file there is one, which the parser of the command line has seen to.
fn url(what: &'static str, file: Option<&Path>, given: Option<&Secret>) -> Result<Secret, ConfigError> {
    match (file, given) {
        (Some(path), _) => Secret::read(path).map_err(|source| ConfigError::Secret { what, source }),
        (None, given) => Ok(given.cloned().unwrap_or_else(|| "".into())),
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
    fn an_unpaid_order_expires_after_half_an_hour_unless_told_otherwise() {
        let given = ["x", "--redis-url", "redis://h/", "--mysql-url", "mysql://h/d"];
        assert_eq!(Config::parse_from(given).flow().order_ttl, Duration::from_secs(30 * 60));
        let told = Config::parse_from(given.into_iter().chain(["--order-ttl-ms", "4000"]));
        assert_eq!(told.flow().order_ttl, Duration::from_secs(4));
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
        for flag in
            ["--sold-out-memory-ms=1001", "--batch-max=0", "--role=cook", "--listen=nowhere", "--order-ttl-ms=0", "--drain-ms=-1"]
        {
            let arguments = ["x", "--redis-url", "redis://h/", "--mysql-url", "mysql://h/d", flag];
            assert!(Config::try_parse_from(arguments).is_err(), "{flag}");
        }
    }
}
