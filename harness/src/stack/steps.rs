//! The steps in the life of the processes of a stack, kept until the history takes them.

use std::sync::{Mutex, PoisonError};

use super::child::ChildProcess;
use crate::clock::RunClock;
use crate::history::operation::Timed;
use crate::history::record::{ProcMark, ProcStep};

/// Steps noted and not yet taken. A few for each start and end of a process.
#[derive(Debug)]
pub(super) struct Steps {
    clock: RunClock,
    noted: Mutex<Vec<Timed<ProcMark>>>,
}

impl Steps {
    pub(super) fn new(clock: RunClock) -> Self {
        Self { clock, noted: Mutex::default() }
    }

    pub(super) fn note(&self, process: &ChildProcess, step: ProcStep, detail: &str) {
        let what = ProcMark { role: process.role().to_owned(), pid: process.pid(), step, detail: detail.to_owned() };
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(Timed { at: self.clock.now(), what });
    }

    pub(super) fn take(&self) -> Vec<Timed<ProcMark>> {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
