//! What happens before the first unit of work: database, migrations, and a look at the server.

use std::time::Duration;

use sqlx::migrate::Migrator;

use super::LedgerError;
use super::connection::{Connection, Dial, Flavour};
use super::failure::{Failure, UNKNOWN_DATABASE};
use super::{migrations, rows};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};

/// A table is not there.
const NO_SUCH_TABLE: u16 = 1146;
/// Table, column, key or constraint is there already, or gone already.
const DONE_ALREADY: [u16; 6] = [1050, 1060, 1061, 1091, 1826, 3822];

const ACT: &str = "open the ledger";
/// Longest wait for another process that migrates.
const MIGRATION_WAIT_S: u32 = 60;

/// Creates and migrates the database and says what kind of server it is on. Any number of processes may do this at once.
///
/// # Errors
/// `Failed`: not reachable, or a migration failed. `Unsuitable`: the server cannot carry the protocol.
pub(super) async fn prepare(dial: &Dial) -> Result<Flavour, LedgerError> {
    let mut connection = connect_or_create(dial).await.map_err(|failure| failure.into_error(ACT))?;
    let flavour = probe(&mut connection).await?;
    migrate(&mut connection).await?;
    connection.close().await;
    Ok(flavour)
}

async fn connect_or_create(dial: &Dial) -> Result<Connection, Failure> {
    match dial.connect().await {
        Err(Failure::Refused { code: UNKNOWN_DATABASE, .. }) => {}
        other => return other,
    }
    let name = dial.database().unwrap_or_default();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Err(Failure::Broken { why: "the name of a database to create must consist of A-Z a-z 0-9 _ -".into() });
    }
    let create = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    let mut connection = dial.without_database().connect().await?;
    connection.autocommit(create).await?;
    connection.close().await;
    dial.connect().await
}

async fn probe(connection: &mut Connection) -> Result<Flavour, LedgerError> {
    let look = "SELECT VERSION() AS version; SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                ('log_bin', 'binlog_format', 'innodb_flush_log_at_trx_commit', 'sync_binlog', 'wsrep_on')";
    let reply = connection.query(look.into()).await.map_err(|failure| failure.into_error(ACT))?;
    let version = match reply.rows(0) {
        [row] => rows::text(row, "version").map_err(|failure| failure.into_error(ACT))?,
        _ => return Err(LedgerError::Unsuitable("it does not tell its version".into())),
    };
    let setting = |name: &str| {
        let row = reply.rows(1).iter().find(|row| rows::text(row, "Variable_name").is_ok_and(|found| found == name));
        row.and_then(|row| rows::text(row, "Value").ok()).unwrap_or_default()
    };
    if setting("log_bin") == "ON" && setting("binlog_format") == "STATEMENT" {
        return Err(LedgerError::Unsuitable("binlog_format is STATEMENT, which is unsafe with SKIP LOCKED".into()));
    }
    if setting("wsrep_on") == "ON" {
        return Err(LedgerError::Unsuitable("wsrep_on is ON: share locks do not cross the nodes of a cluster".into()));
    }
    if setting("log_bin") == "ON" && setting("sync_binlog") != "1" {
        tracing::warn!("sync_binlog is not 1: after a crash of the machine a replica may lack acknowledged orders");
    }
    if setting("innodb_flush_log_at_trx_commit") != "1" {
        tracing::warn!("innodb_flush_log_at_trx_commit is not 1: a crash of the machine may lose acknowledged orders");
    }
    tracing::info!(version, "mysql answers");
    Ok(if version.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql })
}

async fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    let failed = |why: String| LedgerError::Failed { act: "migrate the database", why };
    // The lock of the driver's migrator waits with a negative time limit, which MariaDB answers with NULL and no lock.
    // Its name may have 64 characters, as many as a database. MD5 and SHA1 are no functions of MySQL from 9.6 on.
    let name = "CONCAT('holdfast.', LEFT(SHA2(DATABASE(), 256), 32))";
    let lock = format!("SELECT COALESCE(GET_LOCK({name}, {MIGRATION_WAIT_S}), 0) AS granted");
    let limit = Duration::from_secs(u64::from(MIGRATION_WAIT_S) + 5);
    let reply = connection.patient_query(lock, limit).await.map_err(|failure| failure.into_error("migrate the database"))?;
    match reply.rows(0) {
        [row] if rows::int(row, "granted").is_ok_and(|granted| granted == 1) => {}
        _ => return Err(failed(format!("another process has been migrating for {MIGRATION_WAIT_S} s"))),
    }
    let mut migrator = migrations::all();
    migrator.set_locking(false);
    finish_interrupted(connection, &migrator).await?;
    tell_newer(connection, &migrator).await?;
    // During an upgrade processes of both programs run, and each may die and be started again: migrations only add what an older program
    // does not miss, so it starts on a database of a newer one.
    migrator.set_ignore_missing(true);
    // The connection is closed afterwards, and its lock goes with it.
    migrator.run_direct(None, connection.link(), false).await.map_err(|error| failed(error.to_string()))?;
    #[cfg(feature = "defects")]
    if planted(Defect::OneLedgerRowPerItem) {
        let key = "ALTER TABLE inventory_transactions ADD UNIQUE KEY ledger_of_order (order_id, sku_id)";
        match connection.query(key.into()).await {
            Ok(_) => {}
            Err(Failure::Refused { code, .. }) if DONE_ALREADY.contains(&code) => {}
            Err(failure) => return Err(failure.into_error("migrate the database")),
        }
    }
    Ok(())
}

/// Finishes a migration whose process was killed on the way, which the driver would only complain about. DDL commits by itself, so some of
/// its statements may stand; those are told by the error that the object is there already, or gone already. Nobody else migrates now.
async fn finish_interrupted(connection: &mut Connection, migrator: &Migrator) -> Result<(), LedgerError> {
    const ACT: &str = "finish an interrupted migration";
    let dirty = match connection.query("SELECT version FROM _sqlx_migrations WHERE success = FALSE ORDER BY version".into()).await {
        Ok(reply) => reply.rows(0).iter().map(|row| rows::int(row, "version")).collect::<Result<Vec<_>, _>>(),
        Err(Failure::Refused { code: NO_SUCH_TABLE, .. }) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    };
    for version in dirty.map_err(|failure| failure.into_error(ACT))? {
        let unknown =
            || LedgerError::Unsuitable(format!("migration {version} of a newer program was interrupted: start that program once"));
        let migration = migrator.iter().find(|migration| migration.version == version).ok_or_else(unknown)?;
        for statement in statements(migration.sql.as_str()) {
            match connection.autocommit(statement.clone()).await {
                Ok(_) => {}
                Err(Failure::Refused { code, .. }) if DONE_ALREADY.contains(&code) => {}
                Err(failure) => {
                    let why = format!("version {version} ({}), at {statement:?}: {failure:?}", migration.description);
                    return Err(LedgerError::Failed { act: ACT, why });
                }
            }
        }
        let mark = format!("UPDATE _sqlx_migrations SET success = TRUE WHERE version = {version}");
        connection.autocommit(mark).await.map_err(|failure| failure.into_error(ACT))?;
        tracing::warn!(version, "finished a migration that had been interrupted");
    }
    Ok(())
}

/// Tells that a newer program has migrated the database already.
async fn tell_newer(connection: &mut Connection, migrator: &Migrator) -> Result<(), LedgerError> {
    let own = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    let newer = format!("SELECT version FROM _sqlx_migrations WHERE version > {own} ORDER BY version DESC LIMIT 1");
    let newest = match connection.query(newer).await {
        Ok(reply) => reply.rows(0).first().map(|row| rows::int(row, "version")).transpose(),
        Err(Failure::Refused { code: NO_SUCH_TABLE, .. }) => Ok(None),
        Err(failure) => Err(failure),
    };
    if let Some(newest) = newest.map_err(|failure| failure.into_error("migrate the database"))? {
        tracing::warn!(own, newest, "the database was migrated by a newer program");
    }
    Ok(())
}

/// The statements of a migration: each ends with a semicolon at the end of a line, and comments are lines of their own or end one.
fn statements(sql: &str) -> Vec<String> {
    let bare: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim_end()).collect();
    bare.join("\n")
        .split(";\n")
        .map(|statement| statement.trim().trim_end_matches(';').to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_taken_apart_at_its_semicolons_and_not_at_those_of_its_comments() {
        let sql = "-- Why; and how.\n\nCREATE TABLE a (\n  b INT, -- of b; c\n  c INT\n);\nALTER TABLE a\n  DROP KEY d;\n";
        assert_eq!(statements(sql), ["CREATE TABLE a (\n  b INT,\n  c INT\n)", "ALTER TABLE a\n  DROP KEY d"]);
    }
}
