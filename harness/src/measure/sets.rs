//! Latencies by kind of operation, outcome and phase: the table and the spectra.
//!
//! In: operations. Out: [`LatencyRow`]s and [`Spectrum`]s. Each operation is recorded once; the wider rows (`all`, `load`) are merged
//! from the narrow ones.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::LatencyHistogram;
use super::kind::Kind;
use super::{LatencyRow, Spectrum, elapsed, outcome_names};
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Outcome};
use crate::scenario::Phase;

/// Which outcomes a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Ok,
    Fail(FailCode),
    Info,
    All,
}

impl Group {
    const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Fail(code) => Self::Fail(code),
            Outcome::Info(_) => Self::Info,
        }
    }

    /// Place among ok, fail, info; a request that never left its client is none of them.
    const fn class(self) -> Option<usize> {
        match self {
            Self::Ok => Some(0),
            Self::Fail(FailCode::NotSent) | Self::All => None,
            Self::Fail(_) => Some(1),
            Self::Info => Some(2),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Ok => "ok".to_owned(),
            Self::Fail(code) => outcome_names(Outcome::Fail(code)).1,
            Self::Info => "info".to_owned(),
            Self::All => "all".to_owned(),
        }
    }
}

/// Which phases a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Span {
    Of(Phase),
    Load,
}

impl Span {
    const fn name(self) -> &'static str {
        match self {
            Self::Of(phase) => phase.name(),
            Self::Load => "load",
        }
    }

    /// Whether the row `load` counts it: all phases but warm-up and drain.
    const fn is_load(self) -> bool {
        !matches!(self, Self::Of(Phase::Warmup | Phase::Drain))
    }
}

type Key = (Kind, Group, Span);

/// Response and service times of one set of operations.
#[derive(Debug, Clone, Default)]
struct Times {
    response: LatencyHistogram,
    service: LatencyHistogram,
}

impl Times {
    fn record(&mut self, op: &Operation, deadline: Duration) {
        self.response.record(elapsed(op, op.due, deadline));
        self.service.record(elapsed(op, op.sent, deadline));
    }

    fn merge(&mut self, other: &Self) {
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }
}

/// All sets of a run.
#[derive(Debug, Clone, Default)]
pub struct LatencySets {
    sets: BTreeMap<Key, Times>,
}

impl LatencySets {
    /// Records every operation and merges the wider sets. `deadline` is the request timeout.
    #[must_use]
    pub fn collect(operations: &[Operation], deadline: Duration) -> Self {
        let mut narrow: BTreeMap<Key, Times> = BTreeMap::new();
        for op in operations {
            narrow.entry((Kind::of(op), Group::of(op.outcome), Span::Of(op.phase))).or_default().record(op, deadline);
        }
        let mut sets = narrow.clone();
        for ((kind, group, span), times) in &narrow {
            sets.entry((*kind, Group::All, *span)).or_default().merge(times);
            if span.is_load() {
                sets.entry((*kind, *group, Span::Load)).or_default().merge(times);
                sets.entry((*kind, Group::All, Span::Load)).or_default().merge(times);
            }
        }
        Self { sets }
    }

    /// The table, by kind, outcome and phase.
    #[must_use]
    pub fn rows(&self) -> Vec<LatencyRow> {
        let row = |((kind, group, span), times): (&Key, &Times)| LatencyRow {
            function: kind.name(),
            outcome: group.name(),
            phase: span.name().to_owned(),
            response: times.response.latency(),
            service: times.service.latency(),
        };
        self.sets.iter().map(row).collect()
    }

    /// Spectra of `create_order` in the baseline: accepted, refused by whatever code, and in doubt, each by response and by service
    /// time. A set without operations has none.
    #[must_use]
    pub fn spectra(&self) -> Vec<Spectrum> {
        let mut classes: BTreeMap<usize, Times> = BTreeMap::new();
        for ((kind, group, span), times) in &self.sets {
            if let (&Kind::ARRIVING_ORDER, Span::Of(Phase::Baseline), Some(class)) = (kind, span, group.class()) {
                classes.entry(class).or_default().merge(times);
            }
        }
        let named = |class: usize, time: &str, set: &LatencyHistogram| {
            let name = format!("{} {time}", ["ok", "fail", "info"][class]);
            Spectrum { name, points: set.spectrum() }
        };
        let both = |(class, times): (&usize, &Times)| {
            [named(*class, "response", &times.response), named(*class, "service", &times.service)]
        };
        classes.iter().flat_map(both).collect()
    }
}
