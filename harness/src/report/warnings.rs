//! What a reader must know before believing a report.
//!
//! In: evidence, identity, measurements. Out: sentences for the top of every form of the report. Weighs nothing.

use super::RunIdentity;
use super::figures::{count, plural};
use crate::history::record::ShedCause;
use crate::invariants::Evidence;
use crate::measure::Measurements;
use crate::snapshot::Rest;

/// Fewer operations than this have no percentiles worth the name.
const FEW: u64 = 100;

/// All warnings of a run; empty for an ordinary one.
#[must_use]
pub fn warnings(evidence: &Evidence, identity: &RunIdentity, measurements: &Measurements) -> Vec<String> {
    let edited = evidence.edited.iter().map(|text| format!("Changed evidence: {text}."));
    let damage = evidence.damage.iter().map(|text| format!("Damaged evidence: {text}."));
    let problems = evidence.history.problems.iter().map(|text| format!("Broken history: {text}."));
    let rig = identity.rig_errors.iter().map(|text| format!("Rig failure: {text}."));
    let mut warnings: Vec<String> = edited.chain(damage).chain(problems).chain(rig).collect();
    warnings.extend(cut_off(evidence));
    warnings.extend(unsettled(evidence));
    warnings.extend(generator(evidence, measurements));
    warnings.extend(measurements.faults.iter().filter_map(|fault| {
        let why = fault.toothless.as_ref()?;
        Some(format!("Fault {} ({} on {}) did not bite: {why}.", fault.span.id, fault.span.kind, fault.span.target))
    }));
    warnings.extend(closed_loop(evidence.scenario().limits.clients));
    warnings.extend(few(evidence.history.operations.len() as u64));
    warnings
}

/// Response times that are no buyer's.
fn closed_loop(clients: u32) -> Option<String> {
    let sent = plural(u64::from(clients), "client", "clients");
    (clients > 0).then(|| {
        format!("Closed loop: {sent}, each sending its next order once the last was answered. The response times are those of saturation, not of a rate.")
    })
}

/// A history too short for its figures to mean anything.
fn few(operations: u64) -> Option<String> {
    match operations {
        0 => Some("The history holds no operation.".to_owned()),
        1..FEW => Some(format!(
            "The history holds {} in all: its percentiles mean little.",
            plural(operations, "operation", "operations")
        )),
        _ => None,
    }
}

fn cut_off(evidence: &Evidence) -> Vec<String> {
    let open = evidence.history.open().count() as u64;
    let tail = evidence.history.tail.is_none().then(|| {
        format!(
            "The run was cut off: its history has no end. {} without a recorded answer.",
            plural(open, "operation is", "operations are")
        )
    });
    let stops = evidence.stops.is_empty().then(|| "There is no snapshot: claims about the stores cannot be judged.".to_owned());
    tail.into_iter().chain(stops).collect()
}

fn unsettled(evidence: &Evidence) -> Vec<String> {
    let text = |rest: Rest| match rest {
        Rest::Quiesced => None,
        Rest::Stuck => Some("stopped falling before it was empty"),
        Rest::Slow => Some("was still falling when the wait ended"),
        Rest::Unread => Some("could not be read"),
    };
    let line = |stop: &crate::snapshot::Stop| {
        let left = &stop.quiescence.backlog;
        let (outbox, locks, sales) = (count(left.outbox_new), count(left.locks), count(left.sales_in_lock));
        let what = text(stop.quiescence.rest)?;
        let unpaid = if left.unpaid > 0 { format!(", unpaid orders {}", count(left.unpaid)) } else { String::new() };
        Some(format!("The backlog after the {} {what}: outbox {outbox}, locks {locks}, sales in LOCK {sales}{unpaid}.", stop.after))
    };
    evidence.stops.iter().filter_map(line).collect()
}

fn generator(evidence: &Evidence, measurements: &Measurements) -> Vec<String> {
    let generator = &measurements.generator;
    let interrupted = evidence.history.sheds.iter().filter(|shed| shed.what.why == ShedCause::Interrupted).count() as u64;
    let shed = (generator.shed > 0).then(|| {
        format!("The generator shed {} of {} arrivals for want of a slot.", count(generator.shed), count(generator.planned))
    });
    let unsent = (interrupted > 0)
        .then(|| format!("{} never sent, because the run was interrupted.", plural(interrupted, "arrival was", "arrivals were")));
    shed.into_iter().chain(unsent).collect()
}
