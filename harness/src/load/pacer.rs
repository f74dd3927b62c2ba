//! An alarm clock for the pace of the load, more exact than the timers of the runtime.
//!
//! In: an instant. Out: a wake-up soon after it. The runtime's timers tick in milliseconds and are late by 0.6 to 1.1 ms in the
//! median, which would show as lag of the generator; a thread that sleeps is late by a tenth of that, and costs nothing while
//! nothing is due.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::Notify;

use super::LoadError;
use crate::clock::{Offset, RunClock};

/// Wakes one task at a time. Its thread ends when it is dropped and the last asked instant has passed.
#[derive(Debug)]
pub(crate) struct Alarm {
    requests: SyncSender<Offset>,
    bell: Arc<Notify>,
}

impl Alarm {
    /// Starts the thread that sleeps.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub(crate) fn start(clock: RunClock) -> Result<Self, LoadError> {
        let (requests, asked) = sync_channel(1);
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        std::thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || sleep_and_ring(&clock, &asked, &ring))
            .map_err(|error| LoadError::Failed { act: "start the pacing thread", why: error.to_string() })?;
        Ok(Self { requests, bell })
    }

    /// Waits until `at`; not at all if it has passed.
    ///
    /// Not cancel safe: after a wait that was dropped, the alarm may ring early once.
    pub(crate) async fn wait_until(&mut self, at: Offset) {
        // The thread takes a request before it rings for it, and only one is asked at a time, so this never blocks.
        if self.requests.send(at).is_ok() {
            self.bell.notified().await;
        }
    }
}

fn sleep_and_ring(clock: &RunClock, asked: &Receiver<Offset>, bell: &Notify) {
    while let Ok(at) = asked.recv() {
        let wait = at.since(clock.now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        bell.notify_one();
    }
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
            alarm.wait_until(at).await;
            assert!(clock.now() >= at);
        }
    }
}
