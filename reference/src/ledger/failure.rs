//! What can go wrong with one statement, sorted by what is known afterwards.
//!
//! In: errors of the driver. Out: [`Failure`]. The one question that matters is whether a COMMIT may have taken effect.

use super::LedgerError;

/// Duplicate key: a row with this unique key is committed.
pub(super) const DUPLICATE_KEY: u16 = 1062;
/// The database of the URL does not exist.
pub(super) const UNKNOWN_DATABASE: u16 = 1049;
/// A lock was not granted in time; only the statement is rolled back.
pub(super) const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// A number left its range: what a statement says that is written to fail unless something stands as assumed.
pub(super) const OUT_OF_RANGE: u16 = 1690;
/// Deadlock (transaction gone), lock wait, and the snapshot conflict of newer MariaDB: the same transaction may succeed now.
const TRANSIENT: [u16; 3] = [1213, LOCK_WAIT_TIMEOUT, 1020];
/// CHECK refused the row, on MySQL and on MariaDB.
const CHECK: [u16; 2] = [3819, 4025];
/// The server ends the connection with these: shutdown, kill, idle for too long. A statement that a kill or a shutdown finds waiting for a lock
/// is interrupted (1317) before its connection ends, so that one counts as lost as well: nothing of its transaction will be committed, and what
/// commits by itself may have done so.
const GOODBYE: [u16; 4] = [1053, 1317, 1927, 4031];

/// The server takes no work now, whatever the statement: too many connections, read only.
const AWAY: [u16; 5] = [1040, 1203, 1290, 1792, 1836];

/// Why a statement gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused the statement; an open transaction may still be open.
    Refused {
        /// Error number of the server.
        code: u16,
        /// Its text.
        why: String,
    },
    /// The connection is gone and no COMMIT had been sent: whatever was open will not be committed.
    Lost {
        /// What was seen.
        why: String,
    },
    /// The connection is gone after COMMIT was sent, or COMMIT itself failed: it may or may not have taken effect.
    Unknown {
        /// What was seen.
        why: String,
    },
    /// What is stored is nothing that the protocol writes, or the value does not fit; nothing was committed.
    Broken {
        /// What and where.
        why: String,
    },
}

impl Failure {
    /// Sorts an error of the driver, for a statement that commits nothing by itself.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let why = error.to_string();
        let database = error.as_database_error().and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>());
        match database.map(sqlx::mysql::MySqlDatabaseError::number) {
            Some(code) if !GOODBYE.contains(&code) => Self::Refused { code, why },
            _ => Self::Lost { why },
        }
    }

    /// The same failure for a statement that commits by itself: if the connection is gone, nobody can say.
    pub(super) fn of_commit(self) -> Self {
        match self {
            Self::Lost { why } => Self::Unknown { why },
            other => other,
        }
    }

    /// What was seen.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Refused { why, .. } | Self::Lost { why } | Self::Unknown { why } | Self::Broken { why } => why,
        }
    }

    /// Whether the same transaction may succeed if tried again.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if TRANSIENT.contains(code))
    }

    /// Whether somebody held a lock for longer than the session waits.
    pub(super) const fn is_lock_wait(&self) -> bool {
        matches!(self, Self::Refused { code: LOCK_WAIT_TIMEOUT, .. })
    }

    /// Whether the server refused a duplicate key.
    pub(super) const fn is_duplicate(&self) -> bool {
        matches!(self, Self::Refused { code: DUPLICATE_KEY, .. })
    }

    /// Whether a statement that is written to fail unless something stands as assumed has failed.
    pub(super) const fn is_not_as_assumed(&self) -> bool {
        matches!(self, Self::Refused { code: OUT_OF_RANGE, .. })
    }

    /// Whether a ROLLBACK after it leaves a connection that can be trusted.
    pub(super) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => {
                matches!(*code, DUPLICATE_KEY | OUT_OF_RANGE) || TRANSIENT.contains(code) || CHECK.contains(code)
            }
            Self::Broken { .. } => true,
            Self::Lost { .. } | Self::Unknown { .. } => false,
        }
    }

    /// The error for the caller of `act`.
    pub(super) fn into_error(self, act: &'static str) -> LedgerError {
        match self {
            Self::Refused { code, why } if AWAY.contains(&code) => LedgerError::Away { act, why: format!("error {code}: {why}") },
            Self::Refused { code, why } => LedgerError::Failed { act, why: format!("error {code}: {why}") },
            Self::Lost { why } => LedgerError::Away { act, why },
            Self::Broken { why } => LedgerError::Failed { act, why },
            Self::Unknown { why } => LedgerError::Unknown { act, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_lost_while_committing_is_unknown_and_a_refusal_is_not() {
        let lost = Failure::of(&sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(matches!(lost, Failure::Lost { .. }));
        assert!(matches!(lost.of_commit(), Failure::Unknown { .. }));
        let refused = Failure::Refused { code: DUPLICATE_KEY, why: String::new() };
        assert_eq!(refused.clone().of_commit(), refused);
    }

    #[test]
    fn a_server_that_takes_no_work_is_away_and_a_row_that_it_refuses_is_not() {
        let error = |code| Failure::Refused { code, why: String::new() }.into_error("test");
        assert!(AWAY.into_iter().all(|code| matches!(error(code), LedgerError::Away { .. })));
        assert!([1062, 1205, 1213, 4025].into_iter().all(|code| matches!(error(code), LedgerError::Failed { .. })));
        assert!(matches!(Failure::Lost { why: String::new() }.into_error("test"), LedgerError::Away { .. }));
    }

    #[test]
    fn only_conflicts_are_worth_another_try() {
        let refused = |code| Failure::Refused { code, why: String::new() };
        assert!([1213, 1205, 1020].into_iter().all(|code| refused(code).is_transient()));
        assert!([1062, 3819, 4025, 1040, 1290].into_iter().all(|code| !refused(code).is_transient()));
    }
}
