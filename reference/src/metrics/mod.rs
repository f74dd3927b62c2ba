//! What the service counts and measures, in Prometheus' text form.
//!
//! One family counts every step by its result, one times it; gauges hold backlogs, [`items`] what the last sweep saw. Names end in their
//! unit. Every counter that an alert reads starts at 0: a counter that appears with its first event shows no increase.

mod items;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use items::{ItemReading, SweepReading};

use crate::clock;
use crate::domain::Item;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepResult {
    step: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Store {
    store: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Messages {
    event_type: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventType {
    event_type: &'static str,
}

/// Upper bounds of the time histogram, seconds: 100 µs to 5 s.
const SECONDS: [f64; 15] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Results that alerts read, so that they stand at 0 before they first happen.
const STEPS_FROM_ZERO: [(&str, &str); 18] = [
    ("pre_deduct", "taken"),
    ("pre_deduct", "unknown"),
    ("pre_deduct", "gave_up"),
    ("pre_deduct", "not_executed"),
    ("order_write", "committed"),
    ("order_write", "failed"),
    ("order_write", "unknown"),
    ("deduct_batch", "committed"),
    ("deduct_batch", "failed"),
    ("deduct", "error"),
    ("delta", "error"),
    ("resolver", "error"),
    ("expiry", "error"),
    ("housekeeping", "error"),
    ("reconciler", "error"),
    ("return", "error"),
    ("deduct", "dead"),
    ("rollback", "done"),
];

/// A breach of an invariant. None of them happens by the rules of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Redis and ledger differ (I1).
    Drift,
    /// A lock set holds a member that no reservation wrote.
    ForeignLock,
    /// Two Redis processes hold a counter of one epoch (I6).
    TwoProcesses,
    /// A rebuild found more open sales than stock, and closed the item.
    NegativeBase,
    /// A balance refused units that Redis or a committed order held.
    GuardRefused,
}

impl Finding {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Drift, Self::ForeignLock, Self::TwoProcesses, Self::NegativeBase, Self::GuardRefused];

    /// The word under which it is counted and recorded.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::ForeignLock => "foreign_lock",
            Self::TwoProcesses => "two_processes",
            Self::NegativeBase => "negative_base",
            Self::GuardRefused => "guard_refused",
        }
    }
}

struct Families {
    registry: Registry,
    steps: Family<StepResult, Counter>,
    seconds: Family<Step, Histogram, fn() -> Histogram>,
    findings: Family<Kind, Counter>,
    messages: Family<Messages, Gauge<f64, AtomicU64>>,
    oldest: Family<EventType, Gauge<f64, AtomicU64>>,
    queue: Gauge<f64, AtomicU64>,
    away: Family<Store, Gauge<f64, AtomicU64>>,
    items: Arc<items::ItemGauges>,
}

/// All metrics of a process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut families = Families {
            registry: Registry::with_prefix("holdfast"),
            steps: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            findings: Family::default(),
            messages: Family::default(),
            oldest: Family::default(),
            queue: Gauge::default(),
            away: Family::default(),
            items: Arc::default(),
        };
        let registry = &mut families.registry;
        registry.register("steps", "Steps of the protocol by their result", families.steps.clone());
        registry.register_with_unit("step", "Time that a step took", Unit::Seconds, families.seconds.clone());
        registry.register("findings", "Breaches of invariants that this process found", families.findings.clone());
        registry.register("outbox_messages", "Messages in the outbox that are not done", families.messages.clone());
        let oldest = families.oldest.clone();
        registry.register_with_unit("outbox_oldest", "Age of the oldest message in NEW; 0 if there is none", Unit::Seconds, oldest);
        registry.register("order_queue_length", "Orders of this process that wait to be written", families.queue.clone());
        let away = families.away.clone();
        registry.register_with_unit(
            "store_away",
            "For how long the circuit breaker has refused this store; 0 while it is closed",
            Unit::Seconds,
            away,
        );
        registry.register_collector(Box::new(Arc::clone(&families.items)));
        for (step, result) in STEPS_FROM_ZERO {
            families.steps.get_or_create(&StepResult { step, result }).inc_by(0);
        }
        for kind in Finding::ALL {
            families.findings.get_or_create(&Kind { kind: kind.name() }).inc_by(0);
        }
        Self(Arc::new(families))
    }
}

