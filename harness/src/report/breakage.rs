//! Faults and kill points as the page, the console and markdown show them.
//!
//! In: disturbances and coverage. Out: text in rows; words, units and the unknown are the same everywhere.

use super::coverage::{CellState, CoverageCell};
use super::figures::{self, count, ms, plural};
use crate::invariants::Fate;
use crate::measure::Measurements;
use crate::measure::disturbance::{Disturbance, WindowFigures};
use crate::measure::recovery::{Component, ComponentRecovery, Recovered};
use crate::scenario::faults::PointAction;

/// Components in the order of the table.
pub const COMPONENTS: [Component; 5] =
    [Component::Availability, Component::P99Response, Component::Backlog, Component::Drift, Component::OldestLock];

/// Actions in the order of the matrix.
const ACTIONS: [PointAction; 7] = [
    PointAction::Kill,
    PointAction::DropReply,
    PointAction::CutBefore,
    PointAction::Reset,
    PointAction::Forget,
    PointAction::Stall,
    PointAction::Pass,
];

/// A row of the faults table.
pub struct FaultRow {
    /// `0 kill`.
    pub name: String,
    /// Whom it hit.
    pub target: String,
    /// When it was injected.
    pub injected: String,
    /// How long it was in force.
    pub lasted: String,
    /// Whether it bit.
    pub bit: bool,
    /// What proves it, or why nothing does.
    pub proof: String,
    /// What buyers felt before, during and after.
    pub felt: [Felt; 3],
    /// Recovery of each component, in the order of [`COMPONENTS`].
    pub recovery: Vec<RecoveryCell>,
    /// What the service promises.
    pub promised: String,
}

/// What buyers felt in a window.
pub struct Felt {
    /// Share of orders answered.
    pub answered: String,
    /// 99th percentile of the response time.
    pub p99: String,
    /// Orders and length that both stand on.
    pub hint: String,
}

/// Recovery of one component.
pub struct RecoveryCell {
    /// `1.2 s`, `> 42 s`, `?`.
    pub text: String,
    /// Band, or why it was not measured.
    pub hint: String,
    /// `good`, `late`, `open`.
    pub slug: &'static str,
}

/// Every fault.
#[must_use]
pub fn faults(measurements: &Measurements) -> Vec<FaultRow> {
    measurements.faults.iter().map(fault).collect()
}

fn fault(fault: &Disturbance) -> FaultRow {
    let span = &fault.span;
    let millis =
        |from: crate::clock::Offset, to: crate::clock::Offset| u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX);
    let lasted = match (span.injected, span.healed, &span.abandoned) {
        (Some(from), Some(to), _) => figures::duration(millis(from, to)),
        (None, _, _) => "–".to_owned(),
        (Some(_), None, Some(why)) => format!("abandoned: {why}"),
        (Some(_), None, None) => "never healed".to_owned(),
    };
    let part = |component: Component| fault.recovery.as_ref()?.components.iter().find(|part| part.component == component);
    FaultRow {
        // A kill point and its action: there a line may end.
        name: format!("{} {}", span.id, span.kind.replace(':', ": ")),
        target: span.target.clone(),
        injected: span.injected.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        lasted,
        bit: fault.toothless.is_none(),
        proof: fault.toothless.as_ref().map_or_else(|| span.proof.clone(), |why| format!("did not bite: {why}")),
        felt: [fault.before, fault.during, fault.after].map(|window| felt(&window)),
        recovery: COMPONENTS.map(|component| cell(part(component).filter(|_| fault.toothless.is_none()), fault.promised_ms)).into(),
        promised: fault.promised_ms.map_or_else(|| "no recovery".to_owned(), figures::duration),
    }
}

/// `99.8 %`, `12.0 ms` and what they stand on.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn felt(window: &WindowFigures) -> Felt {
    let none = || "–".to_owned();
    let Some(p99) = window.p99_ms else { return Felt { answered: none(), p99: none(), hint: "no order was due".to_owned() } };
    let answered = (window.ok + window.fail) as f64 * 100.0 / window.sent.max(1) as f64;
    let hint = format!("{} in {:.1} s", plural(window.sent, "order", "orders"), window.seconds);
    Felt { answered: format!("{answered:.1} %"), p99: format!("{} ms", ms(p99)), hint }
}

