//! What the tests of the ledger share: an own database each, items that sell, orders, and SQL of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{ChangeKind, Epoch, Item, Line, OrderId, OrderRequest, Quantity, StockChange, Token, UserId};
use reference::ledger::{
    Admission, Balance, Ledger, LedgerError, LedgerSettings, Mode, NewOrder, RebuildRequest, Rebuilt, Restocked, Written,
};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::support;

/// A ledger on a database of its own.
pub(crate) struct Bench {
    pub(crate) ledger: Ledger,
    pub(crate) url: String,
}

/// URL of a database that does not exist yet.
pub(crate) async fn fresh_url() -> String {
    support::stores().await.mysql_url(&support::fresh_database())
}

pub(crate) fn settings(url: &str) -> LedgerSettings {
    LedgerSettings { url: url.to_owned(), self_test: false, ..LedgerSettings::default() }
}

pub(crate) async fn connect(url: &str) -> MySqlConnection {
    let options: MySqlConnectOptions = url.parse().unwrap();
    options.disable_statement_logging().connect().await.unwrap()
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut LedgerSettings)) -> Self {
        let url = fresh_url().await;
        let mut settings = settings(&url);
        change(&mut settings);
        Self { ledger: Ledger::open(settings).await.unwrap(), url }
    }

    /// A ledger on the database of this URL.
    pub(crate) async fn at(url: String) -> Self {
        Self { ledger: Ledger::open(settings(&url)).await.unwrap(), url }
    }

    /// An item in epoch 1, mode REDIS.
    pub(crate) async fn item(&self, opening: u64) -> Item {
        let item = support::fresh_item();
        assert_eq!(self.ledger.open_item(item, opening).await, Ok(Restocked::Now));
        let base = i64::try_from(opening).unwrap();
        assert_eq!(self.rebuild(item, 0, None).await, Rebuilt::Committed { epoch: Epoch(1), base, mode: Mode::Redis });
        item
    }

    /// An item in epoch 2 and `mode`.
    pub(crate) async fn item_in(&self, mode: Mode, opening: u64) -> Item {
        let item = self.item(opening).await;
        assert!(matches!(self.rebuild(item, 1, Some(mode)).await, Rebuilt::Committed { epoch: Epoch(2), .. }));
        item
    }

    pub(crate) async fn rebuild(&self, item: Item, seen: u64, mode: Option<Mode>) -> Rebuilt {
        self.ledger.rebuild(rebuild_request(item, seen, mode)).await.unwrap()
    }

    pub(crate) async fn write(&self, order: NewOrder) -> Written {
        self.ledger.write(order).await.unwrap()
    }

    pub(crate) async fn balance(&self, item: Item) -> Balance {
        self.ledger.balance(item).await.unwrap().unwrap()
    }

    /// Opening and restocks less what is out: what the balance must be.
    pub(crate) async fn booked(&self, item: Item) -> i64 {
        let Item { store, product, sku } = item;
        self.int(&format!(
            "SELECT CAST(COALESCE(SUM(IF(transaction_type = 'IN', quantity, IF(transaction_type = 'OUT', -quantity, 0))), 0) AS SIGNED) \
             FROM inventory_transactions WHERE store_id = {store} AND product_id = {product} AND sku_id = {sku}"
        ))
        .await
    }

    /// A connection of the test's own, in READ COMMITTED.
    pub(crate) async fn connect(&self) -> MySqlConnection {
        let mut connection = connect(&self.url).await;
        execute(&mut connection, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await;
        connection
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        execute(&mut connection, sql).await;
        connection.close().await.unwrap();
    }

    pub(crate) async fn int(&self, sql: &str) -> i64 {
        self.rows(sql).await[0].get(0)
    }

    /// What a SELECT returns.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<MySqlRow> {
        let mut connection = self.connect().await;
        let mut select = async || sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
        let mut rows = select().await;
        for _ in 0..9 {
            if !rows.as_ref().is_err_and(is_torn_look) {
                break;
            }
            rows = select().await;
        }
        connection.close().await.unwrap();
        rows.unwrap()
    }

    /// Waits until a statement that contains `part` is being executed.
    pub(crate) async fn wait_for_statement(&self, part: &str) {
        let running = format!(
            "SELECT COUNT(*) FROM information_schema.processlist \
             WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE '%{part}%' AND info NOT LIKE '%processlist%'"
        );
        for _ in 0..500 {
            if self.int(&running).await > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no statement with {part:?} was running within 5 s");
    }
}

