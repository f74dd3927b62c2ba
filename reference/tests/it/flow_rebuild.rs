//! Redis loses or gets wrong what it holds: the next touch rebuilds, and no unit is lost or doubled.

use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{Epoch, Item, OrderStatus};
use reference::flow::{Created, Flow, Refusal};
use reference::ledger::{EpochState, Mode};
use reference::stock::PreDeduct;

use crate::flow_bench::{FlowBench, Workers, request};
use crate::ledger_bench::{execute, hold_epoch, id};
use crate::stock_fixture::{Fixture, OwnRedis, until};

/// Orders one unit at a time until nothing is left; the orders made.
async fn sell_out(bench: &FlowBench, item: Item) -> i64 {
    for at in 0.. {
        match bench.create(&format!("rest-{at}"), &[(item, 1)]).await {
            Ok(Created::Now(_)) => {}
            Err(Refusal::SoldOut { .. }) => return at,
            other => panic!("{other:?}"),
        }
    }
    unreachable!("the loop has no end of its own")
}

#[tokio::test]
async fn a_flush_during_a_sale_loses_and_doubles_no_unit() {
    let bench = FlowBench::on_own_redis().await;
    let item = bench.item(40).await;
    bench.ordered("open", &[(item, 3)]).await;
    bench.ordered("cancelled", &[(item, 4)]).await;
    bench.ordered("deducted", &[(item, 5)]).await;
    bench.sql.ledger.deduct_batch(10).await.unwrap();
    bench.flow.cancel(&id("cancelled")).await.unwrap();
    // A reservation without an order is void after the flush.
    let orphan = bench.redis.of(item).pre_deduct("orphan", 6).await;
    assert!(matches!(orphan, PreDeduct::Taken(_)), "{orphan:?}");
    let () = bench.redis.raw("FLUSHALL").await;
    bench.ordered("after", &[(item, 1)]).await;
    assert_eq!((bench.left(item).await, bench.balance(item).await.epoch.epoch), (31, Epoch(2)));
    bench.assert_in_balance(item, "after the rebuild").await;
    for (order, units) in [("open", 3), ("deducted", 5), ("after", 1)] {
        let again = bench.create(order, &[(item, units)]).await;
        assert!(matches!(again, Ok(Created::Before(_))), "{order}: {again:?}");
    }
    assert_eq!(sell_out(&bench, item).await, 31);
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await, bench.balance(item).await.current), (40, 0, 0));
}

#[tokio::test]
async fn flushes_while_two_processes_sell_end_with_all_units_sold() {
    let bench = FlowBench::on_own_redis().await;
    let (other, item) = (bench.another().await, bench.item(60).await);
    let sell = |flow: &Flow, name: &'static str| {
        let flow = flow.clone();
        async move {
            for at in 0..200 {
                let made = flow.create(request(&format!("{name}-{at}"), &[(item, 1)]), false).await;
                match made {
                    Ok(_) => {}
                    Err(Refusal::SoldOut { .. }) => return,
                    Err(Refusal::NotAdmitted(_) | Refusal::Fenced) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    };
    let sales = join_all([sell(&bench.flow, "a"), sell(&other, "b"), sell(&bench.flow, "c"), sell(&other, "d")]);
    let flushes = async {
        for units in [50, 40, 25, 10] {
            until("more is sold", async || bench.live(item).await >= 60 - units).await;
            let () = bench.redis.raw("FLUSHALL").await;
        }
    };
    tokio::join!(sales, flushes);
    bench.flow.ensure_ready(item, "test").await.unwrap();
    bench.come_to_rest(item).await;
    sell_out(&bench, item).await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await), (60, 0));
    assert!(bench.balance(item).await.epoch.epoch > Epoch(1));
}

