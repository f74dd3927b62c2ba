//! The deduct worker: takes order messages from the outbox, moves the ledger (LOCK → OUT, balance − units), then confirms the
//! locks in Redis. Ledger first, so a crash between leaves a lock that the resolver confirms.

use std::collections::BTreeMap;

use super::{Round, WorkerSettings};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, Member};
use crate::flow::{Flow, Refusal};
use crate::ledger::Settled;
use crate::metrics::Finding;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    #[cfg(feature = "defects")]
    if planted(Defect::RedisCallUnderRowLock) {
        return flow.deduct_and_confirm(settings.batch).await.map(|events| if events == 0 { Round::Idle } else { Round::Some });
    }
    let batch = flow.ledger().deduct_batch(settings.batch).await.inspect_err(|_| flow.metrics().count("deduct_batch", "failed"))?;
    flow.metrics().count_many("deduct_batch", "committed", u64::from(batch.events > 0));
    flow.metrics().count_many("deduct", "settled", batch.settled.len() as u64);
    flow.metrics().count_many("deduct", "guard_refused", batch.refused.len() as u64);
    flow.metrics().count_many("deduct", "dead", batch.dead);
    for item in &batch.refused {
        flow.metrics().found(Finding::GuardRefused);
        tracing::error!(%item, "the ledger does not cover a committed order: ledger breach");
    }
    #[cfg(feature = "defects")]
    let settled = batch.settled.clone();
    let mut locks: BTreeMap<(Item, Epoch), Vec<Member>> = BTreeMap::new();
    for Settled { item, order, token, quantity } in batch.settled {
        locks.entry((item, token.epoch)).or_default().push(Member { order, token, quantity });
    }
    let confirms = locks.iter().map(|((item, epoch), members)| flow.confirm_quietly(*item, *epoch, members));
    futures_util::future::join_all(confirms).await;
    #[cfg(feature = "defects")]
    flow.ledger().acknowledge(&settled).await?;
    Ok(match batch.events {
        0 => Round::Idle,
        events if events >= settings.batch as usize => Round::Busy,
        _ => Round::Some,
    })
}
