//! Reads and writes of the ledger that only a mistake asks for.

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{EpochState, Ledger, LedgerError, rows, sql};
use crate::domain::Item;

impl Ledger {
    /// The epoch of an item and what it began with; `None` before the first.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn opened_with(&self, item: Item) -> Result<Option<(EpochState, i64)>, LedgerError> {
        self.request(OpenedWith { item }).await
    }

    /// Sets a balance to the sum of its ledger.
    ///
    /// # Errors
    /// `Failed` or `Unknown`.
    pub async fn repair_from_sum(&self, item: Item) -> Result<(), LedgerError> {
        self.work(RepairFromSum { item }).await
    }
}

struct OpenedWith {
    item: Item,
}

impl Unit for OpenedWith {
    const ACT: &'static str = "read what an epoch began with";
    const REPEATABLE: bool = true;
    type Output = Option<(EpochState, i64)>;

    async fn run(&self, connection: &mut Connection) -> Result<Self::Output, Failure> {
        let read =
            format!("SELECT epoch, mode, base FROM inventory_epoch WHERE {} AND shard = 0 AND epoch > 0", sql::item_is(self.item));
        let opened = |row| Ok((rows::epoch_state(row)?, rows::int(row, "base")?));
        connection.query(read).await?.rows(0).first().map(opened).transpose()
    }
}

struct RepairFromSum {
    item: Item,
}

impl Unit for RepairFromSum {
    const ACT: &'static str = "repair a balance";
    const REPEATABLE: bool = true;
    type Output = ();

    async fn run(&self, connection: &mut Connection) -> Result<(), Failure> {
        let item = sql::item_is(self.item);
        let read = format!(
            "SELECT CAST(COALESCE(SUM(IF(transaction_type = 'IN', quantity, -quantity)), 0) AS SIGNED) AS booked \
             FROM inventory_transactions WHERE {item}"
        );
        let reply = connection.query(read).await?;
        let Some(row) = reply.rows(0).first() else { return Ok(()) };
        let booked = rows::int(row, "booked")?;
        let repair = format!("UPDATE inventory SET current_stock = {booked} WHERE {item} AND current_stock <> {booked}");
        connection.autocommit(repair).await.map(drop)
    }
}
