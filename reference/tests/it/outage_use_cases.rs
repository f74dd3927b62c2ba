//! The use cases that `outage_matrix` tries: how each begins, what it does, what its client may be told, and what must be so then.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use reference::domain::{ChangeKind, Item, OrderStatus, UserLimit};
use reference::flow::{Delivery, Flow, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, request};
use crate::ledger_bench::{change, id};
use crate::outage_bench::state;

/// Units that every item opens with.
pub(crate) const SUPPLY: u64 = 20;

/// What a use case is tried on.
pub(crate) struct Case {
    pub(crate) item: Item,
    pub(crate) other: Item,
    pub(crate) order: String,
}

/// What the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
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
pub(crate) enum UseCase {
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
    Open,
    Repeat,
    RefusedCart,
    OverLimit,
    ByMySql,
}

impl UseCase {
    /// Brings the case to where the use case begins, with stores that work.
    pub(crate) async fn prepare(self, bench: &FlowBench, case: &Case) {
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
            Self::Repeat => bench.ordered(&case.order, &[(case.item, 3)]).await,
            Self::ByMySql => drop(bench.flow.rebuild(case.item, Some(Mode::Db), "test").await.unwrap()),
            Self::OverLimit => bench.flow.set_user_limit(case.item, limit(2)).await.unwrap(),
            Self::Limit | Self::Limited => bench.flow.set_user_limit(case.item, limit(4)).await.unwrap(),
            Self::Audit => {
                let redis = bench.redis.of(case.item);
                let _: i64 = redis.raw(&format!("INCRBY {} 2", redis.key("stock"))).await;
                let _: i64 = redis.raw(&format!("HINCRBY {} avail 2", redis.key("meta"))).await;
            }
            Self::Reopen => drop(bench.flow.rebuild(case.item, Some(Mode::Closed), "test").await.unwrap()),
            Self::GiveBack => drop(bench.sql.ledger.degrade(case.item, state(bench, case.item).await.epoch).await.unwrap()),
            Self::Create | Self::Cart | Self::CancelUnknown | Self::Rebuild | Self::ToDatabase => {}
            Self::Restock | Self::Cut | Self::Hold | Self::Open | Self::RefusedCart => {}
        }
    }

    pub(crate) async fn run(self, flow: &Flow, case: &Case) -> Told {
        let order = id(&case.order);
        match self {
            Self::Create | Self::Strict | Self::Limited | Self::Repeat | Self::OverLimit | Self::ByMySql => {
                Told::of(flow.create(request(&case.order, &[(case.item, 3)]), false).await)
            }
            Self::Cart => Told::of(flow.create(request(&case.order, &[(case.item, 3), (case.other, 2)]), false).await),
            Self::RefusedCart => {
                let too_many = i64::try_from(SUPPLY).unwrap() + 1;
                Told::of(flow.create(request(&case.order, &[(case.item, 3), (case.other, too_many)]), false).await)
            }
            Self::Open => Told::of(flow.open_item(case.item, SUPPLY).await),
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

    /// What is told when nothing goes wrong.
    pub(crate) const fn expects(self, case: &Case) -> Told {
        match self {
            Self::RefusedCart => Told::NotDone(Refusal::SoldOut { item: case.other }),
            Self::OverLimit => Told::NotDone(Refusal::QuotaExceeded { item: case.item }),
            _ => Told::Done,
        }
    }

    /// Whether a refusal for another reason may have spent the id of the order.
    pub(crate) const fn may_spend_its_id(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Cart | Self::Strict | Self::Limited | Self::RefusedCart | Self::OverLimit | Self::ByMySql
        )
    }

    /// What it changes for good about the units that orders and counter hold together.
    pub(crate) const fn adds(self) -> i64 {
        match self {
            Self::Restock => 2,
            Self::Cut | Self::Hold => -2,
            _ => 0,
        }
    }

    /// Whether it has had its effect, as MySQL knows it; `None` where the client is told nothing that could be wrong.
    pub(crate) async fn stands(self, bench: &FlowBench, case: &Case) -> Option<bool> {
        let stored = bench.sql.ledger.order(&id(&case.order)).await.unwrap();
        let status = stored.map(|order| order.status);
        match self {
            Self::Create | Self::Cart | Self::Strict | Self::Limited | Self::RefusedCart | Self::OverLimit | Self::ByMySql => {
                Some(status == Some(OrderStatus::Created))
            }
            Self::Open => Some(bench.sql.ledger.epoch(case.item).await.unwrap().is_some()),
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
            // It stood before, or nobody is told anything about it.
            Self::Repeat | Self::Resolve | Self::Deduct | Self::Deliver | Self::Rebuild => None,
            Self::FromDatabase | Self::Audit | Self::GiveBack => None,
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
