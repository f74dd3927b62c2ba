//! Random sequences of calls against a small model of one item, on a real server: the same replies, the same units.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reference::domain::{Epoch, Member, Token};
use reference::stock::{Applied, PreDeduct, Taken};

use crate::stock_fixture::{Fixture, member, quantity};
use crate::support::fresh_item;

#[derive(Debug, Clone)]
enum Step {
    PreDeduct { order: u8, units: i64 },
    Confirm { order: u8 },
    Rollback { order: u8 },
    ApplyDelta { event: u8, units: u64 },
    Rebuild { base: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..8_u8, 1..4_i64).prop_map(|(order, units)| Step::PreDeduct { order, units }),
        3 => (0..8_u8).prop_map(|order| Step::Confirm { order }),
        3 => (0..8_u8).prop_map(|order| Step::Rollback { order }),
        2 => (0..4_u8, 1..5_u64).prop_map(|(event, units)| Step::ApplyDelta { event, units }),
        1 => (0..12_i64).prop_map(|base| Step::Rebuild { base }),
    ]
}

/// What Redis should hold. Units never vanish: `base + increases == stock + locked + sold` within an epoch.
#[derive(Default)]
struct Model {
    epoch: u64,
    version: u64,
    stock: i64,
    supply: i64,
    sold: i64,
    /// Newest reservation of each order, of any epoch.
    records: BTreeMap<u8, Member>,
    /// Orders whose lock stands.
    locked: BTreeSet<u8>,
    /// Increases of this epoch.
    applied: BTreeSet<u8>,
}

impl Model {
    fn rebuild(&mut self, base: i64) {
        let records = std::mem::take(&mut self.records);
        *self = Self { epoch: self.epoch + 1, stock: base, supply: base, records, ..Self::default() };
    }

    fn pre_deduct(&mut self, order: u8, units: i64) -> PreDeduct {
        let record = self.records.get(&order);
        if let Some(Member { token, quantity: reserved, .. }) = record.filter(|member| member.token.epoch.0 == self.epoch) {
            return match (i64::from(reserved.get()) == units, self.locked.contains(&order)) {
                (false, _) => PreDeduct::Mismatch { reserved: *reserved },
                (true, true) => PreDeduct::Taken(Taken { token: *token, quantity: *reserved, left: None }),
                (true, false) => PreDeduct::Resolved,
            };
        }
        if self.stock < units {
            return PreDeduct::Insufficient { left: self.stock, version: self.version, earlier_record: record.is_some() };
        }
        self.version += 1;
        self.stock -= units;
        let token = Token { epoch: Epoch(self.epoch), version: self.version };
        self.records.insert(order, member(&name(order), token, quantity(units)));
        self.locked.insert(order);
        PreDeduct::Taken(Taken { token, quantity: quantity(units), left: Some(self.stock) })
    }

    fn confirm(&mut self, order: u8) -> Applied {
        let removed = self.locked.remove(&order);
        if removed {
            self.sold += i64::from(self.records[&order].quantity.get());
        }
        Applied::Done(u64::from(removed))
    }

    fn rollback(&mut self, order: u8) -> Applied {
        if !self.locked.remove(&order) {
            return Applied::Done(0);
        }
        let units = self.records[&order].quantity.get();
        self.stock += i64::from(units);
        self.version += 1;
        Applied::Done(u64::from(units))
    }

    fn apply_delta(&mut self, event: u8, units: u64) -> Applied {
        if !self.applied.insert(event) {
            return Applied::Duplicate;
        }
        let added = i64::try_from(units).unwrap();
        self.stock += added;
        self.supply += added;
        self.version += 1;
        Applied::Done(units)
    }
}

fn name(order: u8) -> String {
    format!("o{order}")
}

async fn run(at: &Fixture, steps: &[Step]) {
    let mut model = Model::default();
    for step in [Step::Rebuild { base: 6 }].iter().chain(steps) {
        apply(at, &mut model, step).await;
        compare(at, &model, step).await;
    }
}

async fn apply(at: &Fixture, model: &mut Model, step: &Step) {
    match *step {
        Step::Rebuild { base } => {
            model.rebuild(base);
            at.install(model.epoch, base).await;
        }
        Step::PreDeduct { order, units } => {
            let reply = at.pre_deduct(&name(order), units).await;
            assert_eq!(reply, model.pre_deduct(order, units));
        }
        Step::ApplyDelta { event, units } => {
            let id = format!("C.e{}-{event}", model.epoch);
            let reply = at.stock.apply_delta(at.item, Epoch(model.epoch), &id, units).await;
            assert_eq!(reply, Ok(model.apply_delta(event, units)));
        }
        Step::Confirm { order } | Step::Rollback { order } => {
            let Some(lock) = model.records.get(&order).cloned() else { return };
            let (epoch, is_over) = (lock.token.epoch, lock.token.epoch.0 < model.epoch);
            let (reply, expected) = if matches!(step, Step::Confirm { .. }) {
                let reply = at.stock.confirm(at.item, epoch, &[lock]).await;
                (reply, if is_over { Applied::Stale(Epoch(model.epoch)) } else { model.confirm(order) })
            } else {
                let reply = at.stock.rollback(at.item, epoch, &[lock]).await;
                (reply, if is_over { Applied::Stale(Epoch(model.epoch)) } else { model.rollback(order) })
            };
            assert_eq!(reply, Ok(expected));
        }
    }
}

async fn compare(at: &Fixture, model: &Model, step: &Step) {
    let probe = at.stock.probe(at.item, Duration::ZERO, None, &[]).await.unwrap();
    assert_eq!((probe.unready, probe.epoch), (None, Epoch(model.epoch)), "after {step:?}");
    assert_eq!(probe.stock, model.stock, "after {step:?}");
    assert_eq!(at.units().await.to_string(), at.meta("avail").await, "after {step:?}");
    assert_eq!(at.meta("version").await, model.version.to_string(), "after {step:?}");
    let found: BTreeSet<String> = probe.locks.iter().map(|lock| lock.member.to_string()).collect();
    let expected: BTreeSet<String> = model.locked.iter().map(|order| model.records[order].to_string()).collect();
    assert_eq!(found, expected, "after {step:?}");
    let locked: i64 = probe.locks.iter().map(|lock| i64::from(lock.member.quantity.get())).sum();
    assert_eq!(model.supply, probe.stock + locked + model.sold, "units are conserved after {step:?}");
}

#[test]
fn random_sequences_of_calls_agree_with_the_model_and_conserve_units() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at = runtime.block_on(Fixture::new());
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        let item = fresh_item();
        let case = std::panic::AssertUnwindSafe(|| runtime.block_on(run(&at.of(item), &steps)));
        std::panic::catch_unwind(case).map_err(|_| TestCaseError::fail("the item and the model differ: see the panic above"))
    });
    outcome.unwrap();
}
