//! The ends of an order: pay, cancel, expire. Exactly one wins, and units come back once.

use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{OrderStatus, SaleState};
use reference::flow::{FlowSettings, Refusal};

use crate::flow_bench::{FlowBench, Workers, forgetful};
use crate::ledger_bench::id;
use crate::stock_fixture::until;

#[tokio::test]
async fn a_cancel_before_the_deduct_brings_the_units_back_once() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.ordered("o", &[(item, 2)]).await;
    let cancelled = bench.flow.cancel(&id("o")).await.unwrap();
    assert_eq!((cancelled.status, cancelled.sales[0].state), (OrderStatus::Cancelled, SaleState::Unlock));
    assert_eq!(bench.left(item).await, 3, "MySQL first; Redis follows by the message");
    bench.assert_in_balance(item, "while the increase is on its way").await;
    assert_eq!(bench.flow.cancel(&id("o")).await.map(|order| order.status), Ok(OrderStatus::Cancelled), "twice");
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.balance(item).await.current), (5, 5));
}

#[tokio::test]
async fn a_cancel_after_the_deduct_books_a_return() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.ordered("o", &[(item, 2)]).await;
    bench.come_to_rest(item).await;
    assert_eq!(bench.balance(item).await.current, 3);
    let cancelled = bench.flow.cancel(&id("o")).await.unwrap();
    assert_eq!((cancelled.status, cancelled.sales[0].state), (OrderStatus::Cancelled, SaleState::Out));
    bench.assert_in_balance(item, "while the increase is on its way").await;
    assert_eq!(bench.flow.cancel(&id("o")).await.map(|order| order.status), Ok(OrderStatus::Cancelled), "twice");
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.balance(item).await.current), (5, 5));
}

#[tokio::test]
async fn cancels_of_one_order_in_two_processes_bring_its_units_back_once() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(30).await);
    for round in 0..10 {
        let order = format!("o-{round}");
        bench.ordered(&order, &[(item, 3)]).await;
        let order = id(&order);
        let (one, two, three) = tokio::join!(bench.flow.cancel(&order), other.cancel(&order), bench.sql.ledger.deduct_batch(5));
        for cancelled in [one, two] {
            assert_eq!(cancelled.map(|order| order.status), Ok(OrderStatus::Cancelled));
        }
        three.unwrap();
    }
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 30);
}

#[tokio::test]
async fn a_cancel_of_an_id_that_no_order_has_spends_it() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    for _ in 0..2 {
        assert_eq!(bench.flow.cancel(&id("o")).await.map(|order| order.status), Ok(OrderStatus::Fenced));
    }
    assert_eq!(bench.create("o", &[(item, 2)]).await, Err(Refusal::Fenced));
    assert_eq!((bench.left(item).await, bench.rows("o").await), (5, (1, 0)));
    assert_eq!(bench.flow.pay(&id("o")).await, Err(Refusal::Fenced));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_create_and_a_cancel_at_once_leave_an_order_that_is_cancelled_or_an_id_that_is_spent() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(20).await);
    for round in 0..20 {
        let order = format!("o-{round}");
        let spent = id(&order);
        let lines = [(item, 1)];
        let (created, cancelled) = tokio::join!(bench.create(&order, &lines), other.cancel(&spent));
        match (created, cancelled.map(|order| order.status)) {
            (Ok(_) | Err(Refusal::Cancelled { .. }), Ok(OrderStatus::Cancelled)) => {}
            (Err(Refusal::Fenced), Ok(OrderStatus::Fenced)) => {}
            other => panic!("{other:?}"),
        }
    }
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.live(item).await), (20, 0));
}

#[tokio::test]
async fn a_paid_order_cannot_be_cancelled_and_a_cancelled_one_cannot_be_paid() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.ordered("paid", &[(item, 1)]).await;
    for _ in 0..2 {
        assert_eq!(bench.flow.pay(&id("paid")).await, Ok(()));
    }
    let refused = bench.flow.cancel(&id("paid")).await;
    assert!(matches!(refused, Err(Refusal::Conflict(_))), "{refused:?}");
    assert_eq!(bench.flow.expire(&id("paid")).await, Ok(false));
    bench.ordered("cancelled", &[(item, 1)]).await;
    bench.flow.cancel(&id("cancelled")).await.unwrap();
    assert_eq!(bench.flow.pay(&id("cancelled")).await, Err(Refusal::Cancelled { status: "CANCELLED" }));
    assert_eq!(bench.flow.pay(&id("none")).await, Err(Refusal::UnknownOrder));
    assert_eq!(bench.flow.order(&id("none")).await, Err(Refusal::UnknownOrder));
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.live(item).await), (4, 1));
}

#[tokio::test]
async fn of_pay_and_cancel_in_two_processes_exactly_one_wins() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(40).await);
    let orders: Vec<_> = (0..40).map(|at| format!("o-{at}")).collect();
    let lines = [(item, 1)];
    join_all(orders.iter().map(|order| bench.ordered(order, &lines))).await;
    let workers = Workers::start(&other, Duration::from_secs(60));
    let mut paid = 0;
    for order in orders.iter().map(|order| id(order)) {
        let (pay, cancel) = tokio::join!(bench.flow.pay(&order), other.cancel(&order));
        match (pay, cancel) {
            (Ok(_), Err(Refusal::Conflict(_))) => paid += 1,
            (Err(Refusal::Cancelled { .. }), Ok(_)) => {}
            both => panic!("{both:?}"),
        }
    }
    workers.stop().await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.live(item).await), (40 - paid, paid));
}

#[tokio::test]
async fn the_expiry_worker_ends_unpaid_orders_and_no_others() {
    let bench = FlowBench::with(FlowSettings { order_ttl: Duration::from_millis(300), ..forgetful() }).await;
    let item = bench.item(10).await;
    bench.ordered("unpaid", &[(item, 2)]).await;
    bench.ordered("paid", &[(item, 3)]).await;
    assert_eq!(bench.flow.expire(&id("unpaid")).await, Ok(false), "too early");
    bench.flow.pay(&id("paid")).await.unwrap();
    let workers = Workers::start(&bench.flow, Duration::ZERO);
    let status = async |order: &str| bench.flow.order(&id(order)).await.unwrap().status;
    until("the unpaid order expires", async || status("unpaid").await == OrderStatus::Expired).await;
    until("its units are back", async || bench.left(item).await == 7).await;
    workers.stop().await;
    assert_eq!(status("paid").await, OrderStatus::Paid);
    assert_eq!(bench.flow.pay(&id("unpaid")).await, Err(Refusal::Cancelled { status: "EXPIRED" }));
    assert_eq!(bench.flow.cancel(&id("unpaid")).await.map(|order| order.status), Ok(OrderStatus::Expired));
    assert_eq!(bench.create("unpaid", &[(item, 2)]).await, Err(Refusal::Cancelled { status: "EXPIRED" }));
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 7);
}
