//! Faults of the MySQL server, by its own statements: read-only, a lock held, connections taken, commits that wait.
//!
//! Proof that one bit is what the server counts or shows of blocked and refused statements. What is held by a connection ends with it,
//! and the server itself ends an idle connection after the longest life of the fault.

use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, Row as _};

use super::FaultError;
use super::begun::Begun;
use crate::scenario::ItemId;
use crate::target::ledger;

/// Connections that strangers take, and what the limit is lowered to: the least that the server allows.
const STRANGERS: usize = 12;
const LEAST_CONNECTIONS: u64 = 10;

/// Longest wait until the service has given up what it can never settle.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(5);

/// A fault of MySQL in force.
pub(super) struct MysqlFault {
    control: MySqlConnection,
    service_url: String,
    harm: Harm,
}

enum Harm {
    ReadOnly,
    RowLock { holder: MySqlConnection, holder_id: i64 },
    Connections { strangers: Vec<MySqlConnection>, limit: u64, before: i64 },
    CommitStall { holder: MySqlConnection, release: &'static str },
    BadMessage,
}

/// Where the server is reached: with all rights, and as the service.
pub(super) struct Urls {
    pub(super) own: String,
    pub(super) service: String,
}

impl MysqlFault {
    /// Makes the server read-only for the service.
    pub(super) async fn read_only(urls: Urls, max: Duration, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut control = open(&urls.own, max).await?;
        begun.now();
        run(&mut control, "SET GLOBAL read_only = 1").await?;
        Ok((Self { control, service_url: urls.service, harm: Harm::ReadOnly }, "SET GLOBAL read_only = 1".to_owned()))
    }

    /// Holds the locks of the rows of `item` that every order and every deduct of it need.
    pub(super) async fn lock_row(urls: Urls, item: ItemId, max: Duration, begun: &Begun) -> Result<(Self, String), FaultError> {
        let control = open(&urls.own, max).await?;
        let mut holder = open(&urls.own, max).await?;
        let holder_id = number(&mut holder, "SELECT CAST(CONNECTION_ID() AS SIGNED)").await?;
        begun.now();
        run(&mut holder, "BEGIN").await?;
        for statement in ledger::LOCK_ITEM {
            let locked = sqlx::query(statement).bind(item.store).bind(item.product).bind(item.sku).fetch_all(&mut holder).await;
            let rows = locked.map_err(FaultError::of(format!("lock the rows of item {item}")))?;
            if rows.is_empty() {
                return Err(FaultError::failed(format!("lock the rows of item {item}"), "there are none"));
            }
        }
        let facts = format!("epoch and inventory rows of item {item} locked");
        Ok((Self { control, service_url: urls.service, harm: Harm::RowLock { holder, holder_id } }, facts))
    }

    /// Takes all connections, and ends those of the service.
    pub(super) async fn take_connections(urls: Urls, max: Duration, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut control = open(&urls.own, max).await?;
        let before = status(&mut control, "Connection_errors_max_connections").await?;
        let limit = number(&mut control, "SELECT CAST(@@max_connections AS SIGNED)").await?.unsigned_abs();
        begun.now();
        let mut strangers = Vec::new();
        for _ in 0..STRANGERS {
            strangers.push(open(&urls.own, max).await?);
        }
        set_limit(&mut control, LEAST_CONNECTIONS).await?;
        let ended = end_connections(&mut control, &urls.service).await;
        let fault = Self { control, service_url: urls.service, harm: Harm::Connections { strangers, limit, before } };
        match ended {
            Ok(count) => Ok((
                fault,
                format!("{STRANGERS} connections taken, the limit lowered to {LEAST_CONNECTIONS}, {count} of the service ended"),
            )),
            Err(error) => {
                fault.heal().await?;
                Err(error)
            }
        }
    }

    /// Makes every commit wait.
    pub(super) async fn stall_commits(urls: Urls, max: Duration, begun: &Begun) -> Result<(Self, String), FaultError> {
        let control = open(&urls.own, max).await?;
        let mut holder = open(&urls.own, max).await?;
        begun.now();
        // MariaDB can hold commits alone; MySQL holds every write.
        let mut staged = Ok(());
        for stage in ["START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT"] {
            if staged.is_ok() {
                staged = sqlx::raw_sql(AssertSqlSafe(format!("BACKUP STAGE {stage}"))).execute(&mut holder).await.map(drop);
            }
        }
        let (statement, release) = match staged {
            Ok(()) => ("BACKUP STAGE BLOCK_COMMIT", "BACKUP STAGE END"),
            Err(_) => {
                run(&mut holder, "FLUSH TABLES WITH READ LOCK").await?;
                ("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES")
            }
        };
        Ok((Self { control, service_url: urls.service, harm: Harm::CommitStall { holder, release } }, statement.to_owned()))
    }

