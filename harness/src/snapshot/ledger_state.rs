//! Reads every table of the ledger at one moment.
//!
//! In: a direct connection. Out: the rows as plain data, in the order of their keys. Rows are streamed; nothing is held twice.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Executor, Row};

use super::reader::{StoreReader, within};
use super::{AuditFinding, EpochRow, InventoryRow, LedgerRow, OrderRow, OutboxRow, QuotaRow, SnapshotError};
use crate::scenario::ItemId;
use crate::target::ledger::{self, Query};

/// Longest wait for all tables; 200,000 orders with their rows take a few seconds.
const READ_DEADLINE: Duration = Duration::from_secs(120);

/// All tables, of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// Balances, by item.
    pub inventory: Vec<InventoryRow>,
    /// Epochs, by item and shard.
    pub epochs: Vec<EpochRow>,
    /// Orders, by id.
    pub orders: Vec<OrderRow>,
    /// Ledger, by id.
    pub ledger: Vec<LedgerRow>,
    /// Outbox, by id.
    pub outbox: Vec<OutboxRow>,
    /// Quotas, by item and user.
    pub quotas: Vec<QuotaRow>,
    /// What audits found, by age; `None` if the service does not keep that.
    pub audit_findings: Option<Vec<AuditFinding>>,
}

impl LedgerState {
    /// Reads all tables in one transaction with a consistent snapshot. Cancel safe: the connection is its own and closes with the read.
    ///
    /// # Errors
    /// MySQL refuses, does not answer within 120 s, or holds a number that the protocol excludes.
    pub async fn read(stores: &StoreReader) -> Result<Self, SnapshotError> {
        // An own connection, closed with its transaction: a kept one could hand a stale snapshot to the next read.
        let mut mysql = stores.open_mysql().await?;
        within("read the ledger", READ_DEADLINE, read_all(&mut mysql)).await
    }
}

async fn read_all(mysql: &mut MySqlConnection) -> Result<LedgerState, SnapshotError> {
    for statement in ledger::OPEN_SNAPSHOT {
        mysql.execute(sqlx::raw_sql(statement.sql)).await.map_err(SnapshotError::mysql(statement))?;
    }
    Ok(LedgerState {
        inventory: read_rows(mysql, ledger::INVENTORY, inventory_row).await?,
        epochs: read_rows(mysql, ledger::EPOCHS, epoch_row).await?,
        orders: read_rows(mysql, ledger::ORDERS, order_row).await?,
        ledger: read_rows(mysql, ledger::LEDGER, ledger_row).await?,
        outbox: read_rows(mysql, ledger::OUTBOX, outbox_row).await?,
        quotas: read_rows(mysql, ledger::QUOTAS, quota_row).await?,
        audit_findings: read_findings(mysql).await?,
    })
}

/// A service need not have that table.
async fn read_findings(mysql: &mut MySqlConnection) -> Result<Option<Vec<AuditFinding>>, SnapshotError> {
    let kept: Vec<()> = read_rows(mysql, ledger::AUDIT_FINDINGS_KEPT, |_| Ok(())).await?;
    if kept.is_empty() {
        return Ok(None);
    }
    read_rows(mysql, ledger::AUDIT_FINDINGS, audit_finding).await.map(Some)
}

/// Streams the rows of `query` through `read`.
pub(super) async fn read_rows<T>(
    mysql: &mut MySqlConnection,
    query: Query,
    read: fn(&Columns<'_>) -> Result<T, SnapshotError>,
) -> Result<Vec<T>, SnapshotError> {
    let mut stream = sqlx::query(query.sql).fetch(mysql);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(SnapshotError::mysql(query))? {
        rows.push(read(&Columns { row: &row, query })?);
    }
    Ok(rows)
}

/// The columns of one row, by name.
pub(super) struct Columns<'row> {
    row: &'row MySqlRow,
    query: Query,
}

impl Columns<'_> {
    /// A column as it is.
    pub(super) fn get<'r, T>(&'r self, column: &'static str) -> Result<T, SnapshotError>
    where
        T: sqlx::Decode<'r, sqlx::MySql> + sqlx::Type<sqlx::MySql>,
    {
        self.row.try_get(column).map_err(SnapshotError::mysql(self.query))
    }

    /// A signed column that the protocol keeps at 0 or above.
    pub(super) fn unsigned(&self, column: &'static str) -> Result<u64, SnapshotError> {
        let value: i64 = self.get(column)?;
        u64::try_from(value).map_err(|_| SnapshotError::Negative { of: self.query.of, column, value })
    }

    /// The item of the row.
    pub(super) fn item(&self) -> Result<ItemId, SnapshotError> {
        Ok(ItemId { store: self.unsigned("store_id")?, product: self.unsigned("product_id")?, sku: self.unsigned("sku_id")? })
    }
}

fn inventory_row(row: &Columns<'_>) -> Result<InventoryRow, SnapshotError> {
    Ok(InventoryRow {
        item: row.item()?,
        current_stock: row.get("current_stock")?,
        locked_stock: row.get("locked_stock")?,
        version: row.get("version")?,
    })
}

fn epoch_row(row: &Columns<'_>) -> Result<EpochRow, SnapshotError> {
    Ok(EpochRow {
        item: row.item()?,
        shard: row.get("shard")?,
        epoch: row.unsigned("epoch")?,
        mode: row.get("mode")?,
        base: row.get("base")?,
    })
}

fn order_row(row: &Columns<'_>) -> Result<OrderRow, SnapshotError> {
    Ok(OrderRow {
        order_id: row.get("order_id")?,
        user_id: row.unsigned("user_id")?,
        status: row.get("status")?,
        reason: row.get("reason")?,
        created_at_ms: row.get("created_at_ms")?,
        expire_at_ms: row.get("expire_at_ms")?,
    })
}

fn ledger_row(row: &Columns<'_>) -> Result<LedgerRow, SnapshotError> {
    Ok(LedgerRow {
        id: row.unsigned("id")?,
        order_id: row.get("order_id")?,
        item: row.item()?,
        kind: row.get("kind")?,
        transaction_type: row.get("transaction_type")?,
        quantity: row.get("quantity")?,
        epoch: row.unsigned("epoch")?,
        token: row.get("token")?,
    })
}

fn outbox_row(row: &Columns<'_>) -> Result<OutboxRow, SnapshotError> {
    Ok(OutboxRow {
        id: row.unsigned("id")?,
        event_id: row.get("event_id")?,
        event_type: row.get("event_type")?,
        order_id: row.get("order_id")?,
        item: row.item()?,
        quantity: row.get("quantity")?,
        epoch: row.unsigned("epoch")?,
        status: row.get("status")?,
        attempts: row.get("attempts")?,
        last_error: row.get("last_error")?,
    })
}

fn audit_finding(row: &Columns<'_>) -> Result<AuditFinding, SnapshotError> {
    Ok(AuditFinding {
        item: row.item()?,
        epoch: row.unsigned("epoch")?,
        findings: row.get("findings")?,
        drift: row.get("drift")?,
        details: row.get("details")?,
        created_at_ms: row.get("created_at_ms")?,
    })
}

fn quota_row(row: &Columns<'_>) -> Result<QuotaRow, SnapshotError> {
    Ok(QuotaRow { item: row.item()?, user_id: row.unsigned("user_id")?, quantity: row.get("quantity")? })
}
