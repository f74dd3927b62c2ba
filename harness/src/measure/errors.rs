//! Errors by cause: every way in which an operation did not do what its user wanted, and whether a fault was in force then.
//!
//! In: a history and its disturbances. Out: [`ErrorCause`]s, most frequent first. A refusal for lack of stock is a correct answer and no
//! error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::disturbance::{Disturbance, disturbed};
use super::kind::Kind;
use super::outcome_names;
use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::{FailCode, Outcome};

/// Operations that ended for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCause {
    /// `create_order`, ...
    pub function: String,
    /// `fail` or `info`.
    pub class: String,
    /// The fail code or the cause of doubt.
    pub why: String,
    /// HTTP status, if one arrived.
    pub http: Option<u16>,
    /// How many.
    pub count: u64,
    /// Of those, how many were touched by a fault or by the recovery from one.
    pub disturbed: u64,
    /// When the first was sent.
    pub first: Offset,
    /// Order of the first; empty where none applies.
    pub example: String,
}

/// All causes of a run.
#[must_use]
pub fn errors(history: &History, faults: &[Disturbance]) -> Vec<ErrorCause> {
    let spans = disturbed(faults);
    let touched = |op: &Operation| {
        let ends = op.answered.unwrap_or(Offset(u64::MAX));
        spans.iter().any(|(from, to)| op.due <= *to && ends >= *from)
    };
    let mut causes = BTreeMap::<_, ErrorCause>::new();
    for op in history.operations.iter().filter(|op| is_error(op.outcome)) {
        let cause = causes.entry((Kind::of(op), op.outcome, op.http)).or_insert_with(|| {
            let (class, why) = outcome_names(op.outcome);
            let (function, example) = (Kind::of(op).name(), op.order.to_string());
            ErrorCause { function, class, why, http: op.http, count: 0, disturbed: 0, first: op.sent, example }
        });
        cause.count += 1;
        cause.disturbed += u64::from(touched(op));
    }
    let mut causes: Vec<ErrorCause> = causes.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    causes
}

const fn is_error(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Ok | Outcome::Fail(FailCode::SoldOut))
}
