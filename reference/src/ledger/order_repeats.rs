//! Which transactions of an order writer are tried again, and how often.
//!
//! In: how an attempt ended. Out: whether the same orders may be tried together once more. What to do with a lock that was not granted is the
//! writer's: waiting for it again would keep everybody behind these orders waiting.

use super::failure::Failure;
use super::unit::CONFLICT_REPEATS;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::Item;

/// A transaction that committed nothing, or with `Failure::Unknown` most likely nothing.
pub(super) struct Ended {
    pub(super) failure: Failure,
    pub(super) died_idle: bool,
    /// The item that somebody else had locked.
    pub(super) locked: Option<Item>,
}

impl Ended {
    /// Whether the server chose this transaction to end for another one: it may be repeated at once.
    pub(super) fn is_conflict(&self) -> bool {
        self.failure.is_transient() && !self.failure.is_lock_wait()
    }
}

/// What has been repeated.
#[derive(Default)]
pub(super) struct Repeats {
    pub(super) conflicts: u32,
    renewals: u32,
    /// Whether the COMMIT of an attempt may have taken effect.
    pub(super) in_doubt: bool,
}

impl Repeats {
    /// Once, after a connection that may have been dead since it last served took a whole transaction with it. An order that was committed
    /// nevertheless is met again by its id.
    pub(super) fn allow_in_doubt(&mut self, ended: &Ended) -> bool {
        #[cfg(feature = "defects")]
        if [Defect::RollbackOnUnknownCommit, Defect::TimeoutReportedAsFailure, Defect::AllErrorsAlike].into_iter().any(planted) {
            self.in_doubt |= matches!(ended.failure, Failure::Unknown { .. });
            return false;
        }
        let first = matches!(ended.failure, Failure::Unknown { .. }) && !self.in_doubt;
        self.in_doubt |= first;
        first
    }

    /// Conflicts a few times; a connection that had died while it was idle once.
    pub(super) fn allow(&mut self, ended: &Ended) -> bool {
        if ended.died_idle {
            self.renewals += 1;
            return self.renewals <= 1;
        }
        self.conflicts += 1;
        ended.is_conflict() && self.conflicts <= CONFLICT_REPEATS
    }
}