    /// Puts a message of `item` into the outbox that belongs to no order.
    pub(super) async fn put_message(urls: Urls, item: ItemId, max: Duration, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut control = open(&urls.own, max).await?;
        begun.now();
        let put =
            sqlx::query(ledger::PUT_BAD_MESSAGE).bind(item.store).bind(item.product).bind(item.sku).execute(&mut control).await;
        put.map_err(FaultError::of("put a message into the outbox"))?;
        Ok((Self { control, service_url: urls.service, harm: Harm::BadMessage }, "a message without an order".to_owned()))
    }

    /// Proof that it has an effect, once there is some.
    pub(super) async fn bit(&mut self) -> Result<Option<String>, FaultError> {
        match &self.harm {
            Harm::ReadOnly => refused_write(&self.service_url).await,
            Harm::RowLock { holder_id, .. } => {
                let waits = waits_for(&mut self.control, *holder_id).await?;
                Ok((waits > 0).then(|| format!("{waits} waits for a row lock of connection {holder_id}, which holds it")))
            }
            Harm::Connections { before, .. } => {
                let refused = status(&mut self.control, "Connection_errors_max_connections").await? - before;
                Ok((refused > 0).then(|| format!("{refused} connections were refused")))
            }
            Harm::CommitStall { .. } => {
                let waiting = number(&mut self.control, WAITING).await?;
                Ok((waiting > 0).then(|| format!("{waiting} statements wait for the lock of a backup")))
            }
            Harm::BadMessage => {
                let given_up = number(&mut self.control, ledger::BAD_MESSAGES_GIVEN_UP).await?;
                Ok((given_up > 0).then(|| "the service met it and gave it up".to_owned()))
            }
        }
    }

    /// Undoes it and looks that it is undone.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        let Self { mut control, service_url, harm } = self;
        match harm {
            Harm::ReadOnly => {
                run(&mut control, "SET GLOBAL read_only = 0").await?;
                let refused = refused_write(&service_url).await?;
                refused
                    .map_or(Ok("the service may write again".to_owned()), |why| Err(FaultError::failed("allow writes again", why)))
            }
            Harm::RowLock { mut holder, .. } => {
                run(&mut holder, "ROLLBACK").await?;
                close(holder).await?;
                Ok("the locks are given back".to_owned())
            }
            Harm::Connections { strangers, limit, .. } => {
                set_limit(&mut control, limit).await?;
                for stranger in strangers {
                    close(stranger).await?;
                }
                close(open(&service_url, Duration::from_secs(5)).await?).await?;
                Ok(format!("the limit is {limit} again, and the service can connect"))
            }
            Harm::CommitStall { mut holder, release } => {
                run(&mut holder, release).await?;
                close(holder).await?;
                Ok(format!("{release}; commits go on"))
            }
            Harm::BadMessage => {
                // What is not given up in time is the service's: it stays where it is.
                let given_up = tokio::time::timeout(GIVEN_UP_WITHIN, async {
                    while number(&mut control, ledger::BAD_MESSAGES_GIVEN_UP).await? == 0 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    run(&mut control, ledger::REMOVE_BAD_MESSAGES).await
                });
                match given_up.await {
                    Ok(removed) => removed.map(|()| "it was given up, and is taken away".to_owned()),
                    Err(_) => Ok(format!("it was not given up within {GIVEN_UP_WITHIN:?}, and stays")),
                }
            }
        }
    }
}

/// Statements that wait for a lock that a backup holds.
const WAITING: &str = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for backup lock%' \
                       OR state LIKE 'Waiting for global read lock%' OR state LIKE 'Waiting for commit lock%'";

/// Longer than InnoDB keeps the copy of its locks that the tables of its lock waits show.
const INNODB_COPY_AGE: Duration = Duration::from_millis(120);

/// Waits for row locks of one connection, in MariaDB and in MySQL.
const ROW_LOCK_WAITS: [&str; 2] = [
    "SELECT COUNT(*) FROM information_schema.innodb_lock_waits waits JOIN information_schema.innodb_trx holder \
     ON holder.trx_id = waits.blocking_trx_id WHERE holder.trx_mysql_thread_id = ?",
    "SELECT COUNT(*) FROM performance_schema.data_lock_waits waits JOIN information_schema.innodb_trx holder \
     ON holder.trx_id = waits.blocking_engine_transaction_id WHERE holder.trx_mysql_thread_id = ?",
];

