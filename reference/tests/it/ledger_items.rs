//! Items: opening, restocks, balances, rebuilds.

use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{ChangeKind, Epoch, Item, SaleState, StockChange};
use reference::ledger::{ChangeStop, EpochState, LedgerError, Mode, RebuildRequest, Rebuilt, ReopenStop, Restocked, StockChanged};

use crate::ledger_bench::{Bench, change, id, numbered, rebuild_request, restock};
use crate::support;

#[tokio::test]
async fn an_item_is_opened_once_and_the_same_opening_is_no_conflict() {
    let bench = Bench::new().await;
    let item = support::fresh_item();
    assert_eq!((bench.ledger.balance(item).await, bench.ledger.epoch(item).await), (Ok(None), Ok(None)));
    assert_eq!(bench.ledger.open_item(item, 100).await, Ok(Restocked::Now));
    assert_eq!(bench.ledger.open_item(item, 100).await, Ok(Restocked::Before));
    assert_eq!(bench.ledger.open_item(item, 99).await, Ok(Restocked::Conflict { booked: 100 }));
    let balance = bench.balance(item).await;
    assert_eq!((balance.current, balance.locked, balance.open, balance.available()), (100, 0, 0, 100));
    assert_eq!(bench.ledger.epoch(item).await, Ok(Some(EpochState { epoch: Epoch(0), mode: Mode::Redis })));
    assert_eq!(bench.booked(item).await, 100);
}

#[tokio::test]
async fn an_item_may_open_with_nothing() {
    let bench = Bench::new().await;
    let item = support::fresh_item();
    assert_eq!(bench.ledger.open_item(item, 0).await, Ok(Restocked::Now));
    assert_eq!(bench.ledger.open_item(item, 0).await, Ok(Restocked::Before));
    assert_eq!(bench.ledger.open_item(item, 5).await, Ok(Restocked::Conflict { booked: 0 }));
    assert!(matches!(bench.ledger.open_item(support::fresh_item(), u64::MAX).await, Err(LedgerError::Failed { .. })));
}

#[tokio::test]
async fn a_restock_counts_once_for_its_id_over_all_items_and_kinds() {
    let bench = Bench::new().await;
    let (item, other) = (bench.item(10).await, bench.item(10).await);
    bench.rebuild(item, 1, None).await;
    let same = join_all((0..6).map(|_| bench.ledger.restock(restock("r-1", item, 5)))).await;
    assert_eq!(same.iter().filter(|result| **result == Ok(StockChanged::Now)).count(), 1, "{same:?}");
    assert_eq!(same.iter().filter(|result| **result == Ok(StockChanged::Before)).count(), 5, "{same:?}");
    let another_reason = StockChange::new(id("r-1"), item, ChangeKind::Restock, 5, "another").unwrap();
    for another in [restock("r-1", item, 6), restock("r-1", other, 5), another_reason] {
        assert_eq!(bench.ledger.restock(another).await, Ok(StockChanged::Mismatch));
    }
    assert_eq!(bench.ledger.restock(restock("r-2", support::fresh_item(), 1)).await, Ok(StockChanged::UnknownItem));
    assert_eq!(bench.ledger.restock(restock("r-2", other, 1)).await, Ok(StockChanged::Now), "a refusal does not use the id up");
    assert_eq!((bench.balance(item).await.current, bench.balance(other).await.current), (15, 11));
    let event = format!("SELECT epoch FROM outbox WHERE event_id = 'rst.r-1' AND sku_id = {}", item.sku);
    assert_eq!(bench.int(&event).await, 2);
}

#[tokio::test]
async fn a_cut_and_a_hold_are_booked_once_behind_the_barrier() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(numbered("o", 1, item, 3)).await;
    let apply = async |seen, kind, name: &str, units| {
        bench.ledger.rebuild_changing(rebuild_request(item, seen, None), change(name, item, kind, units)).await.unwrap()
    };
    let committed = |epoch, base| Rebuilt::Committed { epoch: Epoch(epoch), base, mode: Mode::Redis };
    assert_eq!(apply(1, ChangeKind::Cut, "c-1", 8).await, Rebuilt::Stopped(ChangeStop::Short), "an order holds three");
    assert_eq!(apply(1, ChangeKind::Cut, "c-1", 2).await, committed(2, 5), "the refusal did not use the id up");
    assert_eq!(apply(2, ChangeKind::Cut, "c-1", 2).await, Rebuilt::Stopped(ChangeStop::Before));
    assert_eq!(apply(2, ChangeKind::Hold, "c-1", 2).await, Rebuilt::Stopped(ChangeStop::Mismatch));
    assert_eq!(apply(2, ChangeKind::Hold, "h-1", 6).await, Rebuilt::Stopped(ChangeStop::Short));
    assert_eq!(apply(2, ChangeKind::Hold, "h-1", 4).await, committed(3, 1));
    assert_eq!(apply(3, ChangeKind::Hold, "h-2", -5).await, Rebuilt::Stopped(ChangeStop::Short), "only four are held");
    assert_eq!(apply(3, ChangeKind::Cut, "c-2", 2).await, Rebuilt::Stopped(ChangeStop::Short), "one is free");
    assert_eq!(apply(3, ChangeKind::Hold, "h-2", -4).await, committed(4, 5));
    let balance = bench.balance(item).await;
    assert_eq!((balance.current, balance.locked, balance.available(), bench.booked(item).await), (8, 0, 5, 8));
    assert_eq!(bench.int("SELECT COUNT(*) FROM stock_changes WHERE reason = 'test'").await, 3);
}

