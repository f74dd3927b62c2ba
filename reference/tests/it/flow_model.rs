//! Random sequences of requests, worker steps and losses of Redis: after each step the counter is in balance with the ledger (I1),
//! every answer is what the rows say, and at the end no unit is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reference::domain::Item;
use reference::flow::{Created, Refusal};

use crate::flow_bench::{FlowBench, request};
use crate::ledger_bench::id;

#[derive(Debug, Clone)]
enum Step {
    Create { order: u8, units: i64, repeated: bool },
    Cart { order: u8, units: i64 },
    Orphan { order: u8, units: i64 },
    Pay { order: u8 },
    Cancel { order: u8 },
    Deduct,
    Deliver,
    Settle,
    Flush,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    let order = || 0..8_u8;
    prop_oneof![
        8 => (order(), 1..4_i64, any::<bool>()).prop_map(|(order, units, repeated)| Step::Create { order, units, repeated }),
        3 => (order(), 1..4_i64).prop_map(|(order, units)| Step::Cart { order, units }),
        2 => (order(), 1..4_i64).prop_map(|(order, units)| Step::Orphan { order, units }),
        2 => order().prop_map(|order| Step::Pay { order }),
        4 => order().prop_map(|order| Step::Cancel { order }),
        2 => Just(Step::Deduct),
        2 => Just(Step::Deliver),
        1 => Just(Step::Settle),
        1 => Just(Step::Flush),
        1 => Just(Step::Rebuild),
    ]
}

async fn run_step(bench: &FlowBench, [first, second]: [Item; 2], step: &Step) {
    let name = |order: &u8| format!("o-{order}");
    match step {
        Step::Create { order, units, repeated } => {
            let before = bench.rows(&name(order)).await;
            let made = bench.flow.create(request(&name(order), &[(first, *units)]), *repeated).await;
            assert_truthful(bench, &name(order), before, &made).await;
            let sold_out = matches!(made, Err(Refusal::SoldOut { .. }));
            assert!(!(sold_out && *repeated && before.0 == 1), "a marked repeat is answered from its row");
        }
        Step::Cart { order, units } => {
            let before = bench.rows(&name(order)).await;
            let made = bench.flow.create(request(&name(order), &[(first, 1), (second, *units)]), false).await;
            assert_truthful(bench, &name(order), before, &made).await;
        }
        Step::Orphan { order, units } => drop(bench.redis.of(first).pre_deduct(&name(order), *units).await),
        Step::Pay { order } => drop(bench.flow.pay(&id(&name(order))).await),
        Step::Cancel { order } => drop(bench.flow.cancel(&id(&name(order))).await),
        Step::Deduct => drop(bench.sql.ledger.deduct_batch(3).await.unwrap()),
        Step::Deliver => {
            let events = bench.sql.ledger.claim_deltas(3, Duration::ZERO).await.unwrap();
            for event in &events {
                bench.flow.deliver(event).await;
            }
        }
        Step::Settle => {
            let probe = bench.probe(first).await;
            if probe.unready.is_none() {
                bench.flow.settle(first, probe.epoch, &probe.locks).await.unwrap();
            }
        }
        Step::Flush => bench.redis.raw("FLUSHALL").await,
        Step::Rebuild => drop(bench.flow.rebuild(first, None, "test").await.unwrap()),
    }
}

/// What the client was told is what the rows say.
async fn assert_truthful(bench: &FlowBench, order: &str, before: (i64, i64), made: &Result<Created, Refusal>) {
    let after = bench.rows(order).await;
    match made {
        Ok(Created::Now(receipt)) => assert_eq!((before.0, after), (0, (1, i64::try_from(receipt.left.len()).unwrap()))),
        Ok(Created::Before(stored)) => {
            assert!(stored.status.is_live());
            assert_eq!(before, after);
        }
        Err(Refusal::SoldOut { .. } | Refusal::Mismatch | Refusal::Fenced | Refusal::Cancelled { .. }) => {
            assert_eq!(before.1, after.1, "a refusal has no effect");
        }
        Err(other) => panic!("{other:?}"),
    }
}

async fn run_case(steps: Vec<Step>) {
    let bench = FlowBench::on_own_redis().await;
    let items = [bench.item(9).await, bench.item(5).await];
    for (at, step) in steps.iter().enumerate() {
        run_step(&bench, items, step).await;
        for item in items {
            bench.assert_in_balance(item, &format!("after step {at}, {step:?}")).await;
        }
    }
    for (item, supply) in items.into_iter().zip([9, 5]) {
        bench.flow.ensure_ready(item, "test").await.unwrap();
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await + bench.live(item).await, supply);
    }
}

#[test]
fn no_sequence_of_steps_takes_the_counter_out_of_balance() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 20..60);
    let run = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(run_case(steps));
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
