//! What a process of the service may do in the random sequences of `flow_model`, and the draw of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use proptest::prelude::*;
use reference::domain::{ChangeKind, Item, UserLimit};
use reference::flow::{AuditReport, Booked, Created, Delivery, Flow, Refusal};
use reference::ledger::{Audited, LedgerError, Mode, RebuildRequest};

use crate::flow_bench::request_of;
use crate::ledger_bench::{change, id};

/// What a process does. Each leaves off where a process may die, too: an orphan is a request that died before its order, a tombstone a
/// resolver before its rollback, a bump a rebuild before its install, a deduct one before its confirm.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Create { order: u8, units: [i64; 2], repeated: bool },
    Orphan { order: u8, units: i64 },
    Pay(u8),
    Cancel(u8),
    Refund(u8),
    Expire(u8),
    Change { id: u8, kind: ChangeKind, units: i64 },
    Limit(i64),
    Deduct,
    Deliver { finish: bool },
    Settle,
    Tombstone(u8),
    Bump,
    Rebuild(Option<Mode>),
    Audit,
    Degrade,
    GiveBack,
    Repair,
}

const ORDERS: u8 = 9;

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let order = || 0..ORDERS;
    let kind = prop_oneof![Just(ChangeKind::Restock), Just(ChangeKind::Cut), Just(ChangeKind::Hold)];
    let mode = prop_oneof![
        4 => Just(None),
        2 => Just(Some(Mode::Redis)),
        1 => Just(Some(Mode::Strict)),
        1 => Just(Some(Mode::Db)),
    ];
    prop_oneof![
        7 => (order(), 1..4_i64, any::<bool>())
            .prop_map(|(order, units, repeated)| Action::Create { order, units: [units, 0], repeated }),
        5 => (order(), 1..3_i64, 1..3_i64).prop_map(|(order, one, two)| Action::Create { order, units: [one, two], repeated: false }),
        1 => (order(), 1..4_i64).prop_map(|(order, units)| Action::Orphan { order, units }),
        3 => order().prop_map(Action::Pay),
        3 => order().prop_map(Action::Cancel),
        3 => order().prop_map(Action::Refund),
        2 => order().prop_map(Action::Expire),
        4 => (0..6_u8, kind, 1..4_i64, any::<bool>()).prop_map(|(id, kind, units, release)| {
            let sign = if release && kind == ChangeKind::Hold { -1 } else { 1 };
            Action::Change { id, kind, units: units * sign }
        }),
        1 => (0..5_i64).prop_map(Action::Limit),
        3 => Just(Action::Deduct),
        3 => any::<bool>().prop_map(|finish| Action::Deliver { finish }),
        1 => Just(Action::Settle),
        1 => order().prop_map(Action::Tombstone),
        1 => Just(Action::Bump),
        2 => mode.prop_map(Action::Rebuild),
        2 => Just(Action::Audit),
        1 => Just(Action::Degrade),
        1 => Just(Action::GiveBack),
        1 => Just(Action::Repair),
    ]
}

pub(crate) fn name(order: u8) -> String {
    format!("o-{order}")
}

pub(crate) fn user(order: u8) -> i64 {
    i64::from(order % 3) + 1
}

/// Items in the order in which they are locked; changes, limits and worker steps go to the first.
pub(crate) type Items = [Item; 2];

