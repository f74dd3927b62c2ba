//! Service level: the share of `create_order` in the baseline phase that got no answer.
//!
//! An answer is an order, or a refusal that is about the order: sold out, a limit, a wrong body. No answer is a timeout, a lost
//! connection, a reply that says nothing, a 5xx, a refused connection, and a refusal by which the service only protects itself
//! (`throttled`, `not_admitted`): the buyer has nothing. A service that answers nobody oversells nothing and is fast, so the other
//! claims hold on it.

use std::collections::BTreeMap;

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::story;
use super::verdict::{Verdict, Violation};
use super::words::{doubt, refusal};
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Function, OpId, Outcome};
use crate::scenario::Phase;

pub(crate) const CLAIM: Claim = Claim {
    name: "answers_without_error",
    sentence: "At most 1 % of create_order in the baseline phase get no answer: an error, a timeout, or a refusal out of overload.",
    required: false,
    needs: &[Part::History],
    uses: &[],
    examine,
};

/// Largest share without an answer, in percent: what a p99 leaves out. Beyond it the p99 of what buyers feel is no answer at all,
/// however fast the others are; and the baseline phase has no fault that would explain more.
const ERRORS_MAX_PERCENT: usize = 1;
/// Fewest orders sent of which a share of one in a hundred can be judged.
const SAMPLES_MIN: usize = 1_000;
/// Operations that a violation names at most.
const OPERATIONS_NAMED: usize = 20;

fn examine(case: &Case<'_>) -> Examination {
    let (mut sent, mut errors, mut causes) = (0_usize, Vec::new(), BTreeMap::<String, usize>::new());
    for op in case.evidence.history.of(Function::CreateOrder).filter(|op| op.phase == Phase::Baseline) {
        sent += 1;
        if let Some(cause) = error(op) {
            errors.push(op.id);
            *causes.entry(cause).or_default() += 1;
        }
    }
    let looked_at = format!("{sent} orders sent in the baseline phase, {} without an answer", errors.len());
    if sent < SAMPLES_MIN {
        return Examination::unknown(
            looked_at,
            format!("{sent} orders in the baseline phase, {SAMPLES_MIN} are needed for a share"),
        );
    }
    let missed = errors.len() * 100 > sent * ERRORS_MAX_PERCENT;
    let violation = missed.then(|| too_many(case, sent, &errors, &causes));
    Examination::new(looked_at, Verdict::from_violations(sent as u64, violation.into_iter().collect()))
}

/// Why an operation got no answer; `None` if it got one.
fn error(op: &Operation) -> Option<String> {
    match op.outcome {
        Outcome::Info(cause) => Some(doubt(cause)),
        Outcome::Fail(code @ (FailCode::Throttled | FailCode::NotAdmitted | FailCode::NotSent)) => Some(refusal(code)),
        Outcome::Ok | Outcome::Fail(_) => op.http.filter(|status| *status >= 500).map(|status| format!("HTTP {status}")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of at most 5000000 arrivals")]
fn too_many(case: &Case<'_>, sent: usize, errors: &[OpId], causes: &BTreeMap<String, usize>) -> Violation {
    let share = errors.len() as f64 * 100.0 / sent as f64;
    let causes: Vec<String> = causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    let what = format!(
        "create_order: {} of {sent} got no answer, {share:.2} %, at most {ERRORS_MAX_PERCENT} % may: {}",
        errors.len(),
        causes.join(", ")
    );
    let first = errors.first().map(|op| story::of_operation(case, *op, what)).unwrap_or_default();
    Violation { operations: errors.iter().copied().take(OPERATIONS_NAMED).collect(), ..first }
}
