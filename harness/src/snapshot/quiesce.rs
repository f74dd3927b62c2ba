//! Waits until nothing is left to do: load has stopped, faults are healed, workers finish.
//!
//! In: the stores, the number of operations still open, bounds of the scenario. Out: how the wait ended and what was left. There is no
//! fixed sleep: the backlog is polled until it is empty and nothing moves any more, or until waiting longer would not help.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::reader::{Fingerprint, StoreReader};
use super::{Backlog, Quiescence, Rest, SnapshotError};
use crate::clock::{Offset, RunClock};
use crate::scenario::Scenario;

/// Shortest time for which nothing may move before the system counts as at rest.
const STEADY_MIN: Duration = Duration::from_millis(500);

/// Polls of the slowest worker that must have found nothing.
const WORKER_POLLS: u64 = 3;

/// Waits for rest. Cancel safe; cancelling `stop` ends the wait as [`Rest::Unread`].
///
/// # Errors
/// A store refuses in a way that waiting cannot mend: a missing table, a refused password. A store that does not answer is no error;
/// when it stays away for `quiesce_stall_ms` the wait ends as [`Rest::Unread`].
pub async fn quiesce(
    stores: &StoreReader,
    open_operations: impl Fn() -> u64,
    scenario: &Scenario,
    clock: &RunClock,
    stop: &CancellationToken,
) -> Result<Quiescence, SnapshotError> {
    let began = clock.now();
    let (first, longest) = scenario.limits.quiesce_poll_ms;
    let (mut pause, longest) = (Duration::from_millis(first.max(1)), Duration::from_millis(longest.max(1)));
    let mut watch = Watch::new(Bounds::of(scenario), began);
    let rest = loop {
        let Some(seen) = stop.run_until_cancelled(poll(stores, &open_operations, scenario.waits_for_expiry())).await else {
            break Rest::Unread;
        };
        if let Some(rest) = watch.see(clock.now(), passing(seen)?) {
            break rest;
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break Rest::Unread;
        }
        pause = (pause * 3 / 2).min(longest);
    };
    Ok(Quiescence { rest, backlog: watch.backlog, began, ended: clock.now() })
}

/// What one poll saw; the fingerprint only while nothing is left, because it is the dearer read.
type Seen<F = Fingerprint> = (Backlog, Option<F>);

async fn poll(stores: &StoreReader, open_operations: impl Fn() -> u64, waits_for_expiry: bool) -> Result<Seen, SnapshotError> {
    let unpaid = if waits_for_expiry { stores.unpaid().await? } else { 0 };
    let backlog = Backlog { open_operations: open_operations(), unpaid, ..stores.backlog().await? };
    if !backlog.is_empty() {
        return Ok((backlog, None));
    }
    let fingerprint = stores.fingerprint().await?;
    Ok((fingerprint.backlog(open_operations()), Some(fingerprint)))
}

/// `None` for a poll that failed in a way that may pass.
fn passing(seen: Result<Seen, SnapshotError>) -> Result<Option<Seen>, SnapshotError> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error.may_pass() => {
            tracing::debug!(%error, "quiesce: a poll failed");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// When to stop waiting.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    steady: Duration,
    grace: Duration,
    stall: Duration,
    cap: Duration,
}

impl Bounds {
    fn of(scenario: &Scenario) -> Self {
        let (limits, promises) = (&scenario.limits, &scenario.promises);
        Self {
            steady: STEADY_MIN.max(Duration::from_millis(promises.worker_poll_max_ms.saturating_mul(WORKER_POLLS))),
            grace: Duration::from_millis(promises.resolver_grace_ms),
            stall: Duration::from_millis(limits.quiesce_stall_ms),
            cap: Duration::from_millis(limits.quiesce_cap_ms),
        }
    }
}

/// What the polls so far amount to. Generic over the fingerprint, so that it can be judged on hand-made ones.
#[derive(Debug)]
struct Watch<F = Fingerprint> {
    bounds: Bounds,
    began: Offset,
    /// The last backlog that was read.
    backlog: Backlog,
    answered: Offset,
    /// The smallest backlog so far, and when it was first seen or, if zero, last seen.
    least: u64,
    fell: Offset,
    steady: Option<(F, Offset)>,
}

impl<F: PartialEq> Watch<F> {
    fn new(bounds: Bounds, began: Offset) -> Self {
        Self { bounds, began, backlog: Backlog::default(), answered: began, least: u64::MAX, fell: began, steady: None }
    }

    /// Takes in one poll, `None` if no store answered; the end of the wait, if this was it.
    fn see(&mut self, now: Offset, seen: Option<Seen<F>>) -> Option<Rest> {
        let capped = now.since(self.began) >= self.bounds.cap;
        let Some((backlog, fingerprint)) = seen else {
            self.steady = None;
            return (capped || now.since(self.answered) >= self.bounds.stall).then_some(Rest::Unread);
        };
        (self.backlog, self.answered) = (backlog, now);
        if self.rests(now, fingerprint) {
            return Some(Rest::Quiesced);
        }
        if self.stalls(now) {
            return Some(Rest::Stuck);
        }
        capped.then_some(Rest::Slow)
    }