#[tokio::test]
async fn a_counter_that_a_stranger_changed_is_rebuilt_before_it_sells() {
    let bench = FlowBench::new().await;
    for change in ["SET stock 100", "DEL stock", "DEL meta", "HSET meta avail 7", "SET stock ten", "LPUSH stock 1", "SET lock x"] {
        let item = bench.item(5).await;
        bench.ordered(&format!("o-{item}").replace(':', "-"), &[(item, 2)]).await;
        let redis = bench.redis.of(item);
        let (verb, key, rest) = match change.split(' ').collect::<Vec<_>>()[..] {
            [verb, key] => (verb, key, String::new()),
            [verb, key, ref rest @ ..] => (verb, key, format!(" {}", rest.join(" "))),
            _ => unreachable!("every change names a key"),
        };
        if matches!(verb, "LPUSH") || key == "lock" {
            let _: i64 = redis.raw(&format!("DEL {}", redis.key(key))).await;
        }
        let _: redis::Value = redis.raw(&format!("{verb} {}{rest}", redis.key(key))).await;
        let next = format!("p-{item}").replace(':', "-");
        assert_eq!(bench.create(&next, &[(item, 4)]).await, Err(Refusal::SoldOut { item }), "{change}");
        bench.ordered(&next, &[(item, 3)]).await;
        assert_eq!(bench.left(item).await, 0, "{change}");
        bench.assert_in_balance(item, change).await;
        bench.come_to_rest(item).await;
    }
}

#[tokio::test]
async fn the_cancel_of_an_order_from_before_a_flush_is_contained_or_added_but_never_both() {
    let bench = FlowBench::on_own_redis().await;
    let item = bench.item(10).await;
    for (at, rebuilt_first) in [false, true].into_iter().enumerate() {
        let order = format!("o-{at}");
        bench.ordered(&order, &[(item, 4)]).await;
        let () = bench.redis.raw("FLUSHALL").await;
        if rebuilt_first {
            bench.flow.ensure_ready(item, "test").await.unwrap();
            assert_eq!(bench.left(item).await, 6);
        }
        bench.flow.cancel(&id(&order)).await.unwrap();
        bench.come_to_rest(item).await;
        bench.flow.ensure_ready(item, "test").await.unwrap();
        assert_eq!(bench.left(item).await, 10, "rebuilt first: {rebuilt_first}");
    }
}

#[tokio::test]
async fn a_restarted_redis_with_an_old_data_set_is_not_believed() {
    let mut own = OwnRedis::start(&["--appendonly", "no"]).await;
    let mut bench = FlowBench::beside(&own).await;
    let item = bench.item(10).await;
    bench.ordered("before", &[(item, 2)]).await;
    let () = bench.redis.raw("SAVE").await;
    bench.ordered("lost", &[(item, 3)]).await;
    own.kill();
    own.restart().await;
    bench.redis = Fixture::on(own.url()).await;
    assert_eq!(bench.left(item).await, 8, "the old number is back");
    assert_eq!(bench.create("after", &[(item, 6)]).await, Err(Refusal::SoldOut { item }), "five are left, not eight");
    bench.ordered("after-5", &[(item, 5)]).await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await), (10, 0));
}

#[tokio::test]
async fn each_mode_admits_in_its_own_way_and_a_closed_item_not_at_all() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("redis", &[(item, 1)]).await;
    bench.flow.rebuild(item, Some(Mode::Db), "test").await.unwrap();
    bench.ordered("db", &[(item, 2)]).await;
    assert_eq!(bench.flow.order(&id("db")).await.unwrap().sales[0].token, None);
    assert_eq!(bench.create("too-many", &[(item, 8)]).await, Err(Refusal::SoldOut { item }));
    assert!(matches!(bench.create("db", &[(item, 2)]).await, Ok(Created::Before(_))));
    bench.flow.rebuild(item, Some(Mode::Closed), "test").await.unwrap();
    let closed = bench.create("closed", &[(item, 1)]).await;
    assert!(matches!(closed, Err(Refusal::NotAdmitted(_))), "{closed:?}");
    assert_eq!(bench.flow.cancel(&id("db")).await.map(|order| order.status), Ok(OrderStatus::Cancelled), "cancels go on");
    bench.flow.rebuild(item, Some(Mode::Strict), "test").await.unwrap();
    assert_eq!(bench.left(item).await, 9);
    let strict = bench.another().await;
    let created = strict.create(request("strict", &[(item, 4)]), false).await;
    assert!(matches!(created, Ok(Created::Now(_))), "{created:?}");
    bench.flow.rebuild(item, Some(Mode::Redis), "test").await.unwrap();
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await), (5, 5));
}

/// Items of five units.
async fn items(bench: &FlowBench, count: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(bench.item(5).await);
    }
    items
}

