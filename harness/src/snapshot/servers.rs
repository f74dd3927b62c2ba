//! Which servers hold the data, and what an acknowledgement of theirs is worth.
//!
//! In: direct connections. Out: [`Servers`]. A managed Redis may forbid CONFIG; then its settings are absent and `redis_config` says why.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::InfoDict;
use redis::aio::MultiplexedConnection;
use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::reader::{StoreReader, within};
use super::{Servers, SnapshotError};
use crate::target::ledger;

/// Longest wait for both servers.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// Settings of Redis that decide what survives it, and whether it drops keys.
const REDIS_SETTINGS: [&str; 5] = ["appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy"];

impl Servers {
    /// Asks both servers. Cancel safe.
    ///
    /// # Errors
    /// A store that refuses or does not answer within 10 s.
    pub async fn read(stores: &StoreReader) -> Result<Self, SnapshotError> {
        within("ask the servers for versions and settings", READ_DEADLINE, async {
            let (mut redis, mut mysql) = (stores.lend_redis().await?, stores.lend_mysql().await?);
            let mut settings = mysql_settings(&mut mysql).await?;
            settings.extend(redis_settings(&mut redis).await?);
            let servers = Self { redis: redis_version(&mut redis).await?, mysql: mysql_version(&mut mysql).await?, settings };
            stores.keep_redis(redis);
            stores.keep_mysql(mysql);
            Ok(servers)
        })
        .await
    }
}

async fn mysql_version(mysql: &mut MySqlConnection) -> Result<String, SnapshotError> {
    sqlx::query_scalar(ledger::VERSION.sql).fetch_one(mysql).await.map_err(SnapshotError::mysql(ledger::VERSION))
}

async fn mysql_settings(mysql: &mut MySqlConnection) -> Result<BTreeMap<String, String>, SnapshotError> {
    let failed = SnapshotError::mysql(ledger::SETTINGS);
    let rows = sqlx::query(ledger::SETTINGS.sql).fetch_all(mysql).await.map_err(&failed)?;
    rows.iter().map(|row| Ok((row.try_get(0).map_err(&failed)?, row.try_get(1).map_err(&failed)?))).collect()
}

async fn redis_version(redis: &mut MultiplexedConnection) -> Result<String, SnapshotError> {
    let mut info = redis::cmd("INFO");
    let info: InfoDict = info.arg("server").query_async(redis).await.map_err(SnapshotError::redis("ask for the version of"))?;
    // Valkey names itself and keeps `redis_version` for old clients.
    let name: String = info.get("server_name").unwrap_or_else(|| "redis".to_owned());
    let version: Option<String> = info.get(&format!("{name}_version")).or_else(|| info.get("redis_version"));
    Ok(format!("{name} {}", version.as_deref().unwrap_or("of unknown version")))
}

async fn redis_settings(redis: &mut MultiplexedConnection) -> Result<BTreeMap<String, String>, SnapshotError> {
    let mut settings = BTreeMap::new();
    for name in REDIS_SETTINGS {
        let mut config = redis::cmd("CONFIG");
        match config.arg("GET").arg(name).query_async::<BTreeMap<String, String>>(redis).await {
            Ok(pairs) => settings.extend(pairs),
            Err(error) if error.code().is_some() && !error.is_io_error() => {
                settings.insert("redis_config".to_owned(), format!("not readable: {error}"));
            }
            Err(error) => return Err(SnapshotError::redis("read settings of")(error)),
        }
    }
    Ok(settings)
}
