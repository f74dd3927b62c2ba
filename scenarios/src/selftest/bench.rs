//! Runs the defects and their clean controls, and weighs what they say.
//!
//! In: lines of the table, the two programs. Out: a [`Matrix`] of this session alone. Controls are shared by all defects of their scenario. Short
//! runs go several at once; those that need their whole scenario have the machine for themselves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::report::{OutcomeClass, files};
use harness::seed::Seed;

use super::expectations::{Expectation, Length};
use super::jobs::do_all;
use super::judging::{self, is_sound};
use super::matrix::{Control, Matrix, Row, Run, Session, Trial, Verdict, cells};
use super::{child, reading};
use crate::catalog::{self, Plan};
use crate::launch::Runner;
use crate::progress::put;
use crate::series::now;

/// Folder of the run folders, within that of the reports.
pub(super) const RUNS: &str = "selftest/runs";
/// Name under which the clean runs stand there.
const CLEAN: &str = "clean";

/// What the runs work with.
pub(super) struct Bench<'a> {
    pub(super) runner: &'a Runner,
    pub(super) clean: PathBuf,
    pub(super) twin: PathBuf,
    pub(super) session: &'a Session,
}

/// A run that is to be done.
#[derive(Debug, Clone, Copy)]
struct Task {
    /// `None` for a clean control.
    line: Option<&'static Expectation>,
    scenario: &'static str,
    length: Length,
    /// Which of the runs of its defect.
    slot: u32,
}

impl Task {
    /// About how long it takes, ms: its load, and a millisecond for each order to be drained, read back and judged.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate that orders the runs")]
    fn work_ms(&self) -> u64 {
        let plan = if self.length == Length::Short { Plan::Short } else { Plan::Whole };
        let scenario = catalog::find(self.scenario).map(|entry| plan.of(entry, Seed(1)));
        scenario.map_or(0, |scenario| scenario.load_ms() + scenario.expected_orders() as u64)
    }
}

/// SHA-256 of both programs.
struct Programs {
    clean: String,
    twin: String,
}

/// How far the session is.
struct Counter {
    done: AtomicUsize,
    of: usize,
}

