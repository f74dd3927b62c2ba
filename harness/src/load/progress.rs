//! Live counters of the load, for the person who watches. Decoration: every figure of a report comes from the history.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::history::record::{Outcome, ShedCause};

/// Largest response time that the live histogram tells apart: 60 s in microseconds.
const RESPONSE_MAX_US: u64 = 60_000_000;

/// Counters of one load, written while it runs and read from anywhere.
#[derive(Debug)]
pub struct Progress {
    stretch: AtomicUsize,
    offered: AtomicU64,
    sent: AtomicU64,
    ok: AtomicU64,
    fail: AtomicU64,
    info: AtomicU64,
    shed: AtomicU64,
    skipped: AtomicU64,
    accepted: Mutex<Option<Histogram<u64>>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Index of the stretch that the load is in; `None` before the first.
    pub stretch: Option<usize>,
    /// Arrivals that were due.
    pub offered: u64,
    /// Requests sent.
    pub sent: u64,
    /// Requests that had their effect.
    pub ok: u64,
    /// Requests that had none.
    pub fail: u64,
    /// Requests of which nobody can say.
    pub info: u64,
    /// Arrivals not sent because of the generator.
    pub shed: u64,
    /// Follow-ups not sent because their order was refused.
    pub skipped: u64,
}

impl Counts {
    /// Requests sent and not yet ended.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.ok + self.fail + self.info)
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            stretch: AtomicUsize::new(0),
            offered: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            ok: AtomicU64::new(0),
            fail: AtomicU64::new(0),
            info: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            accepted: Mutex::new(Histogram::new_with_bounds(1, RESPONSE_MAX_US, 2).ok()),
        }
    }
}

impl Progress {
    /// The counters now. They are read one after the other, so sums may be off by what happens meanwhile.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            stretch: self.stretch.load(Ordering::Relaxed).checked_sub(1),
            offered: read(&self.offered),
            ok: read(&self.ok),
            fail: read(&self.fail),
            info: read(&self.info),
            shed: read(&self.shed),
            skipped: read(&self.skipped),
            // Last, so that what ended is never more than what was sent.
            sent: read(&self.sent),
        }
    }

    /// 99th percentile so far of the response time of accepted orders; `None` before the first.
    #[must_use]
    pub fn accepted_p99(&self) -> Option<Duration> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = accepted.as_ref().filter(|times| !times.is_empty())?;
        Some(Duration::from_micros(accepted.value_at_quantile(0.99)))
    }

    pub(crate) fn enter_stretch(&self, index: usize) {
        self.stretch.store(index + 1, Ordering::Relaxed);
    }

    pub(crate) fn add_offered(&self) {
        self.offered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_shed(&self, why: ShedCause) {
        let counter = if why == ShedCause::OrderRefused { &self.skipped } else { &self.shed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_outcome(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Ok => &self.ok,
            Outcome::Fail(_) => &self.fail,
            Outcome::Info(_) => &self.info,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_accepted(&self, response: Duration) {
        let micros = u64::try_from(response.as_micros()).unwrap_or(u64::MAX);
        if let Some(accepted) = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            accepted.saturating_record(micros);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::{FailCode, InfoCause};

    #[test]
    fn the_counters_tell_what_is_open_and_how_fast_orders_were() {
        let progress = Progress::default();
        assert_eq!((progress.counts(), progress.accepted_p99()), (Counts::default(), None));
        (0..4).for_each(|_| progress.add_sent());
        progress.add_outcome(Outcome::Ok);
        progress.add_outcome(Outcome::Fail(FailCode::SoldOut));
        progress.add_outcome(Outcome::Info(InfoCause::Timeout));
        progress.add_shed(ShedCause::OrderRefused);
        progress.add_accepted(Duration::from_millis(5));
        progress.enter_stretch(0);
        let counts = progress.counts();
        assert_eq!((counts.in_flight(), counts.shed, counts.skipped, counts.stretch), (1, 0, 1, Some(0)));
        let p99 = progress.accepted_p99().unwrap();
        assert!((Duration::from_micros(4_900)..=Duration::from_micros(5_100)).contains(&p99), "{p99:?}");
    }
}
