//! Orders of earlier sales in the tables, for the question what a large ledger costs.
//!
//! In: a run, a number of orders. Out: so many closed orders of an item that is not for sale (paid, their ledger row OUT, their message DONE), there before the
//! sale opens. Behind the load, once no message waits, they are moved into tables of their own, as an operator archives them: the judge reads every row
//! of the sale itself, and a snapshot of millions of others would not be about it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::run::{Reading, Watch};
use harness::stack::Endpoints;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

/// Orders of one statement.
const CHUNK: u64 = 100_000;
/// Longest wait for the workers before the older orders are moved away.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Puts older orders beside a run, and takes them away.
pub(super) struct Older {
    orders: u64,
    url: Mutex<Option<String>>,
    done: Mutex<Result<(), String>>,
}

impl Older {
    /// So many.
    pub(super) fn new(orders: u64) -> Self {
        Self { orders, url: Mutex::default(), done: Mutex::new(Ok(())) }
    }

    /// Whether all of it was done.
    ///
    /// # Errors
    /// What failed.
    pub(super) fn end(self) -> Result<(), String> {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, result: Result<(), String>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.is_ok() {
            *done = result;
        }
    }
}

impl Watch for Older {
    fn opened(&self, _folder: &Path) {}

    fn up(&self, endpoints: &Endpoints) {
        let url = endpoints.mysql_url.clone();
        self.note(on_own_thread({
            let (url, orders) = (url.clone(), self.orders);
            move || put(url, orders)
        }));
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
    }

    fn stage(&self, name: &str) {
        // The first wait is the one behind the load.
        let url = (name == "waiting for rest").then(|| self.url.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten();
        if let Some(url) = url {
            self.note(on_own_thread(move || move_away(url)));
        }
    }

    fn reading(&self, _reading: &Reading<'_>) {}
}

/// Runs a future to its end, from within a runtime.
fn on_own_thread<F>(work: impl FnOnce() -> F + Send + 'static) -> Result<(), String>
where
    F: Future<Output = Result<(), sqlx::Error>>,
{
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(work()).map_err(|error| error.to_string())
    };
    let thread = std::thread::Builder::new().name("older".to_owned()).spawn(body).map_err(|error| error.to_string())?;
    thread.join().unwrap_or_else(|_| Err("the thread of the older orders panicked".to_owned()))
}

async fn put(url: String, orders: u64) -> Result<(), sqlx::Error> {
    let mut mysql = MySqlConnection::connect(&url).await?;
    for first in (0..orders).step_by(usize::try_from(CHUNK).unwrap_or(1)) {
        let numbers = numbers(first, CHUNK.min(orders - first));
        for statement in [
            format!(
                "INSERT INTO orders (order_id, user_id, status, request_hash, expire_at) \
                 SELECT CONCAT('older-', n), n % 1000000 + 1, 'PAID', UNHEX(SHA2(n, 256)), NOW(3) FROM {numbers}"
            ),
            format!(
                "INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) \
                 SELECT CONCAT('older-', n), 9, 9, 9, 'SALE', 'OUT', 1, 1, CONCAT('1:', n + 1) FROM {numbers}"
            ),
            format!(
                "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, token, status) \
                 SELECT CONCAT('older-', n), 'DEDUCT_STOCK_DB', CONCAT('older-', n), 9, 9, 9, 1, 1, CONCAT('1:', n + 1), 'DONE' FROM {numbers}"
            ),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut mysql).await?;
        }
    }
    // The server plans with what it knows of the tables.
    sqlx::raw_sql("ANALYZE TABLE orders, inventory_transactions, outbox").execute(&mut mysql).await?;
    mysql.close().await
}

/// A derived table of the numbers from `first` on, without any feature that one of the two servers lacks.
fn numbers(first: u64, count: u64) -> String {
    let digit = |name: char| {
        let digits: Vec<String> = (0..10).map(|digit| format!("SELECT {digit} AS d")).collect();
        format!("({}) {name}", digits.join(" UNION ALL "))
    };
    let tables: Vec<String> = ['a', 'b', 'c', 'd', 'e'].into_iter().map(digit).collect();
    let number = format!("{first} + a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d");
    format!("(SELECT {number} AS n FROM {} WHERE {number} < {}) numbers", tables.join(" CROSS JOIN "), first + count)
}

async fn move_away(url: String) -> Result<(), sqlx::Error> {
    let mut mysql = MySqlConnection::connect(&url).await?;
    let clock = RunClock::start();
    while messages_waiting(&mut mysql).await? > 0 && clock.now().since(Offset::ZERO) < DRAIN_LIMIT {
        tokio::time::sleep(POLL).await;
    }
    for table in ["orders", "inventory_transactions", "outbox"] {
        let archive = format!(
            "CREATE TABLE {table}_kept LIKE {table}; \
             INSERT INTO {table}_kept SELECT * FROM {table} WHERE order_id NOT LIKE 'older-%'; \
             RENAME TABLE {table} TO {table}_older, {table}_kept TO {table}"
        );
        sqlx::raw_sql(AssertSqlSafe(archive)).execute(&mut mysql).await?;
    }
    mysql.close().await
}

async fn messages_waiting(mysql: &mut MySqlConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE status = 'NEW'").fetch_one(mysql).await
}
