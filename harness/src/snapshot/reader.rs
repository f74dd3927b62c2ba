//! Direct connections to both stores, past every proxy, and the cheap reads that repeat: backlog and fingerprint.
//!
//! In: the addresses of the stack. Out: a [`Backlog`], a [`Fingerprint`]. A connection is lent to one read and comes back only after
//! that read ended well; what was cancelled, timed out or failed is closed, and the next read opens a new one. So a restarted store costs
//! one failed read at most, and no half-read reply is ever taken for another's.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, IntoConnectionInfo};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{Connection, Row};

use super::ledger_state::{Columns, read_rows};
use super::redis_state::{RedisPrint, read_prints};
use super::{Backlog, SnapshotError};
use crate::scenario::ItemId;
use crate::stack::Endpoints;
use crate::target::ledger::{self, Query};

/// Longest wait for a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for the answer to the ping that shows whether a kept connection still stands.
const PING_DEADLINE: Duration = Duration::from_secs(1);

/// Longest wait for a backlog or a fingerprint.
const POLL_DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for one reply of Redis; the longest is one chunk of a whole read.
const REDIS_REPLY_DEADLINE: Duration = Duration::from_secs(10);

/// Reads both stores directly.
#[derive(Debug)]
pub struct StoreReader {
    redis: redis::Client,
    mysql: MySqlConnectOptions,
    kept_redis: Mutex<Option<MultiplexedConnection>>,
    kept_mysql: Mutex<Option<MySqlConnection>>,
}

/// What changes whenever anything moves; two equal ones around a read mean that nothing moved meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    progress: Progress,
    orders: BTreeMap<String, i64>,
    outbox: BTreeMap<String, i64>,
    ledger_newest: i64,
}

/// The part of the fingerprint that also gives the backlog.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    outbox_new: i64,
    items: Vec<ItemProgress>,
    redis: Vec<RedisPrint>,
}

/// The MySQL side of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ItemProgress {
    item: ItemId,
    current_stock: i64,
    locked_stock: i64,
    version: i64,
    epoch: i64,
    sales_in_lock: i64,
}

impl Fingerprint {
    /// What was left, with `open_operations` of the harness.
    #[must_use]
    pub fn backlog(&self, open_operations: u64) -> Backlog {
        self.progress.backlog(open_operations)
    }
}

impl Progress {
    fn backlog(&self, open_operations: u64) -> Backlog {
        Backlog {
            outbox_new: self.outbox_new.unsigned_abs(),
            locks: self.redis.iter().map(|print| print.locks).sum(),
            sales_in_lock: self.items.iter().map(|item| item.sales_in_lock.unsigned_abs()).sum(),
            open_operations,
            unpaid: 0,
        }
    }
}

impl StoreReader {
    /// Connects to both stores.
    ///
    /// # Errors
    /// An address that cannot be read, or a store that does not answer within 5 s.
    pub async fn connect(endpoints: &Endpoints) -> Result<Self, SnapshotError> {
        let reader = Self {
            redis: redis_client(&endpoints.redis_url)?,
            mysql: MySqlConnectOptions::from_str(&endpoints.mysql_url)
                .map_err(|error| SnapshotError::Address { store: "mysql", why: error.to_string() })?,
            kept_redis: Mutex::default(),
            kept_mysql: Mutex::default(),
        };
        let (redis, mysql) = (reader.lend_redis().await?, reader.lend_mysql().await?);
        reader.keep_redis(redis);
        reader.keep_mysql(mysql);
        Ok(reader)
    }

    /// What is left to do in the stores; `open_operations` is 0, for the stores do not know it. A few milliseconds for 2,000 items.
    /// Cancel safe.
    ///
    /// # Errors
    /// A store that refuses or does not answer within 5 s.
    pub async fn backlog(&self) -> Result<Backlog, SnapshotError> {
        let progress = within("read the backlog", POLL_DEADLINE, self.read_progress()).await?;
        Ok(progress.backlog(0))
    }

    /// Orders that are neither paid nor ended. Cancel safe.
    ///
    /// # Errors
    /// MySQL refuses or does not answer within 5 s.
    pub async fn unpaid(&self) -> Result<u64, SnapshotError> {
        within("count unpaid orders", POLL_DEADLINE, async {
            let mut mysql = self.lend_mysql().await?;
            let unpaid = read_number(&mut mysql, ledger::ORDERS_UNPAID).await?;
            self.keep_mysql(mysql);
            Ok(unpaid.unsigned_abs())
        })
        .await
    }

