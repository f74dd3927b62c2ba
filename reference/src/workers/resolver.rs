//! The resolver: finds locks older than the grace period and settles them, whoever left them and whatever became of their order;
//! and finds counters that cannot admit, or are of a dead epoch, and has them rebuilt although nobody orders.
//!
//! One round sweeps all items, page by page, a few at a time. A dead counter must not wait for the next order: one that stands at 0 refuses
//! every order before any could notice its epoch.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Round, WorkerSettings};
use crate::domain::Item;
use crate::flow::{Flow, Refusal};
use crate::ledger::{EpochState, Mode};

/// Items in a page of the sweep.
const PAGE: u32 = 500;
/// Items looked at at once.
const AT_ONCE: usize = 16;
/// Locks of one item settled at a time.
const LOCKS_MAX: u32 = 100;
/// Times that one item is gone over in one round, while it has more old locks than fit into one.
const PASSES_MAX: u32 = 50;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    let mut after = None;
    let mut sweep = Sweep::default();
    loop {
        let items = flow.ledger().items(after, PAGE).await?;
        let looks = stream::iter(items.iter().copied()).map(|(item, state)| look_after(flow, settings, item, state));
        looks
            .buffer_unordered(AT_ONCE)
            .for_each(|result| {
                sweep.add(result);
                std::future::ready(())
            })
            .await;
        match items.last() {
            Some((last, _)) if items.len() == PAGE as usize => after = Some(*last),
            _ => return sweep.end(),
        }
    }
}

/// What a sweep found. One item that fails does not keep it from the others.
#[derive(Default)]
struct Sweep {
    settled: u64,
    failed: Option<Refusal>,
}

impl Sweep {
    fn add(&mut self, result: Result<u64, Refusal>) {
        match result {
            Ok(settled) => self.settled += settled,
            Err(refusal) => self.failed = Some(refusal),
        }
    }

    fn end(self) -> Result<Round, Refusal> {
        match self.failed {
            Some(refusal) => Err(refusal),
            None if self.settled == 0 => Ok(Round::Idle),
            None => Ok(Round::Some),
        }
    }
}

/// Sees to the counter of one item and settles its old locks. Where Redis has no part, there is nothing to see to.
async fn look_after(flow: &Flow, settings: &WorkerSettings, item: Item, state: EpochState) -> Result<u64, Refusal> {
    if matches!(state.mode, Mode::Db | Mode::Closed) {
        return Ok(0);
    }
    let mut settled = 0;
    for _ in 0..PASSES_MAX {
        let probe = flow.stock().probe(item, settings.resolver_grace, Some(LOCKS_MAX), &[]).await?;
        if probe.unready.is_some() || probe.epoch != state.epoch {
            // Its locks are void with the rebuild. One that is under way is waited for, not repeated.
            flow.ensure_ready(item, "resolver").await?;
            return Ok(settled);
        }
        settled += flow.settle(item, probe.epoch, &probe.locks).await?;
        if probe.locks.len() < LOCKS_MAX as usize {
            break;
        }
    }
    flow.metrics().count_many("resolver", "settled", settled);
    Ok(settled)
}
