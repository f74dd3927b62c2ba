//! Bringing one process up and down: free ports, waiting until it answers, and an end that leaves no doubt.
//!
//! Every wait is a poll with a deadline that names what it waited for.

use std::sync::Arc;
use std::time::Duration;

use super::child::{ChildProcess, Launch, POLL, in_words};
use super::watchdog::Watchdog;
use super::{StackError, ports};
use crate::clock::{Offset, RunClock};

/// Times that a process is started on other ports because a stranger took the first.
const PORT_TRIES: u32 = 5;

/// Longest wait for one answer, so that a server that accepts and stays silent cannot hold the poll.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts a process on `N` free ports and waits for it by `ready`; on other ports if a stranger was quicker to take one.
pub(super) async fn on_free_ports<const N: usize>(
    watchdog: &Arc<Watchdog>,
    launch: impl Fn([u16; N]) -> Result<Launch, StackError>,
    ready: impl AsyncFn(&mut ChildProcess, [u16; N]) -> Result<(), StackError>,
) -> Result<(ChildProcess, [u16; N]), StackError> {
    let mut tries = 0;
    loop {
        let ports = ports::free_ports()?;
        let mut process = ChildProcess::spawn(&launch(ports)?, watchdog).await?;
        tries += 1;
        match ready(&mut process, ports).await {
            Ok(()) => return Ok((process, ports)),
            Err(_) if tries < PORT_TRIES && process.ended().is_some() && ports::was_taken(&process.log_tail()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Polls `probe` until it succeeds. `what` completes the sentence "wait until ...".
///
/// # Errors
/// The process ended, with the tail of its log; or `within` passed, with what the last probe met.
pub(super) async fn until_ready<F>(process: &mut ChildProcess, within: Duration, what: &str, probe: F) -> Result<(), StackError>
where
    F: AsyncFn() -> Result<(), String>,
{
    let clock = RunClock::start();
    let act = format!("wait until {what}");
    loop {
        let answer = tokio::time::timeout(PROBE_TIMEOUT, probe()).await.unwrap_or_else(|_| Err("no answer within 1 s".into()));
        if let Some(status) = process.ended() {
            let why = format!("{} ended with {}; its log ends:\n{}", process.role(), in_words(status), process.log_tail());
            return Err(StackError::Failed { act, why });
        }
        let Err(met) = answer else { return Ok(()) };
        if clock.now().since(Offset::ZERO) >= within {
            let why = format!("not ready after {} ms ({met}); its log ends:\n{}", within.as_millis(), process.log_tail());
            return Err(StackError::Failed { act, why });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Stops a process, unless it has ended, and expects that it ends with code 0; what was wrong about that, if anything.
pub(super) async fn stop_cleanly(process: &mut ChildProcess, within: Duration) -> Option<String> {
    if process.ended().is_some() {
        return None;
    }
    let role = process.role().to_owned();
    match process.stop(within).await {
        Ok((status, false)) if status.success() => None,
        Ok((_, true)) => Some(format!("{role} did not end within {} ms of SIGTERM and was killed", within.as_millis())),
        Ok((status, false)) => Some(format!("{role} ended with {}; its log ends:\n{}", in_words(status), process.log_tail())),
        Err(error) => Some(error.to_string()),
    }
}
