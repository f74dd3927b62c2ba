//! Which kill points were met, and what was done there: the matrix of point × action.
//!
//! In: plan, history and its disturbances. Out: [`PointCell`]s. What became of the orders that were caught is not here: that needs the
//! stores, and is judged.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::disturbance::Disturbance;
use crate::history::operation::{History, Timed};
use crate::history::record::PointMark;
use crate::scenario::faults::{Fault, PointAction};
use crate::scenario::plan::Plan;

/// A note with this word and the fields `name` and `why` says that the service can never be met at a point.
pub const UNREACHABLE_NOTE: &str = "point_unreachable";

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointCell {
    /// Name of the kill point.
    pub point: String,
    /// What was, or should have been, done there.
    pub action: PointAction,
    /// Whether the plan asks for it.
    pub required: bool,
    /// Why the service can never be met there; absent if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// How often it was done.
    pub hits: u64,
    /// Of those, hits whose fault is proven to have bitten.
    pub bitten: u64,
    /// Orders that held frames named, each once.
    pub orders: Vec<String>,
    /// Processes hit: role and pid.
    pub processes: Vec<String>,
    /// Longest hold of a frame, ms.
    pub held_max_ms: f64,
    /// Slowest recovery from the faults of this cell, ms; absent if none was measured.
    pub worst_recovery_ms: Option<f64>,
}

/// Every cell that the plan asks for or that was met, by point and action.
#[must_use]
pub fn points(plan: &Plan, history: &History, faults: &[Disturbance]) -> Vec<PointCell> {
    let mut cells: BTreeMap<(&str, PointAction), Vec<&Timed<PointMark>>> = BTreeMap::new();
    let mut required: BTreeSet<(&str, PointAction)> = BTreeSet::new();
    for window in &plan.scenario.faults {
        if let Fault::Point { point, action, .. } = &window.fault {
            required.insert((point, *action));
            cells.entry((point, *action)).or_default();
        }
    }
    for mark in &history.points {
        cells.entry((&mark.what.name, mark.what.action)).or_default().push(mark);
    }
    let cell = |((point, action), marks): ((&str, PointAction), Vec<&Timed<PointMark>>)| {
        let of = |fault: u32| faults.iter().find(move |known| known.span.id == fault);
        let bitten = marks.iter().filter(|mark| of(mark.what.fault).is_some_and(|fault| fault.toothless.is_none()));
        let recoveries = marks.iter().filter_map(|mark| of(mark.what.fault)?.recovery.as_ref()?.worst().map(|(_, ms)| ms));
        let orders: BTreeSet<&String> = marks.iter().flat_map(|mark| &mark.what.orders).collect();
        let processes: BTreeSet<String> = marks.iter().map(|mark| format!("{} pid {}", mark.what.role, mark.what.pid)).collect();
        let held_ns = marks.iter().map(|mark| mark.what.held_ns).max().unwrap_or_default();
        PointCell {
            point: point.to_owned(),
            action,
            required: required.contains(&(point, action)),
            unreachable: unreachable(history, point),
            hits: marks.len() as u64,
            bitten: bitten.count() as u64,
            orders: orders.into_iter().cloned().collect(),
            processes: processes.into_iter().collect(),
            held_max_ms: std::time::Duration::from_nanos(held_ns).as_secs_f64() * 1e3,
            worst_recovery_ms: recoveries.max_by(f64::total_cmp),
        }
    };
    cells.into_iter().map(cell).collect()
}

fn unreachable(history: &History, point: &str) -> Option<String> {
    let notes = history.notes.iter().map(|note| &note.what).filter(|(what, _)| what == UNREACHABLE_NOTE);
    let text = |detail: &serde_json::Value, field: &str| detail.get(field).and_then(serde_json::Value::as_str).map(str::to_owned);
    let why = |detail: &serde_json::Value| text(detail, "why").unwrap_or_else(|| "the service never passes it".to_owned());
    notes.into_iter().find(|(_, detail)| text(detail, "name").as_deref() == Some(point)).map(|(_, detail)| why(detail))
}
