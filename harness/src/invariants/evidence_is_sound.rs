//! The evidence can be trusted: files whole, rules of the history kept, every snapshot of one moment, no fault left over.
//!
//! Files that can be read but were edited since the run are not looked at here: they are judged as they stand, and the outcome of the
//! run weighs [`Evidence::edited`], so that it can convict but not acquit.
//!
//! In: [`Evidence`]. Out: its [`Problem`]s, each with the part of the evidence that it spoils. What a spoiled part does to the
//! other claims is decided in [`claim`](super::claim).
//!
//! One case of docs/verification.md 8 cannot arise here and is not looked for: that clients alone convict while clients plus ledger
//! acquit. Patching only turns doubt into certainty (see [`linearizable`](super::linearizable)), so it never acquits. A ledger that
//! contradicts its clients shows in `acknowledged_is_durable` and `rejected_left_no_trace`.

use std::collections::{BTreeMap, HashMap};

use super::case::Case;
use super::claim::{Claim, Examination, Part, Violations};
use super::evidence::Evidence;
use super::verdict::Violation;
use crate::history::operation::Operation;
use crate::history::record::{FaultMark, FaultStep};
use crate::scenario::ItemId;
use crate::snapshot::Stop;

pub(crate) const CLAIM: Claim = Claim {
    name: "evidence_is_sound",
    sentence: "The history is whole, every snapshot is of one moment, the sale opened as planned and no fault was left behind.",
    required: true,
    needs: &[],
    uses: &[],
    examine,
};

/// Ledger id of the restock that opens a sale.
pub(crate) const OPENING_ID: &str = "rst.open";

/// Something that makes a part of the evidence worthless.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// The part; `None` for all of it.
    pub(crate) part: Option<Part>,
    /// The one stop concerned; `None` for all stops.
    pub(crate) stop: Option<usize>,
    /// What is wrong, in words.
    pub(crate) what: String,
}

impl Problem {
    fn of(part: Part, what: impl Into<String>) -> Self {
        Self { part: Some(part), stop: None, what: what.into() }
    }

    fn of_all(what: impl Into<String>) -> Self {
        Self { part: None, stop: None, what: what.into() }
    }
}

fn examine(case: &Case<'_>) -> Examination {
    let evidence = case.evidence;
    let mut violations = Violations::default();
    for problem in &case.problems {
        violations.add(|| Violation { what: problem.what.clone(), ..Violation::default() });
    }
    let operations = evidence.history.operations.len();
    let examined = operations + evidence.stops.len() + case.problems.len();
    let looked_at =
        format!("{operations} operations, {} snapshots, {} fault steps", evidence.stops.len(), evidence.history.faults.len());
    Examination::new(looked_at, violations.verdict(examined))
}

/// Everything that is wrong with the evidence.
pub(crate) fn problems(evidence: &Evidence) -> Vec<Problem> {
    let mut problems: Vec<Problem> = evidence.damage.iter().map(|damage| from_damage(damage)).collect();
    problems.extend(evidence.history.problems.iter().map(|what| Problem::of(Part::History, what)));
    problems.extend(identity(evidence));
    problems.extend(evidence.history.operations.iter().filter_map(out_of_time));
    problems.extend(evidence.stops.iter().enumerate().filter_map(|(at, stop)| torn_snapshot(at, stop)));
    problems.extend(evidence.stops.iter().enumerate().flat_map(|(at, stop)| wrong_opening(evidence, at, stop)));
    problems.extend(left_over_faults(evidence));
    problems
}

/// A damage that names a file spoils what that file holds; any other spoils everything.
fn from_damage(damage: &str) -> Problem {
    match (damage.contains("history"), damage.contains("snapshot")) {
        (true, false) => Problem::of(Part::History, damage),
        (false, true) => Problem::of(Part::Stores, damage),
        _ => Problem::of_all(damage),
    }
}

fn identity(evidence: &Evidence) -> Vec<Problem> {
    let history = &evidence.history;
    let mut found = Vec::new();
    match &history.head {
        None if history.operations.is_empty() => {}
        None => found.push(Problem::of(Part::History, "the history has no head record")),
        Some(head) if head.scenario != evidence.scenario().name || head.seed != evidence.scenario().seed => {
            let (name, seed) = (&evidence.scenario().name, evidence.scenario().seed);
            let what = format!("the history is of {} with seed {}, the plan of {name} with seed {seed}", head.scenario, head.seed);
            found.push(Problem::of_all(what));
        }
        Some(_) => {}
    }
    if let Some(tail) = history.tail.as_ref().filter(|tail| tail.ops != history.operations.len() as u64) {
        let what = format!("the tail counts {} operations, the history holds {}", tail.ops, history.operations.len());
        found.push(Problem::of(Part::History, what));
    }
    found
}

fn out_of_time(op: &Operation) -> Option<Problem> {
    let fits = op.due <= op.sent && op.answered.is_none_or(|answered| op.sent <= answered);
    let what = || format!("operation {}: due, sent and answered are out of order", op.id.0);
    (!fits).then(|| Problem::of(Part::History, what()))
}

fn torn_snapshot(at: usize, stop: &Stop) -> Option<Problem> {
    let what = || {
        let attempts = stop.snapshot.attempts;
        format!(
            "the snapshot after the {} is not of one moment: the stores changed while they were read, {attempts} times",
            stop.after
        )
    };
    (!stop.snapshot.consistent).then(|| Problem { part: Some(Part::Stores), stop: Some(at), what: what() })
}

fn wrong_opening(evidence: &Evidence, at: usize, stop: &Stop) -> Vec<Problem> {
    if !stop.snapshot.consistent {
        return Vec::new();
    }
    let opening_rows = stop.snapshot.ledger.iter().filter(|row| row.order_id == OPENING_ID);
    let opened: HashMap<ItemId, i64> = opening_rows.map(|row| (row.item, row.quantity)).collect();
    let sales = evidence.scenario().items.iter();
    let wrong = sales.filter(|sale| opened.get(&sale.item).copied() != i64::try_from(sale.opening).ok());
    let say = |sale: &crate::scenario::SaleItem| {
        let found = opened.get(&sale.item).map_or("no opening row".to_owned(), |units| format!("{units} units"));
        format!("item {}: planned to open with {} units, the ledger after the {} has {found}", sale.item, sale.opening, stop.after)
    };
    wrong.map(|sale| Problem { part: Some(Part::Supply), stop: Some(at), what: say(sale) }).collect()
}

fn left_over_faults(evidence: &Evidence) -> Vec<Problem> {
    let mut last: BTreeMap<u32, &FaultMark> = BTreeMap::new();
    for mark in &evidence.history.faults {
        last.insert(mark.what.id, &mark.what);
    }
    let in_force = |mark: &&FaultMark| !matches!(mark.step, FaultStep::Armed | FaultStep::Healed);
    let say = |mark: &FaultMark| {
        format!("fault {} ({} on {}) was not healed: last step {}", mark.id, mark.kind, mark.target, mark.step.name())
    };
    last.into_values().filter(in_force).map(|mark| Problem::of(Part::Stores, say(mark))).collect()
}
