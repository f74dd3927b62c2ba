//! CREATE: what the first request, its repeats and its twins are told, and that stock is taken once.

use futures_util::future::join_all;
use reference::domain::{Item, OrderStatus};
use reference::flow::{Created, Refusal};

use crate::flow_bench::{FlowBench, forgetful, request, request_of};
use crate::ledger_bench::id;

fn is_now(created: &Result<Created, Refusal>) -> bool {
    matches!(created, Ok(Created::Now(_)))
}

fn is_before(created: &Result<Created, Refusal>) -> bool {
    matches!(created, Ok(Created::Before(stored)) if stored.status == OrderStatus::Created)
}

#[tokio::test]
async fn an_order_takes_its_units_and_tells_what_is_left() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let Ok(Created::Now(receipt)) = bench.create("o", &[(item, 3)]).await else { panic!("not created") };
    assert_eq!(receipt.left, [Some(7)]);
    let stored = bench.flow.order(&id("o")).await.unwrap();
    assert_eq!((stored.status, stored.user.get(), stored.hash), (OrderStatus::Created, 7, *receipt.request.hash()));
    assert_eq!(stored.sales[0].token, receipt.admissions[0].token);
    assert_eq!((bench.left(item).await, bench.balance(item).await.open), (7, 3));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_repeat_with_the_same_body_finds_the_order_before_and_after_its_lock_is_confirmed() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 3)]).await;
    for round in ["with its lock", "by its deduct record"] {
        for repeated in [false, true] {
            let again = bench.flow.create(request("o", &[(item, 3)]), repeated).await;
            assert!(is_before(&again), "{round}, repeated {repeated}: {again:?}");
        }
        bench.come_to_rest(item).await;
    }
    // The epoch of the record is over: the repeat takes units and gives them back.
    bench.flow.rebuild(item, None, "test").await.unwrap();
    assert!(is_before(&bench.create("o", &[(item, 3)]).await));
    assert_eq!((bench.left(item).await, bench.rows("o").await), (7, (1, 1)));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_paid_order_answers_its_repeat() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 1)]).await;
    bench.flow.pay(&id("o")).await.unwrap();
    for repeated in [false, true] {
        let again = bench.flow.create(request("o", &[(item, 1)]), repeated).await;
        assert!(matches!(&again, Ok(Created::Before(stored)) if stored.status == OrderStatus::Paid), "{again:?}");
    }
}

#[tokio::test]
async fn another_body_with_the_same_id_is_a_mismatch_and_takes_nothing() {
    let bench = FlowBench::new().await;
    let (item, other) = (bench.item(10).await, bench.item(10).await);
    bench.ordered("o", &[(item, 3)]).await;
    let bodies = [
        request("o", &[(item, 2)]),
        request_of(8, "o", &[(item, 3)]),
        request("o", &[(other, 3)]),
        request("o", &[(item, 3), (other, 1)]),
    ];
    for round in ["open", "at rest"] {
        for body in &bodies {
            for repeated in [false, true] {
                assert_eq!(bench.flow.create(body.clone(), repeated).await, Err(Refusal::Mismatch), "{round} {body:?}");
            }
        }
        bench.come_to_rest(item).await;
        bench.come_to_rest(other).await;
    }
    assert_eq!((bench.left(item).await, bench.left(other).await, bench.rows("o").await), (7, 10, (1, 1)));
}

