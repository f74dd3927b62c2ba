//! Gives items back to Redis after an outage: only once Redis has answered without a break for a while, and once the item itself has been
//! away for as long, so that a Redis that comes and goes does not void reservations again and again.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Round, WorkerSettings};
use crate::flow::{Flow, Refusal};

/// Items looked up at a time.
const LIMIT: u32 = 200;
/// Items given back at once.
const AT_ONCE: usize = 4;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    if flow.feel_redis().await.is_none_or(|well| well < settings.return_after) {
        return Ok(Round::Idle);
    }
    let degraded = flow.ledger().degraded(settings.return_after, LIMIT).await?;
    let found = degraded.len();
    let results: Vec<Result<bool, Refusal>> =
        stream::iter(degraded).map(|item| flow.give_back(item)).buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect::<Result<Vec<bool>, Refusal>>()?;
    Ok(if found >= LIMIT as usize { Round::Busy } else { Round::Idle })
}
