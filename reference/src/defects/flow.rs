//! Use cases that only a mistake has.

use std::sync::Arc;
use std::time::Duration;

use super::{Flow, Refusal};
use crate::defects::{Defect, planted};
use crate::domain::{Item, Member, OrderId, SaleState};
use crate::ledger::{Changed, Settled, StoredOrder};

/// Items that are warmed up.
const ITEMS: u32 = 10_000;

impl Flow {
    /// [`Defect::WarmUpOnStart`]: what MySQL says, into Redis.
    pub async fn warm_up(&self) {
        if !planted(Defect::WarmUpOnStart) {
            return;
        }
        for (item, _) in self.ledger.items(None, ITEMS).await.unwrap_or_default() {
            if let Err(refusal) = self.overwrite(item).await {
                tracing::warn!(%item, %refusal, "not warmed up");
            }
        }
    }

    /// The balance, into Redis.
    ///
    /// # Errors
    /// A store gave no answer.
    pub async fn overwrite(&self, item: Item) -> Result<(), Refusal> {
        let balance = self.ledger.balance(item).await?.ok_or(Refusal::UnknownSku { item })?;
        Ok(self.stock.overwrite(item, balance.current - balance.locked).await?)
    }

    /// What Redis has too little or too much, by two readings, into Redis.
    ///
    /// # Errors
    /// A store gave no answer.
    pub async fn add_difference(&self, item: Item) -> Result<(), Refusal> {
        let balance = self.ledger.balance(item).await?.ok_or(Refusal::UnknownSku { item })?;
        let probe = self.stock.probe(item, Duration::ZERO, None, &[]).await?;
        if probe.unready.is_some() {
            return Ok(());
        }
        let orders: Vec<OrderId> = probe.locks.iter().map(|lock| lock.member.order.clone()).collect();
        let stored = self.ledger.orders(&orders).await?;
        let is_stored = |member: &Member| stored.iter().any(|order| order.order == member.order);
        let held = probe.locks.iter().filter(|lock| !is_stored(&lock.member)).map(|lock| i64::from(lock.member.quantity.get()));
        let difference = balance.available() - probe.stock - held.sum::<i64>();
        if difference == 0 { Ok(()) } else { Ok(self.stock.add_blindly(item, difference).await?) }
    }

    /// The units of an order, into Redis.
    pub(super) async fn add_blindly(&self, stored: &StoredOrder) {
        for sale in &stored.sales {
            if let Err(error) = self.stock.add_blindly(sale.item, i64::from(sale.quantity.get())).await {
                tracing::warn!(%error, "the units of an expired order did not get to redis");
            }
        }
    }

    /// [`Defect::UnlockConfirmedAndRolledBack`]: gives back what was given back before its deduct.
    pub(super) async fn roll_back_unlocked(&self, changed: &Changed) {
        let Changed::Now(stored) = changed else { return };
        if !planted(Defect::UnlockConfirmedAndRolledBack) {
            return;
        }
        for sale in stored.sales.iter().filter(|sale| sale.state == SaleState::Unlock) {
            let Some(token) = sale.token else { continue };
            let member = Member { order: stored.order.clone(), token, quantity: sale.quantity };
            if let Err(error) = self.stock.rollback(sale.item, token.epoch, &[member]).await {
                tracing::warn!(%error, "the lock of an order that ended was not rolled back");
            }
        }
    }

    /// [`Defect::RedisCallUnderRowLock`]: a batch of deducts whose locks are confirmed before its COMMIT. Returns how many.
    ///
    /// # Errors
    /// MySQL gave no answer.
    pub async fn deduct_and_confirm(&self, limit: u32) -> Result<usize, Refusal> {
        let flow = self.clone();
        let confirm = move |settled: Vec<Settled>| -> futures_util::future::BoxFuture<'static, ()> {
            let flow = flow.clone();
            Box::pin(async move {
                for Settled { item, order, token, quantity } in settled {
                    flow.confirm_quietly(item, token.epoch, &[Member { order, token, quantity }]).await;
                }
            })
        };
        Ok(self.ledger.deduct_batch_and_then(limit, Arc::new(confirm)).await?.events)
    }
}