#[tokio::test]
async fn more_than_is_left_is_sold_out_and_its_id_can_be_used_again() {
    let bench = FlowBench::new().await;
    let item = bench.item(3).await;
    assert_eq!(bench.create("o", &[(item, 4)]).await, Err(Refusal::SoldOut { item }));
    assert_eq!((bench.left(item).await, bench.rows("o").await), (3, (0, 0)));
    assert!(is_now(&bench.create("o", &[(item, 3)]).await));
    assert_eq!(bench.create("p", &[(item, 1)]).await, Err(Refusal::SoldOut { item }));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn the_last_unit_answers_its_repeat_although_nothing_is_left() {
    let bench = FlowBench::new().await;
    let item = bench.item(1).await;
    bench.ordered("o", &[(item, 1)]).await;
    assert!(is_before(&bench.create("o", &[(item, 1)]).await), "with its lock");
    bench.come_to_rest(item).await;
    assert!(is_before(&bench.create("o", &[(item, 1)]).await), "by its deduct record");
    bench.flow.rebuild(item, None, "test").await.unwrap();
    assert_eq!(bench.left(item).await, 0);
    assert!(is_before(&bench.create("o", &[(item, 1)]).await), "by the record of an epoch that is over");
    assert_eq!(bench.create("p", &[(item, 1)]).await, Err(Refusal::SoldOut { item }));
}

#[tokio::test]
async fn a_marked_repeat_is_answered_from_its_row_while_the_memory_says_sold_out() {
    let minute = std::time::Duration::from_secs(60);
    let bench = FlowBench::with(reference::flow::FlowSettings { sold_out_memory: minute, ..forgetful() }).await;
    let item = bench.item(1).await;
    bench.ordered("o", &[(item, 1)]).await;
    assert_eq!(bench.create("p", &[(item, 1)]).await, Err(Refusal::SoldOut { item }));
    assert!(is_before(&bench.flow.create(request("o", &[(item, 1)]), true).await));
    assert_eq!(bench.create("q", &[(item, 1)]).await, Err(Refusal::SoldOut { item }));
    assert_eq!(bench.flow.metrics().counted("pre_deduct", "sold_out"), 1, "the second refusal came from memory");
    // Units that come back are on sale again, although the memory would last.
    bench.flow.cancel(&id("o")).await.unwrap();
    bench.come_to_rest(item).await;
    assert!(is_now(&bench.create("r", &[(item, 1)]).await));
}

#[tokio::test]
async fn an_item_that_was_never_opened_is_unknown_and_a_cart_with_it_gives_its_units_back() {
    let bench = FlowBench::new().await;
    let (item, unknown) = (bench.item(5).await, crate::support::fresh_item());
    assert_eq!(bench.create("o", &[(unknown, 1)]).await, Err(Refusal::UnknownSku { item: unknown }));
    assert_eq!(bench.create("p", &[(item, 2), (unknown, 1)]).await, Err(Refusal::UnknownSku { item: unknown }));
    assert_eq!(bench.left(item).await, 5);
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn an_id_whose_order_was_cancelled_or_fenced_stays_spent() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.ordered("cancelled", &[(item, 2)]).await;
    bench.flow.cancel(&id("cancelled")).await.unwrap();
    bench.flow.cancel(&id("fenced")).await.unwrap();
    for round in ["open", "at rest", "again"] {
        for repeated in [false, true] {
            let cancelled = bench.flow.create(request("cancelled", &[(item, 2)]), repeated).await;
            assert_eq!(cancelled, Err(Refusal::Cancelled { status: "CANCELLED" }), "{round}");
            let other_body = bench.flow.create(request("cancelled", &[(item, 1)]), repeated).await;
            assert_eq!(other_body, Err(Refusal::Mismatch), "{round}");
            let fenced = bench.flow.create(request("fenced", &[(item, 2)]), repeated).await;
            assert_eq!(fenced, Err(Refusal::Fenced), "{round}");
        }
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await, 5);
    }
}

