//! Waiting until a process answers: polling with a deadline that names what it waited for.

use std::time::Duration;

use super::StackError;
use super::child::{ChildProcess, POLL, in_words};
use crate::clock::{Offset, RunClock};

/// Longest wait for one answer, so that a server that accepts and stays silent cannot hold the poll.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

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
