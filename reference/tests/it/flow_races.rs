//! Pay, cancel, expire and refund of one order at once, in several processes, before and after its deduct: exactly one end, and its
//! units come back once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{Epoch, OrderStatus};
use reference::flow::{Delivery, Flow, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, Workers};
use crate::ledger_bench::id;
use crate::stock_fixture::until;

#[tokio::test]
async fn a_refund_gives_back_a_paid_order_before_and_after_its_deduct() {
    for deducted in [false, true] {
        let bench = FlowBench::new().await;
        let (item, second) = (bench.item(5).await, bench.item(5).await);
        bench.ordered("o", &[(item, 2), (second, 1)]).await;
        assert!(matches!(bench.flow.refund(&id("o")).await, Err(Refusal::Conflict(_))), "not paid");
        bench.flow.pay(&id("o")).await.unwrap();
        if deducted {
            bench.come_to_rest(item).await;
        }
        for _ in 0..2 {
            assert_eq!(bench.flow.refund(&id("o")).await.map(|order| order.status), Ok(OrderStatus::Refunded));
        }
        bench.assert_in_balance(item, "while the increase is on its way").await;
        assert_eq!(bench.flow.pay(&id("o")).await, Err(Refusal::Cancelled { status: "REFUNDED" }));
        assert_eq!(bench.flow.cancel(&id("o")).await.map(|order| order.status), Ok(OrderStatus::Refunded), "it has ended");
        assert_eq!(bench.create("o", &[(item, 2), (second, 1)]).await, Err(Refusal::Cancelled { status: "REFUNDED" }));
        bench.come_to_rest(item).await;
        bench.come_to_rest(second).await;
        assert_eq!((bench.left(item).await, bench.left(second).await, bench.balance(item).await.current), (5, 5, 5));
        let returns = bench.sql.int("SELECT COUNT(*) FROM inventory_transactions WHERE kind = 'RETURN'").await;
        assert_eq!(returns, if deducted { 2 } else { 0 });
    }
}

#[tokio::test]
async fn only_a_paid_order_is_refunded() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.ordered("gone", &[(item, 1)]).await;
    bench.flow.cancel(&id("gone")).await.unwrap();
    bench.flow.cancel(&id("spent")).await.unwrap();
    assert_eq!(bench.flow.refund(&id("gone")).await, Err(Refusal::Cancelled { status: "CANCELLED" }));
    assert_eq!(bench.flow.refund(&id("spent")).await, Err(Refusal::Fenced));
    assert_eq!(bench.flow.refund(&id("none")).await, Err(Refusal::UnknownOrder));
    bench.come_to_rest(item).await;
}

/// Every way to end an order, all at once, in two processes; what stands afterwards must be what they were told.
async fn end(bench: &FlowBench, other: &Flow, name: &str) -> OrderStatus {
    let order = id(name);
    let (paid, cancelled, expired, expired_too, refunded, refunded_too) = tokio::join!(
        bench.flow.pay(&order),
        other.cancel(&order),
        bench.flow.expire(&order),
        other.expire(&order),
        other.refund(&order),
        bench.flow.refund(&order),
    );
    let expired = [expired.unwrap(), expired_too.unwrap()].iter().filter(|won| **won).count();
    let stands = bench.flow.order(&order).await.unwrap().status;
    let refunds = [&refunded, &refunded_too].iter().filter(|refunded| refunded.is_ok()).count();
    match stands {
        OrderStatus::Paid => assert!(paid.is_ok() && cancelled.is_err() && expired + refunds == 0),
        OrderStatus::Cancelled => assert!(paid.is_err() && cancelled.is_ok() && expired + refunds == 0),
        OrderStatus::Expired => assert!(paid.is_err() && expired == 1 && refunds == 0),
        OrderStatus::Refunded => assert!(paid.is_ok() && expired == 0 && refunds >= 1),
        other => panic!("{other:?}"),
    }
    stands
}