impl Metrics {
    /// Counts one `result` of `step`.
    pub fn count(&self, step: &'static str, result: &'static str) {
        self.count_many(step, result, 1);
    }

    /// Counts `times` results of `step`.
    pub fn count_many(&self, step: &'static str, result: &'static str, times: u64) {
        self.0.steps.get_or_create(&StepResult { step, result }).inc_by(times);
    }

    /// How often `step` had `result`.
    #[must_use]
    pub fn counted(&self, step: &'static str, result: &'static str) -> u64 {
        self.0.steps.get_or_create(&StepResult { step, result }).get()
    }

    /// Records that `step` took from `started` until now.
    pub fn time(&self, step: &'static str, started: Instant) {
        let took: Duration = clock::now().duration_since(started);
        self.0.seconds.get_or_create(&Step { step }).observe(took.as_secs_f64());
    }

    /// Counts a breach of an invariant.
    pub fn found(&self, finding: Finding) {
        self.0.findings.get_or_create(&Kind { kind: finding.name() }).inc();
    }

    /// How often this process found such a breach.
    #[must_use]
    pub fn findings(&self, finding: Finding) -> u64 {
        self.0.findings.get_or_create(&Kind { kind: finding.name() }).get()
    }

    /// Messages of one type that wait (`new`) and that were given up (`dead`), and the age of the oldest that waits.
    pub fn outbox(&self, event_type: &'static str, new: u64, dead: u64, oldest: Duration) {
        for (status, count) in [("NEW", new), ("DEAD", dead)] {
            self.0.messages.get_or_create(&Messages { event_type, status }).set(items::gauge(count));
        }
        self.0.oldest.get_or_create(&EventType { event_type }).set(oldest.as_secs_f64());
    }

    /// Orders that wait to be written.
    pub fn order_queue(&self, length: usize) {
        self.0.queue.set(items::gauge(length as u64));
    }

    /// For how long the circuit breaker before `store` has been open.
    pub fn away(&self, store: &'static str, open_for: Option<Duration>) {
        self.0.away.get_or_create(&Store { store }).set(open_for.unwrap_or_default().as_secs_f64());
    }

    /// What a whole sweep over the items saw; replaces the one before.
    pub fn swept(&self, reading: SweepReading) {
        self.0.items.swept(reading);
    }

    /// What the last audit of an item found: Redis less ledger, and balance less the sum of its rows, both in units. A side that
    /// was not looked at is `None`: of the ledger the last known difference stands.
    pub fn audited(&self, item: Item, drift: Option<i64>, ledger_difference: Option<i64>) {
        self.0.items.audited(item, drift, ledger_difference);
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _infallible = encode(&mut text, &self.0.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::default();
        metrics.count("pre_deduct", "taken");
        metrics.count_many("pre_deduct", "taken", 2);
        metrics.outbox("DEDUCT_STOCK_DB", 7, 1, Duration::from_millis(1_500));
        metrics.order_queue(3);
        metrics.time("create", clock::now());
        metrics.found(Finding::Drift);
        let text = metrics.render();
        for line in [
            r#"holdfast_steps_total{step="pre_deduct",result="taken"} 3"#,
            r#"holdfast_outbox_messages{event_type="DEDUCT_STOCK_DB",status="NEW"} 7"#,
            r#"holdfast_outbox_messages{event_type="DEDUCT_STOCK_DB",status="DEAD"} 1"#,
            r#"holdfast_outbox_oldest_seconds{event_type="DEDUCT_STOCK_DB"} 1.5"#,
            "holdfast_order_queue_length 3",
            r#"holdfast_findings_total{kind="drift"} 1"#,
            r#"holdfast_findings_total{kind="two_processes"} 0"#,
            "# UNIT holdfast_step_seconds seconds",
            "holdfast_step_seconds_bucket",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
