//! Every use case, with every request that it makes to either store spoilt in turn: what the client is told is true, a repeat succeeds or says
//! why not, and at rest no unit is lost or doubled.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::ops::RangeInclusive;
use std::time::Duration;

use reference::domain::{ChangeKind, Item, OrderStatus, UserLimit};
use reference::flow::{Created, Delivery, Flow, RedisDown, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, request};
use crate::ledger_bench::{change, id};
use crate::outage_bench::{process, state, when_redis_is_down};
use crate::outage_cutter::{Cutter, Language, Moment};

/// Units that every item opens with.
const SUPPLY: u64 = 20;
/// No use case makes more requests than this to one store.
const REQUESTS_MAX: u32 = 40;

/// What a use case is tried on.
struct Case {
    item: Item,
    other: Item,
    order: String,
}

/// What the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Done,
    NotDone(Refusal),
    Unknown,
}

impl Told {
    fn of<T>(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(Refusal::Unknown(_)) => Self::Unknown,
            Err(refusal) => Self::NotDone(refusal),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UseCase {
    Create,
    Cart,
    Pay,
    Cancel,
    CancelUnknown,
    Refund,
    Resolve,
    Deduct,
    Deliver,
    Rebuild,
    ToDatabase,
    FromDatabase,
    Strict,
    Expire,
    Restock,
    Cut,
    Hold,
    Limit,
    Limited,
    Audit,
    Reopen,
    GiveBack,
}

impl UseCase {
    /// Brings the case to where the use case begins, with stores that work.
    async fn prepare(self, bench: &FlowBench, case: &Case) {
        let order = id(&case.order);
        match self {
            Self::Pay | Self::Cancel | Self::Refund | Self::Deduct | Self::Deliver | Self::Expire => {
                bench.ordered(&case.order, &[(case.item, 3)]).await;
                match self {
                    Self::Refund => bench.flow.pay(&order).await.unwrap(),
                    Self::Deliver => drop(bench.flow.cancel(&order).await.unwrap()),
                    Self::Expire => bench.let_expire(&case.order).await,
                    _ => {}
                }
            }
            Self::Resolve => drop(bench.redis.of(case.item).pre_deduct(&case.order, 3).await),
            Self::FromDatabase => drop(bench.flow.rebuild(case.item, Some(Mode::Db), "test").await.unwrap()),
            Self::Strict => drop(bench.flow.rebuild(case.item, Some(Mode::Strict), "test").await.unwrap()),
            Self::Limit | Self::Limited => bench.flow.set_user_limit(case.item, limit(4)).await.unwrap(),
            Self::Audit => {
                let redis = bench.redis.of(case.item);
                let _: i64 = redis.raw(&format!("INCRBY {} 2", redis.key("stock"))).await;
                let _: i64 = redis.raw(&format!("HINCRBY {} avail 2", redis.key("meta"))).await;
            }
            Self::Reopen => drop(bench.flow.rebuild(case.item, Some(Mode::Closed), "test").await.unwrap()),
            Self::GiveBack => drop(bench.sql.ledger.degrade(case.item, state(bench, case.item).await.epoch).await.unwrap()),
            Self::Create | Self::Cart | Self::CancelUnknown | Self::Rebuild | Self::ToDatabase => {}
            Self::Restock | Self::Cut | Self::Hold => {}
        }
    }

    async fn run(self, flow: &Flow, case: &Case) -> Told {
        let order = id(&case.order);
        match self {
            Self::Create | Self::Strict | Self::Limited => {
                Told::of(flow.create(request(&case.order, &[(case.item, 3)]), false).await)
            }
            Self::Cart => Told::of(flow.create(request(&case.order, &[(case.item, 3), (case.other, 2)]), false).await),
            Self::Pay => Told::of(flow.pay(&order).await),
            Self::Cancel | Self::CancelUnknown => Told::of(flow.cancel(&order).await),
            Self::Refund => Told::of(flow.refund(&order).await),
            Self::Resolve => Told::of(settle(flow, case.item).await),
            Self::Deduct => Told::of(deduct(flow).await),
            Self::Deliver => Told::of(deliver(flow).await),
            Self::Rebuild => Told::of(flow.rebuild(case.item, None, "test").await),
            Self::ToDatabase => Told::of(flow.rebuild(case.item, Some(Mode::Db), "test").await),
            Self::FromDatabase => Told::of(flow.rebuild(case.item, Some(Mode::Redis), "test").await),
            Self::Expire => Told::of(flow.expire(&order).await),
            Self::Restock => Told::of(flow.change_stock(&change(&case.order, case.item, ChangeKind::Restock, 2)).await),
            Self::Cut => Told::of(flow.change_stock(&change(&case.order, case.item, ChangeKind::Cut, 2)).await),
            Self::Hold => Told::of(flow.change_stock(&change(&case.order, case.item, ChangeKind::Hold, 2)).await),
            Self::Limit => Told::of(flow.set_user_limit(case.item, limit(3)).await),
            Self::Audit => Told::of(flow.audit(case.item, true).await),
            Self::Reopen => Told::of(flow.change_mode(case.item, Mode::Redis).await),
            Self::GiveBack => Told::of(give_back(flow, case.item).await),
        }
    }

    /// What it changes for good about the units that orders and counter hold together.
    const fn adds(self) -> i64 {
        match self {
            Self::Restock => 2,
            Self::Cut | Self::Hold => -2,
            _ => 0,
        }
    }

    /// Whether it has had its effect, as MySQL knows it; `None` where the client is told nothing that could be wrong.
    async fn stands(self, bench: &FlowBench, case: &Case) -> Option<bool> {
        let stored = bench.sql.ledger.order(&id(&case.order)).await.unwrap();
        let status = stored.map(|order| order.status);
        match self {
            Self::Create | Self::Cart | Self::Strict | Self::Limited => Some(status == Some(OrderStatus::Created)),
            Self::Pay => Some(status == Some(OrderStatus::Paid)),
            Self::Cancel => Some(status == Some(OrderStatus::Cancelled)),
            Self::CancelUnknown => Some(status == Some(OrderStatus::Fenced)),
            Self::Refund => Some(status == Some(OrderStatus::Refunded)),
            Self::Expire => Some(status == Some(OrderStatus::Expired)),
            Self::ToDatabase => Some(bench.balance(case.item).await.epoch.mode == Mode::Db),
            Self::Reopen => Some(bench.balance(case.item).await.epoch.mode == Mode::Redis),
            Self::Limit => Some(bench.flow.user_limit(case.item).await == Ok(limit(3))),
            Self::Restock | Self::Cut | Self::Hold => {
                let booked = format!("SELECT COUNT(*) FROM stock_changes WHERE change_id = '{}'", case.order);
                Some(bench.sql.int(&booked).await == 1)
            }
            Self::Resolve | Self::Deduct | Self::Deliver | Self::Rebuild | Self::FromDatabase | Self::Audit | Self::GiveBack => {
                None
            }
        }
    }
}

fn limit(units: i64) -> UserLimit {
    UserLimit::new(units).unwrap()
}

async fn give_back(flow: &Flow, item: Item) -> Result<(), Refusal> {
    for degraded in flow.ledger().degraded(Duration::ZERO, 100).await? {
        if degraded.item == item {
            flow.give_back(degraded).await?;
        }
    }
    Ok(())
}

async fn settle(flow: &Flow, item: Item) -> Result<u64, Refusal> {
    let probe = flow.stock().probe(item, Duration::ZERO, None, &[]).await?;
    Ok(flow.settle(item, probe.epoch, &probe.locks).await?)
}

async fn deduct(flow: &Flow) -> Result<(), Refusal> {
    for sale in flow.ledger().deduct_batch(100).await?.settled {
        let member = reference::domain::Member { order: sale.order, token: sale.token, quantity: sale.quantity };
        flow.confirm_quietly(sale.item, sale.token.epoch, &[member]).await;
    }
    Ok(())
}

async fn deliver(flow: &Flow) -> Result<(), Refusal> {
    let events = flow.ledger().claim_deltas(100, Duration::from_millis(100)).await?;
    let delivered = flow.deliver(&events).await;
    let done = events.iter().zip(delivered).filter(|(_, delivery)| *delivery == Delivery::Done);
    flow.ledger().finish_deltas(&done.map(|(event, _)| event.id).collect::<Vec<_>>()).await?;
    Ok(())
}

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
        let (item, other) = (bench.item(SUPPLY).await, bench.item(SUPPLY).await);
        let case = Case { item, other, order: format!("o-{}", item.sku) };
        let told = format!("{use_case:?}, request {nth} to {language:?}, {moment:?}");
        use_case.prepare(bench, &case).await;
        cutter.arm(nth, moment);
        let answer = use_case.run(&flow, &case).await;
        let spoilt = cutter.disarm();
        check_told(bench, use_case, &case, &answer, &told).await;
        if !spoilt {
            assert_eq!(answer, Told::Done, "{told}: nothing was spoilt");
        }
        cutter.settled().await;
        let mut again = use_case.run(&flow, &case).await;
        if moment == Moment::Late && matches!(again, Told::NotDone(Refusal::NotAdmitted(_))) {
            // The link of the late one was lost with it.
            again = use_case.run(&flow, &case).await;
        }
        let spent = matches!(use_case, UseCase::Create | UseCase::Cart | UseCase::Strict | UseCase::Limited)
            && again == Told::NotDone(Refusal::Fenced);
        assert!(again == Told::Done || spent, "{told}: first {answer:?}, then {again:?}");
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
