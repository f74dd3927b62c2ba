//! Waiting for rest on real stores: workers that finish, that never do, and a wait that is called off.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::clock::RunClock;
use harness::scenario::Scenario;
use harness::snapshot::quiesce::quiesce;
use harness::snapshot::take::{StopContext, stop_point};
use harness::snapshot::{Backlog, Quiescence, Rest, StoreReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::snapshot_rig::{Rig, rig, scenario};

const LEFT: &str = "
    INSERT INTO inventory (store_id, product_id, sku_id, current_stock) VALUES (7, 8, 1, 10), (7, 8, 2, 10);
    INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) VALUES
        ('r-1', 7, 8, 1, 'SALE', 'LOCK', 1, 1), ('r-2', 7, 8, 2, 'SALE', 'LOCK', 1, 1), ('r-3', 7, 8, 2, 'SALE', 'OUT', 1, 1);
    INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, status) VALUES
        ('r-1', 'DEDUCT_STOCK_DB', 'r-1', 7, 8, 1, 1, 1, 'NEW'), ('r-3', 'DEDUCT_STOCK_DB', 'r-3', 7, 8, 2, 1, 1, 'DONE');";

async fn rig_with_work_left() -> Rig {
    let rig = rig().await;
    rig.sql(LEFT).await;
    rig.command("ZADD inventory:lock:{7:8:1} 1 r-1|1:1|1 2 r-9|1:2|1").await;
    rig.command("ZADD inventory:lock:{7:8:2} 1 r-2|1:1|1").await;
    rig
}

async fn wait(rig: &Rig, scenario: &Scenario, open: &AtomicU64) -> Quiescence {
    let open = || open.load(Ordering::Relaxed);
    quiesce(&rig.reader, open, scenario, &RunClock::start(), &CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn the_backlog_counts_what_is_left_in_both_stores() {
    let rig = rig_with_work_left().await;
    let backlog = rig.reader.backlog().await.unwrap();
    assert_eq!(backlog, Backlog { outbox_new: 1, locks: 3, sales_in_lock: 2, open_operations: 0, unpaid: 0 });
}

#[tokio::test]
async fn it_rests_once_the_workers_have_emptied_the_backlog_and_the_window_has_passed() {
    let rig = rig_with_work_left().await;
    let open = AtomicU64::new(1);
    let steps = async {
        rig.sql("UPDATE inventory_transactions SET transaction_type = 'OUT' WHERE kind = 'SALE'").await;
        rig.command("DEL inventory:lock:{7:8:1}").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        rig.sql("UPDATE outbox SET status = 'DONE'").await;
        rig.command("ZREM inventory:lock:{7:8:2} r-2|1:1|1").await;
        open.store(0, Ordering::Relaxed);
    };
    let scenario = scenario();
    let (ended, ()) = tokio::join!(wait(&rig, &scenario, &open), steps);
    assert_eq!((ended.rest, ended.backlog), (Rest::Quiesced, Backlog::default()));
    assert!(ended.ended.since(ended.began) >= Duration::from_millis(600), "{ended:?}");
}

#[tokio::test]
async fn a_backlog_that_nobody_works_on_is_stuck_and_named() {
    let rig = rig_with_work_left().await;
    let ended = wait(&rig, &scenario(), &AtomicU64::new(2)).await;
    let left = Backlog { outbox_new: 1, locks: 3, sales_in_lock: 2, open_operations: 2, unpaid: 0 };
    assert_eq!((ended.rest, ended.backlog), (Rest::Stuck, left));
}

#[tokio::test]
async fn unpaid_orders_are_waited_for_where_they_expire_soon_and_only_there() {
    let rig = rig().await;
    rig.sql("INSERT INTO orders (order_id, status, request_hash) VALUES ('u-1', 'CREATED', REPEAT('x', 32)), ('u-2', 'PAID', REPEAT('x', 32))")
        .await;
    let (mut scenario, open) = (scenario(), AtomicU64::new(0));
    scenario.promises.order_ttl_ms = scenario.limits.quiesce_stall_ms;
    let ended = wait(&rig, &scenario, &open).await;
    assert_eq!((ended.rest, ended.backlog.unpaid), (Rest::Quiesced, 0), "they live too long to be waited for");
    scenario.promises.order_ttl_ms = scenario.limits.quiesce_stall_ms / 2;
    let ended = wait(&rig, &scenario, &open).await;
    assert_eq!((ended.rest, ended.backlog.unpaid), (Rest::Stuck, 1));
    let expire = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        rig.sql("UPDATE orders SET status = 'EXPIRED' WHERE order_id = 'u-1'").await;
    };
    let (ended, ()) = tokio::join!(wait(&rig, &scenario, &open), expire);
    assert_eq!((ended.rest, ended.backlog), (Rest::Quiesced, Backlog::default()));
}

#[tokio::test]
async fn stores_that_keep_moving_are_slow_although_nothing_is_left() {
    let rig = rig().await;
    rig.sql("INSERT INTO inventory (store_id, product_id, sku_id) VALUES (7, 8, 1)").await;
    let mut scenario = scenario();
    scenario.limits.quiesce_cap_ms = 1_500;
    let pool = rig.mysql.clone();
    let writer = tokio::spawn(async move {
        loop {
            sqlx::query("UPDATE inventory SET version = version + 1").execute(&pool).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let ended = wait(&rig, &scenario, &AtomicU64::new(0)).await;
    writer.abort();
    assert_eq!((ended.rest, ended.backlog), (Rest::Slow, Backlog::default()));
}

#[tokio::test]
async fn an_interrupted_wait_is_unread_and_its_snapshot_is_still_taken() {
    let rig = rig_with_work_left().await;
    let (scenario, clock, stop) = (scenario(), RunClock::start(), CancellationToken::new());
    stop.cancel();
    let context = StopContext { stores: &rig.reader, endpoints: &rig.endpoints, scenario: &scenario, clock: &clock, stop: &stop };
    let point = stop_point("load", context, || 0, &[]).await.unwrap();
    assert_eq!((point.after.as_str(), point.quiescence.rest), ("load", Rest::Unread));
    assert_eq!((point.snapshot.consistent, point.snapshot.ledger.len()), (true, 3));
}

/// A listener that passes bytes to the Redis of `url`, and the URL to reach it by. The way is cut when the task is aborted.
async fn cuttable(url: &str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = url.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let through = url.replace(&address, &listener.local_addr().unwrap().to_string());
    let pass = tokio::spawn(async move {
        let mut links = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&address).await.unwrap();
            links.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    (through, pass)
}

#[tokio::test]
async fn a_store_that_stays_away_ends_the_wait_unread() {
    let rig = rig().await;
    let mut endpoints = rig.endpoints.clone();
    let (through, pass) = cuttable(&endpoints.redis_url).await;
    endpoints.redis_url = through;
    let reader = StoreReader::connect(&endpoints).await.unwrap();
    assert_eq!(reader.backlog().await.unwrap(), Backlog::default());
    pass.abort();
    let ended = quiesce(&reader, || 0, &scenario(), &RunClock::start(), &CancellationToken::new()).await.unwrap();
    assert_eq!(ended.rest, Rest::Unread);
    assert!(ended.ended.since(ended.began) >= Duration::from_millis(700), "{ended:?}");
}
