//! Readings over time: what was sampled while the run went on.
//!
//! In: a history. Out: one [`ReadingCurve`] for each name and owner, of at most 600 points; a curve with more keeps the largest of each
//! group, so that no spike is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rates::NO_CURVES;
use crate::history::operation::History;

/// Most points of a curve.
const POINTS_MAX: usize = 600;
/// Most curves: a sale of thousands of items samples each, and nobody reads thousands of curves.
const CURVES_MAX: usize = 64;

/// One reading of one owner over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadingCurve {
    /// What was read: `cpu_percent`, `outbox_new`, ...
    pub name: String,
    /// Of whom; empty for the run as a whole.
    pub of: String,
    /// Readings taken, before any was left out.
    pub count: u64,
    /// Mean of all readings.
    pub mean: f64,
    /// Largest of all readings.
    pub max: f64,
    /// Time in ms from the start of the run, and value.
    pub points: Vec<(u64, f64)>,
}

/// The curves by name and owner, at most 64. A reading that is no number, and what makes no curve, is left out.
#[must_use]
pub fn curves(history: &History) -> Vec<ReadingCurve> {
    let mut values: BTreeMap<(&str, &str), Vec<(u64, f64)>> = BTreeMap::new();
    let drawn = |name: &str| !NO_CURVES.contains(&name);
    for sample in history.samples.iter().filter(|sample| sample.what.value.is_finite() && drawn(&sample.what.name)) {
        let point = (sample.at.nanos() / 1_000_000, sample.what.value);
        values.entry((&sample.what.name, &sample.what.of)).or_default().push(point);
    }
    values.into_iter().take(CURVES_MAX).map(|((name, of), points)| curve(name, of, &points)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn curve(name: &str, of: &str, points: &[(u64, f64)]) -> ReadingCurve {
    let values = || points.iter().map(|point| point.1);
    let group = points.len().div_ceil(POINTS_MAX).max(1);
    let largest = |group: &[(u64, f64)]| group.iter().copied().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    ReadingCurve {
        name: name.to_owned(),
        of: of.to_owned(),
        count: points.len() as u64,
        mean: values().sum::<f64>() / points.len().max(1) as f64,
        max: values().fold(f64::MIN, f64::max),
        points: points.chunks(group).filter_map(largest).collect(),
    }
}
