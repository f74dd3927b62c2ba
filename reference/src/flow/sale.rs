//! Opening an item for sale, and how much of it is left.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Flow, Refusal};
use crate::clock;
use crate::domain::{Epoch, Item, UserLimit};
use crate::ledger::{DeltaEvent, EpochState, Mode, Restocked};
use crate::stock::{Applied, StockError};

/// Stock of an item as a client may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockLevel {
    /// Units that can be ordered now.
    pub available: i64,
    /// Epoch of the item.
    pub epoch: Epoch,
    /// Who admits.
    pub mode: Mode,
    /// Whether the number is Redis' counter; else it is MySQL's balance.
    pub from_redis: bool,
}

/// What became of an increase that was to be added to Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is in Redis, or inside a newer base.
    Done,
    /// To be tried again.
    Later,
}

impl Flow {
    /// Opens an item with its stock and no limit: [`Flow::open_sale`].
    ///
    /// # Errors
    /// As [`Flow::open_sale`].
    pub async fn open_item(&self, item: Item, opening: u64) -> Result<Restocked, Refusal> {
        self.open_sale(item, opening, None).await
    }

    /// Opens an item with its stock and a limit for each user, and brings its counter up in Redis. Opening it again with the same stock
    /// changes nothing; a limit that is given must then be the one that stands.
    ///
    /// # Errors
    /// It is open with another stock or limit, or a store gave no answer (a repeat is safe): [`Refusal::Unknown`] if it may be open.
    pub async fn open_sale(&self, item: Item, opening: u64, limit: Option<UserLimit>) -> Result<Restocked, Refusal> {
        let opened = self.ledger.open_limited_item(item, opening, limit.unwrap_or_default()).await?;
        match (opened, limit) {
            (Restocked::Conflict { booked }, _) => {
                return Err(Refusal::Conflict(format!("item {item} is open with {booked} units")));
            }
            (Restocked::Before, Some(limit)) => {
                let stands = self.user_limit(item).await?;
                if stands != limit {
                    return Err(Refusal::Conflict(format!("item {item} is open with a limit of {}", stands.get())));
                }
            }
            _ => {}
        }
        // It is open, whatever becomes of its counter.
        self.make_ready(item, "opening").await.map(|()| opened).map_err(Refusal::in_doubt)
    }

    /// The limit of an item for each user.
    ///
    /// # Errors
    /// No such item, or MySQL gave no answer.
    pub async fn user_limit(&self, item: Item) -> Result<UserLimit, Refusal> {
        self.ledger.user_limit(item).await?.ok_or(Refusal::UnknownSku { item })
    }

    /// Sets the limit of an item for each user. A first limit counts the orders that stand; who is above it keeps them.
    ///
    /// # Errors
    /// No such item, or MySQL gave no answer (a repeat is safe).
    pub async fn set_user_limit(&self, item: Item, limit: UserLimit) -> Result<(), Refusal> {
        let found = self.ledger.set_user_limit(item, limit).await?;
        if found { Ok(()) } else { Err(Refusal::UnknownSku { item }) }
    }

    /// How much of an item is left.
    ///
    /// # Errors
    /// No such item, or MySQL gave no answer.
    pub async fn stock_level(&self, item: Item) -> Result<StockLevel, Refusal> {
        let balance = self.ledger.balance(item).await?.ok_or(Refusal::UnknownSku { item })?;
        let state = balance.epoch;
        let by_ledger = StockLevel { available: balance.available(), epoch: state.epoch, mode: state.mode, from_redis: false };
        if matches!(state.mode, Mode::Db | Mode::Closed) {
            return Ok(by_ledger);
        }
        match self.stock.probe(item, Duration::ZERO, Some(0), &[]).await {
            Ok(probe) if probe.unready.is_none() && probe.epoch == state.epoch => {
                Ok(StockLevel { available: probe.stock, from_redis: true, ..by_ledger })
            }
            _ => Ok(by_ledger),
        }
    }

    /// Adds committed increases to Redis, each once, and only in the epoch that it was committed in; any later base contains it. What became of
    /// each, in their order.
    pub async fn deliver(&self, events: &[DeltaEvent]) -> Vec<Delivery> {
        // Behind the claim: an increase was committed before its item was read, so a mode or an epoch that contains it does so for good.
        let Ok(states) = self.ledger.epochs(events.iter().map(|event| event.item).collect()).await else {
            return vec![Delivery::Later; events.len()];
        };
        let deliveries: Vec<_> = events.iter().map(|event| self.deliver_one(event, states.get(&event.item).copied())).collect();
        stream::iter(deliveries).buffered(AT_ONCE).collect().await
    }

    async fn deliver_one(&self, event: &DeltaEvent, state: Option<EpochState>) -> Delivery {
        let Some(state) = state else { return Delivery::Done };
        if state.epoch > event.epoch || matches!(state.mode, Mode::Db | Mode::Closed) {
            self.metrics.count("apply_delta", "contained");
            return Delivery::Done;
        }
        // An increase of the time before the first epoch is inside the base of the first one, twenty failures mean that something
        // stands in the way which a rebuild removes, and a marker must outlive its increase: each becomes obsolete by a rebuild.
        if event.epoch == Epoch::default() {
            let _next_round_looks_again = self.ensure_ready(event.item, "delta_before_first_epoch").await;
            return Delivery::Later;
        }
        let too_old = u128::from(event.age_ms) >= self.stock.marker_ttl().as_millis() / 2;
        if too_old || event.attempts >= ATTEMPTS_MAX {
            let _next_round_looks_again = self.rebuild_beyond(event.item, event.epoch).await;
            return Delivery::Later;
        }
        let started = clock::now();
        let reply = self.stock.apply_delta(event.item, event.epoch, &event.event_id, event.quantity).await;
        self.metrics.time("apply_delta", started);
        self.metrics.count("apply_delta", super::resolve::applied_word(&reply));
        self.read_delivery(event, reply).await
    }

    /// Rebuilds an item unless it has left `judged` already: its increases that could not be delivered are contained then.
    async fn rebuild_beyond(&self, item: Item, judged: Epoch) -> Result<(), Refusal> {
        let flow = self.clone();
        let rebuild = || async move {
            let state = flow.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
            if state.epoch > judged {
                return Ok(());
            }
            flow.rebuild(item, None, "delta_failed").await.map(|_| ())
        };
        self.rebuilding.join(item, rebuild).await
    }

    async fn read_delivery(&self, event: &DeltaEvent, reply: Result<Applied, StockError>) -> Delivery {
        match reply {
            Ok(Applied::Done(_) | Applied::Duplicate | Applied::Stale(_)) => {
                self.sold_out.forget(event.item);
                Delivery::Done
            }
            // A rebuild contains every increase committed before it, so it makes the event obsolete as well.
            Ok(Applied::NotReady(_)) if event.age_ms >= NOT_READY_PATIENCE_MS => {
                let _next_round_looks_again = self.ensure_ready(event.item, "delta_not_ready").await;
                Delivery::Later
            }
            Ok(Applied::NotReady(_)) | Err(_) => Delivery::Later,
        }
    }
}

/// Increases under way to Redis at once.
const AT_ONCE: usize = 32;

/// Deliveries of one increase before its item is rebuilt.
const ATTEMPTS_MAX: u32 = 20;

/// A counter that is not ready may be one whose install is on its way; after this it is rebuilt.
const NOT_READY_PATIENCE_MS: u64 = 200;
