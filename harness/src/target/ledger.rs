//! The ledger tables of the target, as the statements that read them.
//!
//! Only reads, in the common subset of MySQL and MariaDB. Times come as whole milliseconds since 1970 by the database's clock; whoever runs
//! the statements must have the session in UTC (the driver's default), as the service has.

/// The tables that the target owns.
pub const TABLES: [&str; 8] =
    ["inventory", "inventory_epoch", "orders", "inventory_transactions", "outbox", "user_quota", "stock_changes", "audit_findings"];

/// A statement and what it reads, for error texts.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// What it reads: a table, a count.
    pub of: &'static str,
    /// The statement.
    pub sql: &'static str,
}

/// Opens a transaction whose reads all see one moment. Run in this order on one connection, each as its own statement.
pub const OPEN_SNAPSHOT: [Query; 2] = [
    Query { of: "isolation of the next transaction", sql: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ" },
    Query { of: "consistent snapshot", sql: "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY" },
];

/// Balances, by item.
pub const INVENTORY: Query = Query {
    of: "inventory",
    sql: "SELECT store_id, product_id, sku_id, current_stock, locked_stock, version
            FROM inventory ORDER BY store_id, product_id, sku_id",
};

/// Epochs, by item and shard.
pub const EPOCHS: Query = Query {
    of: "inventory_epoch",
    sql: "SELECT store_id, product_id, sku_id, shard, epoch, mode, base
            FROM inventory_epoch ORDER BY store_id, product_id, sku_id, shard",
};

/// Orders, by id.
pub const ORDERS: Query = Query {
    of: "orders",
    sql: "SELECT order_id, user_id, status, reason,
                 CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED) AS created_at_ms,
                 CAST(UNIX_TIMESTAMP(expire_at) * 1000 AS SIGNED) AS expire_at_ms
            FROM orders ORDER BY order_id",
};

/// The ledger, by id.
pub const LEDGER: Query = Query {
    of: "inventory_transactions",
    sql: "SELECT id, order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token
            FROM inventory_transactions ORDER BY id",
};

/// The outbox, by id.
pub const OUTBOX: Query = Query {
    of: "outbox",
    sql: "SELECT id, event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, status, attempts, last_error
            FROM outbox ORDER BY id",
};

/// Quotas, by item and user.
pub const QUOTAS: Query = Query {
    of: "user_quota",
    sql: "SELECT store_id, product_id, sku_id, user_id, quantity
            FROM user_quota ORDER BY store_id, product_id, sku_id, user_id",
};

/// Whether the service keeps what its audits find: one row if it does.
pub const AUDIT_FINDINGS_KEPT: Query = Query {
    of: "tables of the service",
    sql: "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'audit_findings'",
};

/// What audits of the service found, by age.
pub const AUDIT_FINDINGS: Query = Query {
    of: "audit_findings",
    sql: "SELECT store_id, product_id, sku_id, epoch, findings, drift, details,
                 CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED) AS created_at_ms
            FROM audit_findings ORDER BY id",
};

/// Per item what changes whenever anything moves, and its SALE rows in LOCK (no other kind can be in LOCK). The subqueries read
/// one index range an item, so the cost does not grow with the ledger; the indexes are forced because fresh tables have the statistics of
/// empty ones, and the plan for those reads everything for every item. Rows of items without a balance are left to the snapshot.
pub const PROGRESS: Query = Query {
    of: "progress of all items",
    sql: "SELECT i.store_id, i.product_id, i.sku_id, i.current_stock, i.locked_stock, i.version,
                 (SELECT COALESCE(MAX(e.epoch), 0) FROM inventory_epoch e FORCE INDEX (PRIMARY)
                   WHERE e.store_id = i.store_id AND e.product_id = i.product_id AND e.sku_id = i.sku_id) AS epoch,
                 (SELECT COUNT(*) FROM inventory_transactions t FORCE INDEX (ledger_open)
                   WHERE t.store_id = i.store_id AND t.product_id = i.product_id AND t.sku_id = i.sku_id
                     AND t.transaction_type = 'LOCK') AS sales_in_lock
            FROM inventory i ORDER BY i.store_id, i.product_id, i.sku_id",
};

/// Outbox rows that wait.
pub const OUTBOX_NEW: Query = Query { of: "outbox rows in NEW", sql: "SELECT COUNT(*) FROM outbox WHERE status = 'NEW'" };

