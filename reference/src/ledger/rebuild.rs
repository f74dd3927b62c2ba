//! The transaction of a rebuild: a new epoch, and the exact number it opens with (`docs/protocol.md` 5.9 step 2).

use super::connection::{Connection, Reply};
use super::failure::Failure;
use super::unit::Unit;
use super::{ChangeStop, EpochState, Ledger, LedgerError, Mode, RebuildRequest, Rebuilt, ReopenStop, rows, sql, stock_change};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, StockChange};

impl Ledger {
    /// Opens a new epoch behind an exclusive lock, which waits for the orders, cancels and restocks of the item under way.
    ///
    /// [`Rebuilt::Unknown`]: install nothing and start again with a fresh look.
    ///
    /// # Errors
    /// `Failed`: certainly not done.
    pub async fn rebuild(&self, request: RebuildRequest) -> Result<Rebuilt, LedgerError> {
        self.rebuild_and(request, Also::Nothing).await
    }

    /// A rebuild that books a cut or a hold behind its barrier, where no unit can be taken meanwhile (`docs/protocol.md` 5.8).
    ///
    /// # Errors
    /// As [`Ledger::rebuild`].
    pub async fn rebuild_changing(&self, request: RebuildRequest, change: StockChange) -> Result<Rebuilt, LedgerError> {
        self.rebuild_and(request, Also::Change(change)).await
    }

    /// A rebuild of a closed item that goes ahead only if its ledger adds up behind the barrier.
    ///
    /// # Errors
    /// As [`Ledger::rebuild`].
    pub async fn reopen(&self, request: RebuildRequest) -> Result<Rebuilt, LedgerError> {
        self.rebuild_and(request, Also::CheckLedger).await
    }

    async fn rebuild_and(&self, request: RebuildRequest, also: Also) -> Result<Rebuilt, LedgerError> {
        match self.request(Rebuild { request, also }).await {
            Err(LedgerError::Unknown { why, .. }) => {
                tracing::warn!(why, "nobody can say whether a rebuild was committed");
                Ok(Rebuilt::Unknown)
            }
            other => other,
        }
    }
}

struct Rebuild {
    request: RebuildRequest,
    also: Also,
}

/// What else happens behind the barrier.
enum Also {
    Nothing,
    Change(StockChange),
    CheckLedger,
}

impl Unit for Rebuild {
    const ACT: &'static str = "rebuild an item";
    // An epoch is installed at most once: whoever cannot say whether it was committed takes another one.
    const REPEATABLE: bool = false;
    type Output = Rebuilt;

    async fn run(&self, connection: &mut Connection) -> Result<Rebuilt, Failure> {
        let request = &self.request;
        #[cfg(feature = "defects")]
        let early = match self.also {
            Also::Nothing if planted(Defect::BaseBeforeBarrier) => Some(read_base(connection, request.item).await?),
            _ => None,
        };
        let Some(current) = lock_epoch(connection, request.item).await? else {
            connection.rollback().await?;
            return Ok(Rebuilt::UnknownItem);
        };
        if current.epoch != request.seen {
            connection.rollback().await?;
            return Ok(Rebuilt::Superseded { current });
        }
        let epoch = request.next_epoch();
        if let Some(stopped) = self.stopped(connection, current, epoch).await? {
            connection.rollback().await?;
            return Ok(stopped);
        }
        let wanted = request.mode.unwrap_or(current.mode);
        let base = read_base(connection, request.item).await?;
        #[cfg(feature = "defects")]
        let base = early.unwrap_or(base);
        let is_short = base < 0;
        #[cfg(feature = "defects")]
        let is_short = is_short && !planted(Defect::DeductWithoutGuard);
        if is_short && matches!(self.also, Also::Change(_)) {
            connection.rollback().await?;
            return Ok(Rebuilt::Stopped(ChangeStop::Short));
        }
        let mode = if base < 0 { Mode::Closed } else { wanted };
        if base < 0 {
            tell_closed(request.item, base);
        }
        if matches!(mode, Mode::Db | Mode::Strict) {
            flush(connection, request.item).await?;
        }
        connection.query(open_epoch(request, epoch, mode, base)).await?;
        let committed = connection.commit().await;
        #[cfg(feature = "defects")]
        let committed = if planted(Defect::InstallAfterUnknownCommit) { Ok(()) } else { committed };
        committed?;
        Ok(Rebuilt::Committed { epoch, base, mode })
    }
}

