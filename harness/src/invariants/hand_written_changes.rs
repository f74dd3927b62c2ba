//! Hand-written evidence of what happens to stock and orders beside selling, paying and cancelling.

use super::hand_written::{HandWritten, item, move_stock};
use crate::history::record::{Function, Outcome};
use crate::scenario::ItemId;
use crate::snapshot::{LedgerRow, QuotaRow};

impl HandWritten {
    /// A refund that is acknowledged and whose units are back.
    pub(crate) fn refund(&mut self, order: &str) -> &mut Self {
        self.operation(Function::RefundOrder, order, &[], Outcome::Ok).status = Some("REFUNDED".into());
        self.row(order).status = "REFUNDED".into();
        self.give_back(order)
    }

    /// An order that was not paid in time; nobody asked for that.
    pub(crate) fn expire(&mut self, order: &str) -> &mut Self {
        self.row(order).status = "EXPIRED".into();
        self.give_back(order)
    }

    /// A restock that is acknowledged and whose units are there.
    pub(crate) fn restock(&mut self, sku: u64, qty: u32) -> &mut Self {
        let id = self.change(Function::Restock, sku, qty);
        let (item, quantity, order_id) = (item(sku), i64::from(qty), format!("rst.{id}"));
        self.event("APPLY_DELTA", &order_id, &order_id, (item, quantity));
        self.book_change(item, order_id, ("RESTOCK", "IN", quantity));
        move_stock(&mut self.stores, item, quantity);
        self.inventory(item).current_stock += quantity;
        self
    }

    /// A stock cut that is acknowledged.
    pub(crate) fn cut(&mut self, sku: u64, qty: u32) -> &mut Self {
        let id = self.change(Function::CutStock, sku, qty);
        let (item, quantity) = (item(sku), i64::from(qty));
        self.inventory(item).current_stock -= quantity;
        self.rebuild(item);
        self.book_change(item, format!("adj.{id}"), ("ADJUST", "OUT", quantity));
        self
    }

    /// A hold that is acknowledged.
    pub(crate) fn hold(&mut self, sku: u64, qty: u32) -> &mut Self {
        self.change(Function::HoldStock, sku, qty);
        self.inventory(item(sku)).locked_stock += i64::from(qty);
        self.rebuild(item(sku));
        self
    }

    /// A release that is acknowledged.
    pub(crate) fn release(&mut self, sku: u64, qty: u32) -> &mut Self {
        self.change(Function::ReleaseStock, sku, qty);
        self.inventory(item(sku)).locked_stock -= i64::from(qty);
        self.rebuild(item(sku));
        self
    }

    /// The quotas that the live orders of the run use.
    pub(crate) fn count_quotas(&mut self) -> &mut Self {
        self.stores.quotas.clear();
        for row in self.stores.orders.iter().filter(|row| row.is_live()) {
            for sale in self.stores.ledger.iter().filter(|sale| sale.order_id == row.order_id) {
                self.stores.quotas.push(QuotaRow { item: sale.item, user_id: row.user_id, quantity: sale.quantity });
            }
        }
        self
    }

    fn change(&mut self, function: Function, sku: u64, qty: u32) -> String {
        let id = format!("s-{}", self.evidence.history.operations.len());
        self.operation(function, &id, &[(sku, qty)], Outcome::Ok);
        id
    }

    fn book_change(&mut self, item: ItemId, order_id: String, (kind, transaction_type, quantity): (&str, &str, i64)) {
        let (id, epoch, token) = (self.stores.ledger.len() as u64 + 1, self.epoch(item), String::new());
        let (kind, transaction_type) = (kind.to_owned(), transaction_type.to_owned());
        self.stores.ledger.push(LedgerRow { id, order_id, item, kind, transaction_type, quantity, epoch, token });
    }

    /// A new counter of an item, in the next epoch, with what the ledger has.
    fn rebuild(&mut self, item: ItemId) {
        let (epoch, inventory) = (self.epoch(item) + 1, self.inventory(item).clone());
        let base = inventory.current_stock - inventory.locked_stock;
        let row = self.stores.epochs.iter_mut().find(|row| row.item == item).unwrap();
        (row.epoch, row.base) = (epoch, base);
        let redis = self.stores.redis.get_mut(&item).unwrap();
        redis.stock = Some(base.to_string());
        let meta = [("epoch", epoch.to_string()), ("version", "0".to_owned()), ("avail", base.to_string())];
        redis.meta = meta.map(|(field, value)| (field.to_owned(), value)).into();
    }
}
