//! The resolver: finds locks older than the grace period and settles them, whoever left them and whatever became of their order;
//! and finds counters that cannot admit, or are of a dead epoch, and has them rebuilt although nobody orders.
//!
//! One round sweeps all items, page by page, a few at a time. A dead counter must not wait for the next order: one that stands at 0 refuses
//! every order before any could notice its epoch.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Round, WorkerSettings};
use crate::clock;
use crate::domain::{Epoch, Item};
use crate::flow::{Flow, Refusal};
use crate::ledger::{EpochState, Mode};
use crate::metrics::{ItemReading, SweepReading};
use crate::stock::Probe;

/// Items in a page of the sweep.
const PAGE: u32 = 500;
/// Items looked at at once.
const AT_ONCE: usize = 16;
/// Locks of one item settled at a time.
const LOCKS_MAX: u32 = 100;
/// Times that one item is gone over in one round, while it has more old locks than fit into one.
const PASSES_MAX: u32 = 50;

/// Since when counters have not been able to admit, over all sweeps.
#[derive(Debug, Default)]
pub(super) struct Unready(Mutex<HashMap<Item, Instant>>);

impl Unready {
    /// For how long the item has not been able to admit, now that it was seen.
    fn seen(&self, item: Item, ready: bool) -> Duration {
        let mut since = self.lock();
        if ready {
            since.remove(&item);
            return Duration::ZERO;
        }
        let now = clock::now();
        now.duration_since(*since.entry(item).or_insert(now))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Item, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings, unready: &Unready) -> Result<Round, Refusal> {
    let mut after = None;
    let mut sweep = Sweep::default();
    loop {
        let items = flow.ledger().items(after, PAGE).await?;
        for look in look_after_page(flow, settings, &items).await {
            let not_ready = unready.seen(look.reading.item, look.ready);
            sweep.add(ItemReading { not_ready, ..look.reading }, look.result);
        }
        match items.last() {
            Some((last, _)) if items.len() == PAGE as usize => after = Some(*last),
            _ => return sweep.end(flow),
        }
    }
}

/// What a sweep found. One item that fails does not keep it from the others.
#[derive(Default)]
struct Sweep {
    reading: SweepReading,
    settled: u64,
    failed: Option<Refusal>,
}

impl Sweep {
    fn add(&mut self, reading: ItemReading, result: Result<u64, Refusal>) {
        self.reading.add(reading);
        match result {
            Ok(settled) => self.settled += settled,
            Err(refusal) => self.failed = Some(refusal),
        }
    }

    fn end(self, flow: &Flow) -> Result<Round, Refusal> {
        flow.metrics().swept(self.reading);
        match self.failed {
            Some(refusal) => Err(refusal),
            None if self.settled == 0 => Ok(Round::Idle),
            None => Ok(Round::Some),
        }
    }
}

/// Whether a counter is to be seen to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cold {
    No,
    /// It is of another epoch than was read, which a moment may mend.
    Moved,
    /// Redis cannot admit by it.
    Lost,
}

/// What became of one item.
struct Look {
    reading: ItemReading,
    ready: bool,
    /// Whether its counter has to be rebuilt, or waited for.
    cold: Cold,
    /// Its old locks, if it can admit.
    old: Option<Probe>,
    result: Result<u64, Refusal>,
}

impl Look {
    /// What the first look at Redis showed.
    fn note(&mut self, probe: &Probe) {
        self.reading.locks = probe.lock_count;
        // The oldest comes first, and only those beyond the grace come at all.
        let age = probe.locks.first().map(|oldest| probe.now_ms.saturating_sub(oldest.since_ms));
        self.reading.overdue = age.map(Duration::from_millis).unwrap_or_default();
    }
}

/// Looks at each item, in their order, so that the same items are listed each time; then sees to the counters that need it, because nobody can buy
/// what has none; then settles old locks, which may take long.
async fn look_after_page(flow: &Flow, settings: &WorkerSettings, items: &[(Item, EpochState)]) -> Vec<Look> {
    let looks = stream::iter(items.to_vec()).map(|(item, state)| look_at(flow, settings, item, state));
    let mut looks: Vec<Look> = looks.buffered(AT_ONCE).collect().await;
    make_ready(flow, &mut looks).await;
    stream::iter(looks).map(|look| settle_old(flow, settings, look)).buffered(AT_ONCE).collect().await
}

