//! Restock, cut and hold during a sale, each booked once; and the way back of a closed item.

use std::time::Duration;

use futures_util::future::join_all;
use reference::clock::Deadline;
use reference::domain::{ChangeKind, Item, StockChange};
use reference::flow::{Booked, Created, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, Workers, request};
use crate::ledger_bench::{change, restock};
use crate::lossy_relay::{Cut, LossyRelay};
use crate::support::fresh_item;

fn cut(id: &str, item: Item, units: i64) -> StockChange {
    change(id, item, ChangeKind::Cut, units)
}

fn hold(id: &str, item: Item, units: i64) -> StockChange {
    change(id, item, ChangeKind::Hold, units)
}

fn is_conflict(booked: &Result<Booked, Refusal>) -> bool {
    matches!(booked, Err(Refusal::Conflict(_)))
}

#[tokio::test]
async fn each_change_moves_what_is_for_sale_once() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 4)]).await;
    for (change, left) in [(restock("r", item, 5), 11), (cut("c", item, 3), 8), (hold("h", item, 6), 2), (hold("u", item, -2), 4)] {
        assert_eq!(bench.flow.change_stock(&change).await, Ok(Booked::Now));
        assert_eq!(bench.flow.change_stock(&change).await, Ok(Booked::Before), "again");
        bench.assert_in_balance(item, "after a change").await;
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await, left, "{change:?}");
    }
    let balance = bench.balance(item).await;
    assert_eq!((balance.current, balance.locked, balance.available()), (8, 4, 4));
    assert!(matches!(bench.create("p", &[(item, 5)]).await, Err(Refusal::SoldOut { .. })));
    bench.ordered("q", &[(item, 4)]).await;
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_change_that_would_go_below_what_orders_hold_changes_nothing() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("open", &[(item, 3)]).await;
    bench.flow.change_stock(&hold("h", item, 2)).await.unwrap();
    let before = (bench.balance(item).await, bench.sql.int("SELECT COUNT(*) FROM inventory_transactions").await);
    for refused in [cut("c", item, 6), hold("more", item, 6), hold("less", item, -3)] {
        for _ in 0..2 {
            assert!(is_conflict(&bench.flow.change_stock(&refused).await), "{refused:?}");
        }
    }
    assert_eq!(bench.flow.change_stock(&hold("h", item, 3)).await, Err(Refusal::Mismatch));
    assert_eq!(bench.flow.change_stock(&cut("h", item, 2)).await, Err(Refusal::Mismatch));
    let unknown = fresh_item();
    for change in [restock("c", unknown, 1), cut("c", unknown, 1), hold("c", unknown, 1)] {
        assert_eq!(bench.flow.change_stock(&change).await, Err(Refusal::UnknownSku { item: unknown }));
    }
    let after = (bench.balance(item).await, bench.sql.int("SELECT COUNT(*) FROM inventory_transactions").await);
    assert_eq!((before, bench.left(item).await), (after, 5));
    assert_eq!(bench.flow.change_stock(&cut("c", item, 5)).await, Ok(Booked::Now), "a refused change does not use its id up");
    assert_eq!(bench.left(item).await, 0);
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn the_same_change_by_many_at_once_is_booked_once() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(100).await);
    for change in [restock("r", item, 7), cut("c", item, 5), hold("h", item, 11)] {
        let flows = [&bench.flow, &other, &bench.flow, &other, &bench.flow];
        let booked = join_all(flows.map(|flow| flow.change_stock(&change))).await;
        assert_eq!(booked.iter().filter(|one| **one == Ok(Booked::Now)).count(), 1, "{booked:?}");
        assert_eq!(booked.iter().filter(|one| **one == Ok(Booked::Before)).count(), 4, "{booked:?}");
    }
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 91);
}

/// Sends the same order again while it is told to come back later: on a busy machine epochs may move faster than one request follows.
async fn order_patiently(bench: &FlowBench, name: &str, item: Item) -> Result<Created, Refusal> {
    let deadline = Deadline::after(Duration::from_secs(30));
    loop {
        match bench.create(name, &[(item, 1)]).await {
            Err(Refusal::NotAdmitted(_)) if !deadline.has_passed() => {}
            created => return created,
        }
    }
}

