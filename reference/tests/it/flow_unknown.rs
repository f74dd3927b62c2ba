//! Stores that do not answer: what the client is told is true, and what was left behind is settled.

use std::time::Duration;

use reference::domain::OrderStatus;
use reference::flow::{Created, Refusal};
use reference::stock::PreDeduct;

use crate::flow_bench::{FlowBench, Workers, request};
use crate::flow_gate::Gate;
use crate::ledger_bench::id;
use crate::lossy_relay::{Cut, LossyRelay};
use crate::stock_fixture::until;

#[tokio::test]
async fn an_order_whose_commit_lost_its_reply_is_answered_from_its_row() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let relay = LossyRelay::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &relay.url(&bench.sql.url)).await;
    relay.arm(Cut::After);
    let created = flow.create(request("o", &[(item, 3)]), false).await;
    assert!(relay.has_cut());
    assert!(matches!(&created, Ok(Created::Before(stored)) if stored.status == OrderStatus::Created), "{created:?}");
    assert_eq!((bench.left(item).await, bench.rows("o").await), (7, (1, 1)));
    assert!(matches!(flow.create(request("o", &[(item, 3)]), false).await, Ok(Created::Before(_))));
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 7);
}

#[tokio::test]
async fn an_order_that_nobody_can_answer_for_is_unknown_and_its_repeat_tells() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let mut gate = Gate::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &gate.url(&bench.sql.url)).await;
    gate.shut_at_commit();
    let unknown = flow.create(request("o", &[(item, 3)]), false).await;
    assert!(matches!(unknown, Err(Refusal::Unknown(_))), "{unknown:?}");
    assert_eq!((bench.left(item).await, bench.rows("o").await), (7, (1, 1)));
    gate.shut().await;
    gate.open().await;
    assert!(matches!(flow.create(request("o", &[(item, 3)]), true).await, Ok(Created::Before(_))));
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 7);
}

#[tokio::test]
async fn an_order_that_its_own_repeat_met_and_that_nobody_can_read_does_not_claim_to_have_had_no_effect() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let relay = LossyRelay::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &relay.url(&bench.sql.url)).await;
    // A connection that has served before: its writer sends what was lost with it once more, and meets the row.
    assert!(matches!(flow.create(request("before", &[(item, 1)]), false).await, Ok(Created::Now(_))));
    relay.hide("SELECT order_id, user_id");
    relay.arm(Cut::After);
    let unknown = flow.create(request("o", &[(item, 3)]), false).await;
    assert!(relay.has_cut());
    assert_eq!(bench.rows("o").await, (1, 1), "it stands");
    assert!(matches!(unknown, Err(Refusal::Unknown(_))), "{unknown:?}");
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 6);
}

#[tokio::test]
async fn an_order_whose_commit_never_arrived_is_fenced_and_its_units_are_back_at_once() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let relay = LossyRelay::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &relay.url(&bench.sql.url)).await;
    relay.arm(Cut::Before);
    assert_eq!(flow.create(request("o", &[(item, 3)]), false).await, Err(Refusal::Fenced));
    assert!(relay.has_cut());
    assert_eq!((bench.left(item).await, bench.rows("o").await), (10, (1, 0)));
    assert!(matches!(flow.create(request("p", &[(item, 3)]), false).await, Ok(Created::Now(_))), "the writer goes on");
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_cancel_whose_commit_lost_its_reply_brings_the_units_back_once() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let relay = LossyRelay::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &relay.url(&bench.sql.url)).await;
    for (order, cut) in [("before", Cut::Before), ("after", Cut::After)] {
        bench.ordered(order, &[(item, 3)]).await;
        relay.arm(cut);
        assert_eq!(flow.cancel(&id(order)).await.map(|order| order.status), Ok(OrderStatus::Cancelled), "{cut:?}");
        assert!(relay.has_cut());
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await, 10, "{cut:?}");
    }
}

#[tokio::test]
async fn a_cancel_that_fails_behind_its_tombstone_does_not_claim_to_have_had_no_effect() {
    let bench = FlowBench::new().await;
    // A tombstone that cannot be read back: no user has this number.
    bench.sql.execute("CREATE TRIGGER spoil BEFORE INSERT ON orders FOR EACH ROW SET NEW.user_id = -1").await;
    let unknown = bench.flow.cancel(&id("o")).await;
    assert!(matches!(unknown, Err(Refusal::Unknown(_))), "{unknown:?}");
    assert_eq!(bench.rows("o").await, (1, 0), "the id is spent");
}

