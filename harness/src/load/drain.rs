//! Sells what is left, to show by selling that nothing was lost and nothing appears from nowhere.
//!
//! In: a system at rest and the units believed free. Out: records of orders by fresh users, one unit each, until every api
//! process has refused three times, each time later than a sold-out answer can be remembered. Judges nothing.
//!
//! It goes in rounds, so that all items share each wait for the staleness window. In a round an item is first ordered as often
//! as it is believed to be free, many at once, until a refusal; then at each process in turn until that one refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, future, stream};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::ask::Ask;
use super::client::Client;
use super::progress::Progress;
use crate::clock::Offset;
use crate::history::record::{FailCode, Function, ItemQuantity, Outcome, PhaseMark, Record};
use crate::history::recorder::Recorder;
use crate::scenario::Phase;
use crate::scenario::plan::Plan;
use crate::stack::Endpoints;

/// Requests open at once, of all items together.
const IN_FLIGHT_MAX: usize = 64;

/// Rounds in a row in which an item must be refused by every process.
const CALM_ROUNDS: u32 = 3;

/// Attempts per item beyond the units that are believed free.
const ATTEMPTS_SPARE: u64 = 100;

/// Shortest pause between two rounds, for a service that is not ready yet.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// What the drain did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainSummary {
    /// Orders sent.
    pub attempts: u64,
    /// Orders accepted, of one unit each.
    pub sold: u64,
    /// Rounds over all items.
    pub rounds: u64,
    /// Indexes of the items that were not refused by every process in the end: attempts, time or patience ran out.
    pub unfinished: Vec<u32>,
}

/// Orders each item of the plan until it is sold out everywhere. `available` holds the units believed free of each item, by index;
/// an item without an entry counts as having none. Lasts `quiesce_cap_ms` of the scenario at most.
///
/// Dropping it leaves its open requests without a completion in the history.
///
/// # Errors
/// The recorder is gone, or the stack has no api process.
pub async fn drain(
    plan: &Plan,
    endpoints: &Endpoints,
    recorder: &Recorder,
    available: &[u64],
    stop: &CancellationToken,
) -> Result<DrainSummary, LoadError> {
    let instances = u16::try_from(endpoints.api.len()).unwrap_or(u16::MAX);
    if instances == 0 {
        return Err(LoadError::NoInstance { wanted: 0, there: 0 });
    }
    recorder.record(Record::Phase(PhaseMark { name: Phase::Drain, stretch: String::new() })).await?;
    let drain = Drain::new(plan, endpoints, recorder, stop);
    let counted = available.iter().copied().chain(std::iter::repeat(0));
    let mut items: Vec<_> =
        (0..).zip(counted).take(plan.scenario.items.len()).map(|(index, free)| Item::new(index, free)).collect();
    let rounds = drain.rounds(&mut items).await?;
    let summary = DrainSummary {
        attempts: items.iter().map(|item| item.attempts).sum(),
        sold: items.iter().map(|item| item.sold).sum(),
        rounds,
        unfinished: items.iter().filter(|item| !item.is_dry()).map(|item| item.index).collect(),
    };
    if !summary.unfinished.is_empty() {
        let detail = json!({ "items": summary.unfinished, "interrupted": stop.is_cancelled() });
        recorder.record(Record::Note { what: "drain_unfinished".to_owned(), detail }).await?;
    }
    recorder.sync().await?;
    Ok(summary)
}

/// What all items share.
struct Drain<'a> {
    plan: &'a Plan,
    client: Client,
    instances: u16,
    slots: Semaphore,
    next_user: AtomicU64,
    recorder: &'a Recorder,
    stop: &'a CancellationToken,
    deadline: Offset,
}

/// How far one item is.
struct Item {
    index: u32,
    available: u64,
    sold: u64,
    attempts: u64,
    volleyed: u64,
    calm_rounds: u32,
}

impl Item {
    const fn new(index: u32, available: u64) -> Self {
        Self { index, available, sold: 0, attempts: 0, volleyed: 0, calm_rounds: 0 }
    }

    const fn is_dry(&self) -> bool {
        self.calm_rounds >= CALM_ROUNDS
    }

    fn count(&mut self, outcome: Outcome) {
        self.attempts += 1;
        self.sold += u64::from(outcome == Outcome::Ok);
    }
}

