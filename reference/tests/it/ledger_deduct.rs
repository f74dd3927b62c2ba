//! The deduct worker's transactions and the life of outbox rows.

use std::time::Duration;

use futures_util::future::join_all;
use harness::stack::stores::{Stores, StoresSpec};
use reference::domain::SaleState;
use sqlx::Row as _;

use crate::ledger_bench::{Bench, execute, id, numbered, order, token};

#[tokio::test]
async fn three_workers_deduct_five_hundred_orders_exactly_once() {
    let bench = Bench::new().await;
    let (one, two) = (bench.item(1000).await, bench.item(2000).await);
    let cart = |at: u64| order(&format!("o-{at}"), &[(one, 1, token(1, at)), (two, 3, token(1, at))]);
    join_all((0..500).map(|at| bench.write(cart(at)))).await;
    assert_eq!((bench.balance(one).await.open, bench.balance(two).await.open), (500, 1500));
    let worker = || async {
        let mut settled = 0;
        while bench.ledger.outbox_depth().await.unwrap().deducts > 0 {
            settled += bench.ledger.deduct_batch(70).await.unwrap().settled.len();
        }
        settled
    };
    let (first, second, third) = tokio::join!(worker(), worker(), worker());
    assert_eq!(first + second + third, 1000, "each event is settled by one worker");
    let (one_is, two_is) = (bench.balance(one).await, bench.balance(two).await);
    assert_eq!((one_is.current, one_is.open, two_is.current, two_is.open), (500, 0, 500, 0));
    assert_eq!((bench.booked(one).await, bench.booked(two).await), (500, 500));
}

#[tokio::test]
async fn one_batch_moves_each_balance_by_one_update_however_many_orders_it_holds() {
    let bench = Bench::new().await;
    let (one, two) = (bench.item(1000).await, bench.item(1000).await);
    let cart = |at: u64| order(&format!("o-{at}"), &[(one, 1, token(1, at)), (two, 2, token(1, at))]);
    join_all((0..60).map(|at| bench.write(cart(at)))).await;
    // Each UPDATE of a balance counts its version up.
    let updates = async || bench.int("SELECT CAST(SUM(version) AS SIGNED) FROM inventory").await;
    let before = updates().await;
    assert_eq!(bench.ledger.deduct_batch(200).await.unwrap().settled.len(), 120);
    assert_eq!(updates().await - before, 2);
    assert_eq!((bench.balance(one).await.current, bench.balance(two).await.current), (940, 880));
}

/// A server counts for all who use it, so this test has one of its own. Its statistics are of the time when the table was short, and it opens the
/// table when that is long: then it believes that each order has thousands of rows, for as long as the table stays open.
#[tokio::test]
async fn a_full_batch_reads_its_own_rows_however_long_the_ledger_is() {
    let stores = Stores::start(StoresSpec::default()).await.unwrap();
    let bench = Bench::at(stores.mysql_url("long_ledger")).await;
    let item = bench.item(1000).await;
    bench.execute("ALTER TABLE inventory_transactions STATS_AUTO_RECALC = 0; ANALYZE TABLE inventory_transactions").await;
    bench
        .execute(
            "INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) \
             SELECT CONCAT('earlier-', seq), 7, 7, 7, 'SALE', 'OUT', 1, 1, CONCAT('1:', seq) FROM \
             (WITH RECURSIVE n AS (SELECT 1 AS seq UNION ALL SELECT seq + 1 FROM n WHERE seq < 900) \
              SELECT a.seq * 1000 + b.seq AS seq FROM n a CROSS JOIN n b WHERE b.seq <= 20) numbers",
        )
        .await;
    let orders: Vec<_> = (0..300).map(|at| numbered("o", at, item, 1)).collect();
    let ids: Vec<_> = (0..300).map(|at| id(&format!("o-{at}"))).collect();
    join_all(orders.into_iter().map(|order| bench.write(order))).await;
    bench.execute("FLUSH TABLES").await;
    let read = async || -> i64 {
        let counters = bench.rows("SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_read_next', 'Handler_read_rnd_next')").await;
        counters.iter().map(|row| row.get::<String, _>(1).parse::<i64>().unwrap()).sum()
    };

    let before = read().await;
    assert_eq!(bench.ledger.deduct_batch(200).await.unwrap().settled.len(), 200);
    let of_batch = read().await - before;
    assert!(of_batch < 2_000, "{of_batch} rows were read for a batch of 200 beside 18,000 others");

    let before = read().await;
    assert_eq!(bench.ledger.orders(&ids).await.unwrap().len(), 300);
    let of_orders = read().await - before;
    assert!(of_orders < 2_000, "{of_orders} rows were read for 300 orders beside 18,000 others");
}

