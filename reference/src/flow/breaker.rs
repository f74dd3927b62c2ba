//! A circuit breaker before a store: after the store has failed for a while calls are refused at once, and one call at a time finds out
//! whether it is back.
//!
//! In: what became of calls. Out: whether the next one may go, and for how long the store has been away or well. Nothing here decides who
//! owns units: a breaker that is wrong costs time, never stock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// So many failures in a row, at least, before calls are refused: a link that was reset fails all its callers at once and is back at once.
const FAILURES_MIN: u32 = 5;
/// And no success for this long.
const TRIP_AFTER: Duration = Duration::from_millis(200);
/// Between two calls that try a store which is away.
const TRY_PAUSE: Duration = Duration::from_millis(250);

/// The breaker of one store in one process.
#[derive(Debug)]
pub(super) struct Breaker {
    store: &'static str,
    state: Mutex<State>,
}

impl Breaker {
    /// A breaker that lets calls go to `store`.
    pub(super) fn before(store: &'static str) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// Leave for one call; `None` refuses it.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        self.lock().pass(clock::now()).map(|tries| Pass { breaker: self, tries, answered: false })
    }

    /// For how long the store has been failing; only once calls are refused.
    pub(super) fn away_for(&self) -> Option<Duration> {
        self.lock().away_since().map(|since| clock::now().duration_since(since))
    }

    /// For how long every call has succeeded, as far as there were calls.
    pub(super) fn well_for(&self) -> Option<Duration> {
        self.lock().well_since.map(|since| clock::now().duration_since(since))
    }

    /// Changes the state, and tells when the store is refused from now on and when it is asked again.
    fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let now = clock::now();
        let (before, after) = {
            let mut state = self.lock();
            let before = state.away_since();
            change(&mut state, now);
            (before, state.away_since())
        };
        match (before, after) {
            (None, Some(_)) => tracing::warn!(store = self.store, "a store does not answer: it is not asked for now"),
            (Some(since), None) => {
                let away_ms = u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX);
                tracing::info!(store = self.store, away_ms, "a store answers again");
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave for one call. Dropped without a word, because the call was not made or its caller went away, it says nothing of the store, unless the
/// store had [`answered`](Self::answered).
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    tries: bool,
    answered: bool,
}

impl Pass<'_> {
    /// Whether it finds out if the store is back: everybody else is refused until it ends.
    pub(super) const fn tries(&self) -> bool {
        self.tries
    }

    /// The store answered a question that is not the call. It counts if nothing becomes of the call.
    pub(super) const fn answered(&mut self) {
        self.answered = true;
    }

