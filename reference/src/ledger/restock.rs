//! Opening balances and restocks: increases that no order made (`docs/protocol.md` 5.7).

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{Ledger, LedgerError, Restocked, rows, sql};
use crate::domain::{Epoch, Item, OrderId};

/// Id of the restock that is the opening balance.
const OPENING: &str = "open";

impl Ledger {
    /// Makes an item with an opening balance. Epoch 0: nothing is admitted before the first rebuild.
    ///
    /// The same opening again is [`Restocked::Before`], another one [`Restocked::Conflict`].
    ///
    /// # Errors
    /// `Failed`: certainly not done. `Unknown`: call again.
    pub async fn open_item(&self, item: Item, opening: u64) -> Result<Restocked, LedgerError> {
        let act = OpenItem::ACT;
        let id = parse_id(act, OPENING)?;
        let units = i64::try_from(opening).map_err(|error| invalid(act, &error))?;
        self.request(OpenItem { restock: Booking { id, item, units } }).await
    }

    /// Adds units to an item, once for each `id` (the alphabet of order ids).
    ///
    /// # Errors
    /// `Failed`: certainly not done, also for an id or number of units out of range. `Unknown`: call again.
    pub async fn restock(&self, id: &str, item: Item, units: u64) -> Result<Restocked, LedgerError> {
        let act = Restock::ACT;
        let id = parse_id(act, id)?;
        let units = i64::try_from(units).map_err(|error| invalid(act, &error))?;
        if units == 0 {
            return Err(invalid(act, &"units: must be at least 1"));
        }
        self.request(Restock(Booking { id, item, units })).await
    }
}

fn parse_id(act: &'static str, id: &str) -> Result<OrderId, LedgerError> {
    id.parse().map_err(|_| invalid(act, &"id: must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"))
}

fn invalid(act: &'static str, why: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Failed { act, why: why.to_string() }
}

/// One increase. Its id is not that of an order, but of the same alphabet.
struct Booking {
    id: OrderId,
    item: Item,
    units: i64,
}

impl Booking {
    /// Ledger row, balance and event, inside the transaction that locked the epoch.
    async fn write(&self, connection: &mut Connection, epoch: Epoch) -> Result<(), Failure> {
        let Self { item, units, .. } = self;
        let (id, values) = (sql::derived_id("rst", &self.id), sql::item_values(*item));
        connection
            .query(format!(
                "INSERT INTO inventory_transactions \
                 (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) \
                 VALUES ({id},{values},'RESTOCK','IN',{units},{epoch})"
            ))
            .await?;
        let update = format!(
            "UPDATE inventory SET current_stock = current_stock + {units}, version = version + 1 WHERE {}",
            sql::item_is(*item)
        );
        if connection.query(update).await?.affected(0) != 1 {
            return Err(Failure::Broken { why: format!("{item} has an epoch and no balance") });
        }
        let event = format!(
            "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch) \
             VALUES ({id},'APPLY_DELTA',{id},{values},{units},{epoch})"
        );
        connection.query(event).await.map(drop)
    }

    /// What an earlier booking of this id says; `None` if there is none.
    async fn earlier(&self, connection: &mut Connection) -> Result<Option<Restocked>, Failure> {
        let (id, item) = (sql::derived_id("rst", &self.id), sql::item_is(self.item));
        let read = format!("SELECT quantity FROM inventory_transactions WHERE order_id = {id} AND {item} AND kind = 'RESTOCK'");
        let reply = connection.query(read).await?;
        let booked = reply.rows(0).first().map(|row| rows::int(row, "quantity")).transpose()?;
        Ok(booked.map(|booked| self.compare(booked)))
    }

    const fn compare(&self, booked: i64) -> Restocked {
        if booked == self.units { Restocked::Before } else { Restocked::Conflict { booked } }
    }
}

struct OpenItem {
    restock: Booking,
}

impl Unit for OpenItem {
    const ACT: &'static str = "open an item";
    const REPEATABLE: bool = true;
    type Output = Restocked;

    async fn run(&self, connection: &mut Connection) -> Result<Restocked, Failure> {
        let values = sql::item_values(self.restock.item);
        let epoch = format!("INSERT INTO inventory_epoch (store_id, product_id, sku_id, shard) VALUES ({values}, 0)");
        match connection.begin(&epoch).await {
            Err(failure) if failure.is_duplicate() => {
                connection.rollback().await?;
                // An item that was opened with nothing has no booking.
                let earlier = self.restock.earlier(connection).await?;
                return Ok(earlier.unwrap_or_else(|| self.restock.compare(0)));
            }
            other => other?,
        };
        connection.query(format!("INSERT INTO inventory (store_id, product_id, sku_id) VALUES ({values})")).await?;
        if self.restock.units > 0 {
            self.restock.write(connection, Epoch(0)).await?;
        }
        connection.commit().await?;
        Ok(Restocked::Now)
    }
}

struct Restock(Booking);

impl Unit for Restock {
    const ACT: &'static str = "restock an item";
    const REPEATABLE: bool = true;
    type Output = Restocked;

    async fn run(&self, connection: &mut Connection) -> Result<Restocked, Failure> {
        let reply = connection.begin(&sql::share_epoch(self.0.item)).await?;
        let Some(row) = reply.rows(0).first() else {
            connection.rollback().await?;
            return Ok(Restocked::UnknownItem);
        };
        let epoch = rows::epoch(row)?;
        match self.0.write(connection, epoch).await {
            Err(failure) if failure.is_duplicate() => {
                connection.rollback().await?;
                let earlier = self.0.earlier(connection).await?;
                return earlier.ok_or(failure);
            }
            other => other?,
        }
        connection.commit().await?;
        Ok(Restocked::Now)
    }
}
