//! Stores that somebody else runs: used only if empty, or emptied if that was allowed.
//!
//! Emptied is only what the service under test owns: its own keys and tables.

use std::str::FromStr as _;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

use super::StackError;
use crate::target::keys::KEYS;
use crate::target::ledger::TABLES;

/// Database of the service where the URL names none.
pub(super) const DATABASE: &str = "holdfast";

const REFUSAL: &str = "give empty stores, or give --wipe to empty what the service owns in them";

/// Reaches both stores, makes sure that they hold nothing of the service, and makes the database. The URL of the database.
///
/// # Errors
/// A store that does not answer `within`, or one that holds data which may not be wiped.
pub(super) async fn claim(redis_url: &str, mysql_url: &str, may_wipe: bool, within: Duration) -> Result<String, StackError> {
    let (server_url, database) = split_database(mysql_url);
    let claimed = async {
        claim_redis(redis_url, may_wipe).await?;
        claim_mysql(&server_url, &database, may_wipe).await
    };
    let late = || StackError::failed("reach the given Redis and MySQL", format!("not done after {} ms", within.as_millis()));
    tokio::time::timeout(within, claimed).await.map_err(|_| late())??;
    Ok(with_database(&server_url, &database))
}

async fn claim_redis(url: &str, may_wipe: bool) -> Result<(), StackError> {
    let failed = |error: redis::RedisError| StackError::failed("use the given Redis", error.to_string());
    let client = redis::Client::open(url).map_err(|error| refused("Redis", &error.to_string()))?;
    let mut redis = client.get_multiplexed_async_connection().await.map_err(failed)?;
    let mut cursor = 0;
    loop {
        let (next, keys) = scan(&mut redis, cursor).await.map_err(failed)?;
        if !keys.is_empty() && !may_wipe {
            return Err(refused("Redis", &format!("it holds keys {KEYS}, {} for one: {REFUSAL}", keys[0])));
        }
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(&keys).exec_async(&mut redis).await.map_err(failed)?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

fn refused(store: &str, why: &str) -> StackError {
    StackError::Refused(format!("use the given {store}: {why}"))
}

async fn scan(redis: &mut MultiplexedConnection, cursor: u64) -> redis::RedisResult<(u64, Vec<String>)> {
    redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(KEYS).arg("COUNT").arg(1000).query_async(redis).await
}

async fn claim_mysql(server_url: &str, database: &str, may_wipe: bool) -> Result<(), StackError> {
    let failed = |error: sqlx::Error| StackError::failed("use the given MySQL", error.to_string());
    let options = MySqlConnectOptions::from_str(server_url).map_err(|error| refused("MySQL", &error.to_string()))?;
    create_database(server_url, database).await.map_err(failed)?;
    let options = options.database(database);
    let mut mysql = MySqlConnection::connect_with(&options).await.map_err(failed)?;
    for table in TABLES {
        if !holds_rows(&mut mysql, table).await.map_err(failed)? {
            continue;
        }
        if !may_wipe {
            return Err(refused("MySQL", &format!("table {database}.{table} holds rows: {REFUSAL}")));
        }
        sqlx::query(AssertSqlSafe(format!("TRUNCATE TABLE {table}"))).execute(&mut mysql).await.map_err(failed)?;
    }
    mysql.close().await.map_err(failed)
}

/// Makes the database unless it is there; asks first, because a user who may use it need not have the right to make it.
pub(super) async fn create_database(server_url: &str, database: &str) -> Result<(), sqlx::Error> {
    let mut mysql = MySqlConnection::connect(server_url).await?;
    let known = sqlx::query("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?");
    if known.bind(database).fetch_optional(&mut mysql).await?.is_none() {
        let quoted = database.replace('`', "``");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE `{quoted}`"))).execute(&mut mysql).await?;
    }
    mysql.close().await
}

async fn holds_rows(mysql: &mut MySqlConnection, table: &str) -> Result<bool, sqlx::Error> {
    let known = sqlx::query("SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?");
    if known.bind(table).fetch_optional(&mut *mysql).await?.is_none() {
        return Ok(false);
    }
    let row = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM {table} LIMIT 1"))).fetch_optional(mysql).await?;
    Ok(row.is_some())
}

/// The URL of the server without its database, and the database, [`DATABASE`] if the URL names none.
fn split_database(url: &str) -> (String, String) {
    let (address, query) = url.split_once('?').map_or((url, String::new()), |(address, query)| (address, format!("?{query}")));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let path = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    let database = address[path..].trim_matches('/');
    let database = if database.is_empty() { DATABASE } else { database };
    (format!("{}/{query}", &address[..path]), database.to_owned())
}

/// The URL of a database on a server, from what [`split_database`] gives.
fn with_database(server_url: &str, database: &str) -> String {
    let (address, query) =
        server_url.split_once('?').map_or((server_url, String::new()), |(address, query)| (address, format!("?{query}")));
    format!("{address}{database}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_server_and_database() {
        let split = |url| split_database(url);
        let pair = |server: &str, database: &str| (server.to_owned(), database.to_owned());
        assert_eq!(split("mysql://u:p@h:1/shop"), pair("mysql://u:p@h:1/", "shop"));
        assert_eq!(split("mysql://u:p@h:1/"), pair("mysql://u:p@h:1/", DATABASE));
        assert_eq!(split("mysql://u@h"), pair("mysql://u@h/", DATABASE));
        assert_eq!(split("mysql://u@h/shop?ssl-mode=DISABLED"), pair("mysql://u@h/?ssl-mode=DISABLED", "shop"));
        assert_eq!(with_database("mysql://u@h/?ssl-mode=DISABLED", "shop"), "mysql://u@h/shop?ssl-mode=DISABLED");
    }
}
