//! Tombstones, payment, undo.

use futures_util::future::join_all;
use reference::domain::{Epoch, OrderId, OrderStatus, SaleState};
use reference::ledger::{Changed, Mode, Paid, StockChanged, Undo, Written};
use std::time::Duration;

use crate::ledger_bench::{Bench, execute, id, numbered, order, restock, token};

fn status(changed: &Changed) -> Option<OrderStatus> {
    match changed {
        Changed::Now(order) | Changed::Not(order) => Some(order.status),
        Changed::NoOrder => None,
    }
}

#[tokio::test]
async fn a_read_of_a_contested_order_waits_for_who_writes_it() {
    let bench = Bench::new().await;
    let mut holder = bench.connect().await;
    execute(&mut holder, "BEGIN; INSERT INTO orders (order_id, status, request_hash) VALUES ('o', 'FENCED', REPEAT('0', 32))")
        .await;
    assert_eq!(bench.ledger.order(&id("o")).await.unwrap(), None);
    let ledger = bench.ledger.clone();
    let read = tokio::spawn(async move { ledger.contested_order(&id("o")).await });
    bench.wait_for_statement("LOCK IN SHARE MODE").await;
    execute(&mut holder, "COMMIT").await;
    assert_eq!(read.await.unwrap().unwrap().map(|order| order.status), Some(OrderStatus::Fenced));
}

#[tokio::test]
async fn a_tombstone_stops_the_order_and_an_order_stops_the_tombstone() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    assert_eq!(bench.ledger.fence(&id("o-1")).await, Ok(true));
    assert_eq!(bench.ledger.fence(&id("o-1")).await, Ok(false));
    assert_eq!(bench.write(numbered("o", 1, item, 1)).await, Written::Exists);
    let tombstone = bench.ledger.order(&id("o-1")).await.unwrap().unwrap();
    assert_eq!((tombstone.status, tombstone.hash, tombstone.sales.len()), (OrderStatus::Fenced, [0; 32], 0));
    assert_eq!(bench.write(numbered("o", 2, item, 1)).await, Written::Committed);
    assert_eq!(bench.ledger.fence(&id("o-2")).await, Ok(false));
}

#[tokio::test]
async fn a_tombstone_waits_for_the_creator_and_then_tells_the_truth() {
    for (end, inserted) in [("COMMIT", false), ("ROLLBACK", true)] {
        let bench = Bench::new().await;
        let mut creator = bench.connect().await;
        execute(
            &mut creator,
            "BEGIN; INSERT INTO orders (order_id, status, request_hash) VALUES ('o-1', 'CREATED', REPEAT('0', 32))",
        )
        .await;
        let ledger = bench.ledger.clone();
        let fence = tokio::spawn(async move { ledger.fence(&id("o-1")).await });
        bench.wait_for_statement("FENCED").await;
        assert!(!fence.is_finished());
        execute(&mut creator, end).await;
        assert_eq!(fence.await.unwrap(), Ok(inserted), "{end}");
    }
}

#[tokio::test]
async fn payment_happens_once_and_only_to_an_order_that_stands() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(numbered("o", 1, item, 1)).await;
    assert_eq!(bench.ledger.pay(&id("none")).await, Ok(Paid::NoOrder));
    assert_eq!(bench.ledger.pay(&id("o-1")).await, Ok(Paid::Now));
    assert_eq!(bench.ledger.order(&id("o-1")).await.unwrap().unwrap().status, OrderStatus::Paid);
    assert_eq!(bench.ledger.pay(&id("o-1")).await, Ok(Paid::Not(OrderStatus::Paid)));
    bench.ledger.fence(&id("fenced")).await.unwrap();
    assert_eq!(bench.ledger.pay(&id("fenced")).await, Ok(Paid::Not(OrderStatus::Fenced)));
}

