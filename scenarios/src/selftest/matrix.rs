//! The kill matrix: what is kept of a self-test, and of the ones before it.
//!
//! In: judged runs. Out: `selftest.json`. A row of an earlier self-test that this one did not touch stays as it was, with the commit and the date that
//! last reproduced it; a row whose defect is gone goes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::invariants::SERVICE_LEVELS;
use harness::report::{OutcomeClass, files};
use harness::seed::Seed;
use serde::{Deserialize, Serialize};

use super::expectations::{Length, NOT_TESTED, TABLE};
use super::judging::is_clean;
use crate::wilson::Rate;

/// Version of `selftest.json`; additive within a major version.
pub const SCHEMA_VERSION: u32 = 1;
/// Name of the file within the folder of the reports.
pub const JSON: &str = "selftest.json";

/// One self-test.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) seed: Seed,
    /// Runs of each defect.
    pub(super) runs: u32,
    pub(super) jobs: usize,
    /// Folder of all reports.
    pub(super) reports: PathBuf,
    pub(super) commit: String,
    /// When it began, ms since 1970.
    pub(super) at_ms: u64,
    /// The program without defects.
    pub(super) clean: PathBuf,
}

/// What came of a defect; the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A claim that names its harm is violated, and the clean control held.
    Killed,
    /// There is no sound verdict, even after a repetition.
    Unknown,
    /// Only other claims are violated.
    Seen,
    /// No claim is violated.
    Escaped,
}

impl Verdict {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Unknown => "unknown",
            Self::Seen => "seen",
            Self::Escaped => "escaped",
        }
    }
}

/// A violated claim of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// The claim.
    pub claim: String,
    /// Counter-examples.
    pub count: u64,
    /// The sentence of the first of them.
    pub what: String,
    /// When the earliest dated one was visible, ms from the start of the run.
    pub at_ms: Option<u64>,
}

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// How it ended; nothing if it left no report that could be used.
    pub class: Option<OutcomeClass>,
    /// The sentence of its verdict, or why there is none.
    pub sentence: String,
    /// Its folder, relative to that of the reports.
    pub folder: Option<String>,
    /// Violated claims.
    pub violated: Vec<Detection>,
    /// From start to verdict, ms.
    pub took_ms: u64,
    /// Why the attempt before this one said nothing, if it is a repetition.
    pub repeated: Option<String>,
}

impl Run {
    /// Whether a claim is violated.
    #[must_use]
    pub fn violates(&self, claim: &str) -> bool {
        self.violated.iter().any(|found| found.claim == claim)
    }
}

/// A run of a defect, weighed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// What it proves.
    pub verdict: Verdict,
    /// The claims that killed the defect.
    pub killed_by: Vec<String>,
    /// Why it was not killed.
    pub why: Option<String>,
}

impl Trial {
    /// Time to the first violation that names the harm, ms: from the evidence where it is dated, else the time of the whole run.
    #[must_use]
    pub fn detected_ms(&self) -> Option<u64> {
        let dated = self.killers().filter_map(|found| found.at_ms).min();
        (self.verdict == Verdict::Killed).then(|| dated.unwrap_or(self.run.took_ms))
    }

    /// One sentence of harm: the first violation of the most telling claim.
    #[must_use]
    pub fn harm(&self) -> Option<&Detection> {
        self.killers().next().or_else(|| self.run.violated.first())
    }

    fn killers(&self) -> impl Iterator<Item = &Detection> {
        self.killed_by.iter().filter_map(|claim| self.run.violated.iter().find(|found| found.claim == *claim))
    }
}

/// How often a claim caught a defect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The claim.
    pub claim: String,
    /// Whether it names the harm.
    pub expected: bool,
    /// Runs that violated it.
    pub hits: u64,
    /// Runs.
    pub of: u64,
    /// 95 % interval of the true rate.
    pub interval: (f64, f64),
}

/// A defect with its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the switch.
    pub defect: String,
    /// The mistake in one line.
    pub mistake: String,
    /// Scenario.
    pub scenario: String,
    /// Length of its runs.
    pub length: Length,
    /// Claims that name its harm.
    pub expected: Vec<String>,
    /// The worst of its runs.
    pub verdict: Verdict,
    /// Expected claims, and those that were violated beside them.
    pub cells: Vec<Cell>,
    /// The runs.
    pub runs: Vec<Trial>,
    /// Commit that last reproduced it.
    pub commit: String,
    /// When, ms since 1970.
    pub at_ms: u64,
}

impl Row {
    /// How often it was killed.
    #[must_use]
    pub fn killed(&self) -> Rate {
        let hits = self.runs.iter().filter(|trial| trial.verdict == Verdict::Killed).count();
        Rate { hits: hits as u64, of: self.runs.len() as u64 }
    }

    /// The cell of a claim.
    #[must_use]
    pub fn cell(&self, claim: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.claim == claim)
    }
}

/// The cells of some runs, expected claims first. Service levels that are no harm of the defect say how busy the machine was, and are left out.
pub(super) fn cells(expected: &[&str], trials: &[Trial]) -> Vec<Cell> {
    let mut claims: Vec<&str> = expected.to_vec();
    let also: BTreeSet<&str> = trials.iter().flat_map(|trial| &trial.run.violated).map(|found| found.claim.as_str()).collect();
    claims.extend(also.into_iter().filter(|claim| !expected.contains(claim) && !SERVICE_LEVELS.contains(claim)));
    let cell = |claim: &str| {
        let hits = trials.iter().filter(|trial| trial.run.violates(claim)).count();
        let rate = Rate { hits: hits as u64, of: trials.len() as u64 };
        Cell {
            claim: claim.to_owned(),
            expected: expected.contains(&claim),
            hits: rate.hits,
            of: rate.of,
            interval: rate.interval(),
        }
    };
    claims.into_iter().map(cell).collect()
}