#[tokio::test]
async fn a_deduct_delivered_again_is_success_and_moves_nothing() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(numbered("o", 1, item, 4)).await;
    let first = bench.ledger.deduct_batch(10).await.unwrap();
    assert_eq!((first.events, first.dead), (1, 0));
    let settled = &first.settled[0];
    assert_eq!((settled.item, &settled.order, Some(settled.token), settled.quantity.get()), (item, &id("o-1"), token(1, 2), 4));
    assert_eq!(bench.ledger.order(&id("o-1")).await.unwrap().unwrap().sales[0].state, SaleState::Out);
    bench.execute("UPDATE outbox SET status = 'NEW'").await;
    assert_eq!(bench.ledger.deduct_batch(10).await.unwrap().settled, first.settled);
    assert_eq!((bench.balance(item).await.current, bench.ledger.deduct_batch(10).await.unwrap().events), (6, 0));
}

#[tokio::test]
async fn a_balance_that_refuses_holds_up_no_other_item_and_its_events_end_dead_until_requeued() {
    let bench = Bench::new().await;
    let (broken, sound) = (bench.item(5).await, bench.item(5).await);
    bench.write(numbered("b", 1, broken, 2)).await;
    bench.write(numbered("s", 1, sound, 2)).await;
    let of_broken = format!("store_id = {} AND product_id = {} AND sku_id = {}", broken.store, broken.product, broken.sku);
    bench.execute(&format!("UPDATE inventory SET current_stock = 1 WHERE {of_broken}")).await;

    let batch = bench.ledger.deduct_batch(10).await.unwrap();
    assert_eq!((batch.events, batch.refused.as_slice(), batch.dead), (2, [broken].as_slice(), 0));
    assert_eq!(batch.settled.iter().map(|settled| settled.item).collect::<Vec<_>>(), [sound]);
    assert_eq!((bench.balance(broken).await.current, bench.balance(sound).await.current), (1, 3));
    assert_eq!(bench.ledger.deduct_batch(10).await.unwrap().events, 0, "put off");
    assert_eq!(bench.ledger.outbox_depth().await.unwrap().deducts, 1);

    for attempt in 2..=10 {
        let left =
            bench.int("SELECT TIMESTAMPDIFF(SECOND, NOW(3), available_at) FROM outbox WHERE status = 'NEW' AND attempts > 0").await;
        let put_off = (1_i64 << (attempt - 2)).min(60);
        assert!((put_off - 2..=put_off).contains(&left), "after {} refusals {left} s are left, not about {put_off}", attempt - 1);
        bench.execute("UPDATE outbox SET available_at = NOW(3) WHERE status = 'NEW'").await;
        let batch = bench.ledger.deduct_batch(10).await.unwrap();
        assert_eq!((batch.events, batch.dead), (1, u64::from(attempt == 10)), "attempt {attempt}");
    }
    let depth = bench.ledger.outbox_depth().await.unwrap();
    assert_eq!((depth.deducts, depth.dead), (0, 1));
    assert_eq!(bench.int("SELECT COUNT(*) FROM outbox WHERE last_error LIKE '%does not cover 2 units%'").await, 1);
    assert_eq!(bench.balance(broken).await.open, 2, "a dead deduct still counts as sold");

    let dead = bench.int("SELECT id FROM outbox WHERE status = 'DEAD'").await;
    let restock = bench.int("SELECT id FROM outbox WHERE event_type = 'APPLY_DELTA' LIMIT 1").await;
    assert_eq!((bench.ledger.requeue(restock).await, bench.ledger.requeue(0).await), (Ok(false), Ok(false)));
    assert_eq!((bench.ledger.requeue(dead).await, bench.ledger.requeue(dead).await), (Ok(true), Ok(false)));
    bench.execute(&format!("UPDATE inventory SET current_stock = 5 WHERE {of_broken}")).await;
    assert_eq!(bench.ledger.deduct_batch(10).await.unwrap().settled.len(), 1);
    assert_eq!((bench.balance(broken).await.current, bench.balance(broken).await.open), (3, 0));
}

