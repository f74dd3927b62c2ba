//! A service process that is told to end ends by itself, with exit code 0, within its time.
//!
//! Judged are the ends that a planned SIGTERM asked for, as the kernel told them to the parent. A process that was still there after 10 s
//! was killed, and ended with a signal. How a store ends is nobody's promise here.

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::story;
use super::verdict::{Verdict, Violation};
use crate::clock::Offset;
use crate::history::operation::Timed;
use crate::history::record::{ProcMark, ProcStep};
use crate::measure::disturbance::Disturbance;
use crate::scenario::faults::{Fault, Target};

pub(crate) const CLAIM: Claim = Claim {
    name: "stops_cleanly",
    sentence: "Every service process that a fault told to end (SIGTERM) ended by itself within 10 s, with exit code 0.",
    required: true,
    needs: &[Part::History],
    uses: &[],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let planned = (0_u32..).zip(&case.evidence.scenario().faults);
    let of_service = |target: Target| !matches!(target, Target::Redis | Target::Mysql);
    let windows: Vec<(u32, Target)> = planned
        .filter(|(_, window)| window.fault == Fault::Terminate && of_service(window.target))
        .map(|(id, window)| (id, window.target))
        .collect();
    if windows.is_empty() {
        return Examination::not_applicable("no fault told a service process to end");
    }
    let (mut clean, mut violations, mut open) = (0_u64, Vec::new(), Vec::new());
    for (id, target) in windows {
        let told = case.faults().iter().find(|fault| fault.span.id == id).map(|fault| told_to_end(case, fault, target));
        let told = told.unwrap_or_default();
        if told.is_empty() {
            open.push(format!("fault {id} (terminate on {target}) told no process to end"));
        }
        for mark in told {
            let ProcMark { role, pid, .. } = &mark.what;
            match end_of(case, mark) {
                None => open.push(format!("{role} (pid {pid}) was told to end by fault {id}, and its end is not on record")),
                Some(end) if end.what.detail == "exit code 0" => clean += 1,
                Some(end) => violations.push(tell(case, id, mark, end)),
            }
        }
    }
    let examined = clean + violations.len() as u64;
    let looked_at = format!("{examined} processes that were told to end, {} open", open.len());
    let verdict = match open.first() {
        Some(why) if violations.is_empty() => Verdict::unknown(why),
        _ => Verdict::from_violations(examined, violations),
    };
    Examination::new(looked_at, verdict)
}

/// The orders to end that a fault gave, until it was healed.
fn told_to_end<'c>(case: &'c Case<'_>, fault: &Disturbance, target: Target) -> Vec<&'c Timed<ProcMark>> {
    let roles = target.roles(case.evidence.scenario().processes);
    let from = fault.span.armed.or(fault.span.injected).unwrap_or_default();
    let to = fault.span.healed.unwrap_or(Offset(u64::MAX));
    let ordered = |mark: &&Timed<ProcMark>| {
        let by_fault = (from..=to).contains(&mark.at) && roles.contains(&mark.what.role);
        by_fault && mark.what.step == ProcStep::Signalled && mark.what.detail == "SIGTERM"
    };
    case.evidence.history.processes.iter().filter(ordered).collect()
}

fn end_of<'c>(case: &'c Case<'_>, told: &Timed<ProcMark>) -> Option<&'c Timed<ProcMark>> {
    let its_end = |mark: &&Timed<ProcMark>| {
        mark.at >= told.at
            && mark.what.step == ProcStep::Exited
            && mark.what.role == told.what.role
            && mark.what.pid == told.what.pid
    };
    case.evidence.history.processes.iter().find(its_end)
}

fn tell(case: &Case<'_>, fault: u32, told: &Timed<ProcMark>, end: &Timed<ProcMark>) -> Violation {
    let what = format!(
        "{} (pid {}) was told to end by fault {fault} and ended with {} after {:.1} s; exit code 0 within 10 s is promised",
        told.what.role,
        told.what.pid,
        end.what.detail,
        end.at.since(told.at).as_secs_f64()
    );
    story::of_time(case, Some(told.at), end.at, what)
}