fn cell(part: Option<&ComponentRecovery>, promised_ms: Option<u64>) -> RecoveryCell {
    let Some(part) = part else {
        return RecoveryCell { text: "–".to_owned(), hint: "it did not bite, or was never healed".to_owned(), slug: "none" };
    };
    let limit = part.limit.map(|limit| format!("limit {}", part.component.figure(limit)));
    let hint = limit.unwrap_or_default();
    match &part.recovered {
        Recovered::After { ms } => {
            let late = promised_ms.is_some_and(|promised| *ms > promised as f64);
            RecoveryCell { text: seconds(*ms), hint, slug: if late { "bad" } else { "good" } }
        }
        Recovered::NotWithin { watched_ms } => RecoveryCell { text: format!("> {}", seconds(*watched_ms)), hint, slug: "bad" },
        Recovered::Unmeasured { why } => RecoveryCell { text: "?".to_owned(), hint: why.clone(), slug: "open" },
    }
}

fn seconds(ms: f64) -> String {
    format!("{:.1} s", ms / 1e3)
}

/// One line for a terminal: `3 injected, 3 bit, slowest recovery 1.2 s (availability after 2 redis_restart)`. Empty without faults.
#[must_use]
pub fn line(measurements: &Measurements) -> Option<String> {
    let faults = &measurements.faults;
    if faults.is_empty() {
        return None;
    }
    let injected = faults.iter().filter(|fault| fault.span.injected.is_some()).count();
    let bit = faults.iter().filter(|fault| fault.toothless.is_none()).count();
    let slowest = faults.iter().filter_map(|fault| Some((fault, fault.recovery.as_ref()?.worst()?)));
    let slowest = slowest.max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map_or_else(
        || "no recovery measured".to_owned(),
        |(fault, (part, took))| {
            let at_least = if matches!(part.recovered, Recovered::NotWithin { .. }) { "> " } else { "" };
            let name = part.component.name();
            format!("slowest recovery {at_least}{} ({name} after {} {})", seconds(took), fault.span.id, fault.span.kind)
        },
    );
    Some(format!("{injected} injected, {bit} bit, {slowest}"))
}

/// The matrix: actions that are asked for or were taken, and a row for each point.
pub struct Matrix {
    /// Names of the columns.
    pub actions: Vec<&'static str>,
    /// Rows.
    pub rows: Vec<MatrixRow>,
}

/// One point.
pub struct MatrixRow {
    /// Its name.
    pub point: String,
    /// A cell for each action; `None` where nothing was asked and nothing happened.
    pub cells: Vec<Option<MatrixCell>>,
}

/// One cell as text.
pub struct MatrixCell {
    /// `4 hits`, `empty`, `n/a`.
    pub head: String,
    /// Orders, fates, violations, recovery, a line each.
    pub lines: Vec<String>,
    /// `good`, `bad`, `open`, `none`.
    pub slug: &'static str,
}

/// The matrix of a run.
#[must_use]
pub fn matrix(coverage: &[CoverageCell]) -> Matrix {
    let actions: Vec<PointAction> =
        ACTIONS.into_iter().filter(|action| coverage.iter().any(|cell| cell.cell.action == *action)).collect();
    let mut points: Vec<&str> = coverage.iter().map(|cell| cell.cell.point.as_str()).collect();
    points.dedup();
    let of = |point: &str, action: PointAction| coverage.iter().find(|cell| cell.cell.point == point && cell.cell.action == action);
    let row = |point: &str| MatrixRow {
        point: point.to_owned(),
        cells: actions.iter().map(|action| of(point, *action).map(matrix_cell)).collect(),
    };
    Matrix { rows: points.into_iter().map(row).collect(), actions: actions.iter().map(|action| action.name()).collect() }
}

fn matrix_cell(cell: &CoverageCell) -> MatrixCell {
    let met = &cell.cell;
    let half = cell.fates.keys().any(|fate| fate.is_half());
    let (head, slug) = match cell.state() {
        CellState::Unreachable => ("n/a".to_owned(), "none"),
        CellState::Empty if met.hits > 0 => (format!("{}, did not bite", plural(met.hits, "hit", "hits")), "open"),
        CellState::Empty => ("empty".to_owned(), "open"),
        CellState::Hit => (plural(met.hits, "hit", "hits"), if half || cell.violations > 0 { "bad" } else { "good" }),
    };
    let fate = |(fate, number): (&Fate, &u64)| format!("{} {}", count(*number), fate.name().replace('_', " "));
    let mut lines: Vec<String> = cell.fates.iter().map(fate).collect();
    lines.extend((cell.violations > 0).then(|| plural(cell.violations, "violation", "violations")));
    lines.extend(met.worst_recovery_ms.map(|ms| format!("recovery {}", seconds(ms))));
    lines.extend(met.unreachable.clone());
    MatrixCell { head, lines, slug }
}
