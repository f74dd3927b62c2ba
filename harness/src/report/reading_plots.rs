//! Which plots of readings a page draws, and what stands in them.
//!
//! In: measured reading curves. Out: [`ReadingPlot`]s, those that matter for recovery first. A reading of no known name gets a plot of its
//! own: nothing that was recorded is hidden.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charts::rounded;
use crate::measure::readings::ReadingCurve;
use crate::measure::series::{BACKLOG_SAMPLE, DRIFT_SAMPLE, OLDEST_LOCK_SAMPLE};
use crate::measure::stalls::STALL_SAMPLE;

/// A plot of readings over time.
#[derive(Debug, Serialize)]
pub(super) struct ReadingPlot {
    /// Name of its place on the page.
    pub(super) id: String,
    /// What people read above it.
    pub(super) title: String,
    unit: &'static str,
    series: Vec<ReadingSeries>,
}

#[derive(Debug, Serialize)]
struct ReadingSeries {
    label: String,
    at: Vec<f64>,
    value: Vec<f64>,
}

/// Sample name, plot, title, unit.
const KNOWN: [(&str, &str, &str, &str); 8] = [
    (STALL_SAMPLE, "stalls", "Stalls of the machine: how late a thread woke that had asked for 4 ms", "ms"),
    (BACKLOG_SAMPLE, "backlog", "Backlog: outbox messages not yet handled, and locks in Redis", ""),
    ("locks", "backlog", "Backlog: outbox messages not yet handled, and locks in Redis", ""),
    (DRIFT_SAMPLE, "drift", "Drift: units by which Redis and the ledger differ", "units"),
    (OLDEST_LOCK_SAMPLE, "oldest-lock", "Age of the oldest lock", "ms"),
    ("cpu_percent", "cpu", "CPU of each process, percent of one core", "%"),
    ("memory_mib", "memory", "Memory of each process", "MiB"),
    ("canary_ms", "canary", "Round trip of the canary through the proxy of each process", "ms"),
];

/// The plots of a run, in the order of the page.
pub(super) fn plots(curves: &[ReadingCurve]) -> Vec<ReadingPlot> {
    let mut plots: BTreeMap<(usize, String), ReadingPlot> = BTreeMap::new();
    for curve in curves.iter().filter(|curve| !curve.points.is_empty() && curve.name != "alert") {
        let known = KNOWN.iter().enumerate().find(|(_, known)| known.0 == curve.name);
        let words = curve.name.replace('_', " ");
        let (rank, id, title, unit) = match known {
            Some((rank, (_, id, title, unit))) => (rank, (*id).to_owned(), (*title).to_owned(), *unit),
            None => (KNOWN.len(), format!("other-{}", curve.name), words.clone(), ""),
        };
        let rank = KNOWN.iter().position(|other| other.1 == id).unwrap_or(rank);
        let label = if curve.of.is_empty() { words } else { curve.of.clone() };
        let plot = plots.entry((rank, id.clone())).or_insert_with(|| ReadingPlot { id, title, unit, series: Vec::new() });
        plot.series.push(ReadingSeries {
            label,
            at: curve.points.iter().map(|(at, _)| seconds(*at)).collect(),
            value: curve.points.iter().map(|(_, value)| rounded(*value)).collect(),
        });
    }
    plots.into_values().collect()
}

#[expect(clippy::cast_precision_loss, reason = "a place on an axis")]
fn seconds(at_ms: u64) -> f64 {
    rounded(at_ms as f64 / 1e3)
}
