//! CANCEL, EXPIRE and REFUND: the order ends and its units come back, once. MySQL first, in one transaction with the message that
//! brings the increase to Redis. The lock in Redis plays no part: its token has a ledger row, so it is confirmed, never rolled back.

use super::{Flow, Refusal};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{OrderId, OrderStatus};
use crate::ledger::{Changed, StoredOrder, Undo};

impl Flow {
    /// Cancels an unpaid order. An id that no order has is spent, so that a create still under way cannot come into being.
    /// Cancelling what has ended changes nothing and succeeds.
    ///
    /// # Errors
    /// The order is paid; or MySQL gave no answer (a repeat is safe).
    pub async fn cancel(&self, order: &OrderId) -> Result<StoredOrder, Refusal> {
        let result = self.cancel_or_fence(order).await;
        self.metrics.count("cancel", result.as_ref().map_or_else(Refusal::code, |_| "ended"));
        result
    }

    async fn cancel_or_fence(&self, order: &OrderId) -> Result<StoredOrder, Refusal> {
        let mut changed = self.ledger.undo(order, Undo::Cancel, "user").await?;
        if changed == Changed::NoOrder {
            // The tombstone waits for a create in flight; if that one won, there is an order to cancel after all.
            self.ledger.fence(order).await?;
            let again = self.ledger.undo(order, Undo::Cancel, "user").await;
            // The id is spent by then, or an order stands: neither is "no effect".
            changed = again.map_err(|error| Refusal::Unknown(error.to_string()))?;
        }
        #[cfg(feature = "defects")]
        self.roll_back_unlocked(&changed).await;
        match changed {
            Changed::Now(stored) => {
                self.forget_sold_out(&stored);
                Ok(stored)
            }
            Changed::Not(stored) => match stored.status {
                OrderStatus::Paid => Err(Refusal::Conflict("the order is paid".to_owned())),
                OrderStatus::Created => Err(Refusal::Conflict("the order changed meanwhile: try again".to_owned())),
                _ => Ok(stored),
            },
            Changed::NoOrder => Err(Refusal::Unknown("the tombstone is gone".to_owned())),
        }
    }

    /// Ends an order that was not paid in time. `false` if somebody else ended or paid it first.
    ///
    /// # Errors
    /// MySQL gave no answer (a repeat is safe).
    pub async fn expire(&self, order: &OrderId) -> Result<bool, Refusal> {
        let changed = self.ledger.undo(order, Undo::Expire, "unpaid").await?;
        #[cfg(feature = "defects")]
        {
            self.roll_back_unlocked(&changed).await;
            if let (Changed::Now(stored) | Changed::Not(stored), true) = (&changed, planted(Defect::ExpiryIncrementsBlindly)) {
                self.add_blindly(stored).await;
            }
        }
        self.metrics.count("expire", if matches!(changed, Changed::Now(_)) { "expired" } else { "lost_race" });
        Ok(matches!(changed, Changed::Now(_)))
    }

    /// Ends a paid order and gives its units back. Refunding a refunded order changes nothing and succeeds.
    ///
    /// # Errors
    /// The order is not paid or does not exist; [`Refusal::Unknown`] if MySQL's answer was lost (a repeat is safe).
    pub async fn refund(&self, order: &OrderId) -> Result<StoredOrder, Refusal> {
        let result = self.refund_paid(order).await;
        self.metrics.count("refund", result.as_ref().map_or_else(Refusal::code, |_| "refunded"));
        result
    }

    async fn refund_paid(&self, order: &OrderId) -> Result<StoredOrder, Refusal> {
        match self.ledger.undo(order, Undo::Refund, "returned").await? {
            Changed::Now(stored) => {
                self.forget_sold_out(&stored);
                Ok(stored)
            }
            Changed::NoOrder => Err(Refusal::UnknownOrder),
            Changed::Not(stored) => match stored.status {
                OrderStatus::Refunded => Ok(stored),
                OrderStatus::Created => Err(Refusal::Conflict("the order is not paid: cancel it".to_owned())),
                OrderStatus::Paid => Err(Refusal::Conflict("the order changed meanwhile: try again".to_owned())),
                OrderStatus::Fenced => Err(Refusal::Fenced),
                status => Err(Refusal::Cancelled { status: status.name() }),
            },
        }
    }

    fn forget_sold_out(&self, stored: &StoredOrder) {
        for sale in &stored.sales {
            self.sold_out.forget(sale.item);
        }
    }
}