impl Bench<'_> {
    /// Runs everything. When somebody asks to stop, what is complete until then is kept.
    pub(super) fn test(&self, chosen: &[&'static Expectation], mistakes: &BTreeMap<String, String>) -> Result<Matrix, String> {
        let hash = |program: &Path| files::sha256(program).map_err(|error| error.to_string());
        let programs = Programs { clean: hash(&self.clean)?, twin: hash(&self.twin)? };
        let mut tasks = self.tasks(chosen);
        // The longest first, so that it is not still going when all others are done.
        tasks.sort_by_cached_key(|task| Reverse(task.work_ms()));
        let counter = Counter { done: AtomicUsize::new(0), of: tasks.len() };
        let (short, whole): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(|task| task.length == Length::Short);
        let act = |task: Task| (task, self.attempt(task, &programs, &counter));
        let mut done = do_all(short, self.session.jobs, act);
        done.extend(do_all(whole, 1, act));
        let done: Vec<(Task, Run)> = done.into_iter().filter_map(|(task, run)| Some((task, run?))).collect();
        let rows = chosen.iter().filter_map(|line| self.row(line, &done, mistakes)).collect();
        let matrix = Matrix::new(rows, self.controls(&done));
        self.sweep(&matrix);
        Ok(matrix)
    }

    fn tasks(&self, chosen: &[&'static Expectation]) -> Vec<Task> {
        let stages: BTreeSet<(Length, &'static str)> = chosen.iter().map(|line| (line.length, line.scenario)).collect();
        let slots = 0..self.session.runs;
        let controls = slots
            .clone()
            .flat_map(|slot| stages.iter().map(move |(length, scenario)| Task { line: None, scenario, length: *length, slot }));
        let defects = slots.flat_map(|slot| {
            chosen.iter().map(move |line| Task { line: Some(line), scenario: line.scenario, length: line.length, slot })
        });
        controls.chain(defects).collect()
    }

    /// One run, and one more with the next seed if it says nothing. `None` if somebody asked to stop.
    fn attempt(&self, task: Task, programs: &Programs, counter: &Counter) -> Option<Run> {
        let seed = self.session.seed.0.wrapping_add(u64::from(task.slot));
        let first = self.run(task, Seed(seed), programs)?;
        let run = if is_sound(&first) {
            first
        } else {
            let next = Seed(seed.wrapping_add(u64::from(self.session.runs)));
            tell(task, &first, counter, "; it is repeated with the next seed");
            Run { repeated: Some(format!("seed {}: {}", first.seed, first.sentence)), ..self.run(task, next, programs)? }
        };
        counter.done.fetch_add(1, Ordering::Relaxed);
        tell(task, &run, counter, "");
        Some(run)
    }

    fn run(&self, task: Task, seed: Seed, programs: &Programs) -> Option<Run> {
        if self.runner.is_stopped() {
            return None;
        }
        let (program, hash) = if task.line.is_some() { (&self.twin, &programs.twin) } else { (&self.clean, &programs.clean) };
        let folder = self.folder(task, seed);
        let begun = now();
        let ended = std::fs::create_dir_all(&folder).and_then(|()| {
            child::run(command(program, task, seed, &folder), &folder.join("output.txt"), || self.runner.is_stopped())
        });
        if self.runner.is_stopped() {
            return None;
        }
        let read = reading::read((&folder, &self.session.reports), task.scenario, (seed, begun.elapsed()), hash);
        Some(match ended {
            Err(error) => Run { sentence: format!("start a run: {error}"), class: None, ..read },
            Ok(status) if read.class.is_none() => Run { sentence: format!("{} ({status})", read.sentence), ..read },
            Ok(_) => read,
        })
    }

    /// A folder of reports for one run alone: no two write the same list of runs, or the same link to the latest.
    fn folder(&self, task: Task, seed: Seed) -> PathBuf {
        self.place(task).join(format!("{}-{seed}", self.session.at_ms))
    }

    /// Where all runs of a defect, or of the clean service in one scenario, lie.
    fn place(&self, task: Task) -> PathBuf {
        match task.line {
            Some(line) => self.place_of(line.defect),
            None => self.place_of_clean(task.scenario, task.length),
        }
    }

    fn place_of(&self, defect: &str) -> PathBuf {
        self.session.reports.join(RUNS).join(defect)
    }

    fn place_of_clean(&self, scenario: &str, length: Length) -> PathBuf {
        let whole = if length == Length::Whole { "-whole" } else { "" };
        self.place_of(CLEAN).join(format!("{scenario}{whole}"))
    }

    /// The row of a defect; `None` unless all of its runs were done.
    fn row(&self, line: &'static Expectation, done: &[(Task, Run)], mistakes: &BTreeMap<String, String>) -> Option<Row> {
        let unknown = Run::default();
        let control = |slot: u32| {
            let of_slot =
                |task: &Task| task.line.is_none() && (task.scenario, task.length, task.slot) == (line.scenario, line.length, slot);
            done.iter().find(|(task, _)| of_slot(task)).map_or(&unknown, |(_, run)| run)
        };
        let own = done.iter().filter(|(task, _)| task.line.is_some_and(|other| other.defect == line.defect));
        let runs: Vec<Trial> = own.map(|(task, run)| judging::judge(line, run.clone(), control(task.slot))).collect();
        if runs.len() != self.session.runs as usize {
            return None;
        }
        Some(Row {
            defect: line.defect.to_owned(),
            mistake: mistakes.get(line.defect).cloned().unwrap_or_default(),
            scenario: line.scenario.to_owned(),
            length: line.length,
            expected: line.claims.iter().map(|claim| (*claim).to_owned()).collect(),
            verdict: runs.iter().map(|trial| trial.verdict).max().unwrap_or(Verdict::Unknown),
            cells: cells(line.claims, &runs),
            runs,
            commit: self.session.commit.clone(),
            at_ms: self.session.at_ms,
        })
    }

    fn controls(&self, done: &[(Task, Run)]) -> Vec<Control> {
        let mut controls: Vec<Control> = Vec::new();
        for (task, run) in done.iter().filter(|(task, _)| task.line.is_none()) {
            match controls.iter_mut().find(|control| (control.scenario.as_str(), control.length) == (task.scenario, task.length)) {
                Some(control) => control.runs.push(run.clone()),
                None => controls.push(Control {
                    scenario: task.scenario.to_owned(),
                    length: task.length,
                    runs: vec![run.clone()],
                    commit: self.session.commit.clone(),
                    at_ms: self.session.at_ms,
                }),
            }
        }
        controls
    }

    /// Removes the run folders of earlier sessions that nothing points to any more.
    fn sweep(&self, matrix: &Matrix) {
        let clean = |control: &Control| self.place_of_clean(&control.scenario, control.length);
        let places = matrix.rows.iter().map(|row| self.place_of(&row.defect)).chain(matrix.controls.iter().map(clean));
        let own = format!("{}-", self.session.at_ms);
        for folder in places.flat_map(|place| std::fs::read_dir(place).into_iter().flatten().flatten()) {
            if !folder.file_name().to_string_lossy().starts_with(&own) {
                // A folder that stays costs room on the disk and nothing else.
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
    }
}

fn command(program: &Path, task: Task, seed: Seed, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["run", task.scenario, "--seed", &seed.to_string(), "--until-input-ends", "--reports"]).arg(folder);
    if task.length == Length::Short {
        command.arg("--short");
    }
    if let Some(line) = task.line {
        command.arg(format!("--service-arg=--defects={}", line.defect));
    }
    command
}

/// One line of progress.
fn tell(task: Task, run: &Run, counter: &Counter, more: &str) {
    let expected = |claim: &str| task.line.is_some_and(|line| line.claims.contains(&claim));
    let mark = |claim: &str| if expected(claim) { format!("{claim} (expected)") } else { claim.to_owned() };
    let violated: Vec<String> = run.violated.iter().map(|found| mark(&found.claim)).collect();
    let said = match run.class {
        Some(OutcomeClass::Held) => "held".to_owned(),
        Some(OutcomeClass::Violated | OutcomeClass::BudgetMissed) => violated.join(", "),
        _ => run.sentence.clone(),
    };
    put(&format!(
        "[{:>3}/{}] {:>3} s  {:<34} {:<22} seed {}: {said}{more}\n",
        counter.done.load(Ordering::Relaxed),
        counter.of,
        run.took_ms / 1_000,
        task.line.map_or(CLEAN, |line| line.defect),
        task.scenario,
        run.seed,
    ));
}
