//! The transaction of a rebuild: a new epoch, and the exact number it opens with (`docs/protocol.md` 5.9 step 2).

use super::connection::{Connection, Reply};
use super::failure::Failure;
use super::unit::Unit;
use super::{EpochState, Ledger, LedgerError, Mode, RebuildRequest, Rebuilt, rows, sql};
use crate::domain::{Epoch, Item};

impl Ledger {
    /// Opens a new epoch behind an exclusive lock, which waits for the orders, cancels and restocks of the item under way.
    ///
    /// [`Rebuilt::Unknown`]: install nothing and start again with a fresh look.
    ///
    /// # Errors
    /// `Failed`: certainly not done.
    pub async fn rebuild(&self, request: RebuildRequest) -> Result<Rebuilt, LedgerError> {
        match self.request(Rebuild(request)).await {
            Err(LedgerError::Unknown { why, .. }) => {
                tracing::warn!(why, "nobody can say whether a rebuild was committed");
                Ok(Rebuilt::Unknown)
            }
            other => other,
        }
    }
}

struct Rebuild(RebuildRequest);

impl Unit for Rebuild {
    const ACT: &'static str = "rebuild an item";
    // An epoch is installed at most once: whoever cannot say whether it was committed takes another one.
    const REPEATABLE: bool = false;
    type Output = Rebuilt;

    async fn run(&self, connection: &mut Connection) -> Result<Rebuilt, Failure> {
        let request = &self.0;
        let Some(current) = lock_epoch(connection, request.item).await? else {
            connection.rollback().await?;
            return Ok(Rebuilt::UnknownItem);
        };
        if current.epoch != request.seen {
            connection.rollback().await?;
            return Ok(Rebuilt::Superseded { current });
        }
        let epoch = Epoch(current.epoch.max(request.in_redis).0 + 1);
        let wanted = request.mode.unwrap_or(current.mode);
        if matches!(wanted, Mode::Db | Mode::Strict) {
            flush(connection, request.item).await?;
        }
        let base = read_base(connection, request.item).await?;
        let mode = if base < 0 { Mode::Closed } else { wanted };
        if base < 0 {
            tracing::error!(item = %request.item, base, "the ledger holds more open sales than stock: the item is closed");
        }
        connection.query(self.open_epoch(epoch, mode, base)).await?;
        connection.commit().await?;
        Ok(Rebuilt::Committed { epoch, base, mode })
    }
}

impl Rebuild {
    fn open_epoch(&self, epoch: Epoch, mode: Mode, base: i64) -> String {
        let (item, mode) = (sql::item_is(self.0.item), mode.name());
        let (incarnation, reason) = (sql::text(&self.0.incarnation, 96), sql::text(self.0.reason, 64));
        format!(
            "UPDATE inventory_epoch SET epoch = {epoch}, mode = '{mode}', base = {base}, incarnation = {incarnation}, \
             reason = {reason} WHERE {item}"
        )
    }
}

/// The barrier: all shards, in their order.
async fn lock_epoch(connection: &mut Connection, item: Item) -> Result<Option<EpochState>, Failure> {
    let item = sql::item_is(item);
    let lock = format!("SELECT epoch, mode FROM inventory_epoch WHERE {item} ORDER BY shard FOR UPDATE");
    connection.begin(&lock).await?.rows(0).first().map(rows::epoch_state).transpose()
}

/// Moves the balance for every sale whose deduct is still to come, so that the balance alone can guard from now on.
async fn flush(connection: &mut Connection, item: Item) -> Result<(), Failure> {
    let item = sql::item_is(item);
    let open = connection
        .query(format!(
            "SELECT id, quantity FROM inventory_transactions WHERE {item} AND transaction_type = 'LOCK' ORDER BY id FOR UPDATE"
        ))
        .await?;
    let (ids, units) = open_sales(&open)?;
    if ids.is_empty() {
        return Ok(());
    }
    let ids = sql::list(ids);
    connection.query(format!("UPDATE inventory_transactions SET transaction_type = 'OUT' WHERE id IN ({ids})")).await?;
    let update = format!("UPDATE inventory SET current_stock = current_stock - {units}, version = version + 1 WHERE {item}");
    connection.query(update).await.map(drop)
}

fn open_sales(open: &Reply) -> Result<(Vec<i64>, i64), Failure> {
    let mut units = 0_i64;
    let mut ids = Vec::with_capacity(open.rows(0).len());
    for row in open.rows(0) {
        ids.push(rows::int(row, "id")?);
        units += i64::from(rows::quantity(row)?.get());
    }
    Ok((ids, units))
}

/// One statement is one snapshot, taken after the lock: nothing of an older epoch can commit any more.
pub(super) async fn read_base(connection: &mut Connection, item: Item) -> Result<i64, Failure> {
    let item = sql::item_is(item);
    let reply = connection
        .query(format!(
            "SELECT CAST(i.current_stock - i.locked_stock - COALESCE((SELECT SUM(t.quantity) FROM inventory_transactions t \
             WHERE {item} AND t.transaction_type = 'LOCK'), 0) AS SIGNED) AS base FROM inventory i WHERE {item}"
        ))
        .await?;
    let row = reply.rows(0).first().ok_or_else(|| Failure::Broken { why: "the item has an epoch and no balance".into() })?;
    rows::int(row, "base")
}
