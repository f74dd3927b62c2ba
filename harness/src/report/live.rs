//! The page of a run that goes on.
//!
//! In: the plan and what is on record so far. Out: the page of [`html`](super::html) with what can be measured by now. Nothing is judged:
//! a claim is only true of a run that has ended.

use super::figures::{count, rate};
use super::reload::told_identity;
use super::{OutcomeClass, Report, ReportError, RunOutcome, SCHEMA_VERSION, coverage, html};
use crate::history::operation::History;
use crate::history::standing::Standing;
use crate::invariants::Evidence;
use crate::measure::totals::last_event;
use crate::measure::{Measurements, measure};
use crate::scenario::plan::Plan;

/// The page of the run `run_id` as far as it has come.
///
/// # Errors
/// The page cannot be rendered.
pub fn page(plan: &Plan, history: History, run_id: &str) -> Result<String, ReportError> {
    let evidence = Evidence { plan: plan.clone(), history, stops: Vec::new(), damage: Vec::new(), edited: Vec::new() };
    let measurements = measure(&evidence.plan, &evidence.history);
    let report = Report {
        schema_version: SCHEMA_VERSION,
        outcome: RunOutcome {
            class: OutcomeClass::Inconclusive,
            exit: OutcomeClass::Inconclusive.exit_code(),
            sentence: sentence(&evidence, &measurements),
        },
        run: told_identity(run_id, &evidence.plan, &evidence.history, &evidence.stops),
        coverage: coverage::coverage(&evidence, &[], &measurements.points),
        findings: Vec::new(),
        measurements,
        not_tested: Vec::new(),
        warnings: Vec::new(),
    };
    html::render_live(&report, &evidence)
}

/// `Phase fault at 12.301 s. 5,020 of 60,000 arrivals were due. In force: kill on api-1. Backlog 12.`
fn sentence(evidence: &Evidence, measurements: &Measurements) -> String {
    let history = &evidence.history;
    let standing = Standing::of(history);
    let phase = history.phases.last().map_or("start", |mark| mark.what.name.name());
    let due: u64 = measurements.buckets.iter().map(|bucket| bucket.offered).sum();
    let faults: Vec<&str> = standing.faults().collect();
    let faults = if faults.is_empty() { "no fault".to_owned() } else { faults.join(", ") };
    let backlog = standing.backlog().map_or_else(|| "not read".to_owned(), rate);
    let planned = count(evidence.plan.arrivals.len() as u64);
    format!(
        "Phase {phase} at {}. {} of {planned} arrivals were due. In force: {faults}. Backlog: {backlog}.",
        last_event(history),
        count(due)
    )
}
