//! Audits: exact under traffic, harmless however many run, and what they find is recorded, corrected once and told.

use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{Epoch, Item};
use reference::flow::{AuditReport, Created, Flow, Refusal};
use reference::ledger::{Audited, Comparison, Mode};
use reference::metrics::Finding;
use reference::stock::PreDeduct;

use crate::flow_bench::{FlowBench, Workers, request};
use crate::ledger_bench::{id, restock};
use crate::stock_fixture::{OwnRedis, until};

fn compared(report: &AuditReport) -> &Comparison {
    match &report.audited {
        Audited::Compared(comparison) => comparison,
        other => panic!("{other:?}"),
    }
}

/// A stranger who writes both copies of the counter, so that no script notices.
async fn add_behind_the_back(bench: &FlowBench, item: Item, units: i64) {
    let redis = bench.redis.of(item);
    let _: i64 = redis.raw(&format!("INCRBY {} {units}", redis.key("stock"))).await;
    let _: i64 = redis.raw(&format!("HINCRBY {} avail {units}", redis.key("meta"))).await;
}

async fn findings(bench: &FlowBench, words: &str) -> i64 {
    bench.sql.int(&format!("SELECT COUNT(*) FROM audit_findings WHERE findings = '{words}'")).await
}

#[tokio::test]
async fn an_item_that_sells_is_in_balance_at_every_audit_and_is_never_rebuilt() {
    let bench = FlowBench::new().await;
    let item = bench.item(150).await;
    let workers = Workers::start(&bench.flow, Duration::ZERO);
    let other = bench.another().await;
    let buy = |flow: Flow, name: &'static str| async move {
        for at in 0..60 {
            let order = format!("{name}-{at}");
            match flow.create(request(&order, &[(item, 1 + at % 3)]), false).await {
                Ok(Created::Now(_)) if at % 3 == 0 => drop(flow.cancel(&id(&order)).await.unwrap()),
                Ok(_) | Err(Refusal::SoldOut { .. } | Refusal::Fenced) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let restocks = async {
        for at in 0..10 {
            bench.sql.ledger.restock(restock(&format!("r-{at}"), item, 3)).await.unwrap();
        }
    };
    let audits = |flow: Flow| async move {
        let mut compared_now = 0;
        for _ in 0..40 {
            let report = flow.audit(item, true).await.unwrap();
            if let Audited::Compared(found) = &report.audited {
                assert!(found.findings.is_empty(), "{found:?}");
                compared_now += 1;
            }
            assert!(report.ledger.is_some_and(|check| check.difference() == 0), "{report:?}");
        }
        compared_now
    };
    let buyers = join_all([buy(bench.flow.clone(), "a"), buy(other.clone(), "b"), buy(bench.flow.clone(), "c")]);
    let (_, (), first, second) = tokio::join!(buyers, restocks, audits(bench.flow.clone()), audits(other));
    workers.stop().await;
    assert!(first > 20 && second > 20, "{first} and {second} audits saw both sides");
    assert_eq!((bench.balance(item).await.epoch.epoch, findings(&bench, "drift").await), (Epoch(1), 0));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_difference_is_only_told_by_a_dry_run_and_corrected_once_by_others() {
    let bench = FlowBench::new().await;
    for units in [3, -2] {
        let item = bench.item(10).await;
        bench.ordered(&format!("o-{item}").replace(':', "-"), &[(item, 4)]).await;
        add_behind_the_back(&bench, item, units).await;
        for _ in 0..2 {
            let found = bench.flow.audit(item, false).await.unwrap();
            assert_eq!((compared(&found).drift(), &compared(&found).findings), (units, &vec![Finding::Drift]));
            assert_eq!((compared(&found).opened, bench.left(item).await), (None, 6 + units), "a dry run changes nothing");
        }
        let corrected = bench.flow.audit(item, true).await.unwrap();
        assert_eq!(compared(&corrected).drift(), units);
        assert!(corrected.installed, "{corrected:?}");
        assert_eq!((bench.left(item).await, bench.balance(item).await.epoch.epoch), (6, Epoch(2)));
        let again = bench.flow.audit(item, true).await.unwrap();
        assert_eq!((compared(&again).drift(), compared(&again).findings.len()), (0, 0));
        let drift =
            format!("SELECT SUM(drift) FROM audit_findings WHERE sku_id = {} AND findings = 'drift' AND epoch = 1", item.sku);
        assert_eq!(bench.sql.int(&format!("SELECT CAST(({drift}) AS SIGNED)")).await, units, "one row is left of it");
        bench.come_to_rest(item).await;
    }
    assert_eq!(bench.flow.metrics().findings(Finding::Drift), 6);
}

#[tokio::test]
async fn several_reconcilers_at_once_correct_a_difference_and_sell_exactly_the_supply() {
    let bench = FlowBench::new().await;
    let item = bench.item(40).await;
    let others = [bench.another().await, bench.another().await];
    // A grace, because a resolver without one spends the ids of orders that are just being written.
    let grace = Duration::from_secs(5);
    let workers = [Workers::start(&bench.flow, grace), Workers::start(&others[0], grace)];
    for at in 0..8 {
        bench.ordered(&format!("o-{at}"), &[(item, 1)]).await;
        add_behind_the_back(&bench, item, if at % 2 == 0 { 2 } else { -1 }).await;
        let audits = join_all([&bench.flow, &others[0], &others[1]].map(|flow| flow.audit(item, true))).await;
        assert!(audits.iter().all(Result::is_ok), "{audits:?}");
        until("the counter stands again", async || {
            let report = bench.flow.audit(item, false).await.unwrap();
            matches!(&report.audited, Audited::Compared(found) if found.drift() == 0)
        })
        .await;
    }
    for worker in workers {
        worker.stop().await;
    }
    let mut sold = 8;
    while let Ok(Created::Now(_)) = bench.create(&format!("rest-{sold}"), &[(item, 1)]).await {
        sold += 1;
    }
    bench.come_to_rest(item).await;
    assert_eq!((sold, bench.live(item).await, bench.left(item).await), (40, 40, 0));
}

#[tokio::test]
async fn a_lock_that_nobody_reserved_is_found_and_goes_with_its_set() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let redis = bench.redis.of(item);
    let taken = redis.pre_deduct("held", 2).await;
    assert!(matches!(taken, PreDeduct::Taken(_)), "{taken:?}");
    let _: i64 = redis.raw(&format!("ZADD {} 1 garbage", redis.key("lock"))).await;
    let found = bench.flow.audit(item, false).await.unwrap();
    assert_eq!((compared(&found).foreign, compared(&found).held(), compared(&found).drift()), (1, 2, 0));
    assert_eq!(compared(&found).findings, [Finding::ForeignLock]);
    bench.flow.audit(item, true).await.unwrap();
    assert_eq!((bench.probe(item).await.lock_count, bench.left(item).await), (0, 10));
    assert_eq!(findings(&bench, "foreign_lock").await, 1);
    // Well formed, but of a reservation that never was: its units are missing from the sum.
    let _: i64 = redis.raw(&format!("ZADD {} 1 ghost|2:99|4", redis.key("lock"))).await;
    let found = bench.flow.audit(item, true).await.unwrap();
    assert_eq!((compared(&found).drift(), bench.left(item).await), (4, 10));
}

#[tokio::test]
async fn a_counter_of_another_process_in_the_same_epoch_is_found() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let of_item = format!("store_id = {} AND product_id = {} AND sku_id = {}", item.store, item.product, item.sku);
    bench.sql.execute(&format!("UPDATE inventory_epoch SET incarnation = 'another:process' WHERE {of_item}")).await;
    let found = bench.flow.audit(item, true).await.unwrap();
    assert_eq!(compared(&found).findings, [Finding::TwoProcesses]);
    assert_eq!(compared(&bench.flow.audit(item, false).await.unwrap()).findings, []);
    assert_eq!((bench.flow.metrics().findings(Finding::TwoProcesses), bench.left(item).await), (1, 10));
}

#[tokio::test]
async fn a_balance_that_is_not_the_sum_of_its_rows_is_told_and_left_alone() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let of_item = format!("store_id = {} AND product_id = {} AND sku_id = {}", item.store, item.product, item.sku);
    bench.sql.execute(&format!("UPDATE inventory SET current_stock = 7 WHERE {of_item}")).await;
    for correct in [false, true, true] {
        let report = bench.flow.audit(item, correct).await.unwrap();
        let check = report.ledger.unwrap();
        assert_eq!((check.difference(), check.is_sound()), (-3, false));
        assert_eq!(bench.balance(item).await.current, 7, "never corrected from the sum");
    }
    assert_eq!(bench.left(item).await, 7, "MySQL decides what may be sold");
    let text = bench.flow.exposition();
    assert!(text.contains("holdfast_ledger_differences 1"), "{text}");
    assert!(text.contains(&format!("holdfast_item_ledger_difference_units{{item=\"{item}\"}} -3")), "{text}");
}

