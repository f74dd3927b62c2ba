//! Checks a scenario: every field against its range, before anything is drawn or started.
//!
//! In: a [`Scenario`]. Out: nothing, or the first field that is out of its range, by name.

use std::collections::HashSet;

use super::{ItemId, Limits, LoadStretch, Mix, Operator, Promises, SaleItem, Scenario, faults};

/// Why a scenario cannot run. Every variant names the field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("scenario field `{field}`: {why}")]
pub struct ScenarioError {
    /// Path of the field, as in the JSON form.
    pub field: String,
    /// What is wrong, with the allowed range.
    pub why: String,
}

/// Most arrivals of one run; a plan is drawn into memory before it starts.
pub const ARRIVALS_MAX: f64 = 5_000_000.0;

/// Most lines of one order by the contract; a cart may name an item twice.
const CART_LINES_MAX: u32 = 50;

/// Most clients of a closed loop: each is a connection.
const CLIENTS_MAX: u32 = 10_000;

/// A day: longest duration of any kind.
const DAY_MS: u64 = 86_400_000;

impl Scenario {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let name_fits = !self.name.is_empty()
            && self.name.len() <= 40
            && self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        require("name", name_fits, "must be 1 to 40 of a-z, 0-9 and _")?;
        check_items(&self.items)?;
        check_stretches(&self.stretches)?;
        check_mix(&self.mix)?;
        // After stretches and mix: it is a product of both.
        require("stretches", self.expected_arrivals() <= ARRIVALS_MAX, "hold more than 5000000 arrivals, follow-ups among them")?;
        require("processes.api", (1..=64).contains(&self.processes.api), "must be 1 to 64")?;
        require("processes.worker", (1..=64).contains(&self.processes.worker), "must be 1 to 64")?;
        check_limits(&self.limits)?;
        require("limits.clients", self.limits.clients <= CLIENTS_MAX, "must be at most 10000")?;
        let creates_alone = self.mix.arrivals_per_order() <= 1.0 && self.mix.operator.arrivals() <= 0.0 && self.faults.is_empty();
        require("limits.clients", self.limits.clients == 0 || creates_alone, "need a load of new orders alone, without faults")?;
        check_promises(&self.promises)?;
        faults::check(&self.faults, self.processes, self.load_ms())
    }
}

fn check_items(items: &[SaleItem]) -> Result<(), ScenarioError> {
    require("items", !items.is_empty() && items.len() <= 100_000, "must hold 1 to 100000 items")?;
    let mut seen = HashSet::new();
    for (index, sale) in items.iter().enumerate() {
        let ItemId { store, product, sku } = sale.item;
        let in_range = |number: u64| (1..=i64::MAX as u64).contains(&number);
        require(&format!("items[{index}].item"), [store, product, sku].into_iter().all(in_range), "numbers start at 1")?;
        require(&format!("items[{index}].item"), seen.insert(sale.item), "is listed twice")?;
        require(&format!("items[{index}].opening"), (1..=100_000_000).contains(&sale.opening), "must be 1 to 100000000")?;
        require(&format!("items[{index}].weight"), (1..=1_000_000_000).contains(&sale.weight), "must be 1 to 1000000000")?;
    }
    Ok(())
}

fn check_stretches(stretches: &[LoadStretch]) -> Result<(), ScenarioError> {
    require("stretches", !stretches.is_empty(), "must hold at least one stretch")?;
    for (index, stretch) in stretches.iter().enumerate() {
        let rate_fits = stretch.rate_per_s > 0.0 && stretch.rate_per_s <= 1_000_000.0;
        require(&format!("stretches[{index}].rate_per_s"), rate_fits, "must be above 0 and at most 1000000")?;
        require(&format!("stretches[{index}].duration_ms"), stretch.duration_ms <= DAY_MS, "must be at most a day")?;
    }
    Ok(())
}

fn check_mix(mix: &Mix) -> Result<(), ScenarioError> {
    let share = |field: &str, value: f64| require(field, (0.0..=1.0).contains(&value), "must be between 0 and 1");
    share("mix.duplicates", mix.duplicates)?;
    share("mix.concurrent_duplicates", mix.concurrent_duplicates)?;
    share("mix.altered", mix.altered)?;
    share("mix.cancels", mix.cancels)?;
    share("mix.payments", mix.payments)?;
    share("mix.refunds", mix.refunds)?;
    share("mix.reads", mix.reads)?;
    share("mix.greedy", mix.greedy)?;
    share("mix.cancels + mix.payments + mix.refunds", mix.cancels + mix.payments + mix.refunds)?;
    share("mix.carts.share", mix.carts.share)?;
    share("mix.carts.named_twice", mix.carts.named_twice)?;
    require("mix.carts.items_max", (2..=CART_LINES_MAX - 1).contains(&mix.carts.items_max), "must be 2 to 49")?;
    let Operator { restocks, cuts, holds, units_max } = mix.operator;
    for (field, count) in [("restocks", restocks), ("cuts", cuts), ("holds", holds)] {
        require(&format!("mix.operator.{field}"), count <= 10_000, "must be at most 10000")?;
    }
    require("mix.operator.units_max", (1..=1_000_000).contains(&units_max), "must be 1 to 1000000")?;
    require("mix.journeys", mix.journeys <= 1_000, "must be at most 1000")?;
    require("mix.users", mix.users >= 1, "must be at least 1")?;
    require("mix.quantity_max", (1..=1_000).contains(&mix.quantity_max), "must be 1 to 1000")?;
    let (shortest, longest) = mix.think_ms;
    require("mix.think_ms", shortest <= longest && longest <= DAY_MS, "must be shortest, then longest, at most a day")
}