#[tokio::test]
async fn a_payment_waits_for_what_is_under_way_and_tells_what_stands() {
    let set = |status: &str| format!("UPDATE orders SET status = '{status}' WHERE order_id = 'o-1'");
    let create = "INSERT INTO orders (order_id, status, request_hash) VALUES ('o-1', 'CREATED', REPEAT('0', 32))".to_owned();
    for (there, step, end, told) in [
        (true, set("EXPIRED"), "COMMIT", Paid::Not(OrderStatus::Expired)),
        (true, set("EXPIRED"), "ROLLBACK", Paid::Now),
        (true, set("PAID"), "COMMIT", Paid::Not(OrderStatus::Paid)),
        (false, create.clone(), "COMMIT", Paid::Now),
        (false, create, "ROLLBACK", Paid::NoOrder),
    ] {
        let bench = Bench::new().await;
        let item = bench.item(10).await;
        if there {
            bench.write(numbered("o", 1, item, 1)).await;
        }
        let mut other = bench.connect().await;
        execute(&mut other, &format!("BEGIN; {step}")).await;
        let ledger = bench.ledger.clone();
        let pay = tokio::spawn(async move { ledger.pay(&id("o-1")).await });
        bench.wait_for_statement("WHERE order_id = ''o-1'' AND status").await;
        execute(&mut other, end).await;
        assert_eq!(pay.await.unwrap(), Ok(told), "{step}; {end}");
    }
}

#[tokio::test]
async fn of_payments_and_expiry_one_wins_and_the_others_are_told_what_stands() {
    let bench = Bench::new().await;
    let item = bench.item(1_000).await;
    join_all((0..120).map(|at| bench.write(numbered("o", at, item, 1)))).await;
    bench.execute("UPDATE orders SET expire_at = NOW(3)").await;
    let race = |at: u64| {
        let (ledger, order) = (bench.ledger.clone(), id(&format!("o-{at}")));
        async move {
            let expire = ledger.undo(&order, Undo::Expire, "");
            let (one, two, expired) = tokio::join!(ledger.pay(&order), ledger.pay(&order), expire);
            let mut paid = [one.unwrap(), two.unwrap()];
            paid.sort_by_key(|paid| *paid != Paid::Now);
            match expired.unwrap() {
                Changed::Now(_) => assert_eq!(paid, [Paid::Not(OrderStatus::Expired); 2]),
                Changed::Not(order) => {
                    assert_eq!((order.status, paid), (OrderStatus::Paid, [Paid::Now, Paid::Not(OrderStatus::Paid)]));
                }
                Changed::NoOrder => panic!("the order is there"),
            }
        }
    };
    for first in (0..120).step_by(6) {
        join_all((first..first + 6).map(race)).await;
    }
    let paid = bench.int("SELECT COUNT(*) FROM orders WHERE status = 'PAID'").await;
    assert_eq!(bench.balance(item).await.available(), 1_000 - paid);
}

#[tokio::test]
async fn a_cancel_before_the_deduct_unlocks_and_leaves_an_increase() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(numbered("o", 1, item, 3)).await;
    let changed = bench.ledger.undo(&id("o-1"), Undo::Cancel, "changed my mind").await.unwrap();
    let Changed::Now(order) = changed else { panic!("{changed:?}") };
    assert_eq!(
        (order.status, order.reason.as_str(), order.sales[0].state),
        (OrderStatus::Cancelled, "changed my mind", SaleState::Unlock)
    );
    assert_eq!(bench.ledger.order(&id("o-1")).await.unwrap(), Some(order));
    assert_eq!((bench.balance(item).await.current, bench.balance(item).await.available()), (10, 10));
    let events = bench.ledger.claim_deltas(10, Duration::from_secs(5)).await.unwrap();
    let mine: Vec<_> = events.iter().filter(|event| event.event_id == "C.o-1").collect();
    assert_eq!(mine.len(), 1);
    assert_eq!((mine[0].item, mine[0].quantity, mine[0].epoch, mine[0].attempts), (item, 3, Epoch(1), 1));
    // The deduct that comes too late finds the sale resolved, and says that its lock can be confirmed.
    let late = bench.ledger.deduct_batch(10).await.unwrap();
    assert_eq!((late.settled.len(), late.refused.len(), bench.balance(item).await.current), (1, 0, 10));
    assert!(matches!(bench.ledger.undo(&id("o-1"), Undo::Cancel, "").await, Ok(Changed::Not(_))), "twice");
    assert_eq!(bench.balance(item).await.available(), 10);
}

