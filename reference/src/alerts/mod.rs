//! Alerts: one table of rules, read in two ways. [`rules_file`] writes it for Prometheus, [`Alerts`] evaluates it inside the process from
//! the text that Prometheus would scrape.
//!
//! In: the text of the metrics. Out: which alerts are on, and what an operator does about them. A refusal for lack of stock is a correct
//! answer and never an alert.

mod exposition;
mod promql;
mod rules;
mod watch;

pub use exposition::{Sample, samples};
pub use promql::{alert_annotations, rules_file};
pub use rules::RULES;
pub use watch::{Alert, Alerts, Evaluation, STEP, State};

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Look at it today.
    Warn,
    /// Look at it now.
    Page,
}

impl Severity {
    /// The word in the rules file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Page => "page",
        }
    }
}

/// Series of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selector {
    /// Full name of the metric.
    pub metric: &'static str,
    /// Labels that a series must have, each with the values that are allowed.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

impl Selector {
    /// Whether a series is one of these.
    #[must_use]
    pub fn takes(&self, sample: &Sample) -> bool {
        let has = |(label, values): &(&str, &[&str])| values.iter().any(|value| sample.label(label) == Some(*value));
        self.metric == sample.name && self.labels.iter().all(has)
    }
}

/// What a rule looks at. Windows are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The highest of the series now.
    Highest(Selector),
    /// By how much the series together rose within the window.
    Rise(Selector, u32),
    /// By how much the one of the series that rose most, item by item, rose within the window.
    HighestRise(Selector, u32),
    /// Which share the rise of the first has in the rise of the second within the window.
    Share(Selector, Selector, u32),
}

impl Measure {
    /// The selectors that it reads.
    #[must_use]
    pub fn selectors(&self) -> Vec<Selector> {
        match self {
            Self::Highest(of) | Self::Rise(of, _) | Self::HighestRise(of, _) => vec![*of],
            Self::Share(part, whole, _) => vec![*part, *whole],
        }
    }

    /// How far back it looks.
    pub(super) const fn window(&self) -> u32 {
        match self {
            Self::Highest(_) => 0,
            Self::Rise(_, window) | Self::HighestRise(_, window) | Self::Share(_, _, window) => *window,
        }
    }
}

/// When an alert is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// How urgent.
    pub severity: Severity,
    /// What it looks at.
    pub measure: Measure,
    /// It is on while the measure is above this,
    pub above: f64,
    /// and has been for this many seconds.
    pub for_seconds: u32,
    /// What is the case.
    pub summary: &'static str,
    /// What to do about it.
    pub action: &'static str,
}
