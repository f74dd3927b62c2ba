//! Opening balances and restocks: increases that no order made (`docs/protocol.md` 5.7).

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{Ledger, LedgerError, Restocked, StockChanged, rows, sql, stock_change};
use crate::domain::{Epoch, Item, OrderId, StockChange, UserLimit};

impl Ledger {
    /// Makes an item with an opening balance and no limit for its users. See [`Ledger::open_limited_item`].
    ///
    /// # Errors
    /// `Failed`: certainly not done. `Unknown`: call again.
    pub async fn open_item(&self, item: Item, opening: u64) -> Result<Restocked, LedgerError> {
        self.open_limited_item(item, opening, UserLimit::NONE).await
    }

    /// Makes an item with an opening balance and a limit. Epoch 0: nothing is admitted before the first rebuild.
    ///
    /// The same opening again is [`Restocked::Before`], another one [`Restocked::Conflict`]; both leave the limit as it is.
    ///
    /// # Errors
    /// `Failed`: certainly not done. `Unknown`: call again.
    pub async fn open_limited_item(&self, item: Item, opening: u64, limit: UserLimit) -> Result<Restocked, LedgerError> {
        let invalid = |why: &dyn std::fmt::Display| LedgerError::Failed { act: OpenItem::ACT, why: why.to_string() };
        let id: OrderId = StockChange::OPENING_ID.parse().map_err(|error| invalid(&error))?;
        let units = i64::try_from(opening).map_err(|error| invalid(&error))?;
        self.request(OpenItem { id, item, units, limit }).await
    }

    /// Books a restock, once for each id.
    ///
    /// # Errors
    /// `Failed`: certainly not done. `Unknown`: call again.
    pub async fn restock(&self, change: StockChange) -> Result<StockChanged, LedgerError> {
        self.request(Restock(change)).await
    }
}

struct OpenItem {
    /// Names the ledger row of the opening.
    id: OrderId,
    item: Item,
    units: i64,
    limit: UserLimit,
}

impl Unit for OpenItem {
    const ACT: &'static str = "open an item";
    const REPEATABLE: bool = true;
    type Output = Restocked;

    async fn run(&self, connection: &mut Connection) -> Result<Restocked, Failure> {
        let (values, limit) = (sql::item_values(self.item), self.limit.get());
        let epoch =
            format!("INSERT INTO inventory_epoch (store_id, product_id, sku_id, shard, user_limit) VALUES ({values}, 0, {limit})");
        match connection.begin(&epoch).await {
            Err(failure) if failure.is_duplicate() => {
                connection.rollback().await?;
                return self.compare(connection).await;
            }
            other => other?,
        };
        connection.query(format!("INSERT INTO inventory (store_id, product_id, sku_id) VALUES ({values})")).await?;
        if self.units > 0 {
            let id = sql::derived_id("rst", &self.id);
            stock_change::add_units(connection, &id, self.item, self.units, Epoch(0)).await?;
        }
        connection.commit().await?;
        Ok(Restocked::Now)
    }
}

impl OpenItem {
    /// What the opening that stands says.
    async fn compare(&self, connection: &mut Connection) -> Result<Restocked, Failure> {
        let (id, item) = (sql::derived_id("rst", &self.id), sql::item_is(self.item));
        // MariaDB tells of a duplicate a moment before a plain read sees what was committed with it.
        let read = format!(
            "SELECT quantity FROM inventory_transactions WHERE order_id = {id} AND {item} AND kind = 'RESTOCK' LOCK IN SHARE MODE"
        );
        let reply = connection.query(read).await?;
        // An item that was opened with nothing has no booking.
        let booked = reply.rows(0).first().map_or(Ok(0), |row| rows::int(row, "quantity"))?;
        Ok(if booked == self.units { Restocked::Before } else { Restocked::Conflict { booked } })
    }
}

struct Restock(StockChange);

impl Unit for Restock {
    const ACT: &'static str = "restock an item";
    const REPEATABLE: bool = true;
    type Output = StockChanged;

    async fn run(&self, connection: &mut Connection) -> Result<StockChanged, Failure> {
        let reply = connection.begin(&sql::share_epoch(self.0.item())).await?;
        let Some(row) = reply.rows(0).first() else {
            connection.rollback().await?;
            return Ok(StockChanged::UnknownItem);
        };
        let epoch = rows::epoch(row)?;
        if let Some(stop) = stock_change::book(connection, &self.0, epoch).await? {
            connection.rollback().await?;
            return Ok(stop.into());
        }
        connection.commit().await?;
        Ok(StockChanged::Now)
    }
}