#[tokio::test]
async fn a_closed_item_reopens_once_its_ledger_adds_up() {
    let bench = Bench::new().await;
    let item = bench.item(2).await;
    let reopen = async |seen| bench.ledger.reopen(rebuild_request(item, seen, Some(Mode::Redis))).await.unwrap();
    let open = EpochState { epoch: Epoch(1), mode: Mode::Redis };
    assert_eq!(reopen(1).await, Rebuilt::NotReopened(ReopenStop::Open(open)));
    bench.write(numbered("o", 1, item, 5)).await;
    bench.rebuild(item, 1, None).await;
    let short = ReopenStop::Unbalanced { current: 2, booked: 2, available: -3 };
    assert_eq!(reopen(2).await, Rebuilt::NotReopened(short));
    bench.execute("UPDATE inventory SET current_stock = 9").await;
    let unbalanced = ReopenStop::Unbalanced { current: 9, booked: 2, available: 4 };
    assert_eq!(reopen(2).await, Rebuilt::NotReopened(unbalanced));
    bench.execute("UPDATE inventory SET current_stock = 2").await;
    assert_eq!(bench.ledger.restock(restock("r-1", item, 4)).await, Ok(StockChanged::Now), "a correction, also while it is closed");
    assert_eq!(reopen(2).await, Rebuilt::Committed { epoch: Epoch(3), base: 1, mode: Mode::Redis });
}

#[tokio::test]
async fn an_item_that_sold_more_than_it_has_is_closed_by_every_rebuild_and_its_sales_stay_open() {
    let bench = Bench::new().await;
    for (order, wanted) in [("o", None), ("p", Some(Mode::Db)), ("q", Some(Mode::Strict)), ("r", Some(Mode::Redis))] {
        let item = bench.item(10).await;
        bench.write(numbered(order, 1, item, 6)).await;
        bench.execute(&format!("UPDATE inventory SET current_stock = 5 WHERE sku_id = {}", item.sku)).await;
        let closed = match wanted {
            None => bench.ledger.degrade(item, Epoch(1)).await.unwrap(),
            wanted => bench.rebuild(item, 1, wanted).await,
        };
        assert_eq!(closed, Rebuilt::Committed { epoch: Epoch(2), base: -1, mode: Mode::Closed }, "{wanted:?}");
        let balance = bench.balance(item).await;
        assert_eq!((balance.current, balance.open), (5, 6), "{wanted:?}");
        assert_eq!(bench.ledger.returns_to(item).await, Ok(None));
    }
}

#[tokio::test]
async fn items_are_listed_in_order_and_page_by_page() {
    let bench = Bench::new().await;
    let all = [(1, 1, 9), (1, 2, 1), (1, 2, 2), (2, 1, 1)].map(|(store, product, sku)| Item::new(store, product, sku).unwrap());
    for item in all {
        bench.ledger.open_item(item, 1).await.unwrap();
    }
    let listed = async |after, limit| -> Vec<Item> {
        bench.ledger.items(after, limit).await.unwrap().into_iter().map(|(item, _)| item).collect()
    };
    assert_eq!(listed(None, 100).await, all);
    assert_eq!(listed(None, 2).await, all[..2]);
    assert_eq!(listed(Some(all[0]), 2).await, all[1..3]);
    assert_eq!(listed(Some(all[3]), 2).await, []);
}

#[tokio::test]
async fn a_rebuild_opens_an_epoch_above_both_stores_with_what_no_order_holds() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.write(numbered("o", 1, item, 3)).await;
    let request = RebuildRequest { in_redis: Epoch(7), ..rebuild_request(item, 1, None) };
    assert_eq!(bench.ledger.rebuild(request).await, Ok(Rebuilt::Committed { epoch: Epoch(8), base: 7, mode: Mode::Redis }));
    assert_eq!(bench.balance(item).await.epoch, EpochState { epoch: Epoch(8), mode: Mode::Redis });
    let stored = "SELECT COUNT(*) FROM inventory_epoch WHERE base = 7 AND incarnation = 'run:repl' AND reason = 'test'";
    assert_eq!(bench.int(stored).await, 1);
    let current = EpochState { epoch: Epoch(8), mode: Mode::Redis };
    assert_eq!(bench.rebuild(item, 1, None).await, Rebuilt::Superseded { current });
    assert_eq!(bench.rebuild(support::fresh_item(), 0, None).await, Rebuilt::UnknownItem);
}

