//! A scenario: everything that a run will do, as data.
//!
//! In: numbers chosen by a person or a catalog entry. Out: a checked [`Scenario`], from which [`plan`] draws every arrival
//! before anything starts. Nothing here does I/O.

pub mod plan;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::seed::Seed;

/// One thing that is sold: a SKU of a product in a store. Written `store:product:sku`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    /// Store number, at least 1.
    pub store: u64,
    /// Product number, at least 1.
    pub product: u64,
    /// SKU number, at least 1.
    pub sku: u64,
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.store, self.product, self.sku)
    }
}

/// Text that is not `store:product:sku`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read item {0:?}: not of the form store:product:sku")]
pub struct ItemIdError(String);

impl FromStr for ItemId {
    type Err = ItemIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ItemIdError(text.to_owned());
        let mut numbers = text.split(':').map(str::parse::<u64>);
        let mut next = || numbers.next().and_then(Result::ok).ok_or_else(wrong);
        let item = Self { store: next()?, product: next()?, sku: next()? };
        if numbers.next().is_some() { Err(wrong()) } else { Ok(item) }
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An item of the sale and the stock that it opens with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaleItem {
    /// What is sold.
    pub item: ItemId,
    /// Units at opening, at least 1.
    pub opening: u64,
    /// Share of the demand that goes to this item, as a weight relative to the other items; at least 1.
    pub weight: u64,
}

/// What a stretch of the load is for; decides which measurements count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Caches fill; left out of every latency verdict.
    Warmup,
    /// Fault-free load; latency verdicts and later limits lean on it. The spike of a flash sale is of this phase.
    Baseline,
    /// Load while a fault may be in force.
    Fault,
    /// Load after the last heal.
    Recovery,
    /// Load has stopped; workers finish.
    Quiesce,
    /// The drain test sells what is left.
    Drain,
}

impl Phase {
    /// The name used in files and on plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Baseline => "baseline",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
            Self::Quiesce => "quiesce",
            Self::Drain => "drain",
        }
    }
}

/// One stretch of open-loop load: Poisson arrivals at a constant mean rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadStretch {
    /// What people call it: `warm-up`, `spike`, `tail`.
    pub name: String,
    /// How measurements count it.
    pub phase: Phase,
    /// How long it lasts.
    pub duration_ms: u64,
    /// Mean of *new orders* due per second; duplicates, cancels and reads come on top.
    pub rate_per_s: f64,
}

/// Who asks for what, as shares between 0 and 1 of the new orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Number of different users; each order draws one.
    pub users: u64,
    /// Share of orders sent a second time with the same id and body.
    pub duplicates: f64,
    /// Share of those duplicates that are due at the same instant as the first and go to another process.
    pub concurrent_duplicates: f64,
    /// Share of orders that their user cancels later (skipped if the order was refused).
    pub cancels: f64,
    /// Share of orders that their user pays later (skipped if the order was refused).
    pub payments: f64,
    /// Share of orders that their user reads back later.
    pub reads: f64,
    /// Shortest and longest pause between an order and what its user does next.
    pub think_ms: (u64, u64),
    /// Most units asked for in one order; quantities are drawn from 1 to this.
    pub quantity_max: u32,
}

/// How many service processes of each role run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processes {
    /// Processes that answer HTTP, at least 1.
    pub api: u16,
    /// Processes that run the workers, at least 1.
    pub worker: u16,
}

/// Bounds of the harness itself. When one acts, the history says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most requests open at once; an arrival beyond it is shed, never sent late.
    pub in_flight_max: u32,
    /// A request without a whole reply after this is `info(timeout)`.
    pub request_timeout_ms: u64,
    /// Longest wait for the stack to be ready.
    pub ready_ms: u64,
    /// First and longest pause between two polls of quiescence.
    pub quiesce_poll_ms: (u64, u64),
    /// Backlog that did not fall for this long is stuck.
    pub quiesce_stall_ms: u64,
    /// Hard cap of quiescence.
    pub quiesce_cap_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 4096,
            request_timeout_ms: 2_000,
            ready_ms: 60_000,
            quiesce_poll_ms: (20, 500),
            quiesce_stall_ms: 30_000,
            quiesce_cap_ms: 300_000,
        }
    }
}

/// What the service promises, as far as it is not an invariant, and what the judge may assume of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// p99 of the response time of `create_order`, accepted and refused apart, in the baseline phase.
    pub latency_p99_budget_ms: f64,
    /// Longest age of a sold-out answer that the service gives from memory.
    pub staleness_ms: u64,
    /// Age below which the resolver leaves a lock alone.
    pub resolver_grace_ms: u64,
    /// Slowest poll of any worker of the service.
    pub worker_poll_max_ms: u64,
    /// Unpaid orders expire after this.
    pub order_ttl_ms: u64,
}

impl Default for Promises {
    fn default() -> Self {
        Self {
            latency_p99_budget_ms: 10.0,
            staleness_ms: 1_000,
            resolver_grace_ms: 2_000,
            worker_poll_max_ms: 500,
            order_ttl_ms: 1_800_000,
        }
    }
}

/// A complete plan for one run, before any draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name in the catalog, and of the report folder: `[a-z0-9_]{1,40}`.
    pub name: String,
    /// Seed of every draw.
    pub seed: Seed,
    /// What is sold. The first item is the hot one, if there is one.
    pub items: Vec<SaleItem>,
    /// The load, in order of time.
    pub stretches: Vec<LoadStretch>,
    /// Who asks for what.
    pub mix: Mix,
    /// Service processes.
    pub processes: Processes,
    /// Bounds of the harness.
    pub limits: Limits,
    /// Promises of the service.
    pub promises: Promises,
}

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