#[tokio::test]
async fn a_difference_is_counted_and_corrected_though_the_rows_cannot_be_summed() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    add_behind_the_back(&bench, item, 3).await;
    // Its opposite is not a number of 64 bits, which only the sum over all rows needs.
    bench.sql.execute("ALTER TABLE inventory_transactions DROP CONSTRAINT ledger_qty_ck").await;
    let (store, product, sku) = (item.store, item.product, item.sku);
    let row = format!(
        "INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) \
         VALUES ('broken', {store}, {product}, {sku}, 'ADJUST', 'OUT', -9223372036854775808, 1)"
    );
    bench.sql.execute(&row).await;
    let report = bench.flow.audit(item, true).await.unwrap();
    assert_eq!((&compared(&report).findings, report.ledger, report.installed), (&vec![Finding::Drift], None, true));
    assert_eq!((bench.flow.metrics().findings(Finding::Drift), findings(&bench, "drift").await), (1, 1));
    assert_eq!((bench.left(item).await, bench.balance(item).await.epoch.epoch), (10, Epoch(2)));
    let text = bench.flow.exposition();
    assert!(text.contains(&format!("holdfast_item_drift_units{{item=\"{item}\"}} 3")), "{text}");
    bench.sql.execute("DELETE FROM inventory_transactions WHERE order_id = 'broken'").await;
    assert!(bench.flow.audit(item, true).await.unwrap().ledger.is_some_and(|check| check.is_sound()));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_lock_that_was_dated_before_the_clock_went_back_is_seen() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let redis = bench.redis.of(item);
    redis.take("o", 3).await;
    let locks: Vec<String> = redis.raw(&format!("ZRANGE {} 0 -1", redis.key("lock"))).await;
    let _: String = redis.words(&["ZINCRBY", &redis.key("lock"), "3600000", &locks[0]]).await.unwrap();
    let report = bench.flow.audit(item, true).await.unwrap();
    assert_eq!((report.word(), compared(&report).held(), compared(&report).opened), ("in_balance", 3, None), "{report:?}");
}