/// The clean runs of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Scenario.
    pub scenario: String,
    /// Length of its runs.
    pub length: Length,
    /// The runs.
    pub runs: Vec<Run>,
    /// Commit that they were of.
    pub commit: String,
    /// When, ms since 1970.
    pub at_ms: u64,
}

impl Control {
    /// Violated if one run was, inconclusive if one said nothing, held otherwise.
    #[must_use]
    pub fn class(&self) -> OutcomeClass {
        if self.runs.iter().any(|run| run.class == Some(OutcomeClass::Violated)) {
            return OutcomeClass::Violated;
        }
        if self.runs.iter().all(is_clean) { OutcomeClass::Held } else { OutcomeClass::Inconclusive }
    }
}

/// A defect of the catalogue that no run can show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotTested {
    /// Its name.
    pub defect: String,
    /// Why.
    pub why: String,
}

/// The matrix: `selftest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Version of this format.
    pub schema_version: u32,
    /// Commit of the last self-test.
    pub commit: String,
    /// When it began, ms since 1970.
    pub at_ms: u64,
    /// How long it took without the build, ms.
    pub took_ms: u64,
    /// Seed of the first run of each defect.
    pub seed: u64,
    /// Runs at once.
    pub jobs: usize,
    /// Rows in the order of the table.
    pub rows: Vec<Row>,
    /// Clean controls.
    pub controls: Vec<Control>,
    /// What is not tested.
    pub not_tested: Vec<NotTested>,
}

impl Matrix {
    /// A matrix of these rows and controls.
    pub(super) fn new(rows: Vec<Row>, controls: Vec<Control>) -> Self {
        let not_tested = NOT_TESTED.iter().map(|(defect, why)| NotTested { defect: (*defect).to_owned(), why: (*why).to_owned() });
        Self {
            schema_version: SCHEMA_VERSION,
            commit: String::new(),
            at_ms: 0,
            took_ms: 0,
            seed: 0,
            jobs: 0,
            rows,
            controls,
            not_tested: not_tested.collect(),
        }
    }

    /// Takes in what was tested now. Everything else stays, as far as it is still in the table.
    pub(super) fn take(&mut self, tested: Self, session: &Session, took: Duration) {
        let Self { rows, controls, not_tested, .. } = tested;
        self.rows.retain(|old| !rows.iter().any(|row| row.defect == old.defect));
        self.rows.extend(rows);
        let place = |row: &Row| TABLE.iter().position(|line| line.defect == row.defect);
        self.rows.retain(|row| place(row).is_some());
        self.rows.sort_by_key(place);
        let same = |one: &Control, other: &Control| one.scenario == other.scenario && one.length == other.length;
        self.controls.retain(|old| !controls.iter().any(|control| same(control, old)));
        self.controls.extend(controls);
        self.controls.retain(|control| TABLE.iter().any(|line| line.scenario == control.scenario && line.length == control.length));
        self.controls.sort_by(|one, other| (one.length, &one.scenario).cmp(&(other.length, &other.scenario)));
        self.not_tested = not_tested;
        (self.commit, self.at_ms) = (session.commit.clone(), session.at_ms);
        (self.seed, self.jobs) = (session.seed.0, session.jobs);
        self.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    }

    /// Rows with this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }

    /// Clean runs that violated a claim, among all that have a verdict.
    #[must_use]
    pub fn alarms(&self) -> Rate {
        let runs = self.controls.iter().flat_map(|control| &control.runs);
        let judged: Vec<_> = runs.filter(|run| is_clean(run) || run.class == Some(OutcomeClass::Violated)).collect();
        let alarms = judged.iter().filter(|run| !is_clean(run)).count();
        Rate { hits: alarms as u64, of: judged.len() as u64 }
    }

    /// What all of it says in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let killed = self.count(Verdict::Killed);
        let others = [Verdict::Seen, Verdict::Escaped, Verdict::Unknown].into_iter().filter_map(|verdict| {
            let count = self.count(verdict);
            (count > 0).then(|| format!(", {count} {}", verdict.name()))
        });
        let others: String = others.collect();
        let Rate { hits, of } = self.alarms();
        let (low, high) = self.alarms().interval();
        format!(
            "{killed} of {} planted defects killed{others}; {hits} of {of} clean runs violated a claim (95 % interval of the rate {low:.2} to {high:.2}).",
            self.rows.len()
        )
    }
}

/// The matrix of earlier self-tests; an empty one if there is none.
pub(super) fn read(reports: &Path) -> Result<Matrix, String> {
    let path = reports.join(JSON);
    if !path.exists() {
        return Ok(Matrix::new(Vec::new(), Vec::new()));
    }
    let matrix: Matrix = files::read_json(&path).map_err(|error| error.to_string())?;
    let version = matrix.schema_version;
    if version == SCHEMA_VERSION { Ok(matrix) } else { Err(format!("{} is of version {version}: move it away", path.display())) }
}
