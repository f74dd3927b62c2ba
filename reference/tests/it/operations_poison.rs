//! Messages that nothing can settle, and the tools that settle what is stuck.

use std::time::Duration;

use reference::domain::OrderStatus;
use reference::flow::{LockFate, Refusal};

use crate::flow_bench::{FlowBench, Workers};
use crate::ledger_bench::id;
use crate::stock_fixture::until;

#[tokio::test]
async fn broken_rows_end_dead_with_their_reason_and_hold_up_nobody() {
    let bench = FlowBench::new().await;
    let item = bench.item(100).await;
    for order in ["garbled", "differs", "too-large", "sound"] {
        bench.ordered(order, &[(item, 2)]).await;
    }
    bench.sql.execute("UPDATE outbox SET token = 'garbage' WHERE order_id = 'garbled'").await;
    bench.sql.execute("UPDATE inventory_transactions SET quantity = 3 WHERE order_id = 'differs'").await;
    bench.sql.execute("UPDATE inventory_transactions SET quantity = 5000000 WHERE order_id = 'too-large'").await;
    let batch = bench.sql.ledger.deduct_batch(10).await.unwrap();
    assert_eq!((batch.events, batch.settled.len(), batch.dead), (4, 1, 3));
    assert_eq!(batch.settled[0].order, id("sound"));
    let dead = bench.sql.ledger.dead_messages(10).await.unwrap();
    let reason = |order: &str| {
        let message = dead.iter().find(|message| message.order == order).unwrap_or_else(|| panic!("{order}: {dead:?}"));
        message.why.as_str()
    };
    assert!(reason("garbled").contains("token: must have the form"), "{dead:?}");
    assert_eq!(reason("differs"), "the SALE row is of 3 units, the message of 2");
    assert!(reason("too-large").starts_with("the SALE row cannot be read: column quantity"), "{dead:?}");
    assert_eq!(bench.sql.ledger.outbox_depth().await.unwrap().dead, 3);

    bench.sql.execute("UPDATE inventory_transactions SET quantity = 2 WHERE order_id IN ('differs', 'too-large')").await;
    let token = "(SELECT token FROM inventory_transactions WHERE order_id = 'garbled')";
    bench.sql.execute(&format!("UPDATE outbox SET token = {token} WHERE order_id = 'garbled'")).await;
    for message in &dead {
        assert_eq!((bench.sql.ledger.requeue(message.id).await, bench.sql.ledger.requeue(message.id).await), (Ok(true), Ok(false)));
    }
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.balance(item).await.current), (92, 92));
}

#[tokio::test]
async fn a_dead_message_that_cannot_be_read_is_told_and_hides_no_other() {
    let bench = FlowBench::new().await;
    let item = bench.item(100).await;
    for order in ["nameless", "nowhere", "negative", "garbled"] {
        bench.ordered(order, &[(item, 2)]).await;
    }
    bench.sql.execute("UPDATE outbox SET quantity = -2 WHERE order_id = 'negative'").await;
    bench.sql.execute("UPDATE outbox SET store_id = -1 WHERE order_id = 'nowhere'").await;
    bench.sql.execute("UPDATE outbox SET token = 'garbage' WHERE order_id = 'garbled'").await;
    bench.sql.execute("UPDATE outbox SET order_id = 'a.b' WHERE order_id = 'nameless'").await;
    assert_eq!(bench.sql.ledger.deduct_batch(10).await.unwrap().dead, 4);
    let dead = bench.sql.ledger.dead_messages(10).await.unwrap();
    assert_eq!(dead.len(), 4, "{dead:?}");
    assert!(dead.iter().all(|message| !message.why.is_empty()), "{dead:?}");
}

#[tokio::test]
async fn an_increase_that_cannot_be_read_ends_dead_and_holds_up_nobody() {
    for audited in [false, true] {
        let bench = FlowBench::new().await;
        let item = bench.item(10).await;
        for order in ["broken", "sound"] {
            bench.ordered(order, &[(item, 2)]).await;
            bench.flow.cancel(&id(order)).await.unwrap();
        }
        bench.sql.execute("UPDATE outbox SET quantity = -2 WHERE order_id = 'broken' AND event_type = 'APPLY_DELTA'").await;
        let claimed = bench.sql.ledger.claim_deltas(10, Duration::ZERO).await.unwrap();
        let cancels: Vec<&str> = claimed.iter().map(|event| event.event_id.as_str()).filter(|id| id.starts_with("C.")).collect();
        assert_eq!(cancels, ["C.sound"]);
        let dead = bench.sql.ledger.dead_messages(10).await.unwrap();
        assert!(dead.len() == 1 && dead[0].why.starts_with("column quantity"), "{dead:?}");

        if audited {
            bench.flow.audit(item, true).await.unwrap();
            assert_eq!(bench.left(item).await, 10, "the base of the rebuild contains it");
        }
        bench.sql.execute("UPDATE outbox SET quantity = 2 WHERE order_id = 'broken' AND event_type = 'APPLY_DELTA'").await;
        assert_eq!(bench.sql.ledger.requeue(dead[0].id).await, Ok(true));
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await, 10);
    }
}

