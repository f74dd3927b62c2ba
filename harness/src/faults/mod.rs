//! Breaks a running stack on a plan, proves that it bit, heals it, and proves that too.
//!
//! In: the drawn windows of a scenario and the [`Controls`] of a stack. Out: the steps of every fault in the history, and what could not
//! be injected or undone, in words. Nothing here decides anything by chance.

mod begun;
mod canary;
mod mysql_store;
mod nemesis;
mod network;
mod points;
mod process;
mod promotion;
mod redis_client;
mod redis_data;
mod redis_store;
mod standing;

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::clock::Offset;
use crate::history::HistoryError;
use crate::history::recorder::Recorder;
use crate::scenario::Scenario;
use crate::stack::StackError;
use crate::stack::controls::Controls;

/// What the faults of a run work with.
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    /// The settled scenario.
    pub scenario: &'a Scenario,
    /// Hands on the stack.
    pub controls: Controls<'a>,
    /// Where every step goes.
    pub recorder: &'a Recorder,
    /// When it is cancelled, what is in force is healed at once and nothing more is injected.
    pub stop: &'a CancellationToken,
}

impl Faults<'_> {
    /// Waits for `time`; true if the run was stopped before.
    async fn stopped_within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.stop.cancelled()).await.is_ok()
    }
}

/// Why a fault could not be injected, proven or undone.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The stack refused.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A step was given up.
    #[error("{act}: not done after {after_ms} ms")]
    Late {
        /// What was tried.
        act: String,
        /// How long, ms.
        after_ms: u128,
    },
    /// A step failed.
    #[error("{act}: {why}")]
    Failed {
        /// What was tried, and on what.
        act: String,
        /// What happened.
        why: String,
    },
}

impl FaultError {
    fn failed(act: impl Into<String>, why: impl ToString) -> Self {
        Self::Failed { act: act.into(), why: why.to_string() }
    }

    /// Turns what a library said into the failure of `act`.
    fn of<E: ToString>(act: impl Into<String>) -> impl FnOnce(E) -> Self {
        let act = act.into();
        move |error| Self::failed(act, error)
    }
}

/// Goes through all windows, each counted from `load_start`, and returns when the last is healed. What could not be injected or
/// undone, in words. Not cancel safe: what is in force when it is dropped is only undone where a process is stopped or a lock held.
///
/// # Errors
/// The recorder is gone.
pub async fn run_faults(faults: Faults<'_>, load_start: Offset) -> Result<Vec<String>, HistoryError> {
    let windows = faults.scenario.faults.iter().enumerate();
    let lives = windows.map(|(id, window)| nemesis::live(faults, id, window, load_start));
    let told: Result<Vec<Vec<String>>, HistoryError> = join_all(lives).await.into_iter().collect();
    Ok(told?.into_iter().flatten().collect())
}
