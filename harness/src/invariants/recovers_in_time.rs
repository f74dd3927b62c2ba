//! After each fault that was healed, the service is itself again within the time that it promises.
//!
//! Components: availability, p99 response, backlog, drift, oldest lock; each against the band of the run's own baseline
//! ([`measure::recovery`](crate::measure::recovery)). Locks have the resolver's grace on top. A component that was watched for its whole
//! budget and was not back is right-censored, and violates. One that the run watched for less than its budget says nothing, nor does one
//! that nobody recorded, nor a fault that did not bite.

use std::time::Duration;

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::faults_bit::name;
use super::story;
use super::verdict::{Verdict, Violation};
use crate::measure::disturbance::Disturbance;
use crate::measure::recovery::{Component, ComponentRecovery, Recovered, Recovery};

pub(crate) const CLAIM: Claim = Claim {
    name: "recovers_in_time",
    sentence: "After every fault, availability, p99, backlog, drift and locks are back in the band of the baseline within the promised time.",
    required: true,
    needs: &[Part::History],
    uses: &[],
    examine,
};

/// What is known of one component after one fault.
enum Answer {
    InTime,
    Late(Violation),
    Open(String),
}

fn examine(case: &Case<'_>) -> Examination {
    let faults = case.faults();
    let promising: Vec<&Disturbance> = faults.iter().filter(|fault| fault.promised_ms.is_some()).collect();
    if promising.is_empty() {
        return Examination::not_applicable("no fault was injected of which the service promises a recovery");
    }
    let (mut in_time, mut late, mut open) = (0, Vec::new(), Vec::new());
    for fault in &promising {
        for answer in answers(case, fault) {
            match answer {
                Answer::InTime => in_time += 1,
                Answer::Late(violation) => late.push(violation),
                Answer::Open(why) => open.push(format!("{}: {why}", name(fault))),
            }
        }
    }
    let (faults, late_ones) = (promising.len(), late.len());
    let looked_at = format!("after faults: {faults}; figures back in time: {in_time}, not: {late_ones}, not known: {}", open.len());
    let examined = (in_time + late.len()) as u64;
    let verdict = match open.first() {
        Some(why) if late.is_empty() => Verdict::unknown(why),
        _ => Verdict::from_violations(examined, late),
    };
    Examination::new(looked_at, verdict)
}

fn answers(case: &Case<'_>, fault: &Disturbance) -> Vec<Answer> {
    if let Some(why) = &fault.toothless {
        return vec![Answer::Open(format!("it did not bite, {why}"))];
    }
    match &fault.recovery {
        None => vec![Answer::Open("it was never healed".to_owned())],
        Some(recovery) => recovery.components.iter().map(|part| answer(case, fault, recovery, part)).collect(),
    }
}

fn answer(case: &Case<'_>, fault: &Disturbance, recovery: &Recovery, part: &ComponentRecovery) -> Answer {
    let grace_ms = if part.component == Component::OldestLock { case.evidence.scenario().promises.resolver_grace_ms } else { 0 };
    let budget = Duration::from_millis(fault.promised_ms.unwrap_or_default().saturating_add(grace_ms));
    let budget_ms = budget.as_secs_f64() * 1e3;
    let component = part.component.name();
    match &part.recovered {
        Recovered::After { ms } if *ms <= budget_ms => Answer::InTime,
        Recovered::After { ms } => {
            Answer::Late(tell(case, fault, recovery, part, (&format!("was back within its band {:.1} s", ms / 1e3), budget)))
        }
        Recovered::NotWithin { watched_ms } if *watched_ms >= budget_ms => Answer::Late(tell(
            case,
            fault,
            recovery,
            part,
            (&format!("was not back within its band, watched for {:.1} s", watched_ms / 1e3), budget),
        )),
        Recovered::NotWithin { watched_ms } => {
            let (watched, budget) = (watched_ms / 1e3, budget_ms / 1e3);
            Answer::Open(format!("{component} was not back, and was watched for {watched:.1} s only of the promised {budget:.1} s"))
        }
        Recovered::Unmeasured { why } => Answer::Open(format!("{component} is not known: {why}")),
    }
}

fn tell(
    case: &Case<'_>,
    fault: &Disturbance,
    recovery: &Recovery,
    part: &ComponentRecovery,
    (came, budget): (&str, Duration),
) -> Violation {
    let limit = part.component.figure(part.limit.unwrap_or_default());
    let what = format!(
        "{}: {} {came} after its heal at {}, limit {limit}; {:.1} s are promised",
        name(fault),
        part.component.name(),
        recovery.counted_from,
        budget.as_secs_f64()
    );
    story::of_time(case, fault.span.injected, recovery.counted_from, what)
}
