//! Several runs one after another, and what they say together.
//!
//! In: launches. Out: one line a run, a table at the end, and the strongest exit code of all.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::report::OutcomeClass;
use harness::run::Judged;
use harness::seed::Seed;
use harness::stack::Rig;

use crate::catalog::{Entry, Plan};
use crate::launch::{self, Launch, Runner};
use crate::progress::put;
use crate::rig;

/// What counts when runs differ, strongest first: of a series with one violated run nobody may read "held".
const PRECEDENCE: [OutcomeClass; 7] = [
    OutcomeClass::Interrupted,
    OutcomeClass::Usage,
    OutcomeClass::Violated,
    OutcomeClass::RigFailed,
    OutcomeClass::Inconclusive,
    OutcomeClass::BudgetMissed,
    OutcomeClass::Held,
];

/// What came of one run of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Its scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: Seed,
    /// Its class.
    pub class: OutcomeClass,
    /// Its one sentence.
    pub sentence: String,
    /// The claims that it violated.
    pub violated: Vec<String>,
    /// Its folder, if it has one that was kept.
    pub folder: Option<PathBuf>,
    /// The command that repeats it.
    pub command: String,
    /// From start to verdict.
    pub took: Duration,
}

/// The strongest class of several; held if there is none.
#[must_use]
pub fn strongest(classes: impl IntoIterator<Item = OutcomeClass>) -> OutcomeClass {
    let place = |class: &OutcomeClass| PRECEDENCE.iter().position(|other| other == class);
    classes.into_iter().min_by_key(place).unwrap_or(OutcomeClass::Held)
}

/// The entries that a rig can carry one after another; those that it cannot are named and left out.
///
/// # Errors
/// The rig carries one run only, or none of the entries.
pub fn carried<'a>(entries: impl IntoIterator<Item = &'a Entry>, seed: Seed, rig: &Rig) -> Result<Vec<&'a Entry>, String> {
    rig::carries_several(rig)?;
    let fits = |entry: &&Entry| match rig::misfit(&(entry.plan)(seed), rig) {
        Some(why) => {
            put(&format!("left out     {why}\n"));
            false
        }
        None => true,
    };
    let carried: Vec<&Entry> = entries.into_iter().filter(fits).collect();
    if carried.is_empty() { Err("no scenario can be run on this rig".to_owned()) } else { Ok(carried) }
}

/// Runs one entry of the catalog with a seed and says in one line what came of it. A run that failed without a verdict counts as well.
pub fn run_entry(runner: &Runner, entry: &Entry, (plan, seed): (Plan, Seed), reports: &Path, rig: &Rig) -> Ended {
    let short = if plan == Plan::Short { " --short" } else { "" };
    let command = format!("cargo run --release --bin chaos -- run {} --seed {seed}{short}{}", entry.name, rig::words(rig));
    let launch = Launch { scenario: plan.of(entry, seed), saved: None, rig: rig.clone(), reports: reports.to_owned(), command };
    run_launch(runner, launch)
}

/// [`run_entry`] for any launch.
pub fn run_launch(runner: &Runner, launch: Launch) -> Ended {
    let (scenario, seed, command) = (launch.scenario.name.clone(), launch.scenario.seed, launch.command.clone());
    let started = now();
    let judged = runner.run(launch);
    let took = now().duration_since(started);
    let mut ended = Ended {
        scenario,
        seed,
        class: OutcomeClass::RigFailed,
        sentence: String::new(),
        violated: Vec::new(),
        folder: None,
        command,
        took,
    };
    match judged {
        Ok(judged) => take(&mut ended, &judged),
        Err(error) => {
            ended.class = launch::class_of(&error);
            ended.sentence = error.to_string();
        }
    }
    put(&format!(
        "{:<12} {:<24} seed {:<10} {:>4} s  {}\n",
        ended.class.name(),
        ended.scenario,
        ended.seed,
        took.as_secs(),
        ended.sentence
    ));
    ended
}

fn take(ended: &mut Ended, judged: &Judged) {
    let report = &judged.report;
    ended.class = report.outcome.class;
    ended.sentence.clone_from(&report.outcome.sentence);
    let violated = report.findings.iter().filter(|finding| finding.verdict.is_violated());
    ended.violated = violated.map(|finding| finding.invariant.clone()).collect();
    ended.folder = Some(judged.folder.path().to_owned());
}

/// One line a class, and the exit code of the series. One that was stopped before its end is interrupted, whatever its runs said.
#[must_use]
pub fn close(runner: &Runner, ended: &[Ended]) -> ExitCode {
    let counts = PRECEDENCE.into_iter().filter_map(|class| {
        let runs = ended.iter().filter(|run| run.class == class).count();
        (runs > 0).then(|| format!("{runs} {}", class.name()))
    });
    put(&format!("{} runs: {}\n", ended.len(), counts.collect::<Vec<_>>().join(", ")));
    let stopped = runner.is_stopped().then_some(OutcomeClass::Interrupted);
    ExitCode::from(strongest(ended.iter().map(|run| run.class).chain(stopped)).exit_code())
}

#[expect(clippy::disallowed_methods, reason = "how long a run took, for a person")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_violated_run_decides_a_series_and_an_interrupt_decides_more() {
        use OutcomeClass::{BudgetMissed, Held, Inconclusive, Interrupted, RigFailed, Violated};
        assert_eq!(strongest([]), Held);
        assert_eq!(strongest([Held, BudgetMissed, Held]), BudgetMissed);
        assert_eq!(strongest([Inconclusive, BudgetMissed]), Inconclusive);
        assert_eq!(strongest([RigFailed, Violated, Inconclusive]), Violated);
        assert_eq!(strongest([Violated, Interrupted]), Interrupted);
    }
}
