//! What an error of Redis or of the link means: whether the command ran, and whether the connection may be used again.
//!
//! The table is `docs/protocol.md` 6. What is not in it may have run.

use std::time::Duration;

use redis::RedisError;

use super::StockError;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};

/// Codes with which Redis refuses a command, or the first write of a script, before it had any effect.
const REFUSALS: [&str; 15] = [
    "NOSCRIPT",
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "MISCONF",
    "OOM",
    "NOREPLICAS",
    "CLUSTERDOWN",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
    "BUSY",
    "NOAUTH",
    "NOPERM",
];

/// Codes of a server that is no master of the item any more, or not yet: another connection may find another one.
const MISPLACED: [&str; 4] = ["LOADING", "READONLY", "MASTERDOWN", "MOVED"];

/// A command that gave no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No reply within this time.
    #[error("no reply within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// An error reply, or a broken link.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl Failure {
    /// Whether a key held something else than the script expects.
    pub(super) fn is_wrong_type(&self) -> bool {
        self.code() == Some("WRONGTYPE")
    }

    /// Whether the server does not know the script; then it certainly did not run.
    pub(super) fn is_unknown_script(&self) -> bool {
        self.code() == Some("NOSCRIPT")
    }

    /// Whether the connection must not be used again: the link is broken, or leads to the wrong server.
    /// A single late reply does not say that.
    pub(super) fn spoils_connection(&self) -> bool {
        match (self, self.code()) {
            (Self::TimedOut(_), _) => false,
            (Self::Redis(_), Some(code)) => MISPLACED.contains(&code),
            (Self::Redis(_), None) => true,
        }
    }

    /// As the caller of `act` sees it.
    pub(super) fn into_error(self, act: &'static str) -> StockError {
        let refused = self.code().is_some_and(|code| REFUSALS.contains(&code));
        #[cfg(feature = "defects")]
        let refused = refused || planted(Defect::AllErrorsAlike);
        let why = self.to_string();
        if refused { StockError::NotExecuted { act, why } } else { StockError::Unknown { act, why } }
    }

    /// First word of an error reply; `None` if no reply came.
    fn code(&self) -> Option<&str> {
        match self {
            Self::TimedOut(_) => None,
            Self::Redis(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> Failure {
        Failure::Redis(redis::parse_redis_value(line.as_bytes()).unwrap().extract_error().unwrap_err())
    }

    fn is_definite(failure: Failure) -> bool {
        matches!(failure.into_error("test"), StockError::NotExecuted { .. })
    }

    #[test]
    fn every_refusal_of_the_table_is_definite_and_every_other_error_reply_is_unknown() {
        for code in REFUSALS {
            assert!(is_definite(reply(&format!("-{code} text script: 0123, on @user_script:1.\r\n"))), "{code}");
        }
        for line in ["-ERR increment would overflow\r\n", "-UNKILLABLE x\r\n", "-EXECABORT x\r\n", "-BUSYKEY x\r\n", "-STRANGE\r\n"]
        {
            assert!(!is_definite(reply(line)), "{line}");
        }
    }

    #[test]
    fn a_broken_link_and_a_late_reply_are_unknown() {
        let broken = || Failure::Redis(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
        assert!(broken().spoils_connection());
        assert!(!is_definite(broken()));
        let late = || Failure::TimedOut(Duration::from_millis(5));
        assert!(!late().spoils_connection());
        assert!(!is_definite(late()));
    }

    #[test]
    fn a_connection_is_given_up_when_its_server_is_no_master_and_kept_after_other_errors() {
        for code in MISPLACED {
            assert!(reply(&format!("-{code} 1 127.0.0.1:1\r\n")).spoils_connection(), "{code}");
        }
        for code in ["OOM", "NOSCRIPT", "WRONGTYPE", "ERR", "BUSY"] {
            assert!(!reply(&format!("-{code} text\r\n")).spoils_connection(), "{code}");
        }
        assert!(reply("-WRONGTYPE text\r\n").is_wrong_type());
        assert!(reply("-NOSCRIPT text\r\n").is_unknown_script());
    }
}
