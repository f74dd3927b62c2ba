//! Cancel, expire and refund: one compare-and-set on the order, and its units go back (`docs/protocol.md` 5.5).

use super::connection::{Connection, Reply};
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
        let Some(before) = self.read(connection).await? else {
            return Ok(Changed::NoOrder);
        };
        // No order comes back to a status, and none without sales can be undone: no lock is needed to say no.
        if before.status != self.undo.from() || before.sales.is_empty() {
            return Ok(Changed::Not(before));
        }
        let epochs = share_epochs(connection, &before).await?;
        if connection.query(self.compare_and_set()).await?.affected(0) == 0 {
            connection.rollback().await?;
            let now = orders::read_one(connection, &self.order, Reading::Locking).await?;
            return Ok(now.map_or(Changed::NoOrder, Changed::Not));
        }
        connection.query(release_quota(&before)).await?;
        let sales = lock_sales(connection, &self.order).await?;
        self.give_back(connection, &sales, &epochs).await?;
        connection.commit().await?;
        Ok(Changed::Now(self.after(before, &sales)))
    }
}

impl UndoOrder {
    /// A duplicate key may have told of the order a moment before a plain read sees it, so that only a locking one says that there is none.
    async fn read(&self, connection: &mut Connection) -> Result<Option<StoredOrder>, Failure> {
        match orders::read_one(connection, &self.order, Reading::Plain).await? {
            None => orders::read_one(connection, &self.order, Reading::Locking).await,
            stored => Ok(stored),
        }
    }

    fn compare_and_set(&self) -> String {
        let (id, reason) = (sql::id(&self.order), sql::text(&self.reason, REASON_MAX));
        let (from, to) = (self.undo.from().name(), self.undo.to().name());
        let due = if self.undo == Undo::Expire { " AND expire_at <= NOW(3)" } else { "" };
        format!("UPDATE orders SET status = '{to}', reason = {reason} WHERE order_id = {id} AND status = '{from}'{due}")
    }

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
        unlock(connection, &open).await?;
        add_returns(connection, &returns, balances).await?;
        let events = events.join(",");
        let insert = format!(
            "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch) VALUES {events}"
        );
        connection.query(insert).await?;
        #[cfg(feature = "defects")]
        self.leave_out_events(connection, sales).await?;
        Ok(())
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

/// Begins, and share-locks the fences of the order's items: the increase is stamped with the epochs read here.
async fn share_epochs(connection: &mut Connection, order: &StoredOrder) -> Result<Vec<(Item, Epoch)>, Failure> {
    let locks: Vec<String> = order.sales.iter().map(|sale| sql::share_epoch(sale.item)).collect();
    let locks = locks.join("; ");
    #[cfg(feature = "defects")]
    if planted(Defect::DeltaEpochOutsideTransaction) {
        let reply = connection.query(locks.replace(" LOCK IN SHARE MODE", "")).await?;
        connection.begin("SELECT 1").await?;
        return epochs(&reply);
    }
    epochs(&connection.begin(&locks).await?)
}

fn epochs(reply: &Reply) -> Result<Vec<(Item, Epoch)>, Failure> {
    let locked = (0..reply.len()).flat_map(|at| reply.rows(at));
    locked.map(|row| Ok((rows::item(row)?, rows::epoch(row)?))).collect()
}

/// Orders from a time without a limit have no quota row, and one that is too small is left to the audit.
fn release_quota(order: &StoredOrder) -> String {
    let user = order.user.get();
    let updates = order.sales.iter().map(|sale| {
        let (item, units) = (sql::item_is(sale.item), sale.quantity);
        format!("UPDATE user_quota SET quantity = quantity - {units} WHERE {item} AND user_id = {user} AND quantity >= {units}")
    });
    updates.collect::<Vec<_>>().join("; ")
}

struct LockedSale {
    id: i64,
    item: Item,
    quantity: Quantity,
    state: SaleState,
}

async fn lock_sales(connection: &mut Connection, order: &OrderId) -> Result<Vec<LockedSale>, Failure> {
    let reply = connection
        .query(format!(
            "SELECT id, store_id, product_id, sku_id, quantity, transaction_type FROM inventory_transactions \
             WHERE order_id = {} AND kind = 'SALE' ORDER BY id FOR UPDATE",
            sql::id(order)
        ))
        .await?;
    let locked = |row| {
        let (item, quantity) = (rows::item(row)?, rows::quantity(row)?);
        Ok(LockedSale { id: rows::int(row, "id")?, item, quantity, state: rows::parsed(row, "transaction_type")? })
    };
    reply.rows(0).iter().map(locked).collect()
}

async fn unlock(connection: &mut Connection, open: &[i64]) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    let ids = sql::list(open);
    connection.query(format!("UPDATE inventory_transactions SET transaction_type = 'UNLOCK' WHERE id IN ({ids})")).await.map(drop)
}

async fn add_returns(connection: &mut Connection, returns: &[String], mut balances: Vec<(Item, Quantity)>) -> Result<(), Failure> {
    if returns.is_empty() {
        return Ok(());
    }
    let returns = returns.join(",");
    let insert = format!(
        "INSERT INTO inventory_transactions \
         (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) VALUES {returns}"
    );
    connection.query(insert).await?;
    balances.sort_unstable_by_key(|(item, _)| *item);
    let add = |(item, units): &(Item, Quantity)| {
        let item = sql::item_is(*item);
        format!("UPDATE inventory SET current_stock = current_stock + {units}, version = version + 1 WHERE {item}")
    };
    let updates: Vec<String> = balances.iter().map(add).collect();
    let reply = connection.query(updates.join("; ")).await?;
    let missing = (0..balances.len()).find(|at| reply.affected(*at) != 1);
    missing.map_or(Ok(()), |at| Err(Failure::Broken { why: format!("{} has no balance", balances[at].0) }))
}
