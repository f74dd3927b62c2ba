//! Random sequences of requests, changes, worker steps, losses of Redis and crashes in the middle of any of them, against real stores. After
//! each step I1 to I6 hold and every answer is what the rows say; at the end Q holds and no unit is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reference::domain::UserLimit;
use reference::flow::{Created, Refusal};
use reference::ledger::Mode;

use crate::flow_actions::{Action, Items, act, action, name, user};
use crate::flow_bench::FlowBench;
use crate::flow_crash::{crash, die, until_forgotten};
use crate::flow_invariants::assert_invariants;
use crate::support::fresh_item;

#[derive(Debug, Clone)]
enum Step {
    Do(Action),
    /// The process dies so many microseconds after it began.
    Crash(Action, u64),
    Flush,
}

/// Units that the items open with.
const OPENING: [u64; 2] = [9, 5];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => action().prop_map(Step::Do),
        3 => (action(), 0..8_000_u64).prop_map(|(action, micros)| Step::Crash(action, micros)),
        1 => Just(Step::Flush),
    ]
}

async fn run_step(bench: &FlowBench, items: Items, step: &Step) {
    match step {
        Step::Flush => bench.redis.raw("FLUSHALL").await,
        Step::Crash(action, micros) => {
            prepare(bench, action).await;
            crash(bench, items, action.clone(), Duration::from_micros(*micros)).await;
        }
        Step::Do(action) => {
            prepare(bench, action).await;
            let Action::Create { order, repeated, .. } = action else {
                act(&bench.flow, items, action).await.unwrap();
                return;
            };
            let before = bench.rows(&name(*order)).await;
            let made = act(&bench.flow, items, action).await.unwrap().unwrap();
            assert_truthful(bench, *order, before, &made).await;
            let sold_out = matches!(made, Err(Refusal::SoldOut { .. } | Refusal::QuotaExceeded { .. }));
            assert!(!(sold_out && *repeated && before.0 == 1), "a marked repeat is answered from its row");
        }
    }
}

async fn prepare(bench: &FlowBench, action: &Action) {
    if let Action::Expire(order) = action {
        bench.let_expire(&name(*order)).await;
    }
}

/// What the client was told is what the rows say.
async fn assert_truthful(bench: &FlowBench, order: u8, before: (i64, i64), made: &Result<Created, Refusal>) {
    let after = bench.rows(&name(order)).await;
    match made {
        Ok(Created::Now(receipt)) => {
            assert_eq!((before.0, after), (0, (1, i64::try_from(receipt.left.len()).unwrap())));
            let over = format!(
                "SELECT COUNT(*) FROM user_quota q JOIN inventory_epoch e USING (store_id, product_id, sku_id) \
                 JOIN inventory_transactions t USING (store_id, product_id, sku_id) \
                 WHERE t.order_id = '{}' AND q.user_id = {} AND e.user_limit > 0 AND q.quantity > e.user_limit",
                name(order),
                user(order)
            );
            assert_eq!(bench.sql.int(&over).await, 0, "an order that came into being is within its limit");
        }
        Ok(Created::Before(stored)) => {
            assert!(stored.status.is_live());
            assert_eq!(before, after);
        }
        Err(
            Refusal::SoldOut { .. }
            | Refusal::Mismatch
            | Refusal::Fenced
            | Refusal::Cancelled { .. }
            | Refusal::QuotaExceeded { .. },
        ) => assert_eq!(before.1, after.1, "a refusal has no effect"),
        Err(other) => panic!("{other:?}"),
    }
}

async fn opened(bench: &FlowBench) -> Items {
    let items = [fresh_item(), fresh_item()];
    bench.flow.open_sale(items[0], OPENING[0], Some(UserLimit::new(4).unwrap())).await.unwrap();
    bench.flow.open_sale(items[1], OPENING[1], None).await.unwrap();
    items
}

/// Lets the workers finish; then Q holds, and every unit is for sale, sold or held.
async fn assert_nothing_lost(bench: &FlowBench, items: Items) {
    bench.flow.rebuild(items[0], Some(Mode::Redis), "test").await.unwrap();
    for (item, opening) in items.into_iter().zip(OPENING) {
        bench.flow.ensure_ready(item, "test").await.unwrap();
        bench.come_to_rest(item).await;
        let changed = format!(
            "SELECT CAST(COALESCE(SUM(CASE kind WHEN 'RESTOCK' THEN quantity WHEN 'CUT' THEN -quantity ELSE 0 END), 0) AS SIGNED) \
             FROM stock_changes WHERE sku_id = {}",
            item.sku
        );
        let supply = i64::try_from(opening).unwrap() + bench.sql.int(&changed).await;
        let held = bench.balance(item).await.locked;
        assert_eq!(bench.left(item).await + bench.live(item).await + held, supply);
    }
    assert_invariants(bench, &items, "at rest").await;
}

async fn run_case(steps: Vec<Step>) {
    let bench = FlowBench::on_own_redis().await;
    let items = opened(&bench).await;
    for (at, step) in steps.iter().enumerate() {
        run_step(&bench, items, step).await;
        assert_invariants(&bench, &items, &format!("after step {at}, {step:?}")).await;
    }
    assert_nothing_lost(&bench, items).await;
}

/// Every process does what it was given, all at once, while one more dies again and again.
async fn run_storm(processes: Vec<Vec<Action>>, deaths: Vec<(Action, u64)>) {
    let bench = FlowBench::on_own_redis().await;
    let items = opened(&bench).await;
    let busy = processes.into_iter().map(|actions| {
        let bench = &bench;
        async move {
            let flow = bench.another().await;
            for action in &actions {
                prepare(bench, action).await;
                // Among others a process may be told to come back later, which is no effect.
                let _ = act(&flow, items, action).await;
            }
        }
    });
    let dying = async {
        for (action, micros) in deaths {
            die(&bench, items, action, Duration::from_micros(micros)).await;
        }
    };
    tokio::join!(futures_util::future::join_all(busy), dying);
    until_forgotten(&bench).await;
    assert_nothing_lost(&bench, items).await;
}

fn config() -> Config {
    Config { cases: 12, max_shrink_iters: 100, failure_persistence: None, ..Config::default() }
}

#[test]
fn no_sequence_of_steps_and_crashes_breaks_an_invariant() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let steps = proptest::collection::vec(step(), 20..60);
    let run = TestRunner::new(config()).run(&steps, |steps| {
        runtime.block_on(run_case(steps));
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn no_storm_of_processes_that_act_and_die_at_once_loses_or_makes_a_unit() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let actions = proptest::collection::vec(proptest::collection::vec(action(), 15..30), 4);
    let deaths = proptest::collection::vec((action(), 0..8_000_u64), 3);
    let run = TestRunner::new(config()).run(&(actions, deaths), |(actions, deaths)| {
        runtime.block_on(run_storm(actions, deaths));
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
