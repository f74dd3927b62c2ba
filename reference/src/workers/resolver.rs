//! The resolver: finds locks older than the grace period and settles them, whoever left them and whatever became of their order.
//!
//! One round sweeps all items, page by page, at a bounded rate.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Round, WorkerSettings};
use crate::domain::Item;
use crate::flow::{Flow, Refusal};

/// Items in a page of the sweep.
const PAGE: u32 = 500;
/// Items looked at at once.
const AT_ONCE: usize = 16;
/// Locks of one item settled at a time.
const LOCKS_MAX: u32 = 100;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    let mut after = None;
    let mut settled = 0;
    loop {
        let items = flow.ledger().items(after, PAGE).await?;
        let results: Vec<Result<u64, Refusal>> =
            stream::iter(items.iter().copied()).map(|item| settle(flow, settings, item)).buffer_unordered(AT_ONCE).collect().await;
        for result in results {
            settled += result?;
        }
        match items.last() {
            Some(last) if items.len() == PAGE as usize => after = Some(*last),
            _ => break,
        }
    }
    Ok(if settled == 0 { Round::Idle } else { Round::Some })
}

/// Settles the old locks of one item. A counter that is not ready has no locks to settle: its rebuild voids them all.
async fn settle(flow: &Flow, settings: &WorkerSettings, item: Item) -> Result<u64, Refusal> {
    let probe = flow.stock().probe(item, settings.resolver_grace, Some(LOCKS_MAX), &[]).await?;
    if probe.unready.is_some() || probe.locks.is_empty() {
        return Ok(0);
    }
    let settled = flow.settle(item, probe.epoch, &probe.locks).await?;
    flow.metrics().count_many("resolver", "settled", settled);
    Ok(settled)
}
