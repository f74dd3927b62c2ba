//! COMMIT was sent and its reply never came: nobody may be told that it had no effect, nor that it had one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use reference::domain::{Epoch, OrderStatus};
use reference::ledger::{Changed, Ledger, Mode, Rebuilt, StockChanged, Undo, Written};

use crate::ledger_bench::{Bench, id, numbered, rebuild_request, restock, settings};
use crate::lossy_relay::{Cut, LossyRelay};

/// A ledger whose commits can be cut, beside one that sees the truth.
async fn through_relay(bench: &Bench) -> (Ledger, LossyRelay) {
    let relay = LossyRelay::before(&bench.url).await;
    let ledger = Ledger::open(settings(&relay.url(&bench.url))).await.unwrap();
    (ledger, relay)
}

#[tokio::test]
async fn an_order_whose_commit_lost_its_reply_is_unknown_and_stands_or_not() {
    for (cut, stands) in [(Cut::Before, false), (Cut::After, true)] {
        let bench = Bench::new().await;
        let item = bench.item(10).await;
        let (ledger, relay) = through_relay(&bench).await;
        relay.arm(cut);
        assert_eq!(ledger.write(numbered("o", 1, item, 1)).await, Ok(Written::Unknown), "{cut:?}");
        assert!(relay.has_cut());
        // The tombstone waits for the lost transaction to end and then tells the truth.
        assert_eq!(ledger.fence(&id("o-1")).await, Ok(!stands), "{cut:?}");
        assert_eq!(bench.balance(item).await.open, i64::from(stands));
        assert_eq!(ledger.write(numbered("o", 2, item, 1)).await, Ok(Written::Committed), "the writer goes on");
    }
}

#[tokio::test]
async fn a_rebuild_whose_commit_lost_its_reply_is_unknown_and_not_repeated() {
    for (cut, epoch) in [(Cut::Before, 1), (Cut::After, 2)] {
        let bench = Bench::new().await;
        let item = bench.item(10).await;
        let (ledger, relay) = through_relay(&bench).await;
        relay.arm(cut);
        assert_eq!(ledger.rebuild(rebuild_request(item, 1, None)).await, Ok(Rebuilt::Unknown), "{cut:?}");
        assert_eq!(bench.balance(item).await.epoch.epoch, Epoch(epoch), "{cut:?}");
        let again = ledger.rebuild(rebuild_request(item, epoch, None)).await;
        assert_eq!(again, Ok(Rebuilt::Committed { epoch: Epoch(epoch + 1), base: 10, mode: Mode::Redis }));
    }
}

#[tokio::test]
async fn a_cancel_and_a_restock_whose_commits_lost_their_replies_happen_exactly_once() {
    for cut in [Cut::Before, Cut::After] {
        let bench = Bench::new().await;
        let item = bench.item(10).await;
        bench.write(numbered("o", 1, item, 4)).await;
        bench.ledger.deduct_batch(10).await.unwrap();
        let (ledger, relay) = through_relay(&bench).await;
        relay.arm(cut);
        let cancelled = ledger.undo(&id("o-1"), Undo::Cancel, "").await.unwrap();
        match cancelled {
            Changed::Now(_) => assert_eq!(cut, Cut::Before),
            Changed::Not(order) => assert_eq!((cut, order.status), (Cut::After, OrderStatus::Cancelled)),
            Changed::NoOrder => panic!("the order is there"),
        }
        relay.arm(cut);
        let restocked = if cut == Cut::Before { StockChanged::Now } else { StockChanged::Before };
        assert_eq!(ledger.restock(restock("r-1", item, 5)).await, Ok(restocked));
        assert!(relay.has_cut());
        assert_eq!((bench.balance(item).await.current, bench.booked(item).await), (15, 15), "{cut:?}");
    }
}

#[tokio::test]
async fn a_deduct_whose_commit_lost_its_reply_moves_the_balance_once() {
    for (cut, settled) in [(Cut::Before, 3), (Cut::After, 0)] {
        let bench = Bench::new().await;
        let item = bench.item(10).await;
        for at in 0..3 {
            bench.write(numbered("o", at, item, 2)).await;
        }
        let (ledger, relay) = through_relay(&bench).await;
        relay.arm(cut);
        let batch = ledger.deduct_batch(10).await.unwrap();
        assert_eq!(batch.settled.len(), settled, "{cut:?}: what an unknown batch settled is confirmed by the resolver");
        assert!(relay.has_cut());
        assert_eq!((bench.balance(item).await.current, bench.balance(item).await.open), (4, 0), "{cut:?}");
    }
}
