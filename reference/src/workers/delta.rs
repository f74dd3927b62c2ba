//! The delta worker: brings committed increases (cancel, expiry, return, restock) to Redis. No row is locked while Redis is asked:
//! a claim is a lease, and the increase itself is applied once whoever delivers it.

use super::{Round, WorkerSettings};
use crate::flow::{Delivery, Flow, Refusal};

/// Increases of one claim: few enough that a slow Redis gets them within their lease.
const CLAIM_MAX: u32 = 200;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    let events = flow.ledger().claim_deltas(CLAIM_MAX, settings.delta_lease).await?;
    let deliveries = flow.deliver(&events).await;
    let done: Vec<i64> =
        events.iter().zip(deliveries).filter(|(_, delivery)| *delivery == Delivery::Done).map(|(event, _)| event.id).collect();
    flow.ledger().finish_deltas(&done).await?;
    Ok(match events.len() {
        0 => Round::Idle,
        claimed if claimed >= CLAIM_MAX as usize => Round::Busy,
        _ => Round::Some,
    })
}