/// Does it. What a create was told is returned, and checked where nobody else acts.
///
/// # Errors
/// What must not happen to a process that is alone.
pub(crate) async fn act(flow: &Flow, items: Items, action: &Action) -> Result<Option<Result<Created, Refusal>>, String> {
    let first = items[0];
    match action {
        Action::Create { order, units, repeated } => {
            // The first item twice, to be merged.
            let lines = [(first, units[0]), (items[1], units[1]), (first, 1)];
            let lines: Vec<_> = lines.into_iter().filter(|(_, units)| *units > 0).collect();
            return Ok(Some(flow.create(request_of(user(*order), &name(*order), &lines), *repeated).await));
        }
        Action::Orphan { order, units } => {
            let units = crate::stock_fixture::quantity(*units);
            let _taken = flow.stock().pre_deduct(first, &id(&name(*order)), units).await.map_err(told)?;
        }
        Action::Pay(order) => drop(flow.pay(&id(&name(*order))).await),
        Action::Cancel(order) => drop(flow.cancel(&id(&name(*order))).await),
        Action::Refund(order) => drop(flow.refund(&id(&name(*order))).await),
        Action::Expire(order) => drop(flow.expire(&id(&name(*order))).await.map_err(told)?),
        Action::Change { id, kind, units } => match flow.change_stock(&change(&format!("c-{id}"), first, *kind, *units)).await {
            Ok(Booked::Now | Booked::Before) | Err(Refusal::Conflict(_) | Refusal::Mismatch) => {}
            Err(other) => return Err(told(other)),
        },
        Action::Limit(units) => flow.set_user_limit(first, UserLimit::new(*units).unwrap()).await.map_err(told)?,
        Action::Deduct => drop(flow.ledger().deduct_batch(3).await.map_err(told)?),
        Action::Deliver { finish } => deliver(flow, *finish).await.map_err(told)?,
        Action::Settle => {
            let probe = flow.stock().probe(first, Duration::ZERO, None, &[]).await.map_err(told)?;
            if probe.unready.is_none() {
                flow.settle(first, probe.epoch, &probe.locks).await.map_err(told)?;
            }
        }
        Action::Tombstone(order) => drop(flow.ledger().fence(&id(&name(*order))).await.map_err(told)?),
        Action::Bump => bump(flow, first).await?,
        Action::Rebuild(mode) => drop(flow.rebuild(first, *mode, "test").await.map_err(told)?),
        Action::Audit => assert_no_breach(&flow.audit(first, true).await.map_err(told)?),
        Action::Degrade => {
            let seen = flow.ledger().epoch(first).await.map_err(told)?.unwrap().epoch;
            flow.ledger().degrade(first, seen).await.map_err(told)?;
        }
        Action::GiveBack => {
            for degraded in flow.ledger().degraded(Duration::ZERO, 10).await.map_err(told)? {
                flow.give_back(degraded).await.map_err(told)?;
            }
        }
        Action::Repair => assert_no_breach(&flow.repair(first, false).await.map_err(told)?.report),
    }
    Ok(None)
}

/// An audit is exact, whoever acts or has died meanwhile: nothing that the service does is a breach.
fn assert_no_breach(report: &AuditReport) {
    if let Audited::Compared(comparison) = &report.audited {
        assert!(comparison.findings.is_empty(), "{comparison:?}");
    }
    assert!(report.ledger.is_none_or(|check| check.difference() == 0), "{report:?}");
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn deliver(flow: &Flow, finish: bool) -> Result<(), LedgerError> {
    let events = flow.ledger().claim_deltas(3, Duration::ZERO).await?;
    let delivered = flow.deliver(&events).await;
    let done = events.iter().zip(delivered).filter(|(_, delivery)| finish && *delivery == Delivery::Done);
    flow.ledger().finish_deltas(&done.map(|(event, _)| event.id).collect::<Vec<_>>()).await.map(drop)
}

/// A rebuild that dies between its COMMIT and its install.
async fn bump(flow: &Flow, item: Item) -> Result<(), String> {
    let seen = flow.ledger().epoch(item).await.map_err(told)?.unwrap().epoch;
    let in_redis = flow.stock().probe(item, Duration::ZERO, Some(0), &[]).await.map_err(told)?.epoch;
    let request = RebuildRequest { item, seen, in_redis, mode: None, incarnation: String::new(), reason: "bump" };
    flow.ledger().rebuild(request).await.map(drop).map_err(told)
}
