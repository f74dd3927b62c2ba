//! Weighs the findings of a run to one class and one exit code.
//!
//! In: findings, and what is known of the run and its evidence. Out: [`RunOutcome`]. Precedence, strongest first: interrupted,
//! violated, rig failed, inconclusive, budget missed, held. A violation is not masked by a rig that failed, because a claim whose
//! evidence is unsound comes as unknown, not as violated.

use super::{OutcomeClass, RunIdentity, RunOutcome};
use crate::invariants::{EVIDENCE_IS_SOUND, Evidence, Finding, SERVICE_LEVELS, Verdict};
use crate::snapshot::Rest;

/// What a violated finding means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The service broke a claim.
    Claim,
    /// The service missed a budget.
    ServiceLevel,
    /// The evidence cannot be believed.
    Soundness,
}

/// What it means if the claim `invariant` is violated.
#[must_use]
pub fn weight(invariant: &str) -> Weight {
    match invariant {
        EVIDENCE_IS_SOUND => Weight::Soundness,
        name if SERVICE_LEVELS.contains(&name) => Weight::ServiceLevel,
        _ => Weight::Claim,
    }
}

/// The class of a run, its exit code and its one sentence.
#[must_use]
pub fn outcome(identity: &RunIdentity, findings: &[Finding], evidence: &Evidence) -> RunOutcome {
    let (class, sentence) = judged(identity, findings, evidence);
    RunOutcome { class, exit: class.exit_code(), sentence }
}

fn judged(identity: &RunIdentity, findings: &[Finding], evidence: &Evidence) -> (OutcomeClass, String) {
    let violated = violated_names(findings, Weight::Claim);
    if identity.interrupted {
        return (OutcomeClass::Interrupted, interrupted_sentence(&violated));
    }
    if !violated.is_empty() {
        return (OutcomeClass::Violated, violated_sentence(findings, &violated));
    }
    if let Some(why) = rig_failure(identity, findings, evidence) {
        return (OutcomeClass::RigFailed, format!("The run proves nothing, because the rig failed: {why}."));
    }
    if let Some(why) = doubt(findings, evidence) {
        return (OutcomeClass::Inconclusive, format!("No claim is violated, but the run is not conclusive: {why}."));
    }
    match violated_names(findings, Weight::ServiceLevel).as_slice() {
        [] => (OutcomeClass::Held, held_sentence(findings)),
        missed => (OutcomeClass::BudgetMissed, format!("Every claim held, but a service level was missed: {}.", missed.join(", "))),
    }
}

fn violated_names<'a>(findings: &'a [Finding], wanted: Weight) -> Vec<&'a str> {
    let violated = |finding: &&'a Finding| finding.verdict.is_violated() && weight(&finding.invariant) == wanted;
    findings.iter().filter(violated).map(|finding| finding.invariant.as_str()).collect()
}

fn interrupted_sentence(violated: &[&str]) -> String {
    match violated {
        [] => "The run was interrupted; what it had seen until then violates no claim, and proves none.".to_owned(),
        names => format!("The run was interrupted, and what it had seen until then violates {}.", names.join(", ")),
    }
}

fn violated_sentence(findings: &[Finding], names: &[&str]) -> String {
    let worst = findings.iter().find(|finding| Some(&finding.invariant.as_str()) == names.first());
    let example = worst.and_then(|finding| finding.verdict.violations().first()).map(|violation| violation.what.as_str());
    let claims = if names.len() == 1 { "1 claim is violated".to_owned() } else { format!("{} claims are violated", names.len()) };
    match example {
        Some(what) => format!("{claims}: {}. First: {}", names.join(", "), what),
        None => format!("{claims}: {}.", names.join(", ")),
    }
}

fn held_sentence(findings: &[Finding]) -> String {
    let held = findings.iter().filter(|finding| finding.verdict.is_held()).count();
    let unknown: Vec<&str> =
        findings.iter().filter(|finding| finding.verdict.is_unknown()).map(|finding| finding.invariant.as_str()).collect();
    let unjudged = match unknown.as_slice() {
        [] => String::new(),
        names => format!("; not judged, and not required: {}", names.join(", ")),
    };
    match findings.len() - unknown.len() - held {
        0 => format!("All {held} claims that were judged held{unjudged}."),
        without => format!("All {held} claims that apply and were judged held; {without} had nothing to judge{unjudged}."),
    }
}

/// Why the rig, not the service, is to blame.
fn rig_failure(identity: &RunIdentity, findings: &[Finding], evidence: &Evidence) -> Option<String> {
    let unsound = findings.iter().find(|finding| finding.invariant == EVIDENCE_IS_SOUND && finding.verdict.is_violated());
    let first = |finding: &Finding| finding.verdict.violations().first().map(|violation| trimmed(&violation.what));
    let unsound = unsound.map(|finding| first(finding).unwrap_or_else(|| "the evidence is unsound".to_owned()));
    let texts = [&identity.rig_errors, &evidence.damage, &evidence.history.problems];
    texts.into_iter().find_map(|texts| texts.first()).map(|text| trimmed(text)).or(unsound)
}

/// Why a run without a violation still says nothing.
fn doubt(findings: &[Finding], evidence: &Evidence) -> Option<String> {
    let unknown = findings.iter().find_map(|finding| match &finding.verdict {
        Verdict::Unknown { why } if finding.required => Some(format!("{} is unknown, {}", finding.invariant, trimmed(why))),
        _ => None,
    });
    let nothing = (!findings.iter().any(|finding| finding.verdict.is_held())).then(|| "no claim could be judged".to_owned());
    let edited = evidence.edited.first().map(|text| trimmed(text));
    let cut_off = evidence.history.tail.is_none().then(|| "the history has no end, so the harness died".to_owned());
    unknown.or(edited).or(cut_off).or_else(|| unsettled(evidence)).or(nothing)
}

fn unsettled(evidence: &Evidence) -> Option<String> {
    evidence.stops.iter().find_map(|stop| match stop.quiescence.rest {
        Rest::Slow => Some(format!("the backlog after the {} was still falling when the wait ended", stop.after)),
        Rest::Unread => Some(format!("a store could not be read after the {}", stop.after)),
        Rest::Quiesced | Rest::Stuck => None,
    })
}

/// Text without its final stop, to stand inside a sentence.
fn trimmed(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}