#[tokio::test]
async fn changes_while_orders_come_and_go_sell_exactly_what_is_there() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(60).await);
    let workers = Workers::start(&other, Duration::from_secs(60));
    let buyers = (0..8).map(|buyer| {
        let bench = &bench;
        async move {
            for round in 0..12 {
                let name = format!("o-{buyer}-{round}");
                let created = order_patiently(bench, &name, item).await;
                assert!(matches!(created, Ok(_) | Err(Refusal::SoldOut { .. })), "{created:?}");
                if created.is_ok() && round % 4 == 0 {
                    bench.flow.cancel(&name.parse().unwrap()).await.unwrap();
                }
            }
        }
    });
    let changes = async {
        let mut supply = 60;
        for at in 0..6 {
            for (change, units) in [
                (restock(&format!("r-{at}"), item, 4), 4),
                (cut(&format!("c-{at}"), item, 3), -3),
                (hold(&format!("h-{at}"), item, 2), 0),
                (hold(&format!("u-{at}"), item, -2), 0),
            ] {
                match other.change_stock(&change).await {
                    Ok(Booked::Now) => supply += units,
                    refused => assert!(is_conflict(&refused), "{change:?} {refused:?}"),
                }
            }
        }
        supply
    };
    let (_, supply) = tokio::join!(join_all(buyers), changes);
    workers.stop().await;
    bench.come_to_rest(item).await;
    let held = bench.balance(item).await.locked;
    assert_eq!(bench.left(item).await + bench.live(item).await + held, supply);
}

#[tokio::test]
async fn a_cut_takes_what_was_only_reserved_and_its_request_is_told_the_truth() {
    let bench = FlowBench::new().await;
    let item = bench.item(3).await;
    // A reservation whose order is still to come.
    bench.redis.of(item).pre_deduct("o", 3).await;
    assert_eq!(bench.flow.change_stock(&cut("c", item, 2)).await, Ok(Booked::Now));
    assert_eq!(bench.create("o", &[(item, 3)]).await, Err(Refusal::SoldOut { item }));
    bench.ordered("p", &[(item, 1)]).await;
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_change_whose_commit_lost_its_reply_is_booked_once() {
    for lost in [Cut::Before, Cut::After] {
        for kind in [ChangeKind::Restock, ChangeKind::Cut, ChangeKind::Hold] {
            let bench = FlowBench::new().await;
            let item = bench.item(10).await;
            let relay = LossyRelay::before(&bench.sql.url).await;
            let flow = bench.through(&bench.redis_url, &relay.url(&bench.sql.url)).await;
            relay.arm(lost);
            let wanted = change("c", item, kind, 4);
            let booked = flow.change_stock(&wanted).await;
            assert!(booked.is_ok(), "{lost:?} {kind:?} {booked:?}");
            assert_eq!(bench.flow.change_stock(&wanted).await, Ok(Booked::Before));
            bench.come_to_rest(item).await;
            assert_eq!(bench.left(item).await, if kind == ChangeKind::Restock { 14 } else { 6 });
        }
    }
}

#[tokio::test]
async fn a_closed_item_takes_changes_and_sells_again_once_its_ledger_adds_up() {
    let bench = FlowBench::new().await;
    let item = bench.item(5).await;
    bench.sql.execute("UPDATE inventory SET current_stock = 8").await;
    bench.flow.rebuild(item, Some(Mode::Closed), "test").await.unwrap();
    assert!(matches!(bench.create("o", &[(item, 1)]).await, Err(Refusal::NotAdmitted(_))));
    assert!(matches!(bench.flow.reopen(item, Mode::Redis).await, Err(Refusal::Conflict(_))), "three units that nobody booked");
    bench.sql.execute("UPDATE inventory SET current_stock = 5").await;
    bench.flow.change_stock(&restock("r", item, 3)).await.unwrap();
    bench.flow.change_stock(&cut("c", item, 1)).await.unwrap();
    let opened = bench.flow.reopen(item, Mode::Redis).await.unwrap();
    assert_eq!(opened.mode, Mode::Redis);
    assert_eq!(bench.flow.reopen(item, Mode::Redis).await, Ok(opened), "again");
    assert!(matches!(bench.flow.create(request("p", &[(item, 7)]), false).await, Ok(Created::Now(_))));
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 0);
    assert!(matches!(bench.flow.reopen(fresh_item(), Mode::Redis).await, Err(Refusal::UnknownSku { .. })));
}