/// How many waits for a row lock that the connection with this number holds; those for other locks of the sale do not count.
async fn waits_for(control: &mut MySqlConnection, holder_id: i64) -> Result<i64, FaultError> {
    // InnoDB shows a copy of its locks, made anew only when nobody has looked for 100 ms: who asks more often sees the first copy for ever.
    tokio::time::sleep(INNODB_COPY_AGE).await;
    let [maria, mysql] = ROW_LOCK_WAITS;
    let row = match sqlx::query(maria).bind(holder_id).fetch_one(&mut *control).await {
        Err(sqlx::Error::Database(_)) => sqlx::query(mysql).bind(holder_id).fetch_one(control).await,
        known => known,
    };
    row.and_then(|row| row.try_get(0)).map_err(FaultError::of("ask mysql who waits for the row lock"))
}

/// Seconds since the server at `url` started.
pub(super) async fn uptime_s(url: &str) -> Result<i64, FaultError> {
    let mut connection = open(url, Duration::from_secs(5)).await?;
    let uptime = status(&mut connection, "Uptime").await?;
    close(connection).await?;
    Ok(uptime)
}

/// What a write that would change nothing met, if it was refused.
async fn refused_write(service_url: &str) -> Result<Option<String>, FaultError> {
    let mut service = open(service_url, Duration::from_secs(5)).await?;
    let written = sqlx::query(ledger::WRITE_NOTHING).execute(&mut service).await;
    close(service).await?;
    match written {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(refused)) => Ok(Some(format!("a write of the service was refused: {}", refused.message()))),
        Err(error) => Err(FaultError::failed("try a write as the service", error)),
    }
}

/// Connects; the server ends the connection itself once it was idle for `max`.
async fn open(url: &str, max: Duration) -> Result<MySqlConnection, FaultError> {
    let options: MySqlConnectOptions = url.parse().map_err(FaultError::of("read the address of mysql"))?;
    let mut connection = MySqlConnection::connect_with(&options).await.map_err(FaultError::of("connect to mysql"))?;
    let idle_s = max.as_secs() + 1;
    run(&mut connection, &format!("SET SESSION wait_timeout = {idle_s}, innodb_lock_wait_timeout = {idle_s}")).await?;
    Ok(connection)
}

async fn close(connection: MySqlConnection) -> Result<(), FaultError> {
    connection.close().await.map_err(FaultError::of("leave mysql"))
}

async fn run(connection: &mut MySqlConnection, statement: &str) -> Result<(), FaultError> {
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await;
    done.map(drop).map_err(FaultError::of(format!("have mysql do {statement:?}")))
}

async fn number(connection: &mut MySqlConnection, query: &'static str) -> Result<i64, FaultError> {
    let row = sqlx::query(query).fetch_one(connection).await.map_err(FaultError::of("ask mysql"))?;
    row.try_get(0).map_err(FaultError::of("read what mysql answers"))
}

/// A counter of the server.
async fn status(connection: &mut MySqlConnection, name: &str) -> Result<i64, FaultError> {
    let act = || format!("read {name} of mysql");
    let row = sqlx::query(AssertSqlSafe(format!("SHOW GLOBAL STATUS LIKE '{name}'"))).fetch_one(connection).await;
    let value: String = row.map_err(FaultError::of(act()))?.try_get(1).map_err(FaultError::of(act()))?;
    value.parse().map_err(FaultError::of(act()))
}

async fn set_limit(control: &mut MySqlConnection, connections: u64) -> Result<(), FaultError> {
    run(control, &format!("SET GLOBAL max_connections = {connections}")).await
}

/// Ends all connections of the user of `service_url`; how many.
async fn end_connections(control: &mut MySqlConnection, service_url: &str) -> Result<usize, FaultError> {
    let options: MySqlConnectOptions = service_url.parse().map_err(FaultError::of("read the address of mysql"))?;
    let query = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = ? AND id <> CONNECTION_ID()";
    let rows = sqlx::query(query).bind(options.get_username()).fetch_all(&mut *control).await;
    let rows = rows.map_err(FaultError::of("list the connections of mysql"))?;
    for row in &rows {
        let id: i64 = row.try_get(0).map_err(FaultError::of("read what mysql answers"))?;
        // One that has just ended by itself is gone as well.
        let _gone = run(control, &format!("KILL {id}")).await;
    }
    Ok(rows.len())
}
