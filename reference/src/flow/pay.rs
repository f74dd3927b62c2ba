//! PAY: one compare-and-set on the order. The same one decides against cancel and expiry, so exactly one of them wins.

use super::{Flow, Refusal};
use crate::domain::{OrderId, OrderStatus};
use crate::ledger::Paid;

impl Flow {
    /// Pays an order. Paying a paid order changes nothing and succeeds.
    ///
    /// # Errors
    /// The order is no longer payable or does not exist; [`Refusal::Unknown`] if MySQL's answer was lost (a repeat is safe).
    pub async fn pay(&self, order: &OrderId) -> Result<(), Refusal> {
        let result = match self.ledger.pay(order).await? {
            Paid::Now | Paid::Not(OrderStatus::Paid) => Ok(()),
            Paid::NoOrder => Err(Refusal::UnknownOrder),
            Paid::Not(OrderStatus::Fenced) => Err(Refusal::Fenced),
            Paid::Not(status) => Err(Refusal::Cancelled { status: status.name() }),
        };
        self.metrics.count("pay", result.as_ref().map_or_else(Refusal::code, |()| "paid"));
        result
    }
}
