//! Cancel, expire and refund: one compare-and-set on the order, and its units go back (`docs/protocol.md` 5.5).

use sqlx::mysql::MySqlRow;

use super::connection::Connection;
use super::failure::Failure;
use super::orders::Reading;
use super::unit::Unit;
use super::{Changed, Ledger, LedgerError, StoredOrder, Undo, orders, rows, sql};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, OrderId, OrderStatus, Quantity, SaleState};

/// Longest reason, in characters: the column holds no more.
const REASON_MAX: usize = 32;

impl Ledger {
    /// Ends an order and gives its units back, in MySQL at once and to Redis through the outbox.
    ///
    /// `reason` is cut to 32 characters. After a lost reply the unit is repeated by itself and may then answer
    /// [`Changed::Not`] for an order that it had changed itself.
    ///
    /// # Errors
    /// `Failed`: certainly not changed. `Unknown`: call again.
    pub async fn undo(&self, order: &OrderId, undo: Undo, reason: &str) -> Result<Changed, LedgerError> {
        self.request(UndoOrder { order: order.clone(), undo, reason: reason.to_owned() }).await
    }
}

impl Undo {
    const fn from(self) -> OrderStatus {
        match self {
            Self::Cancel | Self::Expire => OrderStatus::Created,
            Self::Refund => OrderStatus::Paid,
        }
    }

    const fn to(self) -> OrderStatus {
        match self {
            Self::Cancel => OrderStatus::Cancelled,
            Self::Expire => OrderStatus::Expired,
            Self::Refund => OrderStatus::Refunded,
        }
    }
}

struct UndoOrder {
    order: OrderId,
    undo: Undo,
    reason: String,
}

impl Unit for UndoOrder {
    const ACT: &'static str = "undo an order";
    const REPEATABLE: bool = true;
    type Output = Changed;

    async fn run(&self, connection: &mut Connection) -> Result<Changed, Failure> {
        let before = match self.read(connection).await? {
            Some(order) if self.may_end(&order) => order,
            Some(order) => return Ok(Changed::Not(order)),
            None => return Ok(Changed::NoOrder),
        };
        let Some(Locked { epochs, sales }) = self.lock(connection, &before).await? else {
            connection.rollback().await?;
            let now = orders::read_one(connection, &self.order, Reading::Locking).await?;
            return Ok(now.map_or(Changed::NoOrder, Changed::Not));
        };
        self.give_back(connection, &sales, &epochs).await?;
        connection.commit().await?;
        Ok(Changed::Now(self.after(before, &sales)))
    }
}

/// What the transaction has locked.
struct Locked {
    /// Epochs that the increases are stamped with.
    epochs: Vec<(Item, Epoch)>,
    sales: Vec<LockedSale>,
}

impl UndoOrder {
    /// A commit may be told of, by a duplicate key or by a locking read, a moment before a plain read shows it: only a locking one says that the
    /// order cannot be ended, or that there is none.
    async fn read(&self, connection: &mut Connection) -> Result<Option<StoredOrder>, Failure> {
        match orders::read_one(connection, &self.order, Reading::Plain).await? {
            Some(order) if self.may_end(&order) => Ok(Some(order)),
            _ => orders::read_one(connection, &self.order, Reading::Locking).await,
        }
    }

    /// A tombstone has no sales and cannot be ended.
    fn may_end(&self, order: &StoredOrder) -> bool {
        order.status == self.undo.from() && !order.sales.is_empty()
    }

    /// Begins; in one packet and in the order of all transactions: share-locks the fences of the items, ends the order, takes it off the quota,
    /// and locks its sales. `None` if the order was not to be ended; then all of it must be taken back.
    async fn lock(&self, connection: &mut Connection, before: &StoredOrder) -> Result<Option<Locked>, Failure> {
        let items = before.sales.len();
        #[cfg(feature = "defects")]
        let read_before = match planted(Defect::DeltaEpochOutsideTransaction) {
            true => {
                let looks = before.sales.iter().map(|sale| sql::share_epoch(sale.item).replace(" LOCK IN SHARE MODE", ""));
                Some(connection.query(looks.collect::<Vec<_>>().join("; ")).await?)
            }
            false => None,
        };
        let fences = before.sales.iter().map(|sale| sql::share_epoch(sale.item));
        let steps = fences.chain([self.compare_and_set()]).chain(release_quota(before)).chain([select_sales(&self.order)]);
        let reply = connection.begin(&steps.collect::<Vec<_>>().join("; ")).await?;
        if reply.affected(items) == 0 {
            return Ok(None);
        }
        let seen = &reply;
        #[cfg(feature = "defects")]
        let seen = read_before.as_ref().unwrap_or(seen);
        let fences = (0..items).flat_map(|at| seen.rows(at));
        let epochs = fences.map(|row| Ok((rows::item(row)?, rows::epoch(row)?))).collect::<Result<_, Failure>>()?;
        let sales = reply.rows(reply.len() - 1).iter().map(LockedSale::read).collect::<Result<_, Failure>>()?;
        Ok(Some(Locked { epochs, sales }))
    }

    fn compare_and_set(&self) -> String {
        let (id, reason) = (sql::id(&self.order), sql::text(&self.reason, REASON_MAX));
        let (from, to) = (self.undo.from().name(), self.undo.to().name());
        let due = if self.undo == Undo::Expire { " AND expire_at <= NOW(3)" } else { "" };
        format!("UPDATE orders SET status = '{to}', reason = {reason} WHERE order_id = {id} AND status = '{from}'{due}")
    }