/// Looks at the counter of one item. Where Redis has no part, there is nothing to see.
async fn look_at(flow: &Flow, settings: &WorkerSettings, item: Item, state: EpochState) -> Look {
    let (epoch, mode) = (state.epoch, state.mode);
    let reading = ItemReading { item, epoch, mode, locks: 0, overdue: Duration::ZERO, not_ready: Duration::ZERO };
    let mut look = Look { reading, ready: true, cold: Cold::No, old: None, result: Ok(0) };
    if matches!(mode, Mode::Db | Mode::Closed) {
        return look;
    }
    match flow.stock().probe(item, settings.resolver_grace, Some(LOCKS_MAX), &[]).await {
        Err(error) => (look.ready, look.result) = (false, Err(error.into())),
        Ok(probe) => {
            look.note(&probe);
            look.reading.overdue = look.reading.overdue.saturating_sub(settings.resolver_grace);
            look.cold = temperature(&probe, epoch);
            look.ready = look.cold == Cold::No;
            // The locks of a counter that is rebuilt are void.
            look.old = look.ready.then_some(probe);
        }
    }
    look
}

fn temperature(probe: &Probe, epoch: Epoch) -> Cold {
    match probe.unready {
        Some(_) => Cold::Lost,
        None if probe.epoch == epoch => Cold::No,
        None => Cold::Moved,
    }
}

/// Sees to the counters that cannot admit, many at once where Redis lost many. A rebuild that is under way is waited for, not repeated.
async fn make_ready(flow: &Flow, looks: &mut [Look]) {
    let lost = looks.iter().filter(|look| look.cold == Cold::Lost).map(|look| &look.reading);
    let lost: Vec<_> = lost.map(|reading| (reading.item, EpochState { epoch: reading.epoch, mode: reading.mode })).collect();
    let rebuilt = flow.rebuild_together(&lost, "resolver").await;
    let cold: Vec<Item> = looks.iter().filter(|look| look.cold != Cold::No).map(|look| look.reading.item).collect();
    let alone = |item| {
        let is_done = rebuilt.contains(&item);
        async move { if is_done { Ok(()) } else { flow.ensure_ready(item, "resolver").await } }
    };
    let ended: Vec<_> = stream::iter(cold).map(alone).buffered(AT_ONCE).collect().await;
    for (look, ended) in looks.iter_mut().filter(|look| look.cold != Cold::No).zip(ended) {
        match ended {
            Ok(()) => look.ready = true,
            Err(refusal) => look.result = Err(refusal),
        }
    }
}

/// Settles the old locks of one item, as far as one round goes.
async fn settle_old(flow: &Flow, settings: &WorkerSettings, mut look: Look) -> Look {
    if let Some(old) = look.old.take() {
        look.result = settle_all(flow, settings, &mut look, old).await;
        flow.metrics().count_many("resolver", "settled", *look.result.as_ref().unwrap_or(&0));
    }
    look
}

async fn settle_all(flow: &Flow, settings: &WorkerSettings, look: &mut Look, mut old: Probe) -> Result<u64, Refusal> {
    let (item, epoch) = (look.reading.item, look.reading.epoch);
    let mut settled = 0;
    for _ in 0..PASSES_MAX {
        #[cfg(feature = "defects")]
        if crate::defects::planted(crate::defects::Defect::CrashLeavesLock) {
            return Ok(settled);
        }
        settled += flow.settle(item, epoch, &old.locks).await?;
        if old.locks.len() < LOCKS_MAX as usize {
            break;
        }
        look.ready = false;
        old = flow.stock().probe(item, settings.resolver_grace, Some(LOCKS_MAX), &[]).await?;
        if temperature(&old, epoch) != Cold::No {
            flow.ensure_ready(item, "resolver").await?;
            look.ready = true;
            break;
        }
        look.ready = true;
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_without_a_counter_is_counted_from_the_first_sweep_that_missed_it() {
        let (unready, item) = (Unready::default(), Item::new(1, 1, 1).unwrap());
        assert_eq!(unready.seen(item, true), Duration::ZERO);
        let first = unready.seen(item, false);
        let started = clock::now();
        while clock::now().duration_since(started) < Duration::from_millis(2) {}
        assert!(unready.seen(item, false) > first);
        assert_eq!(unready.seen(item, true), Duration::ZERO);
        assert!(unready.lock().is_empty());
    }
}
