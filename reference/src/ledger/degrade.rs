//! The change of an item to mode DB while Redis is away, which is to end by itself, and which items are in it (`docs/protocol.md` 5.10).

use std::time::Duration;

use super::connection::Connection;
use super::failure::Failure;
use super::rebuild::{flush, lock_epoch, read_base, tell_closed};
use super::unit::Unit;
use super::{Degraded, Ledger, LedgerError, Mode, Rebuilt, rows, sql};
use crate::domain::{Epoch, Item};

impl Ledger {
    /// A rebuild into mode DB that remembers the mode to come back to. [`Rebuilt::Superseded`] if the epoch is not `seen`, or if Redis has
    /// no part in the item.
    ///
    /// # Errors
    /// `Failed`: certainly not done.
    pub async fn degrade(&self, item: Item, seen: Epoch) -> Result<Rebuilt, LedgerError> {
        match self.request(Degrade { item, seen }).await {
            Err(LedgerError::Unknown { why, .. }) => {
                tracing::warn!(why, "nobody can say whether an item was handed over to mysql");
                Ok(Rebuilt::Unknown)
            }
            other => other,
        }
    }

    /// The mode that a degraded item comes back to by itself; `None` if it stays in the mode that it is in.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn returns_to(&self, item: Item) -> Result<Option<Mode>, LedgerError> {
        self.request(ReadReturn { item }).await
    }

    /// At most `limit` items that were handed over at least `ago`, the oldest first.
    ///
    /// # Errors
    /// `Failed`: they could not be read.
    pub async fn degraded(&self, ago: Duration, limit: u32) -> Result<Vec<Degraded>, LedgerError> {
        self.work(ReadDegraded { ago, limit }).await
    }
}

struct Degrade {
    item: Item,
    seen: Epoch,
}

impl Unit for Degrade {
    const ACT: &'static str = "hand an item over to mysql";
    const REPEATABLE: bool = false;
    type Output = Rebuilt;

    async fn run(&self, connection: &mut Connection) -> Result<Rebuilt, Failure> {
        let Some(current) = lock_epoch(connection, self.item).await? else {
            connection.rollback().await?;
            return Ok(Rebuilt::UnknownItem);
        };
        if current.epoch != self.seen || matches!(current.mode, Mode::Db | Mode::Closed) {
            connection.rollback().await?;
            return Ok(Rebuilt::Superseded { current });
        }
        let base = read_base(connection, self.item).await?;
        if base < 0 {
            tell_closed(self.item, base);
        } else {
            flush(connection, self.item).await?;
        }
        let (epoch, before) = (Epoch(current.epoch.0 + 1), current.mode.name());
        let (mode, returns_to) = if base < 0 { (Mode::Closed, "NULL".to_owned()) } else { (Mode::Db, format!("'{before}'")) };
        connection
            .query(format!(
                "UPDATE inventory_epoch SET epoch = {epoch}, mode = '{}', returns_to = {returns_to}, base = {base}, incarnation = '', \
                 reason = 'degrade' WHERE {}",
                mode.name(),
                sql::item_is(self.item)
            ))
            .await?;
        connection.commit().await?;
        Ok(Rebuilt::Committed { epoch, base, mode })
    }
}

struct ReadReturn {
    item: Item,
}

impl Unit for ReadReturn {
    const ACT: &'static str = "read the way back of an item";
    const REPEATABLE: bool = true;
    type Output = Option<Mode>;

    async fn run(&self, connection: &mut Connection) -> Result<Option<Mode>, Failure> {
        let is = sql::item_is(self.item);
        let read = format!("SELECT returns_to FROM inventory_epoch WHERE {is} AND shard = 0 AND returns_to IS NOT NULL");
        connection.query(read).await?.rows(0).first().map(|row| rows::parsed(row, "returns_to")).transpose()
    }
}

struct ReadDegraded {
    ago: Duration,
    limit: u32,
}

impl Unit for ReadDegraded {
    const ACT: &'static str = "read degraded items";
    const REPEATABLE: bool = true;
    type Output = Vec<Degraded>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<Degraded>, Failure> {
        let reply = connection
            .query(format!(
                "SELECT store_id, product_id, sku_id, epoch, returns_to FROM inventory_epoch \
                 WHERE returns_to IS NOT NULL AND mode = 'DB' AND shard = 0 AND updated_at <= NOW(3) - {} \
                 ORDER BY updated_at LIMIT {}",
                sql::interval(self.ago),
                self.limit
            ))
            .await?;
        let degraded =
            |row| Ok(Degraded { item: rows::item(row)?, epoch: rows::epoch(row)?, returns_to: rows::parsed(row, "returns_to")? });
        reply.rows(0).iter().map(degraded).collect()
    }
}
