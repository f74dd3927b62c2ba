//! Opening the ledger: database, migrations, self-test, and what is left of idle connections.

use std::time::Duration;

use futures_util::future::join_all;
use harness::stack::stores::{Stores, StoresSpec};
use reference::ledger::{Ledger, LedgerError, LedgerSettings, Restocked};

use crate::ledger_bench::{Bench, connect, execute, fresh_url, settings};
use crate::support;

#[tokio::test]
async fn four_processes_open_one_empty_database_at_once() {
    let url = fresh_url().await;
    let open = || tokio::spawn(Ledger::open(LedgerSettings { self_test: true, ..settings(&url) }));
    let opened = join_all([open(), open(), open(), open()]).await;
    let ledgers: Vec<Ledger> = opened.into_iter().map(|ledger| ledger.unwrap().unwrap()).collect();
    let item = support::fresh_item();
    let results = join_all(ledgers.iter().map(|ledger| ledger.open_item(item, 5))).await;
    assert_eq!(results.iter().filter(|result| **result == Ok(Restocked::Now)).count(), 1, "{results:?}");
    assert_eq!(results.iter().filter(|result| **result == Ok(Restocked::Before)).count(), 3, "{results:?}");
}

#[tokio::test]
async fn the_self_test_leaves_nothing_behind_and_passes_again() {
    let bench = Bench::with(|settings| settings.self_test = true).await;
    assert_eq!(bench.int("SELECT COUNT(*) FROM boot_check").await, 0);
}

#[tokio::test]
async fn a_server_that_parses_locks_without_locking_is_refused_by_name() {
    let url = fresh_url().await;
    Ledger::open(settings(&url)).await.unwrap().close().await;
    // An engine without transactions takes the same statements and locks no row.
    execute(&mut connect(&url).await, "ALTER TABLE boot_check ENGINE = MyISAM").await;
    let refused = Ledger::open(LedgerSettings { self_test: true, ..settings(&url) }).await.unwrap_err();
    assert_eq!(refused, LedgerError::Unsuitable("LOCK IN SHARE MODE does not block FOR UPDATE".into()));
    Ledger::open(settings(&url)).await.unwrap();
}

#[tokio::test]
async fn a_server_whose_binary_log_is_unsafe_with_skip_locked_is_refused_by_name() {
    let mysql_args = ["--log-bin=binlog", "--server-id=1", "--binlog-format=STATEMENT"].map(String::from).into();
    let stores = Stores::start(StoresSpec { mysql_args, ..StoresSpec::default() }).await.unwrap();
    let refused = Ledger::open(settings(&stores.mysql_url("shop"))).await.unwrap_err();
    assert!(matches!(&refused, LedgerError::Unsuitable(why) if why.starts_with("binlog_format is STATEMENT")), "{refused:?}");
    execute(&mut connect(&stores.mysql_url("mysql")).await, "SET GLOBAL binlog_format = 'ROW'").await;
    Ledger::open(settings(&stores.mysql_url("shop"))).await.unwrap().close().await;
    stores.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_definite_failure_without_the_password() {
    let settings = LedgerSettings { url: "mysql://user:secret@127.0.0.1:1/none".into(), ..LedgerSettings::default() };
    let error = Ledger::open(settings).await.unwrap_err();
    assert!(matches!(error, LedgerError::Away { .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"));
    let settings = LedgerSettings { url: "mysql://user:se cret".into(), ..LedgerSettings::default() };
    assert!(!Ledger::open(settings).await.unwrap_err().to_string().contains("cret"));
}

#[tokio::test]
async fn connections_that_the_server_closed_while_idle_fail_no_request() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(crate::ledger_bench::numbered("a", 0, item, 1)).await;
    // What wait_timeout does, without the wait.
    let mut own = bench.connect().await;
    let kill = "SELECT GROUP_CONCAT(CONCAT('KILL ', id) SEPARATOR ';') FROM information_schema.processlist \
                WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    let kills: String = sqlx::Row::get(&sqlx::raw_sql(kill).fetch_one(&mut own).await.unwrap(), 0);
    assert!(kills.contains(';'), "the pool and the writer have connections: {kills}");
    execute(&mut own, &kills).await;
    bench.ledger.ping().await.unwrap();
    assert_eq!(bench.balance(item).await.current, 10);
    bench.write(crate::ledger_bench::numbered("a", 1, item, 1)).await;
    assert_eq!(bench.ledger.deduct_batch(10).await.unwrap().settled.len(), 2);
}

#[tokio::test]
async fn a_closed_ledger_has_written_what_was_queued_and_takes_no_more() {
    let bench = Bench::new().await;
    let item = bench.item(100).await;
    let queued: Vec<_> = (0..50)
        .map(|at| {
            let (ledger, order) = (bench.ledger.clone(), crate::ledger_bench::numbered("q", at, item, 1));
            tokio::spawn(async move { ledger.write(order).await })
        })
        .collect();
    while bench.int("SELECT COUNT(*) FROM orders").await == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench.ledger.close().await;
    for answer in queued {
        assert_eq!(answer.await.unwrap(), Ok(reference::ledger::Written::Committed));
    }
    assert!(matches!(bench.ledger.write(crate::ledger_bench::numbered("q", 99, item, 1)).await, Err(LedgerError::Failed { .. })));
    assert!(matches!(bench.ledger.ping().await, Err(LedgerError::Away { .. })));
    assert_eq!(bench.int("SELECT COUNT(*) FROM orders").await, 50);
}
