//! The expiry worker: ends orders that were not paid in time. The compare-and-set of each decides against a payment.

use futures_util::StreamExt as _;
use futures_util::stream;
use rand::seq::SliceRandom as _;

use super::{Round, WorkerSettings};
use crate::flow::{Flow, Refusal};

/// Orders looked up at a time.
const LIMIT: u32 = 500;
/// Orders ended at once: few, because each is a transaction that buyers wait beside.
const AT_ONCE: usize = 2;
/// Orders ended at once while more are due than were looked up: the stock that they hold is kept from those buyers.
const AT_ONCE_BEHIND: usize = 8;

pub(super) async fn round(flow: &Flow, _settings: &WorkerSettings) -> Result<Round, Refusal> {
    let mut due = flow.ledger().expired(LIMIT).await?;
    // Several instances read the same list: in shuffled order they mostly work on different orders.
    due.shuffle(&mut rand::rng());
    let behind = due.len() >= LIMIT as usize;
    let at_once = if behind { AT_ONCE_BEHIND } else { AT_ONCE };
    let results: Vec<Result<bool, Refusal>> =
        stream::iter(due).map(|order| async move { flow.expire(&order).await }).buffer_unordered(at_once).collect().await;
    results.into_iter().collect::<Result<Vec<bool>, Refusal>>()?;
    Ok(if behind { Round::Busy } else { Round::Idle })
}
