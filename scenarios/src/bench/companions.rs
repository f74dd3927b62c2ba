//! Who stands beside a run: nobody, or somebody who needs to know how far it is.
//!
//! In: what a run tells whoever watches. Out: the [`Stage`] that it is in, for threads that wait for one.

use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use harness::run::{Reading, Watch};

/// Nobody.
pub(super) struct Nobody;

impl Watch for Nobody {
    fn opened(&self, _folder: &Path) {}
    fn stage(&self, _name: &str) {}
    fn reading(&self, _reading: &Reading<'_>) {}
}

/// How far the load of a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It has not begun.
    #[default]
    Before,
    /// Orders are sent.
    Selling,
    /// Orders are sent, and refused as sold out.
    SoldOut,
    /// No more orders are sent.
    Over,
}

/// The stage of a run, for threads beside it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stage: Mutex<Stage>,
    changed: Condvar,
}

/// Refusals after which nothing is left: by far more than the requests that were open when the last unit went.
const REFUSED: u64 = 200;

impl Progress {
    /// Notes what a run tells of its stage.
    pub(super) fn told(&self, name: &str) {
        match name {
            "selling" => self.reach(Stage::Selling),
            "waiting for rest" | "stopping the stack" | "judging" => self.reach(Stage::Over),
            _ => {}
        }
    }

    /// Notes what a run tells of its load.
    pub(super) fn read(&self, reading: &Reading<'_>) {
        if reading.counts.fail >= REFUSED {
            self.reach(Stage::SoldOut);
        }
    }

    /// Ends every wait: the run is over, however it ended.
    pub(super) fn end(&self) {
        self.reach(Stage::Over);
    }

    /// The stage now.
    pub(super) fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the run has reached `wanted`, and says whether it had not gone past it.
    ///
    /// # Errors
    /// It did not come within `limit`, or was over.
    pub(super) fn wait(&self, wanted: Stage, limit: Duration) -> Result<(), String> {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stage, limit, |stage| *stage < wanted);
        let (stage, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match *stage {
            stage if stage == wanted => Ok(()),
            stage if stage > wanted => Err(format!("the load was over before it was {wanted:?}")),
            _ => Err(format!("the load was not {wanted:?} within {} s", limit.as_secs())),
        }
    }

    fn reach(&self, stage: Stage) {
        let mut now = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        *now = stage.max(*now);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_waited_for_and_never_comes_back() {
        let progress = Progress::default();
        assert!(progress.wait(Stage::Selling, Duration::from_millis(1)).unwrap_err().contains("not Selling within"));
        progress.told("selling");
        assert_eq!(progress.wait(Stage::Selling, Duration::ZERO), Ok(()));
        progress.end();
        progress.told("selling");
        assert_eq!(progress.stage(), Stage::Over);
        assert!(progress.wait(Stage::SoldOut, Duration::ZERO).unwrap_err().contains("over before"));
    }
}