/// Each with the epoch that it is in.
async fn seen(bench: &FlowBench, items: &[Item]) -> Vec<(Item, EpochState)> {
    let mut seen = Vec::new();
    for item in items {
        seen.push((*item, bench.balance(*item).await.epoch));
    }
    seen
}

#[tokio::test]
async fn many_items_that_redis_lost_are_rebuilt_together_and_those_that_somebody_rebuilt_meanwhile_are_left_alone() {
    let bench = FlowBench::on_own_redis().await;
    let mut items = Vec::new();
    for at in 0..10 {
        let item = bench.item(10).await;
        bench.ordered(&format!("o-{at}"), &[(item, 3)]).await;
        items.push(item);
    }
    let () = bench.redis.raw("FLUSHALL").await;
    let seen = seen(&bench, &items).await;
    bench.flow.ensure_ready(items[4], "test").await.unwrap();
    let before = bench.balance(items[4]).await.epoch;
    let done = bench.flow.rebuild_together(&seen, "test").await;
    assert_eq!(done.len(), 9);
    assert!(!done.contains(&items[4]));
    assert_eq!(bench.balance(items[4]).await.epoch, before);
    for item in &items {
        assert_eq!(bench.left(*item).await, 7);
        bench.assert_in_balance(*item, "after the rebuild").await;
    }
    assert!(bench.flow.rebuild_together(&seen, "test").await.is_empty(), "an epoch that was seen before is rebuilt no more");
    let now = self::seen(&bench, &items).await;
    assert!(bench.flow.rebuild_together(&now, "test").await.is_empty(), "a counter that is there keeps its reservations");
    for (item, state) in &seen {
        assert_eq!(bench.balance(*item).await.epoch.epoch, Epoch(state.epoch.0 + 1));
    }
}

#[tokio::test]
async fn an_item_that_somebody_has_locked_keeps_no_other_from_its_rebuild() {
    let bench = FlowBench::on_own_redis().await;
    let items = items(&bench, 10).await;
    let seen = seen(&bench, &items).await;
    let () = bench.redis.raw("FLUSHALL").await;
    let mut holder = bench.sql.connect().await;
    hold_epoch(&mut holder, items[3], "LOCK IN SHARE MODE").await;
    let done = bench.flow.rebuild_together(&seen, "test").await;
    assert!(done.len() == 9 && !done.contains(&items[3]), "{done:?}");
    assert_eq!(bench.balance(items[3]).await.epoch, seen[3].1);
    execute(&mut holder, "ROLLBACK").await;
    // Named twice, it is installed once.
    let twice: Vec<_> = std::iter::repeat_n(seen[3], 8).collect();
    assert_eq!(bench.flow.rebuild_together(&twice, "test").await.len(), 1);
    assert_eq!((bench.left(items[3]).await, bench.balance(items[3]).await.epoch.epoch), (5, Epoch(seen[3].1.epoch.0 + 1)));
}

#[tokio::test]
async fn few_items_and_items_that_mysql_guards_are_not_rebuilt_together() {
    let bench = FlowBench::on_own_redis().await;
    let items = items(&bench, 8).await;
    let mut seen = seen(&bench, &items).await;
    assert!(bench.flow.rebuild_together(&seen[..7], "test").await.is_empty());
    bench.flow.rebuild(seen[0].0, Some(Mode::Strict), "test").await.unwrap();
    seen[0].1 = bench.balance(seen[0].0).await.epoch;
    assert!(bench.flow.rebuild_together(&seen, "test").await.is_empty());
}

#[tokio::test]
async fn the_workers_bring_back_everything_that_a_flush_took() {
    let bench = FlowBench::on_own_redis().await;
    let items = items(&bench, 40).await;
    let () = bench.redis.raw("FLUSHALL").await;
    let opening = bench.balance(items[0]).await.epoch.epoch;
    let workers = Workers::start(&bench.flow, Duration::from_secs(10));
    for item in items {
        until("its counter stands", async || bench.probe(item).await.unready.is_none()).await;
        assert_eq!(bench.left(item).await, 5);
        assert_eq!(bench.balance(item).await.epoch.epoch, Epoch(opening.0 + 1), "rebuilt once");
    }
    workers.stop().await;
}
