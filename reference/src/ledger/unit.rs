//! Units of work: one transaction or one read, each in a task of its own on a connection of its own.
//!
//! A caller may drop its future at any time; the unit goes on to its end. A connection is used again only after a clean end.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::LedgerError;
use super::connection::Connection;
use super::failure::Failure;
use super::pool::Pool;

/// Most repeats after deadlocks and lock waits.
pub(super) const CONFLICT_REPEATS: u32 = 5;
/// Most repeats after a COMMIT whose reply never came.
const UNKNOWN_REPEATS: u32 = 2;

/// A unit of work. Its fields are its input.
pub(super) trait Unit: Send + Sync + 'static {
    /// What it does, for errors.
    const ACT: &'static str;
    /// Whether doing it twice is the same as doing it once, so that an unknown COMMIT is simply repeated.
    const REPEATABLE: bool;
    /// Its result.
    type Output: Send + 'static;

    /// Does it once. A transaction that was begun must be committed or rolled back when this returns `Ok`.
    fn run(&self, connection: &mut Connection) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Runs a unit to its end. Dropping the returned future does not stop the unit.
///
/// # Errors
/// `Failed`: certainly nothing was changed. `Unknown`: COMMIT was sent and its reply never came.
pub(super) async fn run<U: Unit>(pool: &Arc<Pool>, unit: U) -> Result<U::Output, LedgerError> {
    let task = tokio::spawn(attempts(Arc::clone(pool), unit));
    task.await.unwrap_or_else(|error| Err(LedgerError::Unknown { act: U::ACT, why: error.to_string() }))
}

async fn attempts<U: Unit>(pool: Arc<Pool>, unit: U) -> Result<U::Output, LedgerError> {
    let mut budget = Budget::default();
    loop {
        let failure = match attempt(&pool, &unit, &mut budget).await {
            Ok(output) => return Ok(output),
            Err(failure) => failure,
        };
        if !budget.allows(&failure, U::REPEATABLE) {
            return Err(budget.verdict(failure).into_error(U::ACT));
        }
        tokio::time::sleep(jitter(budget.conflicts + budget.unknowns)).await;
    }
}

async fn attempt<U: Unit>(pool: &Arc<Pool>, unit: &U, budget: &mut Budget) -> Result<U::Output, Failure> {
    budget.died_idle = false;
    let mut lease = pool.acquire().await?;
    match unit.run(&mut lease.connection).await {
        Ok(output) => {
            lease.give_back();
            Ok(output)
        }
        Err(failure) => {
            lease.connection.recover(&failure).await;
            budget.died_idle = lease.connection.died_idle();
            if budget.died_idle {
                pool.forget_idle();
            }
            lease.give_back();
            Err(failure)
        }
    }
}

/// What has been tried.
#[derive(Default)]
struct Budget {
    conflicts: u32,
    unknowns: u32,
    renewals: u32,
    died_idle: bool,
}

impl Budget {
    fn allows(&mut self, failure: &Failure, repeatable: bool) -> bool {
        match failure {
            Failure::Refused { .. } => {
                self.conflicts += 1;
                failure.is_transient() && self.conflicts <= CONFLICT_REPEATS
            }
            Failure::Lost { .. } => {
                self.renewals += 1;
                self.died_idle && self.renewals <= 1
            }
            Failure::Unknown { .. } => {
                self.unknowns += 1;
                repeatable && self.unknowns <= UNKNOWN_REPEATS
            }
            Failure::Broken { .. } => false,
        }
    }

    /// A definite failure of the last attempt says nothing about an earlier one that ended unknown.
    fn verdict(&self, last: Failure) -> Failure {
        match last {
            Failure::Refused { why, .. } | Failure::Lost { why } | Failure::Broken { why } if self.unknowns > 0 => {
                Failure::Unknown { why }
            }
            other => other,
        }
    }
}

/// A pause before repeat number `repeat`, different for each caller so that rivals do not meet again.
pub(super) fn jitter(repeat: u32) -> Duration {
    // A fresh hasher is keyed at random by the standard library; no generator has to be passed around for a pause.
    let random = RandomState::new().build_hasher().finish();
    let most_micros = 2_000_u64 << repeat.min(6);
    Duration::from_micros(random % most_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definite_failure_after_an_unknown_commit_stays_unknown() {
        let mut budget = Budget::default();
        assert!(budget.allows(&Failure::Unknown { why: "reset".into() }, true));
        let why = String::from("refused");
        for last in [Failure::Lost { why: why.clone() }, Failure::Refused { code: 1290, why: why.clone() }, Failure::Broken { why }]
        {
            assert!(!budget.allows(&last, true));
            assert!(matches!(budget.verdict(last), Failure::Unknown { .. }));
        }
    }

    #[test]
    fn a_unit_that_must_not_run_twice_is_not_repeated() {
        assert!(!Budget::default().allows(&Failure::Unknown { why: String::new() }, false));
    }

    #[test]
    fn conflicts_are_repeated_a_bounded_number_of_times() {
        let mut budget = Budget::default();
        let deadlock = Failure::Refused { code: 1213, why: String::new() };
        assert_eq!((0..20).filter(|_| budget.allows(&deadlock, false)).count(), 5);
    }
}