#[tokio::test]
async fn held_back_units_are_not_in_the_base() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    bench.execute("UPDATE inventory SET locked_stock = 4").await;
    assert_eq!(bench.rebuild(item, 1, None).await, Rebuilt::Committed { epoch: Epoch(2), base: 6, mode: Mode::Redis });
}

#[tokio::test]
async fn of_rebuilds_that_saw_the_same_epoch_exactly_one_is_committed() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    let rebuilt = join_all((0..8).map(|_| bench.rebuild(item, 1, None))).await;
    assert_eq!(rebuilt.iter().filter(|one| matches!(one, Rebuilt::Committed { .. })).count(), 1, "{rebuilt:?}");
    assert_eq!(rebuilt.iter().filter(|one| matches!(one, Rebuilt::Superseded { .. })).count(), 7, "{rebuilt:?}");
}

#[tokio::test]
async fn entering_a_guarded_mode_moves_the_balance_of_every_open_sale() {
    for mode in [Mode::Db, Mode::Strict] {
        let bench = Bench::new().await;
        let item = bench.item(10).await;
        bench.write(numbered("o", 1, item, 3)).await;
        bench.write(numbered("o", 2, item, 1)).await;
        assert_eq!(bench.rebuild(item, 1, Some(mode)).await, Rebuilt::Committed { epoch: Epoch(2), base: 6, mode });
        let balance = bench.balance(item).await;
        assert_eq!((balance.current, balance.open), (6, 0));
        assert_eq!(bench.ledger.order(&id("o-1")).await.unwrap().unwrap().sales[0].state, SaleState::Out);
        // The deducts left behind find their sales settled.
        let late = bench.ledger.deduct_batch(10).await.unwrap();
        assert_eq!((late.settled.len(), bench.balance(item).await.current, bench.booked(item).await), (2, 6, 6));
        assert!(matches!(bench.rebuild(item, 2, Some(Mode::Redis)).await, Rebuilt::Committed { base: 6, mode: Mode::Redis, .. }));
    }
}

#[tokio::test]
async fn a_broken_ledger_closes_its_item() {
    let bench = Bench::new().await;
    let item = bench.item(2).await;
    bench.write(numbered("o", 1, item, 5)).await;
    assert_eq!(bench.rebuild(item, 1, None).await, Rebuilt::Committed { epoch: Epoch(2), base: -3, mode: Mode::Closed });
    assert_eq!(bench.balance(item).await.epoch.mode, Mode::Closed);
}

#[tokio::test]
async fn increases_are_leased_and_finished_once() {
    let bench = Bench::new().await;
    let item = bench.item(1).await;
    bench.ledger.restock(restock("r-1", item, 5)).await.unwrap();
    let lease = Duration::from_secs(60);
    let claimed = join_all((0..4).map(|_| bench.ledger.claim_deltas(1, lease))).await;
    let mut events: Vec<_> = claimed.into_iter().flat_map(Result::unwrap).collect();
    events.sort_by_key(|event| event.id);
    let names: Vec<_> = events.iter().map(|event| (event.event_id.as_str(), event.quantity, event.attempts)).collect();
    assert_eq!(names, [("rst.open", 1, 1), ("rst.r-1", 5, 1)]);
    assert_eq!(bench.ledger.claim_deltas(10, lease).await, Ok(vec![]), "leased");
    bench.execute("UPDATE outbox SET available_at = NOW(3)").await;
    let again = bench.ledger.claim_deltas(10, Duration::ZERO).await.unwrap();
    assert!(again.iter().all(|event| event.attempts == 2) && again.len() == 2, "{again:?}");
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    assert_eq!(bench.ledger.outbox_depth().await.unwrap().deltas, 2);
    assert_eq!((bench.ledger.finish_deltas(&ids).await, bench.ledger.finish_deltas(&ids).await), (Ok(2), Ok(0)));
    assert_eq!(bench.ledger.finish_deltas(&[]).await, Ok(0));
    assert_eq!(bench.ledger.outbox_depth().await.unwrap().deltas, 0);
}

#[tokio::test]
async fn epochs_of_several_items_are_read_at_once_and_one_that_does_not_exist_is_left_out() {
    let bench = Bench::new().await;
    let (redis, strict, unknown) = (bench.item(5).await, bench.item_in(Mode::Strict, 5).await, support::fresh_item());
    let read = bench.ledger.epochs([redis, strict, unknown].into()).await.unwrap();
    let expected = [(redis, Epoch(1), Mode::Redis), (strict, Epoch(2), Mode::Strict)];
    assert_eq!(read, expected.map(|(item, epoch, mode)| (item, EpochState { epoch, mode })).into());
    assert_eq!(bench.ledger.epochs([].into()).await.unwrap().len(), 0);
}