impl Rebuild {
    /// Does what else is to be done, and tells why the rebuild must not go on.
    async fn stopped(&self, connection: &mut Connection, current: EpochState, epoch: Epoch) -> Result<Option<Rebuilt>, Failure> {
        match &self.also {
            Also::Nothing => Ok(None),
            Also::Change(change) => Ok(stock_change::book(connection, change, epoch).await?.map(Rebuilt::Stopped)),
            Also::CheckLedger if current.mode != Mode::Closed => Ok(Some(Rebuilt::NotReopened(ReopenStop::Open(current)))),
            Also::CheckLedger => Ok(unbalanced(connection, self.request.item).await?.map(Rebuilt::NotReopened)),
        }
    }
}

/// The statement that opens an epoch.
pub(super) fn open_epoch(request: &RebuildRequest, epoch: Epoch, mode: Mode, base: i64) -> String {
    let (item, mode) = (sql::item_is(request.item), mode.name());
    let (incarnation, reason) = (sql::text(&request.incarnation, 96), sql::text(request.reason, 64));
    // A mode that somebody asks for is there to stay; whatever keeps the mode keeps the way back too.
    let stays = if request.mode.is_some() { "returns_to = NULL, " } else { "" };
    format!(
        "UPDATE inventory_epoch SET epoch = {epoch}, mode = '{mode}', {stays}base = {base}, incarnation = {incarnation}, \
         reason = {reason} WHERE {item}"
    )
}

/// Whether the balance is not the sum of the ledger, or more is sold than is there.
async fn unbalanced(connection: &mut Connection, item: Item) -> Result<Option<ReopenStop>, Failure> {
    let available = read_base(connection, item).await?;
    let item = sql::item_is(item);
    // One statement, because deducts go on: they move the balance and the ledger together.
    let read = format!(
        "SELECT i.current_stock, CAST(COALESCE((SELECT SUM(IF(t.transaction_type = 'IN', t.quantity, -t.quantity)) \
         FROM inventory_transactions t FORCE INDEX (ledger_open) WHERE {item} AND t.transaction_type IN ('IN', 'OUT')), 0) AS SIGNED) AS booked \
         FROM inventory i WHERE {item}"
    );
    let reply = connection.query(read).await?;
    let row = reply.rows(0).first().ok_or_else(|| Failure::Broken { why: "the item has an epoch and no balance".into() })?;
    let (current, booked) = (rows::int(row, "current_stock")?, rows::int(row, "booked")?);
    let adds_up = current == booked && available >= 0;
    Ok((!adds_up).then_some(ReopenStop::Unbalanced { current, booked, available }))
}

/// The barrier: all shards, in their order.
pub(super) async fn lock_epoch(connection: &mut Connection, item: Item) -> Result<Option<EpochState>, Failure> {
    connection.begin(&lock_of(item)).await?.rows(0).first().map(rows::epoch_state).transpose()
}

/// The statement of the barrier.
pub(super) fn lock_of(item: Item) -> String {
    format!("SELECT epoch, mode FROM inventory_epoch WHERE {} ORDER BY shard FOR UPDATE", sql::item_is(item))
}

/// A base below zero, which these rules never lead to.
pub(super) fn tell_closed(item: Item, base: i64) {
    tracing::error!(%item, base, "the ledger holds more open sales than stock: the item is closed");
}

/// Moves the balance for every sale whose deduct is still to come, so that the balance alone can guard from now on. The base is the same
/// before and after; below zero the balance must not take it.
pub(super) async fn flush(connection: &mut Connection, item: Item) -> Result<(), Failure> {
    #[cfg(feature = "defects")]
    if planted(Defect::DegradeWithoutFlush) {
        return Ok(());
    }
    let item = sql::item_is(item);
    let open = connection
        .query(format!(
            "SELECT id, quantity FROM inventory_transactions FORCE INDEX (ledger_open) \
             WHERE {item} AND transaction_type = 'LOCK' ORDER BY id FOR UPDATE"
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

/// The base, read behind the lock.
pub(super) async fn read_base(connection: &mut Connection, item: Item) -> Result<i64, Failure> {
    let reply = connection.query(base_of(item)).await?;
    let row = reply.rows(0).first().ok_or_else(|| Failure::Broken { why: "the item has an epoch and no balance".into() })?;
    rows::int(row, "base")
}

/// One statement is one snapshot, taken after the lock: nothing of an older epoch can commit any more.
pub(super) fn base_of(item: Item) -> String {
    let item = sql::item_is(item);
    #[cfg(feature = "defects")]
    if planted(Defect::BaseIgnoresOpenOrders) {
        return format!("SELECT current_stock - locked_stock AS base FROM inventory WHERE {item}");
    }
    format!(
        "SELECT CAST(i.current_stock - i.locked_stock - COALESCE((SELECT SUM(t.quantity) FROM inventory_transactions t \
         FORCE INDEX (ledger_open) WHERE {item} AND t.transaction_type = 'LOCK'), 0) AS SIGNED) AS base FROM inventory i WHERE {item}"
    )
}
