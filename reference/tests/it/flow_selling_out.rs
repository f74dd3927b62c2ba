//! A sale from its opening to its end: many buyers, two processes, workers of both, and a random plan with cancels.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use reference::domain::Item;
use reference::flow::{Created, Flow, Refusal};

use crate::flow_bench::{FlowBench, Workers, request};
use crate::ledger_bench::id;

const SUPPLY: i64 = 200;
const BUYERS: usize = 8;
const ATTEMPTS: usize = 60;

/// What one buyer does after each of its orders.
#[derive(Debug, Clone, Copy)]
enum After {
    Keep,
    Pay,
    Cancel,
    Repeat,
}

/// What one buyer does: units of each attempt, and what comes after.
type Plan = Vec<(i64, After)>;

/// The same plans in every run.
fn plans() -> Vec<Plan> {
    let after = prop_oneof![3 => Just(After::Keep), 2 => Just(After::Pay), 2 => Just(After::Cancel), 1 => Just(After::Repeat)];
    let plan = proptest::collection::vec((1..4_i64, after), ATTEMPTS);
    let mut runner = TestRunner::deterministic();
    (0..BUYERS).map(|_| plan.new_tree(&mut runner).unwrap().current()).collect()
}

async fn buy(flow: Flow, item: Item, buyer: usize, plan: Plan, kept: &AtomicI64) {
    for (at, (units, after)) in plan.into_iter().enumerate() {
        let (order, body) = (id(&format!("b{buyer}-{at}")), request(&format!("b{buyer}-{at}"), &[(item, units)]));
        match flow.create(body.clone(), false).await {
            Ok(Created::Now(_)) => {}
            Err(Refusal::SoldOut { .. }) => continue,
            other => panic!("{other:?}"),
        }
        match after {
            After::Keep => {}
            After::Pay => assert!(flow.pay(&order).await.is_ok()),
            After::Cancel => assert!(flow.cancel(&order).await.is_ok()),
            After::Repeat => assert!(matches!(flow.create(body, true).await, Ok(Created::Before(_)))),
        }
        let stands = !matches!(after, After::Cancel);
        kept.fetch_add(if stands { units } else { 0 }, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_buyers_in_two_processes_sell_out_and_every_unit_is_accounted_for() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(SUPPLY.unsigned_abs()).await);
    let workers = [&bench.flow, &other].map(|flow| Workers::start(flow, Duration::from_millis(500)));
    let kept = AtomicI64::new(0);
    let buyers = plans().into_iter().enumerate().map(|(buyer, plan)| {
        let flow = if buyer % 2 == 0 { bench.flow.clone() } else { other.clone() };
        buy(flow, item, buyer, plan, &kept)
    });
    join_all(buyers).await;
    for workers in workers {
        workers.stop().await;
    }
    bench.come_to_rest(item).await;
    let kept = kept.load(Ordering::Relaxed);
    assert_eq!((bench.live(item).await, bench.left(item).await), (kept, SUPPLY - kept));
    for at in 0..SUPPLY - kept {
        bench.ordered(&format!("rest-{at}"), &[(item, 1)]).await;
    }
    assert_eq!(bench.create("one-more", &[(item, 1)]).await, Err(Refusal::SoldOut { item }));
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.balance(item).await.current), (SUPPLY, 0));
}
