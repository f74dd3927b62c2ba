//! Random sequences of requests, changes, worker steps, losses of Redis and crashes in the middle of any of them, against real stores. After
//! each step I1 to I6 hold and every answer is what the rows say; at the end Q holds and no unit is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reference::domain::{ChangeKind, Item, UserLimit};
use reference::flow::{Booked, Created, Flow, Refusal};
use reference::ledger::{Mode, RebuildRequest};

use crate::flow_bench::{FlowBench, request_of};
use crate::flow_crash::crash;
use crate::flow_invariants::assert_invariants;
use crate::ledger_bench::{change, id};
use crate::support::fresh_item;

/// What a process does. Each leaves off where a process may die, too: an orphan is a request that died before its order, a tombstone a
/// resolver before its rollback, a bump a rebuild before its install, a deduct one before its confirm.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Create { order: u8, units: [i64; 2], repeated: bool },
    Orphan { order: u8, units: i64 },
    Pay(u8),
    Cancel(u8),
    Refund(u8),
    Expire(u8),
    Change { id: u8, kind: ChangeKind, units: i64 },
    Limit(i64),
    Deduct,
    Deliver { finish: bool },
    Settle,
    Tombstone(u8),
    Bump,
    Rebuild(Option<Mode>),
}

#[derive(Debug, Clone)]
enum Step {
    Do(Action),
    /// The process dies so many microseconds after it began.
    Crash(Action, u64),
    Flush,
}

const ORDERS: u8 = 9;

fn action() -> impl Strategy<Value = Action> {
    let order = || 0..ORDERS;
    let kind = prop_oneof![Just(ChangeKind::Restock), Just(ChangeKind::Cut), Just(ChangeKind::Hold)];
    let mode = prop_oneof![
        4 => Just(None),
        2 => Just(Some(Mode::Redis)),
        1 => Just(Some(Mode::Strict)),
        1 => Just(Some(Mode::Db)),
    ];
    prop_oneof![
        7 => (order(), 1..4_i64, any::<bool>())
            .prop_map(|(order, units, repeated)| Action::Create { order, units: [units, 0], repeated }),
        5 => (order(), 1..3_i64, 1..3_i64).prop_map(|(order, one, two)| Action::Create { order, units: [one, two], repeated: false }),
        1 => (order(), 1..4_i64).prop_map(|(order, units)| Action::Orphan { order, units }),
        3 => order().prop_map(Action::Pay),
        3 => order().prop_map(Action::Cancel),
        3 => order().prop_map(Action::Refund),
        2 => order().prop_map(Action::Expire),
        4 => (0..6_u8, kind, 1..4_i64, any::<bool>()).prop_map(|(id, kind, units, release)| {
            let sign = if release && kind == ChangeKind::Hold { -1 } else { 1 };
            Action::Change { id, kind, units: units * sign }
        }),
        1 => (0..5_i64).prop_map(Action::Limit),
        3 => Just(Action::Deduct),
        3 => any::<bool>().prop_map(|finish| Action::Deliver { finish }),
        1 => Just(Action::Settle),
        1 => order().prop_map(Action::Tombstone),
        1 => Just(Action::Bump),
        2 => mode.prop_map(Action::Rebuild),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => action().prop_map(Step::Do),
        3 => (action(), 0..8_000_u64).prop_map(|(action, micros)| Step::Crash(action, micros)),
        1 => Just(Step::Flush),
    ]
}

fn name(order: u8) -> String {
    format!("o-{order}")
}

fn user(order: u8) -> i64 {
    i64::from(order % 3) + 1
}

/// Items in the order in which they are locked; changes, limits and worker steps go to the first.
pub(crate) type Items = [Item; 2];

