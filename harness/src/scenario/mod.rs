//! A scenario: everything that a run will do, as data.
//!
//! In: numbers chosen by a person or a catalog entry. Out: a checked [`Scenario`], from which [`plan`] draws every arrival
//! before anything starts. Nothing here does I/O.

mod check;
pub mod faults;
mod item;
mod mix;
pub mod plan;

use serde::{Deserialize, Serialize};

use crate::seed::Seed;

pub use check::{ARRIVALS_MAX, ScenarioError};
pub use faults::FaultWindow;
pub use item::{ItemId, ItemIdError};
pub use mix::{Carts, Mix, Operator};

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
    /// So many clients send the orders, each the next one once its last was answered (a closed loop, to find saturation); 0: each order is sent
    /// when it is due.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clients: u32,
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

const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 4096,
            clients: 0,
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
    /// Whether that is promised while faults last and behind them as well: they are none of the buyers' business.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orders_undisturbed: bool,
    /// Longest age of a sold-out answer that the service gives from memory.
    pub staleness_ms: u64,
    /// Age below which the resolver leaves a lock alone.
    pub resolver_grace_ms: u64,
    /// Slowest poll of any worker of the service.
    pub worker_poll_max_ms: u64,
    /// Unpaid orders expire after this.
    pub order_ttl_ms: u64,
    /// Units of one item that a user may hold in live orders, the same for every item; 0 is no limit.
    #[serde(default)]
    pub limit_per_user: u32,
    /// The reconciler audits an item every so often, ms; 0 leaves it to the service.
    #[serde(default)]
    pub audit_every_ms: u64,
    /// MySQL admits orders once Redis has not answered for this long, ms; 0: they are refused meanwhile.
    #[serde(default)]
    pub degrade_after_ms: u64,
    /// Kill points that this service can never be met at, and why: their cells are not applicable, and not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<(String, String)>,
}

impl Default for Promises {
    fn default() -> Self {
        Self {
            latency_p99_budget_ms: 10.0,
            orders_undisturbed: false,
            staleness_ms: 1_000,
            resolver_grace_ms: 2_000,
            worker_poll_max_ms: 500,
            order_ttl_ms: 1_800_000,
            limit_per_user: 0,
            audit_every_ms: 0,
            degrade_after_ms: 0,
            unreachable: Vec::new(),
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
    /// What breaks while the load goes on; a fault is known by its place in this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultWindow>,
}

impl Scenario {
    /// Units of all items at opening.
    #[must_use]
    pub fn supply(&self) -> u64 {
        self.items.iter().map(|sale| sale.opening).sum()
    }

    /// Whether unpaid orders expire so soon that a run waits for it: within half of what it waits for a backlog that does not
    /// fall. Then nothing is left to expire once it is at rest.
    #[must_use]
    pub const fn waits_for_expiry(&self) -> bool {
        self.promises.order_ttl_ms <= self.limits.quiesce_stall_ms / 2
    }

    /// Length of the whole load.
    #[must_use]
    pub fn load_ms(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.duration_ms).sum()
    }

    /// This scenario with its faults drawn and its stretches divided by them: what is planned and saved. Settling again changes nothing.
    #[must_use]
    pub fn settled(&self) -> Self {
        let faults = faults::drawn(&self.faults, self.processes, self.seed);
        let stretches = faults::phased(&self.stretches, &faults);
        Self { faults, stretches, ..self.clone() }
    }

    /// Mean number of new orders that the load will hold.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an expectation, not a count")]
    pub fn expected_orders(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.rate_per_s * stretch.duration_ms as f64 / 1e3).sum()
    }

    /// Mean number of arrivals that the load will hold: new orders, what their users do later, and changes of the stock.
    #[must_use]
    pub fn expected_arrivals(&self) -> f64 {
        self.expected_orders() * self.mix.arrivals_per_order() + self.mix.operator.arrivals()
    }
}
