//! Saved evidence that somebody changed: each change is caught, by name.

use super::super::hand_written::{item, lock};
use super::*;

#[test]
fn one_unit_more_on_a_stock_key_is_caught_and_names_the_item() {
    trips("redis_equals_ledger", "item 1:1:2: Redis offers 2 units, the ledger has 1", |evidence| {
        evidence.stops[0].snapshot.redis.get_mut(&item(2)).unwrap().stock = Some("2".into());
    });
}

#[test]
fn a_deleted_order_row_is_caught_and_names_the_order() {
    trips("acknowledged_is_durable", "order o-2", |evidence| {
        for stop in &mut evidence.stops {
            stop.snapshot.orders.retain(|row| row.order_id != "o-2");
        }
    });
}

#[test]
fn an_extra_lock_is_caught_and_names_the_order_and_the_item() {
    let add = |evidence: &mut Evidence| {
        evidence.stops[0].snapshot.redis.get_mut(&item(1)).unwrap().locks.push(lock("ghost|1:9|1"));
    };
    trips("every_lock_resolved", "item 1:1:1: lock ghost|1:9|1 of order ghost", add);
    trips("nothing_unasked", "lock ghost|1:9|1 of item 1:1:1", add);
}

#[test]
fn a_story_tells_what_the_client_saw_and_what_the_stores_hold() {
    let mut evidence = clean_run();
    evidence.stops[1].snapshot.orders.retain(|row| row.order_id != "o-2");
    let finding = judged(&evidence, "acknowledged_is_durable");
    let violation = &finding.verdict.violations()[0];
    assert_eq!(violation.orders, ["o-2"]);
    assert_eq!(violation.operations.len(), 1);
    for lane in ["client", "mysql", "redis"] {
        assert!(violation.story.iter().any(|line| line.lane == lane), "{lane}: {:#?}", violation.story);
    }
}