#[tokio::test]
async fn a_refund_after_the_deduct_returns_and_stamps_the_epoch_of_its_commit() {
    let bench = Bench::new().await;
    let (one, two) = (bench.item(10).await, bench.item(10).await);
    bench.write(order("o-1", &[(one, 3, token(1, 1)), (two, 2, token(1, 1))])).await;
    assert_eq!(bench.ledger.deduct_batch(10).await.unwrap().settled.len(), 2);
    assert_eq!(bench.balance(one).await.current, 7);
    assert!(matches!(bench.ledger.undo(&id("o-1"), Undo::Refund, "").await, Ok(Changed::Not(_))), "not paid");
    bench.ledger.pay(&id("o-1")).await.unwrap();
    assert!(matches!(bench.ledger.undo(&id("o-1"), Undo::Cancel, "").await, Ok(Changed::Not(_))), "paid");
    bench.rebuild(one, 1, None).await;
    let changed = bench.ledger.undo(&id("o-1"), Undo::Refund, "damaged").await.unwrap();
    assert!(matches!(&changed, Changed::Now(order) if order.status == OrderStatus::Refunded), "{changed:?}");
    let Changed::Now(order) = changed else { unreachable!() };
    assert!(order.sales.iter().all(|sale| sale.state == SaleState::Out));
    assert_eq!((bench.balance(one).await.current, bench.balance(two).await.current), (10, 10));
    assert_eq!((bench.booked(one).await, bench.booked(two).await), (10, 10));
    let mut epochs: Vec<_> = bench.ledger.claim_deltas(10, Duration::from_secs(5)).await.unwrap();
    epochs.retain(|event| event.event_id == "C.o-1");
    epochs.sort_by_key(|event| event.item);
    assert_eq!(epochs.iter().map(|event| event.epoch).collect::<Vec<_>>(), [Epoch(2), Epoch(1)]);
    assert!(matches!(bench.ledger.undo(&id("o-1"), Undo::Refund, "").await, Ok(Changed::Not(_))), "twice");
    assert_eq!(bench.balance(one).await.current, 10);
}

#[tokio::test]
async fn nothing_is_undone_that_never_was() {
    let bench = Bench::new().await;
    assert_eq!(bench.ledger.undo(&id("none"), Undo::Cancel, "").await, Ok(Changed::NoOrder));
    bench.ledger.fence(&id("fenced")).await.unwrap();
    let fenced = bench.ledger.undo(&id("fenced"), Undo::Cancel, "").await.unwrap();
    assert!(matches!(&fenced, Changed::Not(order) if order.status == OrderStatus::Fenced), "{fenced:?}");
    assert_eq!(bench.int("SELECT COUNT(*) FROM outbox").await, 0);
}

#[tokio::test]
async fn an_order_expires_only_once_its_time_has_passed() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(numbered("o", 1, item, 1)).await;
    assert!(matches!(bench.ledger.undo(&id("o-1"), Undo::Expire, "").await, Ok(Changed::Not(_))));
    assert_eq!(bench.ledger.expired(10).await, Ok(vec![]));
    bench.execute("UPDATE orders SET expire_at = NOW(3) - INTERVAL 1 SECOND").await;
    assert_eq!(bench.ledger.expired(10).await, Ok(vec![id("o-1")]));
    assert_eq!(status(&bench.ledger.undo(&id("o-1"), Undo::Expire, "unpaid").await.unwrap()), Some(OrderStatus::Expired));
    assert_eq!((bench.ledger.expired(10).await, bench.balance(item).await.available()), (Ok(vec![]), 10));
}

