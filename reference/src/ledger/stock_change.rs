//! What a change of stock writes inside the transaction that holds the fence of its item (`docs/protocol.md` 5.7, 5.8).
//!
//! Every change has a row of its own, by the id that its client chose: the row that is there first is the one that counts.

use super::connection::Connection;
use super::failure::Failure;
use super::{rows, sql};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{ChangeKind, Epoch, Item, StockChange};

/// Why a change of stock was not booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeStop {
    /// It had been booked before.
    Before,
    /// Its id belongs to another change.
    Mismatch,
    /// Too few units are free, or held.
    Short,
}

/// What became of a change of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockChanged {
    /// Booked now.
    Now,
    /// The same change had been booked before.
    Before,
    /// Not booked: its id belongs to another change.
    Mismatch,
    /// Not booked: too few units are free, or held.
    Short,
    /// Not booked: no such item.
    UnknownItem,
}

impl From<ChangeStop> for StockChanged {
    fn from(stop: ChangeStop) -> Self {
        match stop {
            ChangeStop::Before => Self::Before,
            ChangeStop::Mismatch => Self::Mismatch,
            ChangeStop::Short => Self::Short,
        }
    }
}

/// Books a change. `Some` says why it was not; then the transaction must be rolled back.
pub(super) async fn book(connection: &mut Connection, change: &StockChange, epoch: Epoch) -> Result<Option<ChangeStop>, Failure> {
    match connection.query(insert_change(change, epoch)).await {
        Err(failure) if failure.is_duplicate() => return Ok(Some(earlier(connection, change).await?)),
        other => other?,
    };
    match change.kind() {
        ChangeKind::Restock => restock(connection, change, epoch).await.map(|()| None),
        ChangeKind::Cut => cut(connection, change, epoch).await,
        ChangeKind::Hold => hold(connection, change).await,
    }
}

fn insert_change(change: &StockChange, epoch: Epoch) -> String {
    let (id, item, reason) =
        (sql::id(change.id()), sql::item_values(change.item()), sql::text(change.reason(), StockChange::REASON_MAX));
    format!(
        "INSERT INTO stock_changes (change_id, store_id, product_id, sku_id, kind, quantity, reason, epoch) \
         VALUES ({id},{item},'{}',{},{reason},{epoch})",
        change.kind().name(),
        change.units()
    )
}

/// The row of this id, which is committed: the insert waited for it. MariaDB lets a plain read miss it for a moment.
async fn earlier(connection: &mut Connection, change: &StockChange) -> Result<ChangeStop, Failure> {
    let read = format!(
        "SELECT store_id, product_id, sku_id, kind, quantity, reason FROM stock_changes WHERE change_id = {} LOCK IN SHARE MODE",
        sql::id(change.id())
    );
    let reply = connection.query(read).await?;
    let row = reply.rows(0).first().ok_or_else(|| Failure::Broken { why: "a change of stock is gone".into() })?;
    let same = rows::item(row)? == change.item()
        && rows::text(row, "kind")? == change.kind().name()
        && rows::int(row, "quantity")? == change.units()
        && rows::text(row, "reason")? == change.reason();
    Ok(if same { ChangeStop::Before } else { ChangeStop::Mismatch })
}

async fn restock(connection: &mut Connection, change: &StockChange, epoch: Epoch) -> Result<(), Failure> {
    let id = sql::derived_id("rst", change.id());
    add_units(connection, &id, change.item(), change.units(), epoch).await
}

/// Ledger row, balance and event of an increase that no order made. `id` is a literal.
pub(super) async fn add_units(connection: &mut Connection, id: &str, item: Item, units: i64, epoch: Epoch) -> Result<(), Failure> {
    let (values, is) = (sql::item_values(item), sql::item_is(item));
    connection.query(insert_row(id, item, "'RESTOCK','IN'", units, epoch)).await?;
    let update = format!("UPDATE inventory SET current_stock = current_stock + {units}, version = version + 1 WHERE {is}");
    if connection.query(update).await?.affected(0) != 1 {
        return Err(Failure::Broken { why: format!("{item} has an epoch and no balance") });
    }
    let event = format!(
        "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch) \
         VALUES ({id},'APPLY_DELTA',{id},{values},{units},{epoch})"
    );
    #[cfg(feature = "defects")]
    let event = if planted(Defect::RestockRedisFirst) && epoch != Epoch(0) {
        // Redis has it.
        format!("{event}; UPDATE outbox SET status = 'DONE' WHERE event_id = {id}")
    } else {
        event
    };
    connection.query(event).await.map(drop)
}

fn insert_row(id: &str, item: Item, kind: &str, units: i64, epoch: Epoch) -> String {
    let item = sql::item_values(item);
    format!(
        "INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) \
         VALUES ({id},{item},{kind},{units},{epoch})"
    )
}

async fn cut(connection: &mut Connection, change: &StockChange, epoch: Epoch) -> Result<Option<ChangeStop>, Failure> {
    let (item, units, id) = (sql::item_is(change.item()), change.units(), sql::derived_id("adj", change.id()));
    connection.query(insert_row(&id, change.item(), "'ADJUST','OUT'", units, epoch)).await?;
    let update = format!(
        "UPDATE inventory SET current_stock = current_stock - {units}, version = version + 1 \
         WHERE {item} AND current_stock - locked_stock >= {units}"
    );
    #[cfg(feature = "defects")]
    let update = if planted(Defect::DeductWithoutGuard) {
        format!("UPDATE inventory SET current_stock = current_stock - {units}, version = version + 1 WHERE {item}")
    } else {
        update
    };
    move_balance(connection, update).await
}

async fn hold(connection: &mut Connection, change: &StockChange) -> Result<Option<ChangeStop>, Failure> {
    let (item, units) = (sql::item_is(change.item()), change.units());
    let update = format!(
        "UPDATE inventory SET locked_stock = locked_stock + ({units}), version = version + 1 \
         WHERE {item} AND locked_stock + ({units}) BETWEEN 0 AND current_stock"
    );
    move_balance(connection, update).await
}

async fn move_balance(connection: &mut Connection, update: String) -> Result<Option<ChangeStop>, Failure> {
    let moved = connection.query(update).await?.affected(0) == 1;
    Ok((!moved).then_some(ChangeStop::Short))
}