#[tokio::test]
async fn more_open_sales_than_stock_close_the_item_and_page() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 6)]).await;
    let of_item = format!("store_id = {} AND product_id = {} AND sku_id = {}", item.store, item.product, item.sku);
    bench.sql.execute(&format!("UPDATE inventory SET current_stock = 5 WHERE {of_item}")).await;
    let found = bench.flow.audit(item, true).await.unwrap();
    assert_eq!(compared(&found).findings, [Finding::Drift, Finding::NegativeBase]);
    assert_eq!(bench.balance(item).await.epoch.mode, Mode::Closed);
    let refused = bench.another().await.create(request("p", &[(item, 1)]), false).await;
    assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
    assert!(matches!(bench.flow.change_mode(item, Mode::Redis).await, Err(Refusal::Conflict(_))), "not before the ledger adds up");
    bench.sql.execute(&format!("UPDATE inventory SET current_stock = 10 WHERE {of_item}")).await;
    let (state, changed) = bench.flow.change_mode(item, Mode::Redis).await.unwrap();
    assert_eq!((state.mode, changed), (Mode::Redis, true));
    assert_eq!(bench.flow.change_mode(item, Mode::Redis).await.unwrap(), (state, false), "a repeat does nothing");
    assert_eq!(bench.left(item).await, 4);
}

