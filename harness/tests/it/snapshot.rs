//! Reads of both stores: what is there comes back as it is, whatever it is, and as one moment or marked as none.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::collections::BTreeMap;

use harness::clock::RunClock;
use harness::snapshot::take::take;
use harness::snapshot::{
    EpochRow, InventoryRow, LedgerRow, LockState, OrderRow, OutboxRow, QuotaRow, RedisItem, Snapshot, SnapshotError, StoreReader,
};
use sqlx::MySql;
use sqlx::migrate::MigrateDatabase;
use tokio_util::sync::CancellationToken;

use crate::snapshot_rig::{Rig, fresh_endpoints, item, rig};

async fn snapshot(rig: &Rig) -> Snapshot {
    take(&rig.reader, &rig.endpoints, &[], &RunClock::start()).await.unwrap()
}

const ROWS: &str = "
    INSERT INTO inventory (store_id, product_id, sku_id, current_stock, locked_stock, version) VALUES (7, 8, 1, 97, 2, 5);
    INSERT INTO inventory_epoch (store_id, product_id, sku_id, shard, epoch, mode, base) VALUES (7, 8, 1, 0, 3, 'STRICT', 95);
    INSERT INTO orders (order_id, user_id, status, request_hash, expire_at, reason, created_at) VALUES
        ('r-1', 42, 'CREATED', REPEAT('h', 32), '2026-01-02 03:04:05.678', '', '2026-01-02 02:34:05.001'),
        ('R-1', 0, 'FENCED', REPEAT(CHAR(0), 32), NULL, 'resolver', '1970-01-01 00:00:01.5');
    INSERT INTO inventory_transactions (id, order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) VALUES
        (1, 'rst.0', 7, 8, 1, 'RESTOCK', 'IN', 97, 0, ''), (4, 'r-1', 7, 8, 1, 'SALE', 'LOCK', 3, 3, '3:9');
    INSERT INTO outbox (id, event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, status, attempts, last_error)
        VALUES (2, 'D.r-1', 'DEDUCT_STOCK_DB', 'r-1', 7, 8, 1, 3, 3, 'DEAD', 10, 'guard – refused');
    INSERT INTO user_quota (store_id, product_id, sku_id, user_id, quantity) VALUES (7, 8, 1, 42, 3);";

#[tokio::test]
async fn every_row_and_every_key_comes_back_as_it_was_written() {
    let rig = rig().await;
    rig.sql(ROWS).await;
    for command in [
        "SET inventory:stock:{7:8:1} 92",
        "HSET inventory:meta:{7:8:1} epoch 3 inc a:b version 9 avail 92",
        "ZADD inventory:lock:{7:8:1} 1767321245001 r-1|3:9|3 1767321245002 not-a-member",
        "SET inventory:deduct:r-1:{7:8:1} 3:9|3 EX 604800",
        "SET inventory:delta:C.r-0:{7:8:1} 3 EX 604800",
    ] {
        rig.command(command).await;
    }
    let taken = snapshot(&rig).await;
    assert!(taken.consistent && taken.attempts == 1 && taken.stray_keys.is_empty(), "{taken:?}");
    assert_eq!(taken.redis, BTreeMap::from([(item(1), redis_item())]));
    assert_eq!(taken.inventory, [InventoryRow { item: item(1), current_stock: 97, locked_stock: 2, version: 5 }]);
    assert_eq!(taken.epochs, [EpochRow { item: item(1), shard: 0, epoch: 3, mode: "STRICT".into(), base: 95 }]);
    assert_eq!(taken.orders, orders());
    assert_eq!(
        taken.ledger,
        [ledger_row(1, "rst.0", ("RESTOCK", "IN"), 97, (0, "")), ledger_row(4, "r-1", ("SALE", "LOCK"), 3, (3, "3:9"))]
    );
    assert_eq!(taken.outbox, [outbox_row()]);
    assert_eq!(taken.quotas, [QuotaRow { item: item(1), user_id: 42, quantity: 3 }]);
}

fn redis_item() -> RedisItem {
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    RedisItem {
        stock: Some("92".into()),
        meta: [("avail", "92"), ("epoch", "3"), ("inc", "a:b"), ("version", "9")].map(pair).into(),
        locks: vec![
            LockState { member: "r-1|3:9|3".into(), since_ms: 1_767_321_245_001 },
            LockState { member: "not-a-member".into(), since_ms: 1_767_321_245_002 },
        ],
        records: [("r-1", "3:9|3")].map(pair).into(),
        markers: [("C.r-0", "3")].map(pair).into(),
    }
}