    /// The fingerprint of both stores. Dearer than [`backlog`](Self::backlog): it counts all orders and events. Cancel safe.
    ///
    /// # Errors
    /// A store that refuses or does not answer within 5 s.
    pub async fn fingerprint(&self) -> Result<Fingerprint, SnapshotError> {
        within("read the fingerprint", POLL_DEADLINE, async {
            let progress = self.read_progress().await?;
            let mut mysql = self.lend_mysql().await?;
            let orders = count_by_status(&mut mysql, ledger::ORDERS_BY_STATUS).await?;
            let outbox = count_by_status(&mut mysql, ledger::OUTBOX_BY_STATUS).await?;
            let ledger_newest = read_number(&mut mysql, ledger::LEDGER_NEWEST).await?;
            self.keep_mysql(mysql);
            Ok(Fingerprint { progress, orders, outbox, ledger_newest })
        })
        .await
    }

    async fn read_progress(&self) -> Result<Progress, SnapshotError> {
        let mut mysql = self.lend_mysql().await?;
        let outbox_new = read_number(&mut mysql, ledger::OUTBOX_NEW).await?;
        let items = read_rows(&mut mysql, ledger::PROGRESS, item_progress).await?;
        self.keep_mysql(mysql);
        let mut redis = self.lend_redis().await?;
        let prints = read_prints(&mut redis, items.iter().map(|progress| progress.item)).await?;
        self.keep_redis(redis);
        Ok(Progress { outbox_new, items, redis: prints })
    }

    /// A connection to Redis that answers: the kept one, or a new one.
    pub(super) async fn lend_redis(&self) -> Result<MultiplexedConnection, SnapshotError> {
        let kept = self.kept_redis.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut connection) = kept
            && let Ok(Ok(())) = tokio::time::timeout(PING_DEADLINE, redis::cmd("PING").query_async::<()>(&mut connection)).await
        {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(Some(REDIS_REPLY_DEADLINE));
        within("connect to redis", CONNECT_DEADLINE, async {
            let open = self.redis.get_multiplexed_async_connection_with_config(&config).await;
            open.map_err(SnapshotError::redis("connect to"))
        })
        .await
    }

    /// Keeps a connection for the next read; only after the last one ended well.
    pub(super) fn keep_redis(&self, connection: MultiplexedConnection) {
        *self.kept_redis.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// A connection to MySQL that answers: the kept one, or a new one.
    pub(super) async fn lend_mysql(&self) -> Result<MySqlConnection, SnapshotError> {
        let kept = self.kept_mysql.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut connection) = kept
            && let Ok(Ok(())) = tokio::time::timeout(PING_DEADLINE, connection.ping()).await
        {
            return Ok(connection);
        }
        self.open_mysql().await
    }

    /// Keeps a connection for the next read; only after the last one ended well, and outside any transaction.
    pub(super) fn keep_mysql(&self, connection: MySqlConnection) {
        *self.kept_mysql.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// A new connection to MySQL, for a read that leaves its transaction open.
    pub(super) async fn open_mysql(&self) -> Result<MySqlConnection, SnapshotError> {
        within("connect to mysql", CONNECT_DEADLINE, async {
            let open = MySqlConnection::connect_with(&self.mysql).await;
            open.map_err(|source| SnapshotError::Mysql { of: "greeting", source })
        })
        .await
    }
}

/// Waits for `read` at most `deadline`, then drops it with its connections.
pub(super) async fn within<T>(
    act: &'static str,
    deadline: Duration,
    read: impl Future<Output = Result<T, SnapshotError>>,
) -> Result<T, SnapshotError> {
    let late = |_| SnapshotError::Deadline { act, deadline_ms: deadline.as_millis() };
    tokio::time::timeout(deadline, read).await.map_err(late)?
}

fn redis_client(url: &str) -> Result<redis::Client, SnapshotError> {
    let address = |error: redis::RedisError| SnapshotError::Address { store: "redis", why: error.to_string() };
    let info = url.into_connection_info().map_err(address)?;
    // Without NODELAY small pipelines wait for delayed acknowledgements.
    redis::Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true))).map_err(address)
}

async fn read_number(mysql: &mut MySqlConnection, query: Query) -> Result<i64, SnapshotError> {
    sqlx::query_scalar(query.sql).fetch_one(mysql).await.map_err(SnapshotError::mysql(query))
}

async fn count_by_status(mysql: &mut MySqlConnection, query: Query) -> Result<BTreeMap<String, i64>, SnapshotError> {
    let failed = SnapshotError::mysql(query);
    let rows = sqlx::query(query.sql).fetch_all(mysql).await.map_err(&failed)?;
    rows.iter().map(|row| Ok((row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?))).collect()
}

fn item_progress(row: &Columns<'_>) -> Result<ItemProgress, SnapshotError> {
    Ok(ItemProgress {
        item: row.item()?,
        current_stock: row.get("current_stock")?,
        locked_stock: row.get("locked_stock")?,
        version: row.get("version")?,
        epoch: row.get("epoch")?,
        sales_in_lock: row.get("sales_in_lock")?,
    })
}
