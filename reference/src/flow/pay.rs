//! PAY: one compare-and-set on the order. The same one decides against cancel and expiry, so exactly one of them wins.

use super::{Flow, Refusal};
use crate::domain::{OrderId, OrderStatus};
use crate::ledger::{Changed, StoredOrder};

impl Flow {
    /// Pays an order. Paying a paid order changes nothing and succeeds.
    ///
    /// # Errors
    /// The order is no longer payable or does not exist; [`Refusal::Unknown`] if MySQL's answer was lost (a repeat is safe).
    pub async fn pay(&self, order: &OrderId) -> Result<StoredOrder, Refusal> {
        let result = match self.ledger.pay(order).await? {
            Changed::Now(stored) => Ok(stored),
            Changed::NoOrder => Err(Refusal::UnknownOrder),
            Changed::Not(stored) => match stored.status {
                OrderStatus::Paid => Ok(stored),
                OrderStatus::Created => Err(Refusal::Conflict("the order changed meanwhile: try again".to_owned())),
                OrderStatus::Fenced => Err(Refusal::Fenced),
                status => Err(Refusal::Cancelled { status: status.name() }),
            },
        };
        self.metrics.count("pay", result.as_ref().map_or_else(Refusal::code, |_| "paid"));
        result
    }
}