fn check_limits(limits: &Limits) -> Result<(), ScenarioError> {
    require("limits.in_flight_max", (1..=100_000).contains(&limits.in_flight_max), "must be 1 to 100000")?;
    require("limits.request_timeout_ms", (1..=60_000).contains(&limits.request_timeout_ms), "must be 1 to 60000")?;
    require("limits.ready_ms", (1..=DAY_MS).contains(&limits.ready_ms), "must be at least 1 and at most a day")?;
    let (first, longest) = limits.quiesce_poll_ms;
    let poll_fits = 1 <= first && first <= longest && longest <= 60_000;
    require("limits.quiesce_poll_ms", poll_fits, "must be first, then longest, 1 to 60000")?;
    let (stall, cap) = (limits.quiesce_stall_ms, limits.quiesce_cap_ms);
    require("limits.quiesce_stall_ms", longest <= stall, "must be at least the longest poll")?;
    require("limits.quiesce_cap_ms", stall <= cap && cap <= DAY_MS, "must be at least quiesce_stall_ms and at most a day")
}

fn check_promises(promises: &Promises) -> Result<(), ScenarioError> {
    let budget = promises.latency_p99_budget_ms;
    require("promises.latency_p99_budget_ms", budget > 0.0 && budget.is_finite(), "must be a number above 0")?;
    require("promises.staleness_ms", promises.staleness_ms <= 1_000, "must be at most 1000")?;
    require("promises.resolver_grace_ms", promises.resolver_grace_ms <= DAY_MS, "must be at most a day")?;
    let poll = promises.worker_poll_max_ms;
    require("promises.worker_poll_max_ms", (20..=60_000).contains(&poll), "must be 20 to 60000")?;
    // The service takes the TTL as a duration from now; a year is beyond any sale and far from every overflow.
    let ttl = promises.order_ttl_ms;
    require("promises.order_ttl_ms", (1_000..=365 * DAY_MS).contains(&ttl), "must be at least 1000 and at most a year")?;
    let degrade = promises.degrade_after_ms;
    require("promises.degrade_after_ms", degrade == 0 || (500..=600_000).contains(&degrade), "must be 0, or 500 to 600000")
}