#[tokio::test]
async fn a_cancel_in_modes_db_and_closed_still_leaves_its_event() {
    let bench = Bench::new().await;
    let item = bench.item_in(Mode::Db, 5).await;
    bench.write(order("o-1", &[(item, 2, None)])).await;
    bench.rebuild(item, 2, Some(Mode::Closed)).await;
    assert_eq!(status(&bench.ledger.undo(&id("o-1"), Undo::Cancel, "").await.unwrap()), Some(OrderStatus::Cancelled));
    assert_eq!((bench.balance(item).await.current, bench.booked(item).await), (5, 5));
    assert_eq!(bench.int("SELECT epoch FROM outbox WHERE event_id = 'C.o-1'").await, 3);
}

#[tokio::test]
async fn undo_gives_the_quota_back_where_there_is_one() {
    let bench = Bench::new().await;
    let (with, without) = (bench.item(5).await, bench.item(5).await);
    bench.write(order("o-1", &[(with, 2, token(1, 1)), (without, 1, token(1, 1))])).await;
    bench.execute(&format!("INSERT INTO user_quota VALUES ({}, {}, {}, 7, 3)", with.store, with.product, with.sku)).await;
    bench.ledger.undo(&id("o-1"), Undo::Cancel, "").await.unwrap();
    assert_eq!(bench.int("SELECT quantity FROM user_quota").await, 1);
}

#[tokio::test]
async fn of_cancel_and_pay_exactly_one_wins_while_deducts_run() {
    let bench = Bench::new().await;
    let item = bench.item(1000).await;
    let orders: Vec<OrderId> = (0..40).map(|at| id(&format!("o-{at}"))).collect();
    join_all((0..40).map(|at| bench.write(numbered("o", at, item, 2)))).await;
    let race = |order: OrderId| {
        let ledger = bench.ledger.clone();
        async move {
            let (cancel, cancel_too, pay, deduct) = tokio::join!(
                ledger.undo(&order, Undo::Cancel, "a"),
                ledger.undo(&order, Undo::Cancel, "b"),
                ledger.pay(&order),
                ledger.deduct_batch(5)
            );
            deduct.unwrap();
            let ended = [cancel.unwrap(), cancel_too.unwrap()];
            let won = ended.iter().filter(|changed| matches!(changed, Changed::Now(_))).count();
            assert_eq!(won + usize::from(pay == Ok(Paid::Now)), 1, "{ended:?} {pay:?}");
        }
    };
    for chunk in orders.chunks(8) {
        join_all(chunk.iter().cloned().map(race)).await;
    }
    while bench.ledger.deduct_batch(100).await.unwrap().events > 0 {}
    let paid = bench.int("SELECT COUNT(*) FROM orders WHERE status = 'PAID'").await;
    let balance = bench.balance(item).await;
    assert_eq!((balance.current, balance.open), (1000 - 2 * paid, 0));
    assert_eq!(bench.booked(item).await, balance.current);
    let increases = bench.int("SELECT COUNT(*) FROM outbox WHERE event_type = 'APPLY_DELTA' AND event_id LIKE 'C.%'").await;
    assert_eq!(increases, 40 - paid);
}

#[tokio::test]
async fn a_restock_during_a_cancel_does_not_deadlock_for_good() {
    let bench = Bench::new().await;
    let item = bench.item(100).await;
    join_all((0..20).map(|at| bench.write(numbered("o", at, item, 1)))).await;
    bench.ledger.deduct_batch(100).await.unwrap();
    let cancel = (0..20).map(|at| {
        let (ledger, order) = (bench.ledger.clone(), id(&format!("o-{at}")));
        async move { ledger.undo(&order, Undo::Cancel, "").await.unwrap() }
    });
    let restock = (0..20).map(|at| {
        let ledger = bench.ledger.clone();
        async move { assert_eq!(ledger.restock(restock(&format!("r-{at}"), item, 1)).await, Ok(StockChanged::Now)) }
    });
    tokio::join!(join_all(cancel), join_all(restock));
    assert_eq!((bench.balance(item).await.current, bench.booked(item).await), (120, 120));
}
