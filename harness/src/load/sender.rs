//! Sends the requests of a load and remembers what later ones depend on: whether an order may stand, and which changes of stock are in doubt.
//!
//! In: requests, in any order and many at once. Out: counts, and whether a follow-up makes sense.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::ask::Ask;
use super::client::Client;
use super::progress::Progress;
use crate::clock::RunClock;
use crate::history::record::{Function, Outcome, ShedCause};
use crate::history::recorder::Recorder;
use crate::scenario::plan::Plan;
use crate::stack::Endpoints;

/// Times that changes of stock in doubt are sent again after the load.
const SETTLE_ROUNDS: u32 = 5;

/// What the requests of one load share.
pub(super) struct Sender {
    client: Client,
    progress: Arc<Progress>,
    orders: Vec<Attempts>,
    /// Changes of stock of which nobody can say whether they happened, with the index of each.
    unsettled: Mutex<Vec<(u32, Ask)>>,
}

/// Attempts to create one order. It may stand unless every one was refused.
#[derive(Default)]
struct Attempts {
    sent: AtomicU8,
    refused: AtomicU8,
}

impl Sender {
    /// A sender that has sent nothing yet.
    pub(super) fn new(plan: &Plan, endpoints: &Endpoints, recorder: &Recorder, progress: &Arc<Progress>) -> Self {
        Self {
            client: Client::new(endpoints, recorder, progress, plan.scenario.limits.request_timeout_ms),
            progress: Arc::clone(progress),
            orders: plan.orders.iter().map(|_| Attempts::default()).collect(),
            unsettled: Mutex::default(),
        }
    }

    /// Counts an attempt to create an order, before it is sent.
    pub(super) fn add_attempt(&self, order: u32) {
        self.orders[order as usize].sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Why nothing can follow on an order, if so.
    pub(super) fn bar(&self, order: u32) -> Option<ShedCause> {
        let attempts = &self.orders[order as usize];
        match (attempts.sent.load(Ordering::Relaxed), attempts.refused.load(Ordering::Relaxed)) {
            // The order itself was shed, so what follows from it is our fault too.
            (0, _) => Some(ShedCause::NoSlot),
            (sent, refused) => (sent == refused).then_some(ShedCause::OrderRefused),
        }
    }

    /// Sends one request; `index` is that of its order or change in the plan.
    pub(super) async fn send(&self, index: u32, ask: &Ask) -> Result<(), LoadError> {
        let answer = self.client.ask(ask).await?;
        match (ask.function, answer.outcome) {
            (Function::CreateOrder, Outcome::Ok) => self.progress.add_accepted(answer.at.since(ask.due)),
            (Function::CreateOrder, Outcome::Fail(_)) => {
                self.orders[index as usize].refused.fetch_add(1, Ordering::Relaxed);
            }
            (change, Outcome::Info(_)) if change.changes_stock() => self.unsettled().push((index, ask.clone())),
            _ => {}
        }
        Ok(())
    }

    /// Sends the changes in doubt again under their ids, as an operator does, until the fate of each is known, patience runs out or `stop`
    /// is cancelled.
    pub(super) async fn settle(&self, clock: RunClock, stop: &CancellationToken) -> Result<(), LoadError> {
        for _ in 0..SETTLE_ROUNDS {
            let unsettled = std::mem::take(&mut *self.unsettled());
            for (index, ask) in unsettled {
                if stop.is_cancelled() {
                    return Ok(());
                }
                self.send(index, &Ask { due: clock.now(), ..ask }).await?;
            }
        }
        Ok(())
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<(u32, Ask)>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
