//! A timer that undoes something even if everything else of this process hangs.
//!
//! In: a time, and what to do when it has passed. Out: a guard; dropping it takes the timer back. If this process dies instead, the
//! watchdog ends what it started.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// An armed timer, on a thread of its own.
#[derive(Debug)]
pub(super) struct DeadMan {
    _alive: SyncSender<()>,
}

impl DeadMan {
    /// Does `act` after `within`, unless the guard is dropped before.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn arm(within: Duration, act: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let (alive, watched) = sync_channel(0);
        let wait = move || {
            if watched.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
                act();
            }
        };
        std::thread::Builder::new().name("dead-man".to_owned()).spawn(wait)?;
        Ok(Self { _alive: alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_acts_when_its_time_has_passed_and_not_when_it_was_taken_back() {
        let (acted, seen) = sync_channel(2);
        let late = acted.clone();
        drop(DeadMan::arm(Duration::from_millis(50), move || late.send("taken back").unwrap()).unwrap());
        let _armed = DeadMan::arm(Duration::from_millis(100), move || acted.send("armed").unwrap()).unwrap();
        assert_eq!(seen.recv(), Ok("armed"));
        assert!(seen.recv().is_err(), "both timers are gone, and only one acted");
    }
}