/// MySQL's list of sessions shows the text of a statement that ends at that moment as bytes that are no text.
fn is_torn_look(error: &sqlx::Error) -> bool {
    let number =
        |error: &dyn sqlx::error::DatabaseError| error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    error.as_database_error().and_then(number) == Some(3854)
}

pub(crate) async fn execute(connection: &mut MySqlConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Begins, and locks the epoch row of the item. Its whole key, because a scan that had to wait for another row keeps that one locked as well.
pub(crate) async fn hold_epoch(connection: &mut MySqlConnection, item: Item, how: &str) {
    let Item { store, product, sku } = item;
    let row = format!("store_id = {store} AND product_id = {product} AND sku_id = {sku} AND shard = 0");
    execute(connection, &format!("BEGIN; SELECT epoch FROM inventory_epoch WHERE {row} {how}")).await;
}

pub(crate) fn rebuild_request(item: Item, seen: u64, mode: Option<Mode>) -> RebuildRequest {
    RebuildRequest { item, seen: Epoch(seen), in_redis: Epoch(0), mode, incarnation: "run:repl".into(), reason: "test" }
}

pub(crate) fn id(text: &str) -> OrderId {
    text.parse().unwrap()
}

pub(crate) const fn token(epoch: u64, version: u64) -> Option<Token> {
    Some(Token { epoch: Epoch(epoch), version })
}

/// An order of user 7 for lines of (item, units, token).
pub(crate) fn order(id: &str, lines: &[(Item, i64, Option<Token>)]) -> NewOrder {
    let line = |(item, units): (Item, i64)| Line { item, quantity: Quantity::new(units).unwrap() };
    let wanted = lines.iter().map(|(item, units, _)| line((*item, *units))).collect();
    let request = OrderRequest::new(id.parse().unwrap(), UserId::new(7).unwrap(), wanted).unwrap();
    let admission = |line: &Line| {
        let token = lines.iter().find(|(item, ..)| *item == line.item).unwrap().2;
        Admission { line: *line, token }
    };
    let admissions = request.lines().iter().map(admission).collect();
    NewOrder { request: Arc::new(request), admissions, ttl: Duration::from_secs(1800), contested: false }
}

/// Version numbers for tokens of orders that a test makes in a loop.
pub(crate) fn numbered(prefix: &str, at: u64, item: Item, units: i64) -> NewOrder {
    order(&format!("{prefix}-{at}"), &[(item, units, token(1, at + 1))])
}

/// Holds the only writer in a lock wait, so that what is queued meanwhile becomes one batch.
pub(crate) async fn write_as_one_batch(bench: &Bench, orders: Vec<NewOrder>) -> Vec<Result<Written, LedgerError>> {
    let gate = bench.item(1).await;
    let mut holder = bench.connect().await;
    hold_epoch(&mut holder, gate, "FOR UPDATE").await;
    let spawn = |order: NewOrder| {
        let ledger = bench.ledger.clone();
        tokio::spawn(async move { ledger.write(order).await })
    };
    let first = spawn(order(&format!("gate-{}", gate.sku), &[(gate, 1, token(1, 1))]));
    bench.wait_for_statement(&format!("sku_id = {} AND shard", gate.sku)).await;
    let count = orders.len();
    let answers: Vec<_> = orders.into_iter().map(spawn).collect();
    while bench.ledger.writer_queue_len() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    execute(&mut holder, "ROLLBACK").await;
    assert_eq!(first.await.unwrap(), Ok(Written::Committed));
    join_all(answers).await.into_iter().map(Result::unwrap).collect()
}

/// A change of stock.
pub(crate) fn change(id: &str, item: Item, kind: ChangeKind, units: i64) -> StockChange {
    StockChange::new(id.parse().unwrap(), item, kind, units, "test").unwrap()
}

/// A restock.
pub(crate) fn restock(id: &str, item: Item, units: i64) -> StockChange {
    change(id, item, ChangeKind::Restock, units)
}
