//! 429: whoever is told that too many orders wait has taken nothing, so there is nothing to give back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use reference::domain::Item;
use reference::flow::{Created, Flow, FlowSettings, Refusal};
use reference::ledger::{Ledger, LedgerSettings, Mode};
use reference::metrics::Metrics;
use tokio::task::JoinSet;

use crate::flow_bench::{FlowBench, forgetful, request};
use crate::ledger_bench::{execute, hold_epoch, settings};

/// A process with so many seats.
async fn process(bench: &FlowBench, seats: usize, flow: FlowSettings) -> Flow {
    let small = LedgerSettings { writer_queue: seats, ..settings(&bench.sql.url) };
    Flow::new(bench.redis.stock.clone(), Ledger::open(small).await.unwrap(), Metrics::default(), flow)
}

/// Orders that hold a lock of the item.
async fn holders(bench: &FlowBench, item: Item) -> HashSet<String> {
    bench.probe(item).await.locks.iter().map(|lock| lock.member.order.to_string()).collect()
}

#[tokio::test]
async fn an_order_of_a_locked_item_that_is_throttled_has_taken_nothing() {
    let bench = FlowBench::new().await;
    let (locked, free) = (bench.item(1_000).await, bench.item(1_000).await);
    let flow = process(&bench, 16, forgetful()).await;
    let mut holder = bench.sql.connect().await;
    hold_epoch(&mut holder, locked, "FOR UPDATE").await;
    let mut waiting = JoinSet::new();
    for at in 0..12 {
        let (flow, order) = (flow.clone(), request(&format!("early-{at}"), &[(locked, 1)]));
        waiting.spawn(async move { flow.create(order, false).await });
    }
    let mut answers = Vec::new();
    // Places aside: four. The others of the twelve had taken stock before anybody knew, and are told another word than throttled.
    while answers.len() < 8 {
        answers.push(waiting.join_next().await.unwrap().unwrap());
    }
    assert!(answers.iter().all(|answer| matches!(answer, Err(Refusal::NotAdmitted(_)))), "{answers:?}");
    let before = holders(&bench, locked).await;
    assert_eq!(before.len(), 12);
    for at in 0..40 {
        assert_eq!(flow.create(request(&format!("late-{at}"), &[(locked, 1)]), false).await, Err(Refusal::Throttled));
        let made = flow.create(request(&format!("free-{at}"), &[(free, 1)]), false).await;
        assert!(matches!(made, Ok(Created::Now(_))), "{made:?}");
    }
    assert_eq!((holders(&bench, locked).await, bench.left(locked).await), (before, 988));
    execute(&mut holder, "ROLLBACK").await;
    while let Some(answer) = waiting.join_next().await {
        assert!(matches!(answer.unwrap(), Ok(Created::Now(_))));
    }
    for (item, sold) in [(locked, 4), (free, 40)] {
        bench.come_to_rest(item).await;
        assert_eq!((bench.live(item).await, bench.left(item).await), (sold, 1_000 - sold));
    }
}

#[tokio::test]
async fn a_cart_that_is_throttled_for_the_line_that_mysql_admits_has_taken_nothing_for_the_other() {
    let bench = FlowBench::new().await;
    let (by_redis, by_mysql) = (bench.item(1_000).await, bench.item(1_000).await);
    bench.flow.rebuild(by_mysql, Some(Mode::Db), "operator").await.unwrap();
    let flow = process(&bench, 4_096, FlowSettings { database_orders_per_second: 10, ..forgetful() }).await;
    let cart = |at: usize| request(&format!("c-{at}"), &[(by_redis, 1), (by_mysql, 1)]);
    // What it learns with the first: that MySQL admits the second line.
    assert!(matches!(flow.create(cart(0), false).await, Ok(Created::Now(_))));
    let carts: Vec<_> = (1..200).map(cart).collect();
    let answers = join_all(carts.iter().map(|cart| flow.create(Arc::clone(cart), false))).await;
    let hold = holders(&bench, by_redis).await;
    let (mut sold, mut throttled) = (1, 0);
    for (cart, answer) in carts.iter().zip(&answers) {
        match answer {
            Ok(Created::Now(_)) => sold += 1,
            Err(Refusal::Throttled) => {
                throttled += 1;
                assert!(!hold.contains(cart.order().as_str()), "{} was throttled and holds units", cart.order());
            }
            Err(Refusal::NotAdmitted(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(throttled > 100, "{throttled} throttled, {sold} sold");
    bench.come_to_rest(by_redis).await;
    assert_eq!((bench.live(by_redis).await, bench.live(by_mysql).await), (sold, sold));
    assert_eq!((bench.left(by_redis).await, bench.balance(by_mysql).await.current), (1_000 - sold, 1_000 - sold));
}