#[tokio::test]
async fn resolving_one_order_looks_first_and_settles_once() {
    let bench = FlowBench::new().await;
    let (one, two) = (bench.item(10).await, bench.item(10).await);
    bench.redis.of(one).take("orphan", 2).await;
    bench.redis.of(two).take("orphan", 3).await;
    let looked = bench.flow.resolve_order(&id("orphan"), true).await.unwrap();
    assert_eq!((looked.stored, looked.done, looked.locks.len()), (None, false, 2));
    assert!(looked.locks.iter().all(|lock| lock.fate == LockFate::FenceAndRollBack), "{:?}", looked.locks);
    assert_eq!((bench.left(one).await, bench.rows("orphan").await), (8, (0, 0)), "a dry run changes nothing");

    let done = bench.flow.resolve_order(&id("orphan"), false).await.unwrap();
    assert_eq!((done.stored.map(|order| order.status), done.done), (Some(OrderStatus::Fenced), true));
    assert_eq!((bench.left(one).await, bench.left(two).await), (10, 10));
    let again = bench.flow.resolve_order(&id("orphan"), false).await.unwrap();
    assert_eq!((again.locks.len(), again.done), (0, false));
    assert_eq!(bench.create("orphan", &[(one, 2)]).await, Err(Refusal::Fenced));

    bench.ordered("sold", &[(one, 4)]).await;
    let sold = bench.flow.resolve_order(&id("sold"), true).await.unwrap();
    assert_eq!(sold.locks.iter().map(|lock| lock.fate).collect::<Vec<_>>(), [LockFate::Confirm]);
    bench.flow.resolve_order(&id("sold"), false).await.unwrap();
    assert_eq!((bench.left(one).await, bench.probe(one).await.lock_count), (6, 0));
    let unknown = bench.flow.resolve_order(&id("nobody"), false).await.unwrap();
    assert_eq!((unknown.stored, unknown.locks.len(), bench.rows("nobody").await.0), (None, 0, 0), "nothing to spend an id for");
}

#[tokio::test]
async fn an_order_is_not_said_to_hold_nothing_where_not_every_lock_was_looked_at() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let (redis, newest) = (bench.redis.of(item), 30_000);
    let fill = format!("for at = 1, {newest} do redis.call('ZADD', KEYS[1], at, 'o-' .. at .. '|1:' .. at .. '|1') end");
    let () = redis.words(&["EVAL", &fill, "1", &redis.key("lock")]).await.unwrap();
    assert_eq!(bench.probe(item).await.lock_count, newest);
    let looked = bench.flow.resolve_order(&id(&format!("o-{newest}")), true).await;
    assert!(matches!(&looked, Err(Refusal::NotAdmitted(why)) if why.contains("30000 locks")), "{looked:?}");
}

#[tokio::test]
async fn a_repair_brings_the_counter_up_and_a_second_one_finds_nothing_to_do() {
    let bench = FlowBench::on_own_redis().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 4)]).await;
    let () = bench.redis.raw("FLUSHALL").await;
    let looked = bench.flow.repair(item, true).await.unwrap();
    assert!(!looked.was_sound() && looked.unready.as_deref() == Some("Missing"), "{looked:?}");
    assert!(bench.probe(item).await.unready.is_some(), "a dry run changes nothing");
    bench.flow.repair(item, false).await.unwrap();
    assert_eq!(bench.left(item).await, 6);
    let again = bench.flow.repair(item, false).await.unwrap();
    assert!(again.was_sound(), "{again:?}");
    let seen = bench.balance(item).await.epoch.epoch;
    let (state, changed) = bench.flow.rebuild_from(item, Some(seen)).await.unwrap();
    assert!(changed);
    let repeat = bench.flow.rebuild_from(item, Some(seen)).await.unwrap();
    assert_eq!(repeat, (state, false), "the same call again does nothing");
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn the_sweep_tells_what_it_saw_of_every_item() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.redis.of(item).take("held", 2).await;
    let workers = Workers::start(&bench.flow, Duration::from_secs(600));
    let line = format!("holdfast_item_locks{{item=\"{item}\"}} 1");
    until("the lock is in the metrics", async || bench.flow.exposition().contains(&line)).await;
    let text = bench.flow.exposition();
    for line in [
        "holdfast_locks 1".to_owned(),
        format!("holdfast_item_epoch{{item=\"{item}\"}} 1"),
        format!("holdfast_item_mode{{item=\"{item}\",mode=\"REDIS\"}} 1"),
        "holdfast_items{mode=\"REDIS\"} 1".to_owned(),
        "holdfast_not_ready_seconds 0".to_owned(),
        "holdfast_lock_overdue_seconds 0".to_owned(),
        "# UNIT holdfast_lock_overdue_seconds seconds".to_owned(),
    ] {
        assert!(text.lines().any(|is| is.starts_with(&line)), "{line}: {text}");
    }
    workers.stop().await;
}
