//! How long the service took to be itself again after each fault.
//!
//! In: plan, history and its fault spans. Out: for each healed fault a vector of [`ComponentRecovery`]. A component has recovered at the
//! first instant after the heal from which ten windows of 100 ms in a row lie inside the band of the run's own baseline. What had not
//! recovered when the observation ended is right-censored: it is known to have taken longer than that. Judges nothing.
//!
//! Faults that fall into a recovery are one disturbance with it: counting starts at the end of the last of them. [`super::bands`] says what a band is, [`super::series`] how a component is seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bands::Band;
use super::series::{Series, all_series};
use super::spans::FaultSpan;
use crate::clock::Offset;
use crate::history::operation::History;
use crate::scenario::plan::Plan;

/// Length of a window.
pub const WINDOW: Duration = Duration::from_millis(100);
/// Windows in a row that must lie inside the band.
pub const WINDOWS_IN_A_ROW: usize = 10;

/// Longest recovery, where the plan names none.
pub(super) const BUDGET: Duration = Duration::from_secs(5);

/// What must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Share of the orders due that got an answer about the order.
    Availability,
    /// 99th percentile of the response time of `create_order`, ms.
    P99Response,
    /// Outbox messages not yet handled.
    Backlog,
    /// Units by which Redis and the ledger differ.
    Drift,
    /// Age of the oldest lock, ms.
    OldestLock,
}

impl Component {
    /// A value of it with its unit: `99.0 %`, `12.0 ms`, `31`.
    #[must_use]
    pub fn figure(self, value: f64) -> String {
        match self {
            Self::Availability => format!("{:.1} %", value * 100.0),
            Self::P99Response | Self::OldestLock => format!("{value:.1} ms"),
            Self::Backlog | Self::Drift => format!("{value:.0}"),
        }
    }

    /// The name that people read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::P99Response => "p99 response",
            Self::Backlog => "backlog",
            Self::Drift => "drift",
            Self::OldestLock => "oldest lock",
        }
    }
}

/// When a component was back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Recovered {
    /// So long after counting began.
    After {
        /// The time, ms.
        ms: f64,
    },
    /// Not by the end of the observation: it took longer than this.
    NotWithin {
        /// How long it was watched, ms.
        watched_ms: f64,
    },
    /// It was not measured.
    Unmeasured {
        /// Why not.
        why: String,
    },
}

/// Recovery of one component from one fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentRecovery {
    /// Which.
    pub component: Component,
    /// The worst value that counts as recovered, in the unit of the component; absent if there was no baseline.
    pub limit: Option<f64>,
    /// When it was back.
    pub recovered: Recovered,
}

/// Recovery from one fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// The instant that all times count from: the heal of this fault, or of a later one that fell into its recovery.
    pub counted_from: Offset,
    /// Every component.
    pub components: Vec<ComponentRecovery>,
}

