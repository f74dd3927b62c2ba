//! Why the stores could not be read.

use crate::target::ledger::Query;

/// A read of the stores that failed. Every text names the act and the thing.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// An address of the stack is not one.
    #[error("read the address of {store}: {why}")]
    Address {
        /// `redis` or `mysql`.
        store: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Redis refused or broke off.
    #[error("{act} redis: {source}")]
    Redis {
        /// What was tried.
        act: &'static str,
        /// What Redis or the driver said.
        source: redis::RedisError,
    },
    /// MySQL refused or broke off.
    #[error("read {of} from mysql: {source}")]
    Mysql {
        /// What was to be read.
        of: &'static str,
        /// What MySQL or the driver said.
        source: sqlx::Error,
    },
    /// A store did not answer in time.
    #[error("{act}: no answer after {deadline_ms} ms")]
    Deadline {
        /// What was tried.
        act: &'static str,
        /// The deadline.
        deadline_ms: u128,
    },
    /// A row holds a number that the protocol excludes.
    #[error("read {of} from mysql: column {column} holds {value}, which is below 0")]
    Negative {
        /// Table.
        of: &'static str,
        /// Column.
        column: &'static str,
        /// The value.
        value: i64,
    },
}

impl SnapshotError {
    /// For `map_err` on a read from MySQL.
    pub(super) const fn mysql(query: Query) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Mysql { of: query.of, source }
    }

    /// For `map_err` on a call to Redis.
    pub(super) const fn redis(act: &'static str) -> impl Fn(redis::RedisError) -> Self {
        move |source| Self::Redis { act, source }
    }

    /// Whether waiting can help: a store that is away, starting or slow, as opposed to a missing table or a refused password.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Deadline { .. } => true,
            Self::Address { .. } | Self::Negative { .. } => false,
            Self::Redis { source, .. } => {
                source.kind() != redis::ErrorKind::AuthenticationFailed
                    && !matches!(source.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS"))
            }
            Self::Mysql { source, .. } => match source {
                // SQLSTATE class 42: access, syntax, missing table or column; 28: refused password.
                sqlx::Error::Database(error) => !error.code().is_some_and(|code| code.starts_with("42") || code.starts_with("28")),
                sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => false,
                _ => true,
            },
        }
    }
}