    /// Whether nothing has been left and nothing has moved for long enough.
    fn rests(&mut self, now: Offset, fingerprint: Option<F>) -> bool {
        let Some(fingerprint) = fingerprint.filter(|_| self.backlog.is_empty()) else {
            self.steady = None;
            return false;
        };
        let since = match &self.steady {
            Some((before, since)) if *before == fingerprint => *since,
            _ => now,
        };
        self.steady = Some((fingerprint, since));
        now.since(since) >= self.bounds.steady
    }

    /// Whether something is left that has not fallen for too long; the resolver may wait out its grace first.
    fn stalls(&mut self, now: Offset) -> bool {
        let left = total(&self.backlog);
        if left < self.least || left == 0 {
            (self.least, self.fell) = (left, now);
        }
        left > 0 && now.since(self.fell.max(self.began.plus(self.bounds.grace))) >= self.bounds.stall
    }
}

fn total(backlog: &Backlog) -> u64 {
    let Backlog { outbox_new, locks, sales_in_lock, open_operations, unpaid } = *backlog;
    [outbox_new, locks, sales_in_lock, open_operations, unpaid].into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        steady: Duration::from_millis(500),
        grace: Duration::from_millis(2_000),
        stall: Duration::from_millis(1_000),
        cap: Duration::from_millis(10_000),
    };

    /// What the watch says to polls at these ms, each with locks left and a fingerprint; `None` where no store answered.
    fn ends(polls: &[(u64, Option<(u64, u8)>)]) -> Vec<Option<Rest>> {
        let mut watch = Watch::new(BOUNDS, Offset::ZERO);
        let backlog = |locks| Backlog { locks, ..Backlog::default() };
        let see = |(at, seen): &(u64, Option<(u64, u8)>)| {
            watch.see(Offset::from_millis(*at), seen.map(|(locks, print)| (backlog(locks), (locks == 0).then_some(print))))
        };
        polls.iter().map(see).collect()
    }

    #[test]
    fn an_empty_backlog_counts_once_nothing_has_moved_for_the_whole_window() {
        let polls = [(0, Some((3, 0))), (100, Some((0, 1))), (500, Some((0, 1))), (599, Some((0, 1))), (600, Some((0, 1)))];
        assert_eq!(ends(&polls), [None, None, None, None, Some(Rest::Quiesced)]);
    }

    #[test]
    fn a_fingerprint_that_moves_or_a_backlog_that_returns_starts_the_window_again() {
        let polls = [(0, Some((0, 1))), (400, Some((0, 2))), (800, Some((0, 2))), (850, Some((1, 2))), (900, Some((0, 2)))];
        assert_eq!(ends(&polls), [None; 5]);
        let polls = [(0, Some((0, 1))), (400, None), (700, Some((0, 1))), (1_300, Some((0, 1)))];
        assert_eq!(ends(&polls), [None, None, None, Some(Rest::Quiesced)]);
    }

    #[test]
    fn a_backlog_that_does_not_fall_is_stuck_only_after_the_grace_of_the_resolver() {
        let polls = [(0, Some((2, 0))), (1_500, Some((2, 0))), (2_999, Some((3, 0))), (3_000, Some((2, 0)))];
        assert_eq!(ends(&polls), [None, None, None, Some(Rest::Stuck)]);
        let polls = [(0, Some((2, 0))), (2_900, Some((1, 0))), (3_800, Some((1, 0))), (3_900, Some((1, 0)))];
        assert_eq!(ends(&polls), [None, None, None, Some(Rest::Stuck)]);
    }

    #[test]
    fn a_backlog_that_still_falls_or_stores_that_still_move_are_slow_at_the_cap() {
        let falling: Vec<_> = (0..=20).map(|step| (step * 500, Some((100 - step, 0)))).collect();
        assert_eq!(ends(&falling).pop().flatten(), Some(Rest::Slow));
        let moving: Vec<_> = (0..=20_u8).map(|step| (u64::from(step) * 500, Some((0, step)))).collect();
        assert_eq!(ends(&moving), [vec![None; 20], vec![Some(Rest::Slow)]].concat());
    }

    #[test]
    fn stores_that_stay_silent_are_unread_and_never_at_rest() {
        let polls = [(0, None), (999, None), (1_000, None)];
        assert_eq!(ends(&polls), [None, None, Some(Rest::Unread)]);
        let polls = [(0, Some((1, 0))), (900, None), (1_100, Some((1, 0))), (2_000, None), (2_100, None)];
        assert_eq!(ends(&polls), [None, None, None, None, Some(Rest::Unread)]);
    }
}