/// Sorted by byte: ids differ by case.
fn orders() -> [OrderRow; 2] {
    let fenced = OrderRow {
        order_id: "R-1".into(),
        user_id: 0,
        status: "FENCED".into(),
        reason: "resolver".into(),
        created_at_ms: 1_500,
        expire_at_ms: None,
    };
    let created = OrderRow {
        order_id: "r-1".into(),
        user_id: 42,
        status: "CREATED".into(),
        reason: String::new(),
        created_at_ms: 1_767_321_245_001,
        expire_at_ms: Some(1_767_323_045_678),
    };
    [fenced, created]
}

fn ledger_row(id: u64, order_id: &str, kinds: (&str, &str), quantity: i64, admission: (u64, &str)) -> LedgerRow {
    LedgerRow {
        id,
        order_id: order_id.into(),
        item: item(1),
        kind: kinds.0.into(),
        transaction_type: kinds.1.into(),
        quantity,
        epoch: admission.0,
        token: admission.1.into(),
    }
}

fn outbox_row() -> OutboxRow {
    OutboxRow {
        id: 2,
        event_id: "D.r-1".into(),
        event_type: "DEDUCT_STOCK_DB".into(),
        order_id: "r-1".into(),
        item: item(1),
        quantity: 3,
        epoch: 3,
        status: "DEAD".into(),
        attempts: 10,
        last_error: "guard – refused".into(),
    }
}

#[tokio::test]
async fn empty_stores_give_an_empty_snapshot_that_names_its_servers() {
    let rig = rig().await;
    let taken = snapshot(&rig).await;
    let servers = taken.servers.clone();
    assert_eq!(
        taken,
        Snapshot {
            taken_at: taken.taken_at,
            consistent: true,
            attempts: 1,
            audit_findings: Some(Vec::new()),
            servers,
            ..Snapshot::default()
        }
    );
    assert!(taken.servers.redis.contains(' ') && taken.servers.mysql.contains('.'), "{:?}", taken.servers);
    for name in
        ["innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "appendonly", "appendfsync", "save", "maxmemory-policy"]
    {
        assert!(taken.servers.settings.contains_key(name), "{name} is missing in {:?}", taken.servers.settings);
    }
}

#[tokio::test]
async fn keys_of_no_form_of_the_wrong_type_or_of_an_unknown_item_are_strays() {
    let rig = rig().await;
    rig.sql("INSERT INTO inventory (store_id, product_id, sku_id) VALUES (7, 8, 1), (7, 8, 2)").await;
    for command in [
        "SET inventory:stock:7:8:1 5",
        "SET inventory:stock:{07:8:1} 5",
        "SET inventory:lock:r-1:{7:8:1} 5",
        "SET inventory:stock:{7:8:3} 5",
        "SET inventory:meta:{7:8:1} 5",
        "SET inventory:lock:{7:8:2} 5",
        "ZADD inventory:stock:{7:8:2} 1 m",
        "HSET inventory:deduct:r-1:{7:8:1} a b",
        "SET inventory:stock:{7:8:1} ten",
        "SET inventories 5",
    ] {
        rig.command(command).await;
    }
    redis::cmd("SET").arg(b"inventory:\xff").arg(1).query_async::<()>(&mut rig.redis.clone()).await.unwrap();
    let taken = snapshot(&rig).await;
    let expected = [
        "inventory:deduct:r-1:{7:8:1}",
        "inventory:lock:r-1:{7:8:1}",
        "inventory:lock:{7:8:2}",
        "inventory:meta:{7:8:1}",
        "inventory:stock:7:8:1",
        "inventory:stock:{07:8:1}",
        "inventory:stock:{7:8:2}",
        "inventory:stock:{7:8:3}",
        "inventory:\u{fffd}",
    ];
    assert_eq!(taken.stray_keys, expected);
    assert!(taken.consistent);
    let held = |stock: &str| RedisItem { stock: Some(stock.to_owned()), ..RedisItem::default() };
    assert_eq!(taken.redis, BTreeMap::from([(item(1), held("ten")), (item(3), held("5"))]));
}

#[tokio::test]
async fn a_writer_between_the_reads_makes_them_repeat_and_at_last_be_of_no_one_moment() {
    for write in [
        "UPDATE inventory SET version = version + 1",
        "INSERT INTO orders (order_id, status, request_hash) VALUES (UUID(), 'FENCED', '')",
    ] {
        let rig = rig().await;
        rig.sql("INSERT INTO inventory (store_id, product_id, sku_id) VALUES (7, 8, 1)").await;
        // Enough to read that a write always falls between the fingerprints.
        rig.fill_records(20_000).await;
        let (pool, stop) = (rig.mysql.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let writer = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                sqlx::query(write).execute(&pool).await.unwrap();
            }
        });
        let moving = snapshot(&rig).await;
        stop.cancel();
        writer.await.unwrap();
        assert_eq!((moving.consistent, moving.attempts), (false, 5), "{write}");
        let still = snapshot(&rig).await;
        assert_eq!((still.consistent, still.attempts), (true, 1), "{write}");
    }
}