#[tokio::test]
async fn a_reservation_whose_reply_was_lost_is_found_again_by_the_same_request() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let gate = Gate::before(&bench.redis_url).await;
    let flow = bench.through(&gate.url(&bench.redis_url), &bench.sql.url).await;
    gate.lose_script_replies(2);
    let created = flow.create(request("o", &[(item, 3)]), false).await;
    let Ok(Created::Now(receipt)) = created else { panic!("{created:?}") };
    assert_eq!((gate.still_to_lose(), receipt.left), (0, vec![None]), "who took the units did not hear what was left");
    assert_eq!(bench.left(item).await, 7);
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_reservation_whose_replies_are_all_lost_is_no_order_and_the_resolver_gives_it_back() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let gate = Gate::before(&bench.redis_url).await;
    let flow = bench.through(&gate.url(&bench.redis_url), &bench.sql.url).await;
    gate.lose_script_replies(3);
    let refused = flow.create(request("o", &[(item, 3)]), false).await;
    assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
    assert_eq!((bench.left(item).await, bench.rows("o").await), (7, (0, 0)));
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.rows("o").await), (10, (1, 0)));
}

#[tokio::test]
async fn without_redis_nothing_is_admitted_and_everything_else_goes_on() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 3)]).await;
    let mut gate = Gate::before(&bench.redis_url).await;
    let flow = bench.through(&gate.url(&bench.redis_url), &bench.sql.url).await;
    gate.shut().await;
    for order in ["p", "q"] {
        let refused = flow.create(request(order, &[(item, 1)]), false).await;
        assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
        assert_eq!(bench.rows(order).await, (0, 0));
    }
    let again = flow.create(request("o", &[(item, 3)]), true).await;
    assert!(matches!(again, Ok(Created::Before(_))), "{again:?}");
    let level = flow.stock_level(item).await.unwrap();
    assert_eq!((level.available, level.from_redis), (7, false));
    assert_eq!(flow.cancel(&id("o")).await.map(|order| order.status), Ok(OrderStatus::Cancelled));
    let workers = Workers::start(&flow, Duration::ZERO);
    until("the deduct is done without Redis", async || flow.ledger().outbox_depth().await.unwrap().deducts == 0).await;
    gate.open().await;
    until("units come back with Redis", async || bench.left(item).await == 10).await;
    workers.stop().await;
    assert!(matches!(flow.create(request("p", &[(item, 1)]), false).await, Ok(Created::Now(_))));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn without_mysql_nothing_is_ordered_and_what_was_reserved_comes_back() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let mut gate = Gate::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &gate.url(&bench.sql.url)).await;
    gate.shut().await;
    let refused = flow.create(request("o", &[(item, 3)]), false).await;
    assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
    assert_eq!((bench.left(item).await, bench.rows("o").await), (7, (0, 0)));
    for refused in [flow.pay(&id("o")).await, flow.cancel(&id("o")).await.map(drop), flow.order(&id("o")).await.map(drop)] {
        assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
    }
    gate.open().await;
    let again = flow.create(request("o", &[(item, 3)]), false).await;
    assert!(matches!(again, Ok(Created::Now(_))), "the same request takes its reservation up again: {again:?}");
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 7);
}

#[tokio::test]
async fn a_lock_that_a_dead_process_left_is_given_back_after_its_grace_and_not_before() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let orphan = bench.redis.of(item).pre_deduct("o", 4).await;
    assert!(matches!(orphan, PreDeduct::Taken(_)), "{orphan:?}");
    let patient = Workers::start(&bench.flow, Duration::from_secs(60));
    until("the resolver has swept", async || bench.flow.metrics().render().contains(r#"step="resolver""#)).await;
    patient.stop().await;
    assert_eq!((bench.left(item).await, bench.probe(item).await.lock_count), (6, 1), "within its grace");
    bench.assert_in_balance(item, "with an orphan").await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.rows("o").await), (10, (1, 0)));
    assert_eq!(bench.create("o", &[(item, 4)]).await, Err(Refusal::Fenced), "a process that was only slow finds its id spent");
    assert_eq!(bench.left(item).await, 10);
}

#[tokio::test]
async fn a_lock_whose_order_is_committed_is_confirmed_and_never_given_back() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    for order in ["open", "deducted", "cancelled"] {
        bench.ordered(order, &[(item, 2)]).await;
    }
    bench.flow.cancel(&id("cancelled")).await.unwrap();
    bench.sql.ledger.deduct_batch(1).await.unwrap();
    let probe = bench.probe(item).await;
    assert_eq!(probe.locks.len(), 3, "{probe:?}");
    bench.flow.settle(item, probe.epoch, &probe.locks).await.unwrap();
    assert_eq!((bench.left(item).await, bench.probe(item).await.lock_count), (4, 0));
    bench.assert_in_balance(item, "after the locks are settled").await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.live(item).await), (6, 4));
}

#[tokio::test]
async fn a_request_whose_client_went_away_leaves_nothing_that_is_not_settled() {
    let bench = FlowBench::new().await;
    let item = bench.item(40).await;
    for at in 0..40 {
        let create = bench.flow.create(request(&format!("o-{at}"), &[(item, 1)]), false);
        // The wait is part of what is tried: each request is dropped at another of its steps.
        let _dropped_or_done = tokio::time::timeout(Duration::from_micros(100 * at), create).await;
    }
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await + bench.live(item).await, 40);
}