impl Scenario {
    /// Units of all items at opening.
    #[must_use]
    pub fn supply(&self) -> u64 {
        self.items.iter().map(|sale| sale.opening).sum()
    }

    /// Length of the whole load.
    #[must_use]
    pub fn load_ms(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.duration_ms).sum()
    }

    /// Mean number of new orders that the load will hold.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an expectation, not a count")]
    pub fn expected_orders(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.rate_per_s * stretch.duration_ms as f64 / 1e3).sum()
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let share = |field: &str, value: f64| require(field, (0.0..=1.0).contains(&value), "must be between 0 and 1");
        let name_fits = !self.name.is_empty()
            && self.name.len() <= 40
            && self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        require("name", name_fits, "must be 1 to 40 of a-z, 0-9 and _")?;
        require("items", !self.items.is_empty() && self.items.len() <= 100_000, "must hold 1 to 100000 items")?;
        let mut seen = std::collections::HashSet::new();
        for (index, sale) in self.items.iter().enumerate() {
            let ItemId { store, product, sku } = sale.item;
            let in_range = |number: u64| (1..=i64::MAX as u64).contains(&number);
            require(&format!("items[{index}].item"), [store, product, sku].into_iter().all(in_range), "numbers start at 1")?;
            require(&format!("items[{index}].item"), seen.insert(sale.item), "is listed twice")?;
            require(&format!("items[{index}].opening"), (1..=100_000_000).contains(&sale.opening), "must be 1 to 100000000")?;
            require(&format!("items[{index}].weight"), (1..=1_000_000_000).contains(&sale.weight), "must be 1 to 1000000000")?;
        }
        require("stretches", !self.stretches.is_empty(), "must hold at least one stretch")?;
        for (index, stretch) in self.stretches.iter().enumerate() {
            let rate_fits = stretch.rate_per_s > 0.0 && stretch.rate_per_s <= 1_000_000.0;
            require(&format!("stretches[{index}].rate_per_s"), rate_fits, "must be above 0 and at most 1000000")?;
            require(&format!("stretches[{index}].duration_ms"), stretch.duration_ms <= 86_400_000, "must be at most a day")?;
        }
        require("stretches", self.expected_orders() <= ARRIVALS_MAX, "hold more than 5000000 arrivals")?;
        share("mix.duplicates", self.mix.duplicates)?;
        share("mix.concurrent_duplicates", self.mix.concurrent_duplicates)?;
        share("mix.cancels", self.mix.cancels)?;
        share("mix.payments", self.mix.payments)?;
        share("mix.reads", self.mix.reads)?;
        share("mix.cancels + mix.payments", self.mix.cancels + self.mix.payments)?;
        require("mix.users", self.mix.users >= 1, "must be at least 1")?;
        require("mix.quantity_max", (1..=1_000).contains(&self.mix.quantity_max), "must be 1 to 1000")?;
        require("mix.think_ms", self.mix.think_ms.0 <= self.mix.think_ms.1, "must be shortest, then longest")?;
        require("processes.api", (1..=64).contains(&self.processes.api), "must be 1 to 64")?;
        require("processes.worker", (1..=64).contains(&self.processes.worker), "must be 1 to 64")?;
        require("limits.in_flight_max", (1..=100_000).contains(&self.limits.in_flight_max), "must be 1 to 100000")?;
        require("promises.latency_p99_budget_ms", self.promises.latency_p99_budget_ms > 0.0, "must be above 0")
    }
}

fn require(field: &str, fits: bool, why: &str) -> Result<(), ScenarioError> {
    if fits { Ok(()) } else { Err(ScenarioError { field: field.to_owned(), why: why.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_reads_what_it_writes_and_refuses_the_rest() {
        let item = ItemId { store: 1, product: 20, sku: 300 };
        assert_eq!(item.to_string().parse(), Ok(item));
        for wrong in ["", "1:2", "1:2:3:4", "1:2:x", "1:2:-3"] {
            assert!(wrong.parse::<ItemId>().is_err(), "{wrong:?}");
        }
    }

    fn sound() -> Scenario {
        Scenario {
            name: "flash_sale".into(),
            seed: Seed(1),
            items: vec![SaleItem { item: ItemId { store: 1, product: 1, sku: 1 }, opening: 10, weight: 1 }],
            stretches: vec![LoadStretch { name: "spike".into(), phase: Phase::Baseline, duration_ms: 1_000, rate_per_s: 100.0 }],
            mix: Mix {
                users: 1,
                duplicates: 0.0,
                concurrent_duplicates: 1.0,
                cancels: 0.5,
                payments: 0.5,
                reads: 0.0,
                think_ms: (0, 0),
                quantity_max: 1,
            },
            processes: Processes { api: 1, worker: 1 },
            limits: Limits::default(),
            promises: Promises::default(),
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
        let wrong: [(&str, Spoil); 28] = [
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
            ("mix.cancels", |it| it.mix.cancels = f64::NAN),
            ("mix.payments", |it| it.mix.payments = 2.0),
            ("mix.reads", |it| it.mix.reads = 1.5),
            ("mix.cancels + mix.payments", |it| it.mix.cancels = 0.6),
            ("mix.users", |it| it.mix.users = 0),
            ("mix.quantity_max", |it| it.mix.quantity_max = 0),
            ("mix.think_ms", |it| it.mix.think_ms = (2, 1)),
            ("processes.api", |it| it.processes.api = 0),
            ("processes.worker", |it| it.processes.worker = 65),
            ("limits.in_flight_max", |it| it.limits.in_flight_max = 0),
            ("promises.latency_p99_budget_ms", |it| it.promises.latency_p99_budget_ms = 0.0),
        ];
        for (field, spoil) in wrong {
            let mut scenario = sound();
            spoil(&mut scenario);
            assert_eq!(scenario.check().unwrap_err().field, field);
        }
    }
}
