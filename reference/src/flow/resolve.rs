//! RESOLVE, rule T: units go back to Redis only after a *write* in MySQL proved that their token can never get a ledger row.
//!
//! Never because an attempt failed, never because time passed, never because a read found nothing: an order with this id may
//! be in flight in another process, and the tombstone's INSERT waits for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Flow;
use crate::clock;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, Member, OrderId, Token};
use crate::ledger::{LedgerError, StoredOrder};
use crate::stock::{Applied, Lock, StockError};

/// A reservation that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) item: Item,
    pub(super) member: Member,
}

/// Calls of `rollback` whose reply was lost are repeated this often; it is gated, so a repeat is safe. Then the resolver takes over.
const ROLLBACK_TRIES: u32 = 3;

impl Flow {
    /// Settles what `order` holds and tells what stands. Without a row for it the id is spent (FENCED).
    ///
    /// # Errors
    /// MySQL gave no answer: nothing was decided, and the resolver will.
    pub(super) async fn resolve(&self, order: &OrderId, held: &[Held]) -> Result<StoredOrder, LedgerError> {
        let stored = self.row_or_tombstone(order).await?;
        self.release(&stored, held).await;
        Ok(stored)
    }

    /// [`Flow::resolve`] of an order that hardly has a row: the tombstone is tried first, which alone decides then.
    ///
    /// # Errors
    /// As [`Flow::resolve`].
    pub(super) async fn resolve_unwritten(&self, order: &OrderId, held: &[Held]) -> Result<StoredOrder, LedgerError> {
        let stored = self.tombstone_or_row(order).await?;
        self.release(&stored, held).await;
        Ok(stored)
    }

    /// Lets go of what `stored`, the committed row of the order, decides about: units that the ledger owns, and units that nobody can own.
    pub(super) async fn release(&self, stored: &StoredOrder, held: &[Held]) {
        for Held { item, member } in held {
            if owns(stored, *item, member.token) {
                self.confirm_quietly(*item, member.token.epoch, std::slice::from_ref(member)).await;
                continue;
            }
            #[cfg(feature = "defects")]
            if planted(Defect::RollbackOfWrongSku) {
                let (first, lock) = (held[0].item, std::slice::from_ref(member));
                let _left_to_the_resolver = self.stock.rollback_into(first, *item, member.token.epoch, lock).await;
                continue;
            }
            self.roll_back(*item, member.token.epoch, std::slice::from_ref(member)).await;
        }
    }

    /// Gives back what is held, whatever became of the order.
    #[cfg(feature = "defects")]
    pub(super) async fn roll_back_blindly(&self, held: &[Held]) {
        for Held { item, member } in held {
            self.roll_back(*item, member.token.epoch, std::slice::from_ref(member)).await;
        }
    }

    /// The row of `order`; writes the tombstone if there is none.
    async fn row_or_tombstone(&self, order: &OrderId) -> Result<StoredOrder, LedgerError> {
        match self.ledger.order(order).await? {
            Some(stored) => Ok(stored),
            None => self.tombstone_or_row(order).await,
        }
    }

    /// Writes the tombstone of `order`, or reads the row that stands in its place.
    async fn tombstone_or_row(&self, order: &OrderId) -> Result<StoredOrder, LedgerError> {
        let fenced = self.ledger.fence(order).await?;
        self.metrics.count("resolve", if fenced { "tombstone" } else { "order_was_in_flight" });
        if fenced {
            return Ok(StoredOrder::tombstone(order.clone()));
        }
        let stored = self.ledger.contested_order(order).await?;
        stored.ok_or_else(|| LedgerError::Failed {
            act: "read the order that stands in the place of a tombstone",
            why: "the row is gone".to_owned(),
        })
    }