#[tokio::test]
async fn a_deduct_without_a_sale_is_dead_at_once() {
    let bench = Bench::new().await;
    let item = bench.item(5).await;
    bench.write(numbered("o", 1, item, 1)).await;
    bench.write(numbered("o", 2, item, 1)).await;
    bench.execute("DELETE FROM inventory_transactions WHERE order_id = 'o-1'").await;
    let batch = bench.ledger.deduct_batch(10).await.unwrap();
    assert_eq!((batch.events, batch.settled.len(), batch.dead), (2, 1, 1));
    assert_eq!(bench.int("SELECT COUNT(*) FROM outbox WHERE status = 'DEAD' AND last_error = 'no SALE row'").await, 1);
}

#[tokio::test]
async fn only_old_rows_that_are_done_are_purged_and_in_chunks() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    join_all((0..5).map(|at| bench.write(numbered("o", at, item, 1)))).await;
    bench.ledger.deduct_batch(3).await.unwrap();
    let day = Duration::from_secs(86_400);
    assert_eq!(bench.ledger.purge_outbox(day, 100).await, Ok(0), "too young");
    bench.execute("UPDATE outbox SET available_at = NOW(3) - INTERVAL 2 DAY").await;
    assert_eq!(bench.ledger.purge_outbox(day, 2).await, Ok(2));
    assert_eq!(bench.ledger.purge_outbox(day, 100).await, Ok(1));
    assert_eq!(bench.int("SELECT COUNT(*) FROM outbox").await, 3, "two deducts to come, and the opening");
}

/// A claim can see an event a moment before a plain read sees the sale that was committed with it: it is a locking read. Here a transaction
/// that is still open stands for that moment.
#[tokio::test]
async fn a_sale_that_a_plain_read_does_not_show_yet_is_waited_for_and_its_event_lives() {
    let bench = Bench::new().await;
    let item = bench.item(5).await;
    bench.write(numbered("o", 1, item, 2)).await;
    bench.execute("CREATE TABLE kept AS SELECT * FROM inventory_transactions WHERE order_id = 'o-1'").await;
    bench.execute("DELETE FROM inventory_transactions WHERE order_id = 'o-1'").await;
    let mut writer = bench.connect().await;
    execute(&mut writer, "BEGIN").await;
    execute(&mut writer, "INSERT INTO inventory_transactions SELECT * FROM kept").await;
    let commit = async {
        bench.wait_for_statement("SALE_ AND %FOR UPDATE").await;
        execute(&mut writer, "COMMIT").await;
    };
    let (batch, ()) = tokio::join!(bench.ledger.deduct_batch(10), commit);
    let batch = batch.unwrap();
    assert_eq!((batch.events, batch.settled.len(), batch.dead), (1, 1, 0));
    assert_eq!((bench.balance(item).await.current, bench.balance(item).await.open), (3, 0));
}
