//! An alarm clock for the pace of the load, more exact than the timers of the runtime.
//!
//! In: an instant. Out: a wake-up soon after it. The runtime's timers tick in milliseconds and are late by 0.6 to 1.1 ms in the
//! median, which would show as lag of the generator. A timer of the kernel is late by a tenth of that, and wakes the task through the
//! same poll as its sockets: a thread that slept for it cost two more switches between threads at every tick.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use super::LoadError;
use crate::clock::{Offset, RunClock};

/// Wakes one task.
#[derive(Debug)]
pub(crate) struct Alarm {
    clock: RunClock,
    timer: AsyncFd<Timer>,
}

/// The timer, as the runtime wants to see it.
#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// An alarm that waits for nothing yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system has no timer left.
    #[expect(deprecated, reason = "what replaces it is unsafe to call; a timer that owns its descriptor is what both ask for")]
    pub(crate) fn start(clock: RunClock) -> Result<Self, LoadError> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(|error| failed(&error.into()))?;
        let timer = AsyncFd::new(Timer(timer)).map_err(|error| failed(&error))?;
        Ok(Self { clock, timer })
    }

    /// Waits until `at`; not at all if it has passed. Cancel safe.
    ///
    /// # Errors
    /// The timer does not work.
    pub(crate) async fn wait_until(&mut self, at: Offset) -> Result<(), LoadError> {
        loop {
            let wait = at.since(self.clock.now());
            if wait.is_zero() {
                return Ok(());
            }
            let once = Expiration::OneShot(TimeSpec::from_duration(wait));
            self.timer.get_ref().0.set(once, TimerSetTimeFlags::empty()).map_err(|error| failed(&error.into()))?;
            // Nothing is read from it: to set it again takes the expiry back. One that was left over rings early, once.
            self.timer.readable().await.map_err(|error| failed(&error))?.clear_ready();
        }
    }
}

fn failed(error: &std::io::Error) -> LoadError {
    LoadError::Failed { act: "pace the load", why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_never_rings_early() {
        let clock = RunClock::start();
        let mut alarm = Alarm::start(clock).unwrap();
        for _ in 0..20 {
            let at = clock.now().plus(std::time::Duration::from_micros(700));
            alarm.wait_until(at).await.unwrap();
            assert!(clock.now() >= at);
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_dropped_disturbs_no_later_one() {
        let clock = RunClock::start();
        let mut alarm = Alarm::start(clock).unwrap();
        for _ in 0..20 {
            let soon = clock.now().plus(std::time::Duration::from_millis(1));
            let late = clock.now().plus(std::time::Duration::from_millis(2));
            drop(futures_util::poll!(Box::pin(alarm.wait_until(soon))));
            alarm.wait_until(late).await.unwrap();
            assert!(clock.now() >= late);
        }
    }
}
