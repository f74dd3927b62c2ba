//! What the service counts and measures, in Prometheus' text form.
//!
//! One family counts every step by its result, one times it; gauges hold backlogs. Names end in their unit.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock;

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
struct Backlog {
    of: &'static str,
}

/// Upper bounds of the time histogram, seconds: 100 µs to 5 s.
const SECONDS: [f64; 15] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

struct Families {
    registry: Registry,
    steps: Family<StepResult, Counter>,
    seconds: Family<Step, Histogram, fn() -> Histogram>,
    backlog: Family<Backlog, Gauge<f64, AtomicU64>>,
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
        let mut registry = Registry::with_prefix("holdfast");
        let steps = Family::<StepResult, Counter>::default();
        let seconds = Family::<Step, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        let backlog = Family::<Backlog, Gauge<f64, AtomicU64>>::default();
        registry.register("steps", "Steps of the protocol by their result", steps.clone());
        registry.register("step_seconds", "Time that a step took", seconds.clone());
        registry.register("backlog", "Work that waits: rows, locks, requests, and ages in seconds", backlog.clone());
        Self(Arc::new(Families { registry, steps, seconds, backlog }))
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

    /// Sets a backlog: a number of things, or an age in seconds if its name ends in `_seconds`.
    pub fn backlog(&self, of: &'static str, value: f64) {
        self.0.backlog.get_or_create(&Backlog { of }).set(value);
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
        metrics.backlog("outbox_deducts", 7.0);
        metrics.time("create", clock::now());
        let text = metrics.render();
        assert!(text.contains(r#"holdfast_steps_total{step="pre_deduct",result="taken"} 3"#), "{text}");
        assert!(text.contains(r#"holdfast_backlog{of="outbox_deducts"} 7"#), "{text}");
        assert!(text.contains("holdfast_step_seconds_bucket"), "{text}");
    }
}
