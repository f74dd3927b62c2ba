//! The delta worker: brings committed increases (cancel, expiry, return, restock) to Redis. No row is locked while Redis is asked:
//! a claim is a lease, and the increase itself is applied once whoever delivers it.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Round, WorkerSettings};
use crate::flow::{Delivery, Flow, Refusal};

/// Increases under way to Redis at once.
const AT_ONCE: usize = 32;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    let events = flow.ledger().claim_deltas(settings.batch, settings.delta_lease).await?;
    let claimed = events.len();
    let deliveries: Vec<(i64, Delivery)> = stream::iter(events)
        .map(|event| async move { (event.id, flow.deliver(&event).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let done: Vec<i64> = deliveries.into_iter().filter(|(_, delivery)| *delivery == Delivery::Done).map(|(id, _)| id).collect();
    if !done.is_empty() {
        flow.ledger().finish_deltas(&done).await?;
    }
    Ok(match claimed {
        0 => Round::Idle,
        claimed if claimed >= settings.batch as usize => Round::Busy,
        _ => Round::Some,
    })
}