impl Recovery {
    /// The slowest component that was measured, and its time, ms; a time that is only known to be longer counts as what is known.
    #[must_use]
    pub fn worst(&self) -> Option<(&ComponentRecovery, f64)> {
        let known = self.components.iter().filter_map(|part| Some((part, known_ms(&part.recovered)?)));
        known.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

const fn known_ms(recovered: &Recovered) -> Option<f64> {
    match recovered {
        Recovered::After { ms } => Some(*ms),
        Recovered::NotWithin { watched_ms } => Some(*watched_ms),
        Recovered::Unmeasured { .. } => None,
    }
}

/// Longest recovery that the service promises of the fault with this number; `None` if it promises none. A fault that no plan names
/// has the default of 5 s.
#[must_use]
pub fn promised(plan: &Plan, fault: u32) -> Option<Duration> {
    match usize::try_from(fault).ok().and_then(|place| plan.scenario.faults.get(place)) {
        Some(window) => window.recovery_ms.map(Duration::from_millis),
        None => Some(BUDGET),
    }
}

/// The recovery from each span, in the same sequence; `None` for a fault that was never healed.
#[must_use]
pub fn recoveries(plan: &Plan, history: &History, spans: &[FaultSpan]) -> Vec<Option<Recovery>> {
    if spans.iter().all(|span| span.healed.is_none()) {
        return vec![None; spans.len()];
    }
    let series = all_series(history);
    let bands: Vec<Result<Band, String>> = series.iter().map(|series| Band::of(series, plan, history, spans)).collect();
    let watched = Watched { plan, series: &series, bands: &bands };
    spans.iter().map(|span| Some(watched.recovery(span.healed?, span, spans))).collect()
}

/// All components with their bands.
struct Watched<'a> {
    plan: &'a Plan,
    series: &'a [Series],
    bands: &'a [Result<Band, String>],
}

impl Watched<'_> {
    fn recovery(&self, healed: Offset, span: &FaultSpan, spans: &[FaultSpan]) -> Recovery {
        let mut counted_from = healed;
        loop {
            let recovery = self.from(counted_from);
            // A fault that comes after the promised time has no part in what happened before it.
            let budget_ends = counted_from.plus(promised(self.plan, span.id).unwrap_or(BUDGET));
            let slowest = recovery.worst().map_or(0.0, |(_, ms)| ms);
            let ends = counted_from.plus(Duration::from_secs_f64(slowest.max(0.0) / 1e3)).min(budget_ends);
            let disturbs = |other: &&FaultSpan| other.id != span.id && other.injected.is_some_and(|injected| injected <= ends);
            let later = spans.iter().filter(disturbs).filter_map(|other| other.healed).filter(|end| *end > counted_from).max();
            match later {
                Some(end) => counted_from = end,
                None => return self.without_what_others_hide(recovery, span, spans),
            }
        }
    }

    /// What had not come back when a fault began that was never healed is not known: the service may still have been hurt by that one.
    fn without_what_others_hide(&self, mut recovery: Recovery, span: &FaultSpan, spans: &[FaultSpan]) -> Recovery {
        let grace = Duration::from_millis(self.plan.scenario.promises.resolver_grace_ms);
        let budget = promised(self.plan, span.id).unwrap_or(BUDGET);
        let unhealed = spans.iter().filter(|other| other.healed.is_none());
        let Some((began, other)) = unhealed.filter_map(|other| Some((other.injected?, other))).min_by_key(|(began, _)| *began)
        else {
            return recovery;
        };
        for part in &mut recovery.components {
            let longest = if part.component == Component::OldestLock { budget + grace } else { budget };
            let Some(ms) = known_ms(&part.recovered) else { continue };
            let watch_ends = recovery.counted_from.plus(Duration::from_secs_f64(ms.max(0.0) / 1e3).min(longest));
            if began <= watch_ends {
                let why = format!("fault {} ({} on {}) was not healed meanwhile", other.id, other.kind, other.target);
                part.recovered = Recovered::Unmeasured { why };
            }
        }
        recovery
    }

    fn from(&self, counted_from: Offset) -> Recovery {
        let component = |(series, band): (&Series, &Result<Band, String>)| ComponentRecovery {
            component: series.component,
            limit: band.as_ref().ok().map(|band| band.limit),
            recovered: match band {
                Ok(band) => recovered(series, *band, counted_from),
                Err(why) => Recovered::Unmeasured { why: why.clone() },
            },
        };
        Recovery { counted_from, components: self.series.iter().zip(self.bands).map(component).collect() }
    }
}

/// The first window that opens a row of [`WINDOWS_IN_A_ROW`] inside the band. A window in which nothing was seen neither counts nor
/// breaks a row.
fn recovered(series: &Series, band: Band, from: Offset) -> Recovered {
    let (mut row, mut opened) = (0, 0_u32);
    for (index, value) in (0_u32..).zip(series.windows(from)) {
        match value {
            None => {}
            Some(value) if band.holds(value) => {
                opened = if row == 0 { index } else { opened };
                row += 1;
                if row == WINDOWS_IN_A_ROW {
                    return Recovered::After { ms: (WINDOW * opened).as_secs_f64() * 1e3 };
                }
            }
            Some(_) => row = 0,
        }
    }
    Recovered::NotWithin { watched_ms: series.ends.since(from).as_secs_f64() * 1e3 }
}
