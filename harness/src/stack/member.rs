//! One process of a running stack, which faults may end, stop and bring back.
//!
//! In: a process that is ready, how it was launched, and how to see that it is ready. Out: signals with proof, restarts on the same
//! ports with the same data, and the ends that nobody ordered. A process id is only ever signalled while its child is unreaped, so
//! it cannot be somebody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use super::StackError;
use super::bring_up::{stop_cleanly, until_ready};
use super::child::{ChildProcess, Launch, in_words};
use super::ready::Ready;
use super::steps::Steps;
use super::usage::{self, Life};
use super::watchdog::Watchdog;
use crate::history::record::ProcStep;

/// Longest wait for a process to end, or to stand still, once asked to.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A process of the stack over all its lives.
#[derive(Debug)]
pub(super) struct Member {
    launch: Launch,
    ready: Ready,
    ready_within: Duration,
    watchdog: Arc<Watchdog>,
    process: Mutex<ChildProcess>,
    pid: AtomicU32,
    /// Its end was ordered: no news.
    ordered: AtomicBool,
    /// Its unexpected end was told.
    told: AtomicBool,
}

impl Member {
    pub(super) fn new(
        process: ChildProcess,
        launch: Launch,
        ready: Ready,
        ready_within: Duration,
        watchdog: Arc<Watchdog>,
    ) -> Self {
        let pid = AtomicU32::new(process.pid());
        let (ordered, told) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { launch, ready, ready_within, watchdog, process: Mutex::new(process), pid, ordered, told }
    }

    pub(super) fn role(&self) -> &str {
        &self.launch.role
    }

    /// Process id of its latest life.
    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Notes a step in its life.
    pub(super) async fn note(&self, steps: &Steps, step: ProcStep, detail: &str) {
        steps.note(&*self.process.lock().await, step, detail);
    }

    /// What the kernel says of it; `None` if it is gone.
    pub(super) fn life(&self) -> Option<Life> {
        usage::life(self.pid())
    }

    /// Kills it and waits for its end; how it ended, in words.
    ///
    /// # Errors
    /// It had ended before, or cannot be signalled.
    pub(super) async fn kill(&self, steps: &Steps) -> Result<String, StackError> {
        let mut process = self.process.lock().await;
        self.order(&mut process, "kill")?;
        steps.note(&process, ProcStep::Signalled, "SIGKILL");
        let how = in_words(process.kill()?);
        steps.note(&process, ProcStep::Exited, &how);
        Ok(how)
    }

    /// Asks it to end (SIGTERM) and waits; how it ended, and whether it had to be killed after 10 s.
    ///
    /// # Errors
    /// It had ended before, or cannot be signalled.
    pub(super) async fn terminate(&self, steps: &Steps) -> Result<(String, bool), StackError> {
        let mut process = self.process.lock().await;
        self.order(&mut process, "end")?;
        steps.note(&process, ProcStep::Signalled, "SIGTERM");
        let (status, killed) = process.stop(STOP_WITHIN).await?;
        let how = in_words(status);
        steps.note(&process, ProcStep::Exited, &how);
        Ok((how, killed))
    }

    /// Stops it where it stands (SIGSTOP), and waits until every thread of it has stopped.
    ///
    /// # Errors
    /// It has ended, cannot be signalled, or has not stopped within 10 s (a thread that the kernel holds, say in an fsync).
    pub(super) async fn pause(&self, steps: &Steps) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        if process.ended().is_some() {
            return Err(StackError::failed(format!("pause {}", self.role()), "it has ended"));
        }
        steps.note(&process, ProcStep::Signalled, "SIGSTOP");
        process.signal(Signal::SIGSTOP)?;
        if process.stands_still(STOP_WITHIN).await {
            return Ok(());
        }
        Err(StackError::failed(format!("pause {}", self.role()), format!("it still runs {STOP_WITHIN:?} after SIGSTOP")))
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It cannot be signalled.
    pub(super) async fn resume(&self, steps: &Steps) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        steps.note(&process, ProcStep::Signalled, "SIGCONT");
        process.signal(Signal::SIGCONT)
    }

    /// Lets it go on, from where nothing can be waited for. A process that is in somebody's hand is left to that hand.
    pub(super) fn resume_now(&self) {
        if let Ok(mut process) = self.process.try_lock() {
            let _ = process.signal(Signal::SIGCONT);
        }
    }

    /// Starts it again as it was first started, and waits until it is ready; its new process id. If the wait fails, the new process
    /// stays what it is, and its end is news again.
    ///
    /// # Errors
    /// It still runs, cannot be started, or did not get ready.
    pub(super) async fn restart(&self, steps: &Steps) -> Result<u32, StackError> {
        let mut process = self.process.lock().await;
        if process.ended().is_none() {
            return Err(StackError::failed(format!("start {} again", self.role()), "it still runs"));
        }
        *process = ChildProcess::spawn(&self.launch, &self.watchdog).await?;
        self.pid.store(process.pid(), Ordering::Relaxed);
        self.ordered.store(false, Ordering::Relaxed);
        steps.note(&process, ProcStep::Started, "");
        let pid = process.pid();
        let what = format!("{} is ready again ({})", self.role(), self.ready);
        until_ready(&mut process, self.ready_within, &what, async || self.ready.probe(pid).await).await?;
        steps.note(&process, ProcStep::Ready, "");
        Ok(pid)
    }

    /// How it ended, in words, if nobody ordered that and it was not told yet. While somebody has it in hand, there is no news.
    pub(super) fn unexpected_end(&self, steps: &Steps) -> Option<String> {
        let mut process = self.process.try_lock().ok()?;
        let status = process.ended()?;
        if self.ordered.load(Ordering::Relaxed) || self.told.swap(true, Ordering::Relaxed) {
            return None;
        }
        let how = in_words(status);
        steps.note(&process, ProcStep::Exited, &how);
        Some(format!("{} ended with {how}; its log ends:\n{}", self.role(), process.log_tail()))
    }

    /// Ends it for good, unless it has ended; what was wrong about that, if anything.
    pub(super) async fn stop(&self, steps: &Steps) -> Option<String> {
        let mut process = self.process.lock().await;
        if process.ended().is_some() {
            return None;
        }
        steps.note(&process, ProcStep::Signalled, "SIGTERM");
        let problem = stop_cleanly(&mut process, STOP_WITHIN).await;
        let how = process.ended().map_or_else(|| "still there".to_owned(), in_words);
        steps.note(&process, ProcStep::Exited, &how);
        problem
    }

    fn order(&self, process: &mut ChildProcess, act: &str) -> Result<(), StackError> {
        if let Some(status) = process.ended() {
            let why = format!("it had ended with {}", in_words(status));
            return Err(StackError::failed(format!("{act} {}", self.role()), why));
        }
        self.ordered.store(true, Ordering::Relaxed);
        Ok(())
    }
}