#[tokio::test]
async fn a_fingerprint_differs_after_every_kind_of_step() {
    let rig = rig().await;
    rig.sql(ROWS).await;
    let mut before = rig.reader.fingerprint().await.unwrap();
    assert_eq!(before, rig.reader.fingerprint().await.unwrap());
    for step in [
        "SET inventory:stock:{7:8:1} 92",
        "HSET inventory:meta:{7:8:1} epoch 3",
        "HSET inventory:meta:{7:8:1} version 1",
        "ZADD inventory:lock:{7:8:1} 1 a|3:1|1",
        "ZREM inventory:lock:{7:8:1} a|3:1|1",
    ] {
        rig.command(step).await;
        let after = rig.reader.fingerprint().await.unwrap();
        assert_ne!(before, after, "{step}");
        before = after;
    }
    for step in [
        "UPDATE inventory SET version = version + 1",
        "UPDATE inventory_epoch SET epoch = epoch + 1",
        "UPDATE orders SET status = 'PAID' WHERE order_id = 'r-1'",
        "UPDATE inventory_transactions SET transaction_type = 'OUT' WHERE id = 4",
        "INSERT INTO inventory_transactions VALUES (9, 'rst.9', 7, 8, 1, 'RESTOCK', 'IN', 1, 3, '', '', NOW(3), NOW(3))",
        "UPDATE outbox SET status = 'NEW'",
        "UPDATE outbox SET status = 'DONE'",
    ] {
        rig.sql(step).await;
        let after = rig.reader.fingerprint().await.unwrap();
        assert_ne!(before, after, "{step}");
        before = after;
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let rig = rig().await;
    rig.sql("INSERT INTO inventory (store_id, product_id, sku_id) VALUES (7, 8, 1)").await;
    let database: String = sqlx::query_scalar("SELECT DATABASE()").fetch_one(&rig.mysql).await.unwrap();
    let others = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()";
    let mut mysql = rig.mysql.acquire().await.unwrap();
    let ids: Vec<i64> = sqlx::query_scalar(others).bind(database).fetch_all(&mut *mysql).await.unwrap();
    assert!(!ids.is_empty());
    for id in ids {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {id}"))).execute(&mut *mysql).await.unwrap();
    }
    rig.reader.backlog().await.unwrap();
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut rig.redis.clone()).await.unwrap();
    let own = format!(" db={} ", rig.endpoints.redis_url.rsplit('/').next().unwrap());
    for line in list.lines().filter(|line| line.contains(&own) && !line.contains("cmd=client")) {
        let id = line.split([' ', '=']).nth(1).unwrap();
        rig.command(&format!("CLIENT KILL ID {id}")).await;
    }
    rig.reader.backlog().await.unwrap();
}

#[tokio::test]
async fn missing_tables_and_wrong_addresses_are_named_and_do_not_pass() {
    let mut endpoints = fresh_endpoints().await;
    let unreachable = StoreReader::connect(&endpoints).await.unwrap_err();
    assert!(!unreachable.may_pass(), "the database does not exist: {unreachable}");
    MySql::create_database(&endpoints.mysql_url).await.unwrap();
    let reader = StoreReader::connect(&endpoints).await.unwrap();
    let error = reader.backlog().await.unwrap_err();
    assert!(!error.may_pass() && error.to_string().contains("read outbox rows in NEW from mysql"), "{error}");
    endpoints.redis_url = "redis://127.0.0.1:1/".to_owned();
    let refused = StoreReader::connect(&endpoints).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::Redis { .. }) && refused.may_pass(), "{refused}");
}

#[tokio::test]
async fn two_thousand_items_and_a_hundred_thousand_records_are_read_in_seconds() {
    let rig = rig().await;
    let rows: Vec<String> = (1..=2_000).map(|sku| format!("(7, 8, {sku}, 50)")).collect();
    rig.sql(&format!("INSERT INTO inventory (store_id, product_id, sku_id, current_stock) VALUES {}", rows.join(","))).await;
    rig.fill_records(100_000).await;
    let clock = RunClock::start();
    rig.reader.backlog().await.unwrap();
    let backlog = clock.now();
    let taken = snapshot(&rig).await;
    let all = clock.now().since(backlog);
    println!("backlog {backlog}, snapshot {all:?}");
    assert_eq!(taken.redis.values().map(|held| held.records.len()).sum::<usize>(), 100_000);
    assert!(backlog.as_millis_f64() < 2_000.0 && all.as_secs() < 20, "backlog {backlog}, snapshot {all:?}");
}