    /// Says what became of the call.
    pub(super) fn tell(&mut self, succeeded: bool) {
        self.breaker.change(if succeeded { State::succeeded } else { State::failed });
        self.tries = false;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        match (self.tries, self.answered) {
            (true, true) => self.breaker.change(State::succeeded),
            (true, false) => self.breaker.change(State::given_up),
            (false, _) => {}
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Phase {
    /// Calls go.
    #[default]
    Closed,
    /// Calls are refused until then; the next one after it tries.
    Open { until: Instant },
    /// One call is trying, the others are refused.
    Trying,
}

/// The machine itself: no clock, no lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct State {
    phase: Phase,
    failures: u32,
    failing_since: Option<Instant>,
    well_since: Option<Instant>,
}

impl State {
    /// Whether a call may go, and whether it is the one that tries.
    fn pass(&mut self, now: Instant) -> Option<bool> {
        match self.phase {
            Phase::Closed => Some(false),
            Phase::Open { until } if now >= until => {
                self.phase = Phase::Trying;
                Some(true)
            }
            Phase::Open { .. } | Phase::Trying => None,
        }
    }

    fn succeeded(&mut self, now: Instant) {
        let well_since = self.well_since.or(Some(now));
        *self = Self { well_since, ..Self::default() };
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.well_since = None;
        let since = *self.failing_since.get_or_insert(now);
        let trips = self.failures >= FAILURES_MIN && now.duration_since(since) >= TRIP_AFTER;
        // A late word about a call from before does not put off the next try.
        if self.phase == Phase::Trying || (self.phase == Phase::Closed && trips) {
            self.phase = Phase::Open { until: now + TRY_PAUSE };
        }
    }

    /// The call that was to try was not made.
    fn given_up(&mut self, now: Instant) {
        if self.phase == Phase::Trying {
            self.phase = Phase::Open { until: now + TRY_PAUSE };
        }
    }

    fn away_since(&self) -> Option<Instant> {
        self.failing_since.filter(|_| self.phase != Phase::Closed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const STEP: Duration = Duration::from_millis(50);

    /// What a breaker may be told, in any order.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Pass,
        Success,
        Failure,
        GivenUp,
        Tick,
    }

    /// The state, and what an outside observer knows by itself.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Seen {
        state: State,
        now: Instant,
        /// Calls under way that passed while closed, and whether one is trying.
        calls: u8,
        trying: bool,
        /// Failures, and the first of them, since the last success.
        row: u32,
        row_began: Option<Instant>,
    }

    impl Seen {
        /// The next moment, if the event can happen; what must hold of every step is checked here.
        fn after(&self, event: Event) -> Option<Self> {
            let mut next = self.clone();
            match event {
                Event::Tick => next.now += STEP,
                Event::Pass if self.calls >= 2 => return None,
                Event::Pass => next.try_pass(),
                Event::Success | Event::Failure if self.calls == 0 && !self.trying => return None,
                Event::Success => {
                    next.end_call();
                    next.state.succeeded(next.now);
                    (next.row, next.row_began) = (0, None);
                    assert_eq!(next.state.phase, Phase::Closed, "a success closes it at once: {self:?}");
                }
                Event::Failure => {
                    next.end_call();
                    next.state.failed(next.now);
                    (next.row, next.row_began) = (self.row + 1, self.row_began.or(Some(self.now)));
                    next.check_trip(self);
                }
                Event::GivenUp if !self.trying => return None,
                Event::GivenUp => {
                    next.trying = false;
                    next.state.given_up(next.now);
                    assert_ne!(next.state.phase, Phase::Trying, "who gives up makes way for the next try: {self:?}");
                }
            }
            assert!(next.state.phase != Phase::Trying || next.trying, "nobody is trying, so nobody would end it: {next:?}");
            Some(next)
        }

        fn try_pass(&mut self) {
            let before = self.state.phase;
            match (self.state.pass(self.now), before) {
                (Some(false), Phase::Closed) => self.calls += 1,
                (Some(true), Phase::Open { until }) => {
                    assert!(self.now >= until);
                    self.trying = true;
                }
                (None, Phase::Open { until }) => assert!(self.now < until, "after its pause somebody may try: {self:?}"),
                (None, Phase::Trying) => {}
                other => panic!("{other:?}"),
            }
        }

        /// The oldest kind of call ends: one that tries is told last, so that late words come in between.
        fn end_call(&mut self) {
            if self.calls > 0 {
                self.calls -= 1;
            } else {
                self.trying = false;
            }
        }

        fn check_trip(&self, before: &Self) {
            let long = self.row_began.is_some_and(|began| self.now.duration_since(began) >= TRIP_AFTER);
            if before.state.phase == Phase::Closed {
                let opened = self.state.phase != Phase::Closed;
                assert_eq!(opened, self.row >= FAILURES_MIN && long, "{before:?}");
            }
            if let (Phase::Open { until }, Phase::Open { until: earlier }) = (self.state.phase, before.state.phase) {
                assert_eq!(until, earlier, "a late failure must not put off the next try");
            }
        }
    }

    #[test]
    fn every_order_of_events_keeps_the_rules() {
        let start = Seen { state: State::default(), now: clock::now(), calls: 0, trying: false, row: 0, row_began: None };
        let (mut seen, mut edge) = (HashSet::from([start.clone()]), vec![start]);
        let mut phases = HashSet::new();
        // 5 failures with their calls, the time to trip, a try and its end fit into these steps.
        for _ in 0..20 {
            let mut next = Vec::new();
            for state in &edge {
                let events = [Event::Pass, Event::Success, Event::Failure, Event::GivenUp, Event::Tick];
                next.extend(events.into_iter().filter_map(|event| state.after(event)).filter(|state| seen.insert(state.clone())));
            }
            phases.extend(next.iter().map(|state| std::mem::discriminant(&state.state.phase)));
            edge = next;
        }
        assert_eq!(phases.len(), 3, "every phase was reached");
    }

    #[test]
    fn a_try_that_is_dropped_without_a_word_makes_way_for_another() {
        let breaker = Breaker::before("test");
        let long_ago = clock::now().checked_sub(TRIP_AFTER * 2).unwrap();
        *breaker.lock() =
            State { phase: Phase::Open { until: long_ago }, failures: 9, failing_since: Some(long_ago), well_since: None };
        let first = breaker.pass();
        assert!(first.is_some() && breaker.pass().is_none(), "one at a time");
        drop(first);
        assert!(matches!(breaker.lock().phase, Phase::Open { until } if until > long_ago));
        assert!(breaker.away_for().is_some_and(|away| away >= TRIP_AFTER) && breaker.well_for().is_none());
    }

    #[test]
    fn a_try_that_came_to_nothing_counts_if_the_store_had_answered_and_a_failure_counts_more() {
        for (told, closed) in [(None, true), (Some(false), false)] {
            let (breaker, long_ago) = (Breaker::before("test"), clock::now().checked_sub(TRIP_AFTER * 2).unwrap());
            *breaker.lock() =
                State { phase: Phase::Open { until: long_ago }, failures: 9, failing_since: Some(long_ago), well_since: None };
            let mut pass = breaker.pass().unwrap();
            assert!(pass.tries());
            pass.answered();
            told.into_iter().for_each(|word| pass.tell(word));
            drop(pass);
            assert_eq!(breaker.away_for().is_none(), closed, "{told:?}");
        }
    }
}
