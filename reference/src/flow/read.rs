//! READ: an order as the ledger holds it. Redis has no part in it.

use super::{Flow, Refusal};
use crate::domain::OrderId;
use crate::ledger::StoredOrder;

impl Flow {
    /// The order as MySQL holds it.
    ///
    /// # Errors
    /// No such order, or MySQL gave no answer.
    pub async fn order(&self, order: &OrderId) -> Result<StoredOrder, Refusal> {
        self.ledger.order_for_reader(order).await?.ok_or(Refusal::UnknownOrder)
    }
}