    /// Sales, balances and messages, in one packet.
    async fn give_back(&self, connection: &mut Connection, sales: &[LockedSale], epochs: &[(Item, Epoch)]) -> Result<(), Failure> {
        let (mut open, mut returns, mut balances, mut events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let id = sql::id(&self.order);
        for sale in sales {
            let known = epochs.iter().find(|(item, _)| *item == sale.item);
            let (_, epoch) = known.ok_or_else(|| Failure::Broken { why: format!("{} has no epoch row", sale.item) })?;
            let (values, quantity) = (sql::item_values(sale.item), sale.quantity);
            events.push(format!("({},'APPLY_DELTA',{id},{values},{quantity},{epoch})", sql::derived_id("C", &self.order)));
            let state = sale.state;
            #[cfg(feature = "defects")]
            let state = if planted(Defect::CancelIgnoresLedgerState) { SaleState::Lock } else { state };
            match state {
                SaleState::Lock => open.push(sale.id),
                SaleState::Out => {
                    returns.push(format!("({id},{values},'RETURN','IN',{quantity},{epoch})"));
                    balances.push((sale.item, quantity));
                }
                SaleState::Unlock => return Err(Failure::Broken { why: format!("{} of a live order is UNLOCK", sale.item) }),
            }
        }
        balances.sort_unstable_by_key(|(item, _)| *item);
        let ledger: Vec<String> = unlock(&open).into_iter().chain(insert_returns(&returns)).collect();
        let first_balance = ledger.len();
        let steps = ledger.into_iter().chain(balances.iter().map(add_to_balance)).chain([insert_events(&events)]);
        let reply = connection.query(steps.collect::<Vec<_>>().join("; ")).await?;
        let missing = (0..balances.len()).find(|at| reply.affected(first_balance + at) != 1);
        #[cfg(feature = "defects")]
        self.leave_out_events(connection, sales).await?;
        missing.map_or(Ok(()), |at| Err(Failure::Broken { why: format!("{} has no balance", balances[at].0) }))
    }

    /// Redis gets these increases in another way.
    #[cfg(feature = "defects")]
    async fn leave_out_events(&self, connection: &mut Connection, sales: &[LockedSale]) -> Result<(), Failure> {
        let blindly = self.undo == Undo::Expire && planted(Defect::ExpiryIncrementsBlindly);
        let rolled_back = |sale: &&LockedSale| sale.state == SaleState::Lock && planted(Defect::UnlockConfirmedAndRolledBack);
        for sale in sales.iter().filter(|sale| blindly || rolled_back(sale)) {
            let (event, item) = (sql::derived_id("C", &self.order), sql::item_is(sale.item));
            let done = format!("UPDATE outbox SET status = 'DONE' WHERE event_id = {event} AND {item}");
            connection.query(done).await?;
        }
        Ok(())
    }

    fn after(&self, mut order: StoredOrder, sales: &[LockedSale]) -> StoredOrder {
        order.status = self.undo.to();
        order.reason = self.reason.chars().take(REASON_MAX).collect();
        for sale in &mut order.sales {
            let locked = sales.iter().find(|locked| locked.item == sale.item);
            if let Some(locked) = locked {
                sale.state = if locked.state == SaleState::Lock { SaleState::Unlock } else { locked.state };
            }
        }
        order
    }
}

/// Orders from a time without a limit have no quota row, and one that is too small is left to the audit.
fn release_quota(order: &StoredOrder) -> impl Iterator<Item = String> {
    let user = order.user.get();
    order.sales.iter().map(move |sale| {
        let (item, units) = (sql::item_is(sale.item), sale.quantity);
        format!("UPDATE user_quota SET quantity = quantity - {units} WHERE {item} AND user_id = {user} AND quantity >= {units}")
    })
}

struct LockedSale {
    id: i64,
    item: Item,
    quantity: Quantity,
    state: SaleState,
}

impl LockedSale {
    fn read(row: &MySqlRow) -> Result<Self, Failure> {
        let (item, quantity) = (rows::item(row)?, rows::quantity(row)?);
        Ok(Self { id: rows::int(row, "id")?, item, quantity, state: rows::parsed(row, "transaction_type")? })
    }
}

fn select_sales(order: &OrderId) -> String {
    format!(
        "SELECT id, store_id, product_id, sku_id, quantity, transaction_type FROM inventory_transactions FORCE INDEX (ledger_item) \
         WHERE order_id = {} AND kind = 'SALE' ORDER BY id FOR UPDATE",
        sql::id(order)
    )
}

fn unlock(open: &[i64]) -> Option<String> {
    let ids = sql::list(open);
    (!open.is_empty()).then(|| format!("UPDATE inventory_transactions SET transaction_type = 'UNLOCK' WHERE id IN ({ids})"))
}

fn insert_returns(returns: &[String]) -> Option<String> {
    let rows = returns.join(",");
    (!returns.is_empty()).then(|| {
        format!(
            "INSERT INTO inventory_transactions \
             (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) VALUES {rows}"
        )
    })
}

fn add_to_balance((item, units): &(Item, Quantity)) -> String {
    let item = sql::item_is(*item);
    format!("UPDATE inventory SET current_stock = current_stock + {units}, version = version + 1 WHERE {item}")
}

fn insert_events(events: &[String]) -> String {
    let rows = events.join(",");
    format!("INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch) VALUES {rows}")
}