#[tokio::test]
async fn a_cart_whose_second_item_is_sold_out_gives_the_first_back_and_spends_its_id() {
    let bench = FlowBench::new().await;
    let (first, second) = (bench.item(5).await, bench.item(1).await);
    assert!(first < second, "the first is taken first");
    assert_eq!(bench.create("o", &[(first, 2), (second, 2)]).await, Err(Refusal::SoldOut { item: second }));
    assert_eq!((bench.left(first).await, bench.left(second).await), (5, 1), "right away, without a worker");
    assert_eq!(bench.flow.order(&id("o")).await.unwrap().status, OrderStatus::Fenced);
    assert_eq!(bench.create("o", &[(first, 2), (second, 1)]).await, Err(Refusal::Fenced));
    assert_eq!(bench.create("o", &[(first, 1)]).await, Err(Refusal::Mismatch), "the record of another quantity");
    assert_eq!(bench.create("o", &[(second, 1)]).await, Err(Refusal::Fenced));
    assert_eq!((bench.left(first).await, bench.left(second).await), (5, 1));
    assert!(is_now(&bench.create("p", &[(first, 2), (second, 1)]).await));
    bench.come_to_rest(first).await;
    bench.come_to_rest(second).await;
}

#[tokio::test]
async fn twins_in_two_processes_create_one_order_and_take_its_units_once() {
    let bench = FlowBench::new().await;
    let other = bench.another().await;
    let item = bench.item(100).await;
    for round in 0..10 {
        let order = format!("o-{round}");
        let body = request(&order, &[(item, 2)]);
        let twins = (0..6).map(|at| if at % 2 == 0 { &bench.flow } else { &other }).map(|flow| flow.create(body.clone(), false));
        let created = join_all(twins).await;
        assert_eq!(created.iter().filter(|created| is_now(created)).count(), 1, "{created:?}");
        assert_eq!(created.iter().filter(|created| is_before(created)).count(), 5, "{created:?}");
        assert_eq!((bench.left(item).await, bench.rows(&order).await), (98 - 2 * round, (1, 1)));
    }
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn twins_of_a_cart_that_sells_out_agree_and_lose_no_unit() {
    let bench = FlowBench::new().await;
    let other = bench.another().await;
    let (first, second) = (bench.item(50).await, bench.item(5).await);
    for round in 0..10 {
        let body = request(&format!("o-{round}"), &[(first, 1), (second, 1)]);
        let twins = (0..4).map(|at| if at % 2 == 0 { &bench.flow } else { &other }).map(|flow| flow.create(body.clone(), false));
        let created = join_all(twins).await;
        let made = created.iter().filter(|created| is_now(created)).count();
        let refused = created.iter().filter(|created| matches!(created, Err(Refusal::SoldOut { .. } | Refusal::Fenced))).count();
        let stood = created.iter().filter(|created| is_before(created)).count();
        assert!((made, stood) == (1, 3) || refused == 4, "{created:?}");
    }
    for item in [first, second] {
        bench.come_to_rest(item).await;
        assert_eq!(bench.live(item).await, 5);
    }
    assert_eq!((bench.left(first).await, bench.left(second).await), (45, 0));
}

#[tokio::test]
async fn twins_with_different_bodies_create_at_most_one_order_and_the_other_is_a_mismatch() {
    let bench = FlowBench::new().await;
    let other = bench.another().await;
    let (first, second) = (bench.item(50).await, bench.item(50).await);
    let bodies = |order: &str| -> [Vec<(Item, i64)>; 2] {
        if order.len().is_multiple_of(2) {
            [vec![(first, 1)], vec![(first, 2)]]
        } else {
            [vec![(first, 1)], vec![(first, 1), (second, 1)]]
        }
    };
    for round in 0..12 {
        let order = "x".repeat(round + 1);
        let [one, two] = bodies(&order);
        let (one, two) = tokio::join!(bench.flow.create(request(&order, &one), false), other.create(request(&order, &two), false));
        let made = [&one, &two].into_iter().filter(|created| is_now(created)).count();
        let mismatched = [&one, &two].into_iter().filter(|created| **created == Err(Refusal::Mismatch)).count();
        assert_eq!((made, mismatched), (1, 1), "{order}: {one:?} {two:?}");
    }
    for item in [first, second] {
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await + bench.live(item).await, 50);
    }
}
