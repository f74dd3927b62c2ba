//! A process killed while it migrates: the next one finishes the work, wherever it had stopped. And programs of two versions on one database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use reference::ledger::{Ledger, LedgerError};
use sqlx::Row as _;
use sqlx::mysql::MySqlConnection;

use crate::http_bench::{exchange, get, order, post};
use crate::ledger_bench::{connect, execute, fresh_url, settings};
use crate::outage_program::Program;
use crate::stock_fixture::until;
use crate::support::{fresh_item, stores};

/// Version and text of every migration, in order.
fn migrations() -> Vec<(i64, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name.split('_').next().unwrap().parse().unwrap(), std::fs::read_to_string(path).unwrap())
    };
    let mut all: Vec<(i64, String)> = std::fs::read_dir(folder).unwrap().map(read).collect();
    all.sort();
    all
}

/// Every table as the server describes it.
async fn schema(sql: &mut MySqlConnection) -> Vec<String> {
    let mut tables = Vec::new();
    for row in sqlx::raw_sql("SHOW TABLES").fetch_all(&mut *sql).await.unwrap() {
        let show = format!("SHOW CREATE TABLE {}", row.get::<String, _>(0));
        tables.push(sqlx::raw_sql(sqlx::AssertSqlSafe(show)).fetch_one(&mut *sql).await.unwrap().get(1));
    }
    tables
}

/// A database as a process leaves it that is killed in `at`: everything before is done, `at` is marked as begun, and done or not.
async fn interrupted(whole: &str, all: &[(i64, String)], at: usize, done: bool) -> String {
    let url = fresh_url().await;
    let name = url.rsplit('/').next().unwrap();
    let mut server = connect(whole).await;
    execute(&mut server, &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")).await;
    let from = whole.rsplit('/').next().unwrap();
    let mut sql = connect(&url).await;
    for (_, text) in &all[..at + usize::from(done)] {
        execute(&mut sql, text).await;
    }
    execute(&mut sql, &format!("CREATE TABLE _sqlx_migrations LIKE {from}._sqlx_migrations")).await;
    let version = all[at].0;
    let copy = format!("INSERT INTO _sqlx_migrations SELECT * FROM {from}._sqlx_migrations WHERE version <= {version}");
    execute(&mut sql, &copy).await;
    execute(&mut sql, &format!("UPDATE _sqlx_migrations SET success = FALSE WHERE version = {version}")).await;
    url
}

#[tokio::test]
async fn a_migration_that_was_killed_anywhere_is_finished_at_the_next_start() {
    let (whole, all) = (fresh_url().await, migrations());
    Ledger::open(settings(&whole)).await.unwrap().close().await;
    let wanted = schema(&mut connect(&whole).await).await;
    for at in 0..all.len() {
        for done in [false, true] {
            let url = interrupted(&whole, &all, at, done).await;
            let ledger = Ledger::open(settings(&url)).await.unwrap_or_else(|error| panic!("{at} {done}: {error}"));
            let mut sql = connect(&url).await;
            assert_eq!(schema(&mut sql).await, wanted, "migration {} was {}", all[at].0, if done { "done" } else { "not done" });
            let dirty = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success = FALSE";
            assert_eq!(sqlx::raw_sql(dirty).fetch_one(&mut sql).await.unwrap().get::<i64, _>(0), 0);
            ledger.open_item(fresh_item(), 5).await.unwrap();
            ledger.close().await;
        }
    }
}

#[tokio::test]
async fn an_interrupted_migration_of_a_newer_program_is_told_with_what_to_do() {
    let url = fresh_url().await;
    Ledger::open(settings(&url)).await.unwrap().close().await;
    let newer =
        "INSERT INTO _sqlx_migrations SELECT 9999, 'newer', NOW(), FALSE, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    execute(&mut connect(&url).await, newer).await;
    let refused = Ledger::open(settings(&url)).await.unwrap_err();
    let told = "migration 9999 of a newer program was interrupted: start that program once";
    assert_eq!(refused, LedgerError::Unsuitable(told.to_owned()));
}

/// What the next version of the program would do at its start, while processes of this one go on.
async fn migrate_like_a_newer_program(url: &str) {
    let mut sql = connect(url).await;
    for table in ["orders", "inventory_transactions", "outbox", "inventory_epoch", "inventory", "user_quota", "stock_changes"] {
        execute(&mut sql, &format!("ALTER TABLE {table} ADD COLUMN added_later INT NOT NULL DEFAULT 0")).await;
    }
    let applied =
        "INSERT INTO _sqlx_migrations SELECT 9999, 'newer', NOW(), TRUE, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    execute(&mut sql, applied).await;
}

#[tokio::test]
async fn processes_of_this_program_go_on_and_start_again_on_the_database_of_a_newer_one() {
    let redis = stores().await.redis_url();
    let url = fresh_url().await;
    let mut program = Program::start(&redis, &url, &[]).await;
    let item = fresh_item();
    assert_eq!(program.open(item, 10).await.status, 201);
    let buy = async |program: &Program, id: &str| {
        let reply = exchange(program.public, &post("/orders", &order(id, item, 1).to_string())).await;
        assert_eq!(reply.status, 201, "{id}: {reply:?}");
    };
    buy(&program, "before").await;
    migrate_like_a_newer_program(&url).await;
    buy(&program, "meanwhile").await;
    // It died in the middle of the upgrade, or the upgrade is taken back.
    program.kill();
    program.again().await;
    buy(&program, "after").await;
    let cancelled = exchange(program.public, &post("/orders/after/cancel", "")).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    let left = async || {
        let path = format!("/stock/{}/{}/{}", item.store, item.product, item.sku);
        get(program.public, &path).await.json()["available"].as_i64()
    };
    until("what was cancelled is for sale again", async || left().await == Some(8)).await;
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_migrates_keeps_nobody_from_starting() {
    let redis = stores().await.redis_url();
    let url = fresh_url().await;
    for pause in 0..12 {
        let mut program = Program::launch(&redis, &url, &[]);
        // The wait is what is tried: each process is killed at another point of its start.
        tokio::time::sleep(std::time::Duration::from_millis(10 * pause)).await;
        program.kill();
    }
    Program::start(&redis, &url, &[]).await;
}
