//! The rows of orders written straight into MySQL, with no service: what the rows alone cost.
//!
//! In: rows of a transaction, connections, orders. Out: orders per second. The server is started as that of every run is, with every commit synced, and
//! the service's own migrations make its tables. A transaction is what an order batch is: rows of orders, ledger and outbox, one packet from
//! BEGIN to COMMIT. All packets are written down before the time begins.

use std::fmt::Write as _;

use futures_util::future::try_join_all;
use harness::clock::{Offset, RunClock};
use harness::stack::stores::{Stores, StoresSpec};
use reference::ledger::{Ledger, LedgerSettings};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

const DATABASE: &str = "holdfast";

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Orders of one transaction.
    pub(super) batch: u64,
    /// Connections, one transaction at a time each.
    pub(super) connections: u64,
    /// Orders in all.
    pub(super) orders: u64,
}

/// Writes them, and counts the rows afterwards.
///
/// # Errors
/// The server or a statement failed, or rows are missing.
pub(super) async fn orders_per_s(load: Load) -> Result<f64, String> {
    let stores = Stores::start(StoresSpec::default()).await.map_err(|error| error.to_string())?;
    let rate = on_stores(&stores.mysql_url(DATABASE), load).await;
    stores.stop().await.map_err(|error| error.to_string())?;
    rate
}

async fn on_stores(url: &str, load: Load) -> Result<f64, String> {
    let ledger = Ledger::open(LedgerSettings { url: url.to_owned(), ..LedgerSettings::default() }).await;
    ledger.map_err(|error| error.to_string())?.close().await;
    let connect = (0..load.connections).map(|_| MySqlConnection::connect(url));
    let connections = try_join_all(connect).await.map_err(|error| error.to_string())?;
    let mut shares = vec![Vec::new(); connections.len()];
    for (place, first) in (0..load.orders).step_by(usize::try_from(load.batch).unwrap_or(1).max(1)).enumerate() {
        shares[place % connections.len()].push(packet(first, load.batch.min(load.orders - first)));
    }
    let clock = RunClock::start();
    let written = connections.into_iter().zip(shares).map(|(connection, packets)| write(connection, packets));
    let mut connections = try_join_all(written).await.map_err(|error| error.to_string())?;
    let seconds = clock.now().since(Offset::ZERO).as_secs_f64();
    let counted = connections.first_mut().ok_or("no connection")?;
    for table in ["orders", "inventory_transactions", "outbox"] {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
            .fetch_one(&mut *counted)
            .await
            .map_err(|error| error.to_string())?;
        if count.unsigned_abs() != load.orders {
            return Err(format!("{table} holds {count} rows, {} were written", load.orders));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(load.orders as f64 / seconds)
}

async fn write(mut connection: MySqlConnection, packets: Vec<String>) -> Result<MySqlConnection, sqlx::Error> {
    for packet in packets {
        sqlx::raw_sql(AssertSqlSafe(packet)).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// One transaction: the statements and values of an order batch, as long as those of the service.
fn packet(first: u64, count: u64) -> String {
    let (mut orders, mut sales, mut events) = (String::new(), String::new(), String::new());
    for number in first..first + count {
        let comma = if number == first { "" } else { "," };
        let (user, version) = (number % 1_000_000 + 1, number + 1);
        // Writing to a String cannot fail.
        let _ =
            write!(orders, "{comma}('raw-{number}',{user},'CREATED',x'{number:064x}',NOW(3) + INTERVAL 1800000000 MICROSECOND)");
        let _ = write!(sales, "{comma}('raw-{number}',1,1,1,'SALE','LOCK',1,1,'1:{version}')");
        let _ = write!(events, "{comma}('raw-{number}','DEDUCT_STOCK_DB','raw-{number}',1,1,1,1,1,'1:{version}')");
    }
    format!(
        "BEGIN; INSERT INTO orders (order_id, user_id, status, request_hash, expire_at) VALUES {orders}; \
         INSERT INTO inventory_transactions \
         (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) VALUES {sales}; \
         INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, token) VALUES {events}; COMMIT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_one_transaction_with_three_rows_an_order() {
        let packet = packet(7, 2);
        assert!(packet.starts_with("BEGIN; ") && packet.ends_with("; COMMIT"), "{packet}");
        assert_eq!((packet.matches("('raw-7',").count(), packet.matches("('raw-8',").count()), (3, 3));
        assert_eq!(packet.matches("; ").count(), 4, "four statements behind BEGIN");
    }
}
