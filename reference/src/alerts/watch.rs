//! The rules evaluated inside the process, from the text that Prometheus would scrape, so that `/admin/alerts` answers without one.
//!
//! It sees this process only; what it counted before it was started is gone with the process before. Prometheus sees all of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Measure, RULES, Rule, Sample, Selector, samples};
use crate::clock;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};

/// Pause between two evaluations.
pub const STEP: Duration = Duration::from_secs(5);

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Off.
    Inactive,
    /// The measure is above its bound, not yet for long enough.
    Pending,
    /// On.
    Firing,
}

impl State {
    /// The word of the interface, the same as Prometheus'.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// One rule and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Alert {
    /// The rule.
    pub rule: &'static Rule,
    /// Where it stands.
    pub state: State,
    /// The measure; `None` if there is nothing to measure.
    pub value: Option<f64>,
}

/// The rules over a sequence of texts. Times count from a common start.
#[derive(Debug, Default)]
pub struct Evaluation {
    seen: VecDeque<(Duration, Vec<Sample>)>,
    above_since: BTreeMap<&'static str, Duration>,
}

impl Evaluation {
    /// Takes the text of this time, which is later than the last one's, and evaluates every rule.
    pub fn step(&mut self, at: Duration, text: &str) -> Vec<Alert> {
        let wanted: Vec<Selector> = RULES.iter().flat_map(|rule| rule.measure.selectors()).collect();
        #[cfg(feature = "defects")]
        let wanted: Vec<Selector> = wanted.into_iter().chain(super::rules::ORDERS_REFUSED.selectors()).collect();
        let kept = samples(text).into_iter().filter(|sample| wanted.iter().any(|selector| selector.takes(sample))).collect();
        self.seen.push_back((at, kept));
        let longest = RULES.iter().map(|rule| rule.measure.window()).max().unwrap_or_default();
        while self.seen.front().is_some_and(|(then, _)| *then + seconds(longest) < at) {
            self.seen.pop_front();
        }
        RULES.iter().map(|rule| self.judge(rule, at)).collect()
    }

    fn judge(&mut self, rule: &'static Rule, at: Duration) -> Alert {
        let measure = rule.measure;
        #[cfg(feature = "defects")]
        let measure = if planted(Defect::AlertOnRatio) && rule.name == "HoldfastPreDeductErrors" {
            super::rules::ORDERS_REFUSED
        } else {
            measure
        };
        let value = self.measure(&measure, at);
        if value.is_none_or(|value| value <= rule.above) {
            self.above_since.remove(rule.name);
            return Alert { rule, state: State::Inactive, value };
        }
        let since = *self.above_since.entry(rule.name).or_insert(at);
        let state = if at.saturating_sub(since) >= seconds(rule.for_seconds) { State::Firing } else { State::Pending };
        Alert { rule, state, value }
    }

    fn measure(&self, measure: &Measure, at: Duration) -> Option<f64> {
        match measure {
            Measure::Highest(of) => {
                let (_, now) = self.seen.back()?;
                now.iter().filter(|sample| of.takes(sample)).map(|sample| sample.value).reduce(f64::max)
            }
            Measure::Rise(of, window) => self.rises(of, *window, at).into_iter().reduce(|sum, rise| sum + rise),
            Measure::HighestRise(of, window) => self.rises(of, *window, at).into_iter().reduce(f64::max),
            Measure::Share(part, whole, window) => {
                let sum = |of| self.rises(of, *window, at).into_iter().sum::<f64>();
                let whole = sum(whole);
                (whole > 0.0).then(|| sum(part) / whole)
            }
        }
    }

    /// By how much each series rose within the window. A counter that fell was started anew.
    fn rises(&self, of: &Selector, window: u32, at: Duration) -> Vec<f64> {
        let mut rises: BTreeMap<&[(String, String)], (f64, f64)> = BTreeMap::new();
        let from = at.saturating_sub(seconds(window));
        for (_, samples) in self.seen.iter().filter(|(then, _)| *then >= from) {
            for sample in samples.iter().filter(|sample| of.takes(sample)) {
                let (last, rise) = rises.entry(&sample.labels).or_insert((sample.value, 0.0));
                *rise += if sample.value < *last { sample.value } else { sample.value - *last };
                *last = sample.value;
            }
        }
        rises.into_values().map(|(_, rise)| rise).collect()
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// The alerts of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Alerts(Arc<Mutex<Vec<Alert>>>);

impl Alerts {
    /// The last evaluation; empty before the first.
    #[must_use]
    pub fn now(&self) -> Vec<Alert> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Evaluates the rules on what `scrape` gives every [`STEP`], until `stop`. Alerts that go on or off are logged.
    pub async fn watch(self, scrape: impl Fn() -> String + Send, stop: CancellationToken) {
        let (started, mut evaluation) = (clock::now(), Evaluation::default());
        loop {
            let alerts = evaluation.step(clock::now().duration_since(started), &scrape());
            let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), alerts.clone());
            for alert in &alerts {
                let was = before.iter().find(|was| was.rule.name == alert.rule.name).map_or(State::Inactive, |was| was.state);
                tell(alert, was);
            }
            if stop.run_until_cancelled(tokio::time::sleep(STEP)).await.is_none() {
                return;
            }
        }
    }
}

fn tell(alert: &Alert, was: State) {
    let Alert { rule, state, value } = alert;
    let (name, severity) = (rule.name, rule.severity.name());
    match (was == State::Firing, *state == State::Firing) {
        (false, true) => tracing::warn!(alert = name, severity, value, summary = rule.summary, action = rule.action, "alert is on"),
        (true, false) => tracing::info!(alert = name, severity, "alert is off"),
        _ => {}
    }
}