#[tokio::test]
async fn of_pay_cancel_expire_and_refund_at_once_the_answers_tell_the_one_that_won() {
    for mode in [Mode::Redis, Mode::Strict] {
        let bench = FlowBench::new().await;
        let (other, item) = (bench.another().await, bench.item(60).await);
        bench.flow.rebuild(item, Some(mode), "test").await.unwrap();
        let names: Vec<String> = (0..60).map(|at| format!("o-{at}")).collect();
        let lines = [(item, 1)];
        join_all(names.iter().map(|name| bench.ordered(name, &lines))).await;
        bench.sql.execute("UPDATE orders SET expire_at = NOW(3)").await;
        // Some orders are deducted by then, some are not.
        let deducts = async {
            for _ in 0..12 {
                bench.sql.ledger.deduct_batch(5).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let ends = async {
            let mut live = 0;
            for name in &names {
                live += i64::from(end(&bench, &other, name).await.is_live());
            }
            live
        };
        let (live, ()) = tokio::join!(ends, deducts);
        bench.come_to_rest(item).await;
        assert_eq!((bench.left(item).await, bench.live(item).await), (60 - live, live), "{mode:?}");
    }
}

#[tokio::test]
async fn the_expiry_workers_of_two_processes_and_payments_never_both_win() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(80).await);
    let names: Vec<String> = (0..80).map(|at| format!("o-{at}")).collect();
    let lines = [(item, 1)];
    join_all(names.iter().map(|name| bench.ordered(name, &lines))).await;
    let workers = [Workers::start(&bench.flow, Duration::from_secs(60)), Workers::start(&other, Duration::from_secs(60))];
    bench.sql.execute("UPDATE orders SET expire_at = NOW(3) + INTERVAL 600000 MICROSECOND").await;
    let mut paid = 0;
    for name in &names {
        match bench.flow.pay(&id(name)).await {
            Ok(()) => paid += 1,
            Err(refusal) => assert_eq!(refusal, Refusal::Cancelled { status: "EXPIRED" }),
        }
        // Paced, so that payments meet the rounds of the workers.
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let unpaid = "SELECT COUNT(*) FROM orders WHERE status = 'CREATED'";
    until("no order waits to be paid", async || bench.sql.int(unpaid).await == 0).await;
    until("units are back", async || bench.left(item).await == 80 - paid).await;
    for workers in workers {
        workers.stop().await;
    }
    bench.come_to_rest(item).await;
    assert_eq!(bench.live(item).await, paid);
}

#[tokio::test]
async fn a_strict_order_is_confirmed_without_the_resolver() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.flow.rebuild(item, Some(Mode::Strict), "test").await.unwrap();
    bench.ordered("o", &[(item, 2)]).await;
    until("its lock is gone", async || bench.probe(item).await.lock_count == 0).await;
    assert_eq!((bench.left(item).await, bench.balance(item).await.current), (3, 3));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn many_deliveries_that_gave_up_in_one_epoch_open_one_other() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.ordered("o", &[(item, 2)]).await;
    bench.flow.cancel(&id("o")).await.unwrap();
    let mut event = bench.sql.ledger.claim_deltas(10, Duration::ZERO).await.unwrap().pop().unwrap();
    event.attempts = 20;
    let delivered = bench.flow.deliver(&vec![event; 24]).await;
    assert!(delivered.contains(&Delivery::Later), "{delivered:?}");
    assert_eq!((bench.left(item).await, bench.balance(item).await.epoch.epoch), (5, Epoch(2)));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn an_increase_that_waited_half_the_life_of_its_marker_is_made_obsolete_by_a_rebuild() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.come_to_rest(item).await;
    bench.ordered("o", &[(item, 2)]).await;
    bench.flow.cancel(&id("o")).await.unwrap();
    bench.sql.execute("UPDATE outbox SET created_at = NOW(3) - INTERVAL 84 HOUR WHERE event_id = 'C.o'").await;
    let events = bench.sql.ledger.claim_deltas(10, Duration::ZERO).await.unwrap();
    assert_eq!(bench.flow.deliver(&events).await, [Delivery::Later], "Redis may have forgotten that it was applied");
    assert_eq!((bench.left(item).await, bench.balance(item).await.epoch.epoch), (5, Epoch(2)), "its units are in the base");
    assert_eq!(bench.flow.deliver(&events).await, [Delivery::Done]);
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 5);
}