impl<'a> Drain<'a> {
    fn new(plan: &'a Plan, endpoints: &Endpoints, recorder: &'a Recorder, stop: &'a CancellationToken) -> Self {
        let limits = &plan.scenario.limits;
        Self {
            plan,
            client: Client::new(endpoints, recorder, &Arc::new(Progress::default()), limits.request_timeout_ms),
            instances: u16::try_from(endpoints.api.len()).unwrap_or(u16::MAX),
            slots: Semaphore::new(IN_FLIGHT_MAX),
            next_user: AtomicU64::new(plan.next_user()),
            recorder,
            stop,
            deadline: recorder.clock().now().plus(Duration::from_millis(limits.quiesce_cap_ms)),
        }
    }

    /// Whether neither patience nor time has run out.
    fn goes_on(&self) -> bool {
        !self.stop.is_cancelled() && self.recorder.clock().now() < self.deadline
    }

    /// Attempts that an item has: what is believed free and the spare ones, which allow for every process to refuse in more
    /// rounds than are needed.
    fn attempts_max(&self, item: &Item) -> u64 {
        item.available.saturating_add(ATTEMPTS_SPARE.max(2 * u64::from(CALM_ROUNDS) * u64::from(self.instances)))
    }

    async fn rounds(&self, items: &mut [Item]) -> Result<u64, LoadError> {
        let window = Duration::from_millis(self.plan.scenario.promises.staleness_ms).max(PAUSE_MIN);
        let mut rounds = 0;
        loop {
            let open = items.iter_mut().filter(|item| !item.is_dry() && item.attempts < self.attempts_max(item));
            stream::iter(open.map(Ok)).try_for_each_concurrent(IN_FLIGHT_MAX, |item| self.round(item)).await?;
            rounds += 1;
            let all_ended = items.iter().all(|item| item.is_dry() || item.attempts >= self.attempts_max(item));
            if all_ended || !self.goes_on() {
                return Ok(rounds);
            }
            // What was refused from memory is asked again when no process can remember it.
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(window) => {}
            }
        }
    }

    async fn round(&self, item: &mut Item) -> Result<(), LoadError> {
        let sold = item.sold;
        self.volley(item).await?;
        let mut refused = true;
        for instance in 0..self.instances {
            refused &= self.sell_until_refused(item, instance).await?;
        }
        item.calm_rounds = if refused && item.sold == sold { item.calm_rounds + 1 } else { 0 };
        Ok(())
    }

    /// Orders what is believed free, many at once and at all processes, until the first order that is not accepted.
    async fn volley(&self, item: &mut Item) -> Result<(), LoadError> {
        let refused = AtomicBool::new(false);
        let (index, first) = (item.index, item.attempts);
        let attempts = first..first.saturating_add(item.available.saturating_sub(item.volleyed));
        let orders = stream::iter(attempts)
            .take_while(|_| future::ready(!refused.load(Ordering::Relaxed) && self.goes_on()))
            .map(|attempt| self.order(index, attempt, u16::try_from(attempt % u64::from(self.instances)).unwrap_or(0)));
        let mut outcomes = orders.buffer_unordered(IN_FLIGHT_MAX);
        while let Some(outcome) = outcomes.try_next().await? {
            item.count(outcome);
            item.volleyed += 1;
            refused.fetch_or(outcome != Outcome::Ok, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Orders at one process until it refuses (true), or answers anything else (false).
    async fn sell_until_refused(&self, item: &mut Item, instance: u16) -> Result<bool, LoadError> {
        while item.attempts < self.attempts_max(item) && self.goes_on() {
            let outcome = self.order(item.index, item.attempts, instance).await?;
            item.count(outcome);
            if outcome != Outcome::Ok {
                return Ok(outcome == Outcome::Fail(FailCode::SoldOut));
            }
        }
        Ok(false)
    }

    /// Orders one unit; pays it at once where it would expire before the drain ends.
    async fn order(&self, item: u32, attempt: u64, instance: u16) -> Result<Outcome, LoadError> {
        let closed = |error: tokio::sync::AcquireError| LoadError::Failed { act: "wait for a slot", why: error.to_string() };
        let _slot = self.slots.acquire().await.map_err(closed)?;
        let ask = Ask {
            function: Function::CreateOrder,
            order: format!("{}-d{item}-{attempt}", self.plan.run_tag),
            user: self.next_user.fetch_add(1, Ordering::Relaxed),
            lines: vec![ItemQuantity { item: self.plan.scenario.items[item as usize].item, qty: 1 }],
            due: self.recorder.clock().now(),
            instance,
            retry: false,
            closed_loop: false,
        };
        let outcome = self.client.ask(&ask).await?.outcome;
        if outcome == Outcome::Ok && self.plan.scenario.waits_for_expiry() {
            let due = self.recorder.clock().now();
            self.client.ask(&Ask { function: Function::PayOrder, due, ..ask }).await?;
        }
        Ok(outcome)
    }
}
