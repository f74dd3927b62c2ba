//! The kill-point matrix of a report: what was met, and what became of the orders that were caught.
//!
//! In: evidence, findings and measured cells. Out: [`CoverageCell`]s. The fate of an order is what the stores show at rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::invariants::{Evidence, Fate, Finding, fates};
use crate::measure::coverage::PointCell;

/// One cell with what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoverageCell {
    /// What was met.
    #[serde(flatten)]
    pub cell: PointCell,
    /// Orders that were caught, by their fate at rest.
    pub fates: BTreeMap<Fate, u64>,
    /// Kept counter-examples of any claim that name an order that was caught here.
    pub violations: u64,
}

/// How a cell is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellState {
    /// Met, and its fault bit.
    Hit,
    /// Asked for and not met, or met by a fault that did not bite: the run is inconclusive.
    Empty,
    /// The service can never be met there.
    Unreachable,
}

impl CoverageCell {
    /// How it is shown.
    #[must_use]
    pub const fn state(&self) -> CellState {
        match (&self.cell.unreachable, self.cell.bitten) {
            (Some(_), 0) => CellState::Unreachable,
            (None, 0) => CellState::Empty,
            (_, _) => CellState::Hit,
        }
    }
}

/// The matrix of a run, by point and action.
#[must_use]
pub fn coverage(evidence: &Evidence, findings: &[Finding], cells: &[PointCell]) -> Vec<CoverageCell> {
    if cells.is_empty() {
        return Vec::new();
    }
    let caught: BTreeSet<&str> = cells.iter().flat_map(|cell| &cell.orders).map(String::as_str).collect();
    let fates = fates(evidence, caught.into_iter());
    let violations: Vec<&Vec<String>> =
        findings.iter().flat_map(|finding| finding.verdict.violations()).map(|found| &found.orders).collect();
    let judged = |cell: &PointCell| {
        let mut by_fate = BTreeMap::new();
        for fate in cell.orders.iter().filter_map(|order| fates.get(order)) {
            *by_fate.entry(*fate).or_insert(0) += 1;
        }
        let names = |orders: &&&Vec<String>| orders.iter().any(|order| cell.orders.contains(order));
        CoverageCell { cell: cell.clone(), fates: by_fate, violations: violations.iter().filter(names).count() as u64 }
    };
    cells.iter().map(judged).collect()
}