pub(super) fn require(field: &str, fits: bool, why: &str) -> Result<(), ScenarioError> {
    if fits { Ok(()) } else { Err(ScenarioError { field: field.to_owned(), why: why.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Phase, Processes};
    use crate::seed::Seed;

    fn sound() -> Scenario {
        Scenario {
            name: "flash_sale".into(),
            seed: Seed(1),
            items: vec![SaleItem { item: ItemId { store: 1, product: 1, sku: 1 }, opening: 10, weight: 1 }],
            stretches: vec![LoadStretch { name: "spike".into(), phase: Phase::Baseline, duration_ms: 1_000, rate_per_s: 100.0 }],
            mix: Mix { concurrent_duplicates: 1.0, cancels: 0.5, payments: 0.5, ..Mix::default() },
            processes: Processes { api: 1, worker: 1 },
            limits: Limits::default(),
            promises: Promises::default(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn a_scenario_within_its_ranges_passes() {
        assert_eq!(sound().check(), Ok(()));
        assert_eq!((sound().supply(), sound().load_ms(), sound().expected_orders()), (10, 1_000, 100.0));
    }

    #[test]
    fn each_field_out_of_its_range_is_named() {
        type Spoil = fn(&mut Scenario);
        let wrong: [(&str, Spoil); 58] = [
            ("name", |it| it.name.clear()),
            ("name", |it| it.name = "Flash".into()),
            ("name", |it| it.name = "x".repeat(41)),
            ("items", |it| it.items.clear()),
            ("items[0].item", |it| it.items[0].item.store = 0),
            ("items[0].item", |it| it.items[0].item.sku = u64::MAX),
            ("items[1].item", |it| it.items.push(it.items[0])),
            ("items[0].opening", |it| it.items[0].opening = 0),
            ("items[0].weight", |it| it.items[0].weight = 0),
            ("stretches", |it| it.stretches.clear()),
            ("stretches[0].rate_per_s", |it| it.stretches[0].rate_per_s = 0.0),
            ("stretches[0].rate_per_s", |it| it.stretches[0].rate_per_s = f64::NAN),
            ("stretches[0].rate_per_s", |it| it.stretches[0].rate_per_s = f64::INFINITY),
            ("stretches[0].duration_ms", |it| it.stretches[0].duration_ms = 86_400_001),
            ("stretches", |it| (it.stretches[0].rate_per_s, it.stretches[0].duration_ms) = (100_000.0, 60_000)),
            ("mix.duplicates", |it| it.mix.duplicates = 1.1),
            ("mix.concurrent_duplicates", |it| it.mix.concurrent_duplicates = -0.1),
            ("mix.altered", |it| it.mix.altered = 1.1),
            ("mix.cancels", |it| it.mix.cancels = f64::NAN),
            ("mix.payments", |it| it.mix.payments = 2.0),
            ("mix.reads", |it| it.mix.reads = 1.5),
            ("mix.refunds", |it| it.mix.refunds = -1.0),
            ("mix.cancels + mix.payments + mix.refunds", |it| it.mix.cancels = 0.6),
            ("mix.cancels + mix.payments + mix.refunds", |it| it.mix.refunds = 0.1),
            ("mix.greedy", |it| it.mix.greedy = 1.1),
            ("mix.carts.share", |it| it.mix.carts.share = 2.0),
            ("mix.carts.named_twice", |it| it.mix.carts.named_twice = f64::NAN),
            ("mix.carts.items_max", |it| it.mix.carts.items_max = 1),
            ("mix.carts.items_max", |it| it.mix.carts.items_max = 50),
            ("mix.operator.restocks", |it| it.mix.operator.restocks = 10_001),
            ("mix.operator.units_max", |it| it.mix.operator.units_max = 0),
            ("mix.operator.units_max", |it| it.mix.operator.units_max = 1_000_001),
            ("mix.journeys", |it| it.mix.journeys = 1_001),
            ("mix.users", |it| it.mix.users = 0),
            ("mix.quantity_max", |it| it.mix.quantity_max = 0),
            ("mix.think_ms", |it| it.mix.think_ms = (2, 1)),
            ("mix.think_ms", |it| it.mix.think_ms = (2, DAY_MS + 1)),
            ("processes.api", |it| it.processes.api = 0),
            ("processes.worker", |it| it.processes.worker = 65),
            ("limits.in_flight_max", |it| it.limits.in_flight_max = 0),
            ("limits.clients", |it| (it.limits.clients, it.mix) = (10_001, Mix::default())),
            ("limits.clients", |it| it.limits.clients = 64),
            ("limits.request_timeout_ms", |it| it.limits.request_timeout_ms = 0),
            ("limits.request_timeout_ms", |it| it.limits.request_timeout_ms = 60_001),
            ("limits.ready_ms", |it| it.limits.ready_ms = 0),
            ("limits.quiesce_poll_ms", |it| it.limits.quiesce_poll_ms = (0, 500)),
            ("limits.quiesce_poll_ms", |it| it.limits.quiesce_poll_ms = (501, 500)),
            ("limits.quiesce_stall_ms", |it| it.limits.quiesce_stall_ms = 499),
            ("limits.quiesce_cap_ms", |it| it.limits.quiesce_cap_ms = 29_999),
            ("limits.quiesce_cap_ms", |it| it.limits.quiesce_cap_ms = DAY_MS + 1),
            ("promises.latency_p99_budget_ms", |it| it.promises.latency_p99_budget_ms = 0.0),
            ("promises.latency_p99_budget_ms", |it| it.promises.latency_p99_budget_ms = f64::INFINITY),
            ("promises.staleness_ms", |it| it.promises.staleness_ms = 1_001),
            ("promises.resolver_grace_ms", |it| it.promises.resolver_grace_ms = DAY_MS + 1),
            ("promises.worker_poll_max_ms", |it| it.promises.worker_poll_max_ms = 19),
            ("promises.worker_poll_max_ms", |it| it.promises.worker_poll_max_ms = 60_001),
            ("promises.order_ttl_ms", |it| it.promises.order_ttl_ms = 999),
            ("promises.order_ttl_ms", |it| it.promises.order_ttl_ms = u64::MAX),
        ];
        for (field, spoil) in wrong {
            let mut scenario = sound();
            spoil(&mut scenario);
            assert_eq!(scenario.check().unwrap_err().field, field);
        }
    }

    #[test]
    fn follow_ups_count_as_arrivals() {
        let mut scenario = sound();
        (scenario.stretches[0].rate_per_s, scenario.stretches[0].duration_ms) = (50_000.0, 60_000);
        (scenario.mix.cancels, scenario.mix.payments) = (0.0, 0.0);
        assert_eq!(scenario.check(), Ok(()), "3 million orders");
        (scenario.mix.duplicates, scenario.mix.reads) = (0.5, 0.5);
        assert_eq!(scenario.check().unwrap_err().field, "stretches", "6 million arrivals");
    }
}
