//! One run: the stages in their order, and nothing else.
//!
//! In: a [`RunRequest`]. Out: a [`Judged`] run whose folder holds all that was said about it. What is judged is what was read back from disk.

mod fit;
mod gather;
mod machine;
mod sampling;
mod selling;
mod stalls;
mod telemetry;
mod watch;

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::clock::RunClock;
use crate::history::HistoryError;
use crate::history::recorder::Recorder;
use crate::invariants;
use crate::load::{LoadError, arrivals};
use crate::measure::measure;
use crate::report::folder::RunFolder;
use crate::report::reload::load_evidence;
use crate::report::{Report, ReportError, assemble, write_report};
use crate::scenario::plan::Plan;
use crate::scenario::{Scenario, ScenarioError};
use crate::seed::Seed;
use crate::snapshot::SnapshotError;
use crate::stack::{Rig, ServiceCommand, StackError};
use crate::target::admin::AdminError;

pub use fit::fits;
pub use watch::{Reading, Watch};

/// What a run needs to know beside its scenario.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// What to do.
    pub scenario: Scenario,
    /// The draws of an earlier run of this scenario, to be sent again; without them they are drawn from its seed.
    pub saved: Option<Plan>,
    /// What it stands on.
    pub rig: Rig,
    /// How the service is started.
    pub service: ServiceCommand,
    /// Folder of all reports.
    pub reports: PathBuf,
    /// Exact command that repeats the run.
    pub command: String,
    /// Commit of the source.
    pub commit: String,
}

/// What every step of a run works with.
#[derive(Clone, Copy)]
struct Run<'a> {
    plan: &'a Plan,
    clock: &'a RunClock,
    recorder: &'a Recorder,
    watch: &'a dyn Watch,
    stop: &'a CancellationToken,
}

/// A run with its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Where all of it is.
    pub folder: RunFolder,
    /// What it says.
    pub report: Report,
}

/// Why a run, or the judging of one, has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is wrong; nothing ran.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The stack did not come up.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The history could not be written or read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The load could not be run.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The sale could not be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A store could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The run folder could not be written or read.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A thread of the harness ended.
    #[error("run the load: its thread ended: {0}")]
    Thread(String),
}

/// Runs `request` from start to report. Cancelling `stop` ends the load; what was gathered by then is kept and judged as interrupted.
/// Not cancel safe: drop the future only together with the process.
///
/// # Errors
/// The scenario is wrong or not for this rig, a server program is missing or the given stores must not be used, and then no folder is left;
/// or the folder cannot be written. What fails later is in the report as a rig error.
pub async fn run(request: &RunRequest, watch: &dyn Watch, stop: &CancellationToken) -> Result<Judged, RunError> {
    request.scenario.check()?;
    fits(&request.scenario, &request.rig)?;
    let clock = RunClock::start();
    let draw = || arrivals::draw(&request.scenario.settled(), &run_tag(request.scenario.seed));
    let plan = request.saved.clone().unwrap_or_else(draw);
    let folder = RunFolder::create(&request.reports, &request.scenario.name, request.scenario.seed.0, clock.wall_start_ms())?;
    folder.write_plan(&plan)?;
    watch.opened(folder.path());
    let gathered = match gather::gather(request, &plan, &folder, watch, (&clock, stop)).await {
        Err(RunError::Stack(error)) if error.is_usage() => {
            folder.discard()?;
            return Err(error.into());
        }
        gathered => gathered?,
    };
    let identity = gather::identify(request, &folder, &clock, gathered)?;
    folder.write_identity(&identity)?;
    watch.stage("judging");
    let judged = judge(&folder, Write::Yes)?;
    folder.mark_latest()?;
    Ok(judged)
}

/// Whether a judge leaves files behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The report is written into the run folder.
    Yes,
    /// Nothing is written.
    No,
}

/// Judges a saved run from what is on disk.
///
/// # Errors
/// The folder cannot be read or written.
pub fn judge(folder: &RunFolder, write: Write) -> Result<Judged, RunError> {
    let (identity, evidence) = load_evidence(folder)?;
    let findings = invariants::judge(&evidence);
    let measurements = measure(&evidence.plan, &evidence.history);
    let report = match write {
        Write::Yes => write_report(folder, &evidence, &identity, findings, measurements)?,
        Write::No => assemble(&evidence, &identity, findings, measurements),
    };
    Ok(Judged { folder: folder.clone(), report })
}

/// Judges the run folder at `path`, which may be a link such as `latest`.
///
/// # Errors
/// There is no such folder, or it cannot be read.
pub fn judge_saved(path: &Path, write: Write) -> Result<Judged, RunError> {
    judge(&RunFolder::open(path)?, write)
}

/// The part of every order id that tells the runs of different seeds apart: the seed in base 36.
fn run_tag(seed: Seed) -> String {
    let mut rest = seed.0;
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(u32::try_from(rest % 36).unwrap_or(0), 36).unwrap_or('0'));
        rest /= 36;
        if rest == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_tells_seeds_apart() {
        assert_eq!(run_tag(Seed(0)), "0");
        assert_eq!(run_tag(Seed(35)), "z");
        assert_eq!(run_tag(Seed(36)), "10");
        assert!(run_tag(Seed(u64::MAX)).len() <= 16);
    }
}
