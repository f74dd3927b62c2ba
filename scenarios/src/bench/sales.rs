//! The loads of the benchmark as scenarios.
//!
//! In: how many clients or orders a second, how many items and processes. Out: a [`Scenario`] of single units, with more for sale than will be asked
//! for, so that every order can be accepted. What a run of the harness does around it is that of every run.

use harness::scenario::faults::{Fault, FaultWindow, Target};
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;

/// Rate at which a closed loop's orders are drawn. They are sent when a client is free, so it only says how many there are.
const NOMINAL_PER_S: f64 = 10_000.0;
/// Share of a closed loop's orders that come before those that are measured.
const WARM_UP_SHARE: f64 = 0.15;
const WARM_UP_MS: u64 = 2_000;
/// A closed loop of many clients and a slow service: nobody gives up.
const PATIENCE_MS: u64 = 20_000;
/// A closed loop has no rate, so its response times are no service level.
const NO_BUDGET_MS: f64 = 60_000.0;
const USERS: u64 = 1_000_000;

/// A load at saturation: so many clients, each of which sends its next order once the last was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saturation {
    /// Clients, one connection each.
    pub(super) clients: u32,
    /// Orders that are measured.
    pub(super) orders: u64,
    /// Items, all asked for alike.
    pub(super) items: u64,
    /// Api processes.
    pub(super) api: u16,
}

impl Saturation {
    /// One hot item and one api process.
    pub(super) const fn of_one_item(clients: u32, orders: u64) -> Self {
        Self { clients, orders, items: 1, api: 1 }
    }

    /// The scenario.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers of a plan, checked afterwards"
    )]
    pub(super) fn scenario(self, name: &str, seed: Seed) -> Scenario {
        let nominal_ms = self.orders as f64 / NOMINAL_PER_S * 1e3;
        let (warm_up, measured) = ((nominal_ms * WARM_UP_SHARE) as u64, nominal_ms as u64);
        let stretches = vec![
            stretch("warm-up", Phase::Warmup, warm_up, NOMINAL_PER_S),
            stretch("saturation", Phase::Baseline, measured, NOMINAL_PER_S),
        ];
        let sale = base(name, seed, stretches, self.items);
        Scenario {
            processes: Processes { api: self.api, worker: 1 },
            limits: Limits { clients: self.clients, request_timeout_ms: PATIENCE_MS, ..sale.limits },
            promises: Promises { latency_p99_budget_ms: NO_BUDGET_MS, ..sale.promises },
            ..sale
        }
    }
}

/// One hot item at a rate: each order is sent when it is due, whatever the service does.
pub(super) fn at_rate(name: &str, seed: Seed, rate_per_s: f64, seconds: u64) -> Scenario {
    let stretches = vec![
        stretch("warm-up", Phase::Warmup, WARM_UP_MS, rate_per_s),
        stretch("sale", Phase::Baseline, seconds * 1_000, rate_per_s),
    ];
    base(name, seed, stretches, 1)
}

/// An item that is sold out during the warm-up and asked for a little from then on, for `seconds`.
pub(super) fn sold_out(name: &str, seed: Seed, seconds: u64) -> Scenario {
    let stretches = vec![
        stretch("selling out", Phase::Warmup, WARM_UP_MS, 1_000.0),
        stretch("sold out", Phase::Baseline, seconds * 1_000, 50.0),
    ];
    let mut sale = base(name, seed, stretches, 1);
    sale.items[0].opening = 500;
    sale
}

/// Before it Redis is not emptied, so that there is something to compare with.
const CALM_MS: u64 = 12_000;
/// Items that sell while the others are rebuilt.
const SELLING: u64 = 20;

/// `cold` items of which hardly any is asked for, and some that sell; then Redis is emptied, and the load goes on for `seen_ms`.
pub(super) fn emptied(name: &str, seed: Seed, cold: u64, seen_ms: u64) -> Scenario {
    let stretches =
        vec![stretch("warm-up", Phase::Warmup, WARM_UP_MS, 500.0), stretch("sale", Phase::Baseline, CALM_MS + seen_ms, 500.0)];
    let mut sale = base(name, seed, stretches, cold + SELLING);
    for (index, item) in (0_u64..).zip(&mut sale.items) {
        let sells = index < SELLING;
        // One order in a hundred is for a cold item.
        (item.weight, item.opening) = if sells { (cold * 99 / SELLING, 3_000) } else { (1, 3) };
    }
    sale.faults = vec![FaultWindow {
        fault: Fault::RedisFlush,
        target: Target::Redis,
        start_ms: (WARM_UP_MS + CALM_MS, WARM_UP_MS + CALM_MS),
        duration_ms: 100,
        max_ms: 2_000,
        // How long it takes is the figure; whether response times are back as well is not the question.
        recovery_ms: None,
    }];
    sale.promises.latency_p99_budget_ms = NO_BUDGET_MS;
    sale
}

fn stretch(name: &str, phase: Phase, duration_ms: u64, rate_per_s: f64) -> LoadStretch {
    LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s }
}

fn base(name: &str, seed: Seed, stretches: Vec<LoadStretch>, items: u64) -> Scenario {
    let mut sale = Scenario {
        name: name.to_owned(),
        seed,
        items: Vec::new(),
        stretches,
        mix: Mix { users: USERS, ..Mix::default() },
        processes: Processes { api: 1, worker: 1 },
        limits: Limits::default(),
        promises: Promises::default(),
        faults: Vec::new(),
    };
    let opening = more_than_asked_for(sale.expected_orders() / f64::from(u32::try_from(items).unwrap_or(u32::MAX)));
    let item = |sku| SaleItem { item: ItemId { store: 1, product: 1, sku }, opening, weight: 1 };
    sale.items = (1..=items).map(item).collect();
    sale
}

/// So many that an item which is asked for this often on average is not sold out: six standard deviations of a Poisson count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, checked afterwards")]
fn more_than_asked_for(mean: f64) -> u64 {
    (mean + 6.0 * mean.sqrt()).ceil() as u64 + 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_a_sound_scenario_with_enough_for_everybody() {
        let saturation = Saturation { clients: 256, orders: 100_000, items: 100, api: 2 };
        let plans = [
            saturation.scenario("bench_saturation", Seed(1)),
            at_rate("bench_rate", Seed(1), 6_000.0, 10),
            sold_out("bench_sold_out", Seed(1), 10),
            emptied("bench_emptied", Seed(1), 10_000, 20_000),
        ];
        for plan in &plans {
            assert_eq!(plan.check(), Ok(()), "{}", plan.name);
        }
        let orders = plans[0].expected_orders();
        assert!((orders - 115_000.0).abs() < 1.0, "{orders}");
        assert!(plans[0].supply() > 115_000 && plans[1].supply() > 72_000);
    }
}