/// Orders that are neither paid nor ended.
pub const ORDERS_UNPAID: Query = Query { of: "unpaid orders", sql: "SELECT COUNT(*) FROM orders WHERE status = 'CREATED'" };

/// Orders by status; an order only ever moves on, so equal counts mean that none moved.
pub const ORDERS_BY_STATUS: Query =
    Query { of: "orders by status", sql: "SELECT status, COUNT(*) FROM orders GROUP BY status ORDER BY status" };

/// Outbox rows by status. Newest ids would not do: ids commit out of order.
pub const OUTBOX_BY_STATUS: Query =
    Query { of: "outbox rows by status", sql: "SELECT status, COUNT(*) FROM outbox GROUP BY status ORDER BY status" };

/// Newest row of the ledger.
pub const LEDGER_NEWEST: Query = Query { of: "newest ledger row", sql: "SELECT COALESCE(MAX(id), 0) FROM inventory_transactions" };

/// The server's own version string.
pub const VERSION: Query = Query { of: "server version", sql: "SELECT VERSION()" };

/// Settings that decide what an acknowledged commit is worth. Isolation has one name in MySQL and another in MariaDB.
pub const SETTINGS: Query = Query {
    of: "durability settings",
    sql:
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'binlog_format',
            'tx_isolation', 'transaction_isolation', 'innodb_doublewrite', 'innodb_flush_method')",
};

/// What every item has available, and what is still to be added to it in Redis.
pub const GAUGES: Query = Query {
    of: "what is available",
    sql: "SELECT i.store_id, i.product_id, i.sku_id,
                 CAST(i.current_stock - i.locked_stock
                   - COALESCE((SELECT SUM(t.quantity) FROM inventory_transactions t FORCE INDEX (ledger_open)
                     WHERE t.store_id = i.store_id AND t.product_id = i.product_id AND t.sku_id = i.sku_id
                       AND t.transaction_type = 'LOCK'), 0) AS SIGNED) AS available,
                 CAST(COALESCE(d.quantity, 0) AS SIGNED) AS on_their_way,
                 CAST(EXISTS (SELECT 1 FROM inventory_epoch e
                   WHERE e.store_id = i.store_id AND e.product_id = i.product_id AND e.sku_id = i.sku_id
                     AND e.mode IN ('DB', 'CLOSED')) AS SIGNED) AS beside_redis
            FROM inventory i
            LEFT JOIN (SELECT store_id, product_id, sku_id, SUM(quantity) AS quantity FROM outbox
                        WHERE status = 'NEW' AND event_type = 'APPLY_DELTA' GROUP BY store_id, product_id, sku_id) d
              ON d.store_id = i.store_id AND d.product_id = i.product_id AND d.sku_id = i.sku_id",
};

/// Lock every row that an order or a deduct of one item needs; bound to store, product and SKU.
pub const LOCK_ITEM: [&str; 2] = [
    "SELECT epoch FROM inventory_epoch WHERE store_id = ? AND product_id = ? AND sku_id = ? ORDER BY shard FOR UPDATE",
    "SELECT version FROM inventory WHERE store_id = ? AND product_id = ? AND sku_id = ? FOR UPDATE",
];

/// A write that would change nothing; a server that refuses writes refuses it.
pub const WRITE_NOTHING: &str = "UPDATE inventory SET version = version WHERE store_id = 0";

/// Event and order id of a message that a stranger puts into the outbox.
pub const BAD_MESSAGE: &str = "bad.message";

/// A deduct of one unit that belongs to no order; bound to store, product and SKU. Its id holds a dot, which no order's does.
pub const PUT_BAD_MESSAGE: &str = "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, token) \
    VALUES ('bad.message', 'DEDUCT_STOCK_DB', 'bad.message', ?, ?, ?, 1, 1, '1:1')";

/// Such messages that the service has given up.
pub const BAD_MESSAGES_GIVEN_UP: &str = "SELECT COUNT(*) FROM outbox WHERE event_id = 'bad.message' AND status = 'DEAD'";

/// Takes those away.
pub const REMOVE_BAD_MESSAGES: &str = "DELETE FROM outbox WHERE event_id = 'bad.message' AND status = 'DEAD'";
