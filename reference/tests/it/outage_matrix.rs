//! Every use case, with every request that it makes to either store spoilt in turn: what the client is told is true, a repeat succeeds or says
//! why not, and at rest no unit is lost or doubled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::ops::RangeInclusive;

use reference::flow::{Created, RedisDown, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, request};
use crate::outage_bench::{process, when_redis_is_down};
use crate::outage_cutter::{Cutter, Language, Moment};
use crate::outage_use_cases::{Case, SUPPLY, Told, UseCase};
use crate::support::fresh_item;

/// No use case makes more requests than this to one store.
const REQUESTS_MAX: u32 = 40;

/// Spoils request after request of the use case to one store, until it makes no more. How many it made.
async fn spoil_each(bench: &FlowBench, use_case: UseCase, language: Language, moment: Moment) -> u32 {
    let (redis, mysql) = (&bench.redis_url, &bench.sql.url);
    let cutter = Cutter::before(if language == Language::Redis { redis } else { mysql }, language).await;
    for nth in 1..=REQUESTS_MAX {
        // A process for each, so that no link is left over from the one before.
        let flow = match language {
            Language::Redis => process(&cutter.url(redis), mysql, when_redis_is_down(RedisDown::FailFast)).await,
            Language::MySql => process(redis, &cutter.url(mysql), when_redis_is_down(RedisDown::FailFast)).await,
        };
        let item = if use_case == UseCase::Open { fresh_item() } else { bench.item(SUPPLY).await };
        let other = bench.item(SUPPLY).await;
        let case = Case { item, other, order: format!("o-{}", item.sku) };
        let told = format!("{use_case:?}, request {nth} to {language:?}, {moment:?}");
        use_case.prepare(bench, &case).await;
        cutter.arm(nth, moment);
        let answer = use_case.run(&flow, &case).await;
        let spoilt = cutter.disarm();
        check_told(bench, use_case, &case, &answer, &told).await;
        if !spoilt {
            assert_eq!(answer, use_case.expects(&case), "{told}: nothing was spoilt");
        }
        cutter.settled().await;
        let mut again = use_case.run(&flow, &case).await;
        if moment == Moment::Late && matches!(again, Told::NotDone(Refusal::NotAdmitted(_))) {
            // The link of the late one was lost with it.
            again = use_case.run(&flow, &case).await;
        }
        let spent = use_case.may_spend_its_id() && again == Told::NotDone(Refusal::Fenced);
        assert!(again == use_case.expects(&case) || spent, "{told}: first {answer:?}, then {again:?}");
        check_told(bench, use_case, &case, &again, &told).await;
        for (item, added) in [(item, use_case.adds()), (other, 0)] {
            // An item that MySQL admits has no counter to compare with.
            bench.flow.rebuild(item, Some(Mode::Redis), "test").await.unwrap();
            bench.assert_in_balance(item, &told).await;
            bench.come_to_rest(item).await;
            let (left, live) = (bench.left(item).await, bench.live(item).await);
            assert_eq!(left + live, i64::try_from(SUPPLY).unwrap() + added, "{told}: {left} left, {live} sold");
        }
        if !spoilt {
            return nth - 1;
        }
    }
    panic!("{use_case:?} makes more than {REQUESTS_MAX} requests to {language:?}");
}

/// What the client was told must be so.
async fn check_told(bench: &FlowBench, use_case: UseCase, case: &Case, answer: &Told, told: &str) {
    let Some(stands) = use_case.stands(bench, case).await else { return };
    match answer {
        Told::Done => assert!(stands, "{told}: told that it is done"),
        Told::NotDone(why) => assert!(!stands, "{told}: told that nothing was done: {why}"),
        Told::Unknown => {}
    }
}

/// Spoils every request of the use case at every moment; at least so many must have been made to Redis, and so many to MySQL, of which a new
/// connection makes two. How many there were.
async fn try_all(use_case: UseCase, redis_fewest: u32, mysql_expected: RangeInclusive<u32>) -> String {
    let mut told = format!("{use_case:?}, requests spoilt at redis + mysql:");
    let bench = FlowBench::new().await;
    for moment in [Moment::Before, Moment::During, Moment::After, Moment::Late] {
        let redis = spoil_each(&bench, use_case, Language::Redis, moment).await;
        assert!(redis >= redis_fewest, "{use_case:?}: {redis} requests to Redis were spoilt");
        // MySQL is waited for longer than a test should take.
        if moment == Moment::Late {
            told.push_str(&format!(" {moment:?} {redis}"));
            continue;
        }
        let mysql = spoil_each(&bench, use_case, Language::MySql, moment).await;
        assert!(mysql_expected.contains(&mysql), "{use_case:?}: {mysql} requests to MySQL were spoilt");
        told.push_str(&format!(" {moment:?} {redis} + {mysql},"));
    }
    told
}

macro_rules! tests {
    ($($name:ident: $use_case:ident, $redis:literal, $mysql:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let told = try_all(UseCase::$use_case, $redis, $mysql).await;
            println!("{told}");
        }
    )*};
}

tests! {
    creating_an_order: Create, 1, 2..=4;
    creating_a_cart: Cart, 2, 2..=4;
    creating_an_order_in_strict_mode: Strict, 1, 2..=9;
    paying: Pay, 0, 1..=3;
    cancelling: Cancel, 0, 3..=6;
    cancelling_what_was_never_ordered: CancelUnknown, 0, 2..=7;
    refunding: Refund, 0, 3..=6;
    resolving_a_lock: Resolve, 2, 2..=6;
    deducting: Deduct, 1, 4..=7;
    delivering_an_increase: Deliver, 1, 3..=7;
    rebuilding_a_counter: Rebuild, 2, 4..=7;
    handing_an_item_to_mysql: ToDatabase, 0, 4..=8;
    giving_an_item_back_to_redis: FromDatabase, 2, 4..=7;
    expiring: Expire, 0, 3..=6;
    restocking: Restock, 0, 3..=8;
    cutting_stock: Cut, 2, 4..=10;
    holding_stock_back: Hold, 2, 4..=9;
    setting_a_limit: Limit, 0, 3..=5;
    creating_an_order_under_a_limit: Limited, 1, 2..=10;
    auditing_a_counter_that_is_wrong: Audit, 2, 4..=11;
    reopening_a_closed_item: Reopen, 2, 4..=10;
    going_back_to_redis_after_an_outage: GiveBack, 2, 4..=10;
    opening_an_item: Open, 2, 6..=20;
    sending_an_order_again: Repeat, 1, 1..=6;
    refusing_a_cart_of_which_a_part_was_taken: RefusedCart, 3, 3..=8;
    refusing_an_order_over_its_limit: OverLimit, 2, 6..=20;
    creating_an_order_that_mysql_admits: ByMySql, 1, 6..=20;
}

#[tokio::test]
async fn a_use_case_through_a_relay_that_spoils_nothing_is_done() {
    let bench = FlowBench::new().await;
    let cutter = Cutter::before(&bench.redis_url, Language::Redis).await;
    let flow = process(&cutter.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(RedisDown::FailFast)).await;
    let item = bench.item(5).await;
    assert!(matches!(flow.create(request("o", &[(item, 5)]), false).await, Ok(Created::Now(_))));
    assert_eq!(flow.create(request("p", &[(item, 1)]), false).await, Err(Refusal::SoldOut { item }));
}