#[tokio::test]
async fn an_audit_without_redis_says_so_and_one_in_mode_db_compares_the_ledger_alone() {
    let mut own = OwnRedis::start(&[]).await;
    let bench = FlowBench::beside(&own).await;
    let (item, by_ledger) = (bench.item(10).await, bench.item(10).await);
    bench.flow.rebuild(by_ledger, Some(Mode::Db), "test").await.unwrap();
    own.kill();
    let report = bench.flow.audit(item, true).await.unwrap();
    assert!(matches!(report.audited, Audited::NotComparable { .. }), "{report:?}");
    assert!(report.ledger.unwrap().is_sound());
    let report = bench.flow.audit(by_ledger, true).await.unwrap();
    assert!(matches!(report.audited, Audited::NoPart { .. }), "{report:?}");
    own.restart().await;
    until("the counter is gone, which is no drift", async || {
        let report = bench.flow.audit(item, true).await.unwrap();
        assert_eq!(bench.flow.metrics().findings(Finding::Drift), 0);
        matches!(&report.audited, Audited::NotComparable { why, .. } if why.contains("Missing"))
    })
    .await;
    until("it is repaired", async || bench.flow.repair(item, false).await.is_ok()).await;
    let now = crate::stock_fixture::Fixture::on(own.url()).await;
    assert_eq!(now.of(item).units().await, 10);
}

#[tokio::test]
async fn a_strict_item_that_redis_promised_too_much_of_is_audited_at_once() {
    let bench = FlowBench::new().await;
    let item = bench.item(3).await;
    bench.flow.rebuild(item, Some(Mode::Strict), "test").await.unwrap();
    add_behind_the_back(&bench, item, 5).await;
    let flow = bench.another().await;
    let refused = flow.create(request("greedy", &[(item, 4)]), false).await;
    assert_eq!(refused, Err(Refusal::SoldOut { item }));
    assert_eq!(flow.metrics().findings(Finding::GuardRefused), 1);
    until("the audit that follows has corrected it", async || findings(&bench, "drift").await == 1).await;
    until("the counter stands", async || bench.probe(item).await.unready.is_none() && bench.left(item).await == 3).await;
    let modest = flow.create(request("modest", &[(item, 3)]), false).await;
    assert!(matches!(modest, Ok(Created::Now(_))), "{modest:?}");
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn orders_wait_for_a_slow_redis_only_where_somebody_asked_for_the_audit() {
    let bench = FlowBench::on_own_redis().await;
    let item = bench.item(5).await;
    // Every command waits for the end of the pause that it falls into.
    let slow = async {
        loop {
            let () = bench.redis.raw("CLIENT PAUSE 120 ALL").await;
        }
    };
    let audits = async { (bench.flow.audit_in_passing(item).await.unwrap(), bench.flow.audit(item, true).await.unwrap()) };
    let (in_passing, asked_for) = tokio::select! {
        () = slow => unreachable!("it has no end"),
        audits = audits => audits,
    };
    assert!(
        matches!(&in_passing.audited, Audited::NotComparable { why, .. } if why.contains("orders would wait")),
        "{in_passing:?}"
    );
    assert!(in_passing.ledger.is_some_and(|check| check.is_sound()), "{in_passing:?}");
    assert_eq!(asked_for.word(), "in_balance");
}

#[tokio::test]
async fn the_reconciler_comes_to_every_item() {
    let bench = FlowBench::new().await;
    let items = [bench.item(5).await, bench.item(5).await, bench.item(5).await];
    for item in items {
        add_behind_the_back(&bench, item, 1).await;
    }
    let workers = Workers::start(&bench.flow, Duration::ZERO);
    until("all three are corrected", async || findings(&bench, "drift").await == 3).await;
    workers.stop().await;
    for item in items {
        bench.assert_in_balance(item, "after its audit").await;
        bench.come_to_rest(item).await;
    }
}
