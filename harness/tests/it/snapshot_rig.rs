//! Stores for the snapshot tests: one pair of servers a test process, an own MySQL database and an own Redis database for each test.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use harness::scenario::{ItemId, Scenario};
use harness::snapshot::StoreReader;
use harness::stack::Endpoints;
use harness::stack::stores::{Stores, StoresSpec};
use redis::aio::MultiplexedConnection;
use sqlx::migrate::{MigrateDatabase, Migrator};
use sqlx::mysql::MySqlPool;
use sqlx::{AssertSqlSafe, MySql};
use tokio::sync::OnceCell;

static STORES: OnceCell<Stores> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// One test's stores, to write to and to read from.
pub(crate) struct Rig {
    pub(crate) endpoints: Endpoints,
    pub(crate) mysql: MySqlPool,
    pub(crate) redis: MultiplexedConnection,
    pub(crate) reader: StoreReader,
}

/// The item number `sku`.
pub(crate) const fn item(sku: u64) -> ItemId {
    ItemId { store: 7, product: 8, sku }
}

/// Addresses of a database that does not exist yet and of an empty Redis database.
pub(crate) async fn fresh_endpoints() -> Endpoints {
    let spec = StoresSpec { redis_args: vec!["--databases".into(), "256".into()], ready_ms: 60_000, ..StoresSpec::default() };
    let stores = STORES.get_or_try_init(|| Stores::start(spec)).await.expect("tests need redis-server and mariadbd (or mysqld)");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Endpoints {
        api: Vec::new(),
        admin: Vec::new(),
        admin_token: "secret".to_owned(),
        redis_url: format!("{}/{number}", stores.redis_url().trim_end_matches('/')),
        mysql_url: stores.mysql_url(&format!("snapshot_{}_{number}", std::process::id())),
    }
}

/// Empty tables, an empty Redis database, and a reader of both.
pub(crate) async fn rig() -> Rig {
    let endpoints = fresh_endpoints().await;
    MySql::create_database(&endpoints.mysql_url).await.unwrap();
    let mysql = MySqlPool::connect(&endpoints.mysql_url).await.unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    Migrator::new(migrations).await.unwrap().run(&mysql).await.unwrap();
    let client = redis::Client::open(endpoints.redis_url.as_str()).unwrap();
    let redis = client.get_multiplexed_async_connection().await.unwrap();
    let reader = StoreReader::connect(&endpoints).await.unwrap();
    Rig { endpoints, mysql, redis, reader }
}

impl Rig {
    /// Runs statements, separated by `;`.
    pub(crate) async fn sql(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&self.mysql).await.unwrap();
    }

    /// Runs one Redis command, its words separated by blanks.
    pub(crate) async fn command(&self, words: &str) {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async::<redis::Value>(&mut self.redis.clone()).await.unwrap();
    }

    /// Writes `count` deduct records, spread over the items 1 to 2,000.
    pub(crate) async fn fill_records(&self, count: u64) {
        for chunk in (0..count).collect::<Vec<_>>().chunks(1_000) {
            let mut pipe = redis::pipe();
            for index in chunk {
                let key = format!("inventory:deduct:r-{index}:{{{}}}", item(index % 2_000 + 1));
                pipe.cmd("SET").arg(key).arg("1:1|1").ignore();
            }
            pipe.query_async::<()>(&mut self.redis.clone()).await.unwrap();
        }
    }
}

/// A scenario with short bounds: a window of 500 ms, no grace, stuck after 700 ms, slow after 5 s.
pub(crate) fn scenario() -> Scenario {
    serde_json::from_value(serde_json::json!({
        "name": "snapshot",
        "seed": 1,
        "items": [{ "item": "7:8:1", "opening": 10, "weight": 1 }],
        "stretches": [{ "name": "all", "phase": "baseline", "duration_ms": 1, "rate_per_s": 1.0 }],
        "mix": { "users": 1, "duplicates": 0.0, "concurrent_duplicates": 0.0, "cancels": 0.0, "payments": 0.0, "reads": 0.0,
                 "think_ms": [0, 0], "quantity_max": 1 },
        "processes": { "api": 1, "worker": 1 },
        "limits": { "in_flight_max": 1, "request_timeout_ms": 1, "ready_ms": 1, "quiesce_poll_ms": [5, 50],
                    "quiesce_stall_ms": 700, "quiesce_cap_ms": 5_000 },
        "promises": { "latency_p99_budget_ms": 1.0, "staleness_ms": 0, "resolver_grace_ms": 0, "worker_poll_max_ms": 1,
                      "order_ttl_ms": 1 },
    }))
    .unwrap()
}
