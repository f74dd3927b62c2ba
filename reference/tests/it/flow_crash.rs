//! A process that dies in the middle of what it does: a runtime of its own that is dropped, with every task and connection in it, wherever
//! they are at that moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use reference::flow::Flow;
use reference::ledger::Ledger;
use reference::metrics::Metrics;
use reference::stock::Stock;

use crate::flow_actions::{Action, Items, act};
use crate::flow_bench::{FlowBench, forgetful};
use crate::ledger_bench::settings;
use crate::stock_fixture::{patient, until};

/// Lets another process do `action` and dies `after` it began; returns once both stores have noticed.
pub(crate) async fn crash(bench: &FlowBench, items: Items, action: Action, after: Duration) {
    let (redis_before, mysql_before) = (redis_clients(bench).await, sessions(bench).await);
    die(bench, items, action, after).await;
    until("mysql has ended the sessions of the dead process", async || sessions(bench).await.is_subset(&mysql_before)).await;
    until("redis has closed the connections of the dead process", async || redis_clients(bench).await <= redis_before).await;
}

/// Lets another process do `action` and dies `after` it began. What it sent may still be executed when this returns.
pub(crate) async fn die(bench: &FlowBench, items: Items, action: Action, after: Duration) {
    let (redis_url, mysql_url) = (bench.redis_url.clone(), bench.sql.url.clone());
    let process = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let stock = Stock::open(patient(redis_url)).await.unwrap();
            let ledger = Ledger::open(settings(&mysql_url)).await.unwrap();
            let flow = Flow::new(stock, ledger, Metrics::default(), forgetful());
            let _doing = tokio::spawn(async move { act(&flow, items, &action).await });
            tokio::time::sleep(after).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
    });
    process.await.unwrap();
}

/// Returns once MySQL executes nothing and holds no open transaction.
pub(crate) async fn until_forgotten(bench: &FlowBench) {
    let busy = "SELECT COUNT(*) FROM information_schema.processlist p LEFT JOIN information_schema.innodb_trx t \
                ON t.trx_mysql_thread_id = p.id WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() \
                AND (p.command <> 'Sleep' OR t.trx_id IS NOT NULL)";
    until("mysql is idle", async || bench.sql.int(busy).await == 0).await;
}

async fn redis_clients(bench: &FlowBench) -> usize {
    let clients: String = bench.redis.raw("CLIENT LIST").await;
    clients.lines().count()
}

async fn sessions(bench: &FlowBench) -> std::collections::BTreeSet<i64> {
    use sqlx::Row as _;
    let select = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    bench.sql.rows(select).await.iter().map(|row| row.get(0)).collect()
}