    /// Settles locks of one item that are older than the grace period. Returns how many.
    ///
    /// # Errors
    /// MySQL gave no answer for some; they stay for the next round.
    pub async fn settle(&self, item: Item, epoch: Epoch, locks: &[Lock]) -> Result<u64, LedgerError> {
        if locks.is_empty() {
            return Ok(0);
        }
        let members: Vec<&Member> = locks.iter().map(|lock| &lock.member).collect();
        let stored = self.rows_or_tombstones(&members).await?;
        #[cfg(feature = "defects")]
        let members: Vec<&Member> = if planted(Defect::LateReservationForgotten) {
            members.into_iter().filter(|member| stored.contains_key(&member.order)).collect()
        } else {
            members
        };
        let (owned, void): (Vec<&Member>, Vec<&Member>) =
            members.into_iter().partition(|member| stored.get(&member.order).is_some_and(|order| owns(order, item, member.token)));
        let own = |members: Vec<&Member>| members.into_iter().cloned().collect::<Vec<_>>();
        let (owned, void) = (own(owned), own(void));
        #[cfg(feature = "defects")]
        let owned = if planted(Defect::ResolverSkipsLiveOrders) { Vec::new() } else { owned };
        if !owned.is_empty() {
            self.confirm_quietly(item, epoch, &owned).await;
        }
        if !void.is_empty() {
            self.roll_back(item, epoch, &void).await;
        }
        Ok(locks.len() as u64)
    }

    async fn rows_or_tombstones(&self, members: &[&Member]) -> Result<HashMap<OrderId, StoredOrder>, LedgerError> {
        let ids: Vec<OrderId> = members.iter().map(|member| member.order.clone()).collect();
        let found = self.ledger.orders(&ids).await?;
        let mut stored: HashMap<OrderId, StoredOrder> = found.into_iter().map(|order| (order.order.clone(), order)).collect();
        #[cfg(feature = "defects")]
        if planted(Defect::ResolveByRead) || planted(Defect::LateReservationForgotten) {
            return Ok(stored);
        }
        for id in ids {
            if let Entry::Vacant(absent) = stored.entry(id) {
                let row = self.tombstone_or_row(absent.key()).await?;
                absent.insert(row);
            }
        }
        Ok(stored)
    }

    /// Gives units back. The caller has proved that the members' tokens can never get a ledger row.
    async fn roll_back(&self, item: Item, epoch: Epoch, members: &[Member]) {
        for _ in 0..ROLLBACK_TRIES {
            let started = clock::now();
            let reply = self.stock.rollback(item, epoch, members).await;
            self.metrics.time("rollback", started);
            self.metrics.count("rollback", applied_word(&reply));
            match reply {
                Err(StockError::Unknown { .. }) => {}
                Ok(Applied::Done(units)) if units > 0 => return self.sold_out.forget(item),
                _ => return,
            }
        }
    }

    /// Removes locks whose units the ledger owns. A lost confirm is repeated by the resolver.
    pub async fn confirm_quietly(&self, item: Item, epoch: Epoch, members: &[Member]) {
        let started = clock::now();
        let reply = self.stock.confirm(item, epoch, members).await;
        self.metrics.time("confirm", started);
        self.metrics.count("confirm", applied_word(&reply));
    }
}

/// Whether the ledger owns the units of this token: the SALE row of the item carries it.
pub(super) fn owns(stored: &StoredOrder, item: Item, token: Token) -> bool {
    #[cfg(feature = "defects")]
    if planted(Defect::RollbackByStatus) {
        return stored.status.is_live();
    }
    #[cfg(feature = "defects")]
    if planted(Defect::RetryTakesAgain) {
        return stored.sales.iter().any(|sale| sale.item == item);
    }
    stored.sales.iter().any(|sale| sale.item == item && sale.token == Some(token))
}

/// The word under which a reply is counted.
pub(crate) fn applied_word(reply: &Result<Applied, StockError>) -> &'static str {
    match reply {
        Ok(Applied::Done(0)) => "nothing",
        Ok(Applied::Done(_)) => "done",
        Ok(Applied::Duplicate) => "duplicate",
        Ok(Applied::Stale(_)) => "stale",
        Ok(Applied::NotReady(_)) => "not_ready",
        Err(StockError::Unknown { .. }) => "unknown",
        Err(_) => "not_executed",
    }
}