/// Does it; the answers of what a client may ask are checked where nobody dies.
pub(crate) async fn act(flow: &Flow, items: Items, action: &Action) -> Option<Result<Created, Refusal>> {
    let first = items[0];
    match action {
        Action::Create { order, units, repeated } => {
            // The first item twice, to be merged.
            let lines = [(first, units[0]), (items[1], units[1]), (first, 1)];
            let lines: Vec<_> = lines.into_iter().filter(|(_, units)| *units > 0).collect();
            return Some(flow.create(request_of(user(*order), &name(*order), &lines), *repeated).await);
        }
        Action::Orphan { order, units } => {
            let order = id(&name(*order));
            let _ = flow.stock().pre_deduct(first, &order, crate::stock_fixture::quantity(*units)).await;
        }
        Action::Pay(order) => drop(flow.pay(&id(&name(*order))).await),
        Action::Cancel(order) => drop(flow.cancel(&id(&name(*order))).await),
        Action::Refund(order) => drop(flow.refund(&id(&name(*order))).await),
        Action::Expire(order) => drop(flow.expire(&id(&name(*order))).await),
        Action::Change { id, kind, units } => {
            let booked = flow.change_stock(&change(&format!("c-{id}"), first, *kind, *units)).await;
            let refused = matches!(booked, Err(Refusal::Conflict(_) | Refusal::Mismatch));
            assert!(refused || matches!(booked, Ok(Booked::Now | Booked::Before)), "{booked:?}");
        }
        Action::Limit(units) => flow.set_user_limit(first, UserLimit::new(*units).unwrap()).await.unwrap(),
        Action::Deduct => drop(flow.ledger().deduct_batch(3).await.unwrap()),
        Action::Deliver { finish } => deliver(flow, *finish).await,
        Action::Settle => {
            let probe = flow.stock().probe(first, Duration::ZERO, None, &[]).await.unwrap();
            if probe.unready.is_none() {
                flow.settle(first, probe.epoch, &probe.locks).await.unwrap();
            }
        }
        Action::Tombstone(order) => drop(flow.ledger().fence(&id(&name(*order))).await.unwrap()),
        Action::Bump => bump(flow, first).await,
        Action::Rebuild(mode) => drop(flow.rebuild(first, *mode, "test").await.unwrap()),
    }
    None
}

async fn deliver(flow: &Flow, finish: bool) {
    let events = flow.ledger().claim_deltas(3, Duration::ZERO).await.unwrap();
    for event in &events {
        let delivered = flow.deliver(event).await;
        if finish && delivered == reference::flow::Delivery::Done {
            flow.ledger().finish_deltas(&[event.id]).await.unwrap();
        }
    }
}

/// A rebuild that dies between its COMMIT and its install.
async fn bump(flow: &Flow, item: Item) {
    let seen = flow.ledger().epoch(item).await.unwrap().unwrap().epoch;
    let in_redis = flow.stock().probe(item, Duration::ZERO, Some(0), &[]).await.unwrap().epoch;
    let request = RebuildRequest { item, seen, in_redis, mode: None, incarnation: String::new(), reason: "bump" };
    flow.ledger().rebuild(request).await.unwrap();
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
                act(&bench.flow, items, action).await;
                return;
            };
            let before = bench.rows(&name(*order)).await;
            let made = act(&bench.flow, items, action).await.unwrap();
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

async fn run_case(steps: Vec<Step>) {
    let bench = FlowBench::on_own_redis().await;
    let items = [fresh_item(), fresh_item()];
    bench.flow.open_sale(items[0], 9, Some(UserLimit::new(4).unwrap())).await.unwrap();
    bench.flow.open_sale(items[1], 5, None).await.unwrap();
    for (at, step) in steps.iter().enumerate() {
        run_step(&bench, items, step).await;
        assert_invariants(&bench, &items, &format!("after step {at}, {step:?}")).await;
    }
    bench.flow.rebuild(items[0], Some(Mode::Redis), "test").await.unwrap();
    for (item, opening) in items.into_iter().zip([9, 5]) {
        bench.flow.ensure_ready(item, "test").await.unwrap();
        bench.come_to_rest(item).await;
        let changed = format!(
            "SELECT CAST(COALESCE(SUM(CASE kind WHEN 'RESTOCK' THEN quantity WHEN 'CUT' THEN -quantity ELSE 0 END), 0) AS SIGNED) \
             FROM stock_changes WHERE sku_id = {}",
            item.sku
        );
        let supply = opening + bench.sql.int(&changed).await;
        let held = bench.balance(item).await.locked;
        assert_eq!(bench.left(item).await + bench.live(item).await + held, supply, "every unit is for sale, sold or held");
    }
    assert_invariants(&bench, &items, "at rest").await;
}

#[test]
fn no_sequence_of_steps_and_crashes_breaks_an_invariant() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 20..60);
    let run = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(run_case(steps));
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
