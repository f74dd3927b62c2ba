//! Runs one scenario for a person: identity line first, progress, table, exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use harness::report::{OutcomeClass, console};
use harness::run::{self, Judged, RunError, RunRequest};
use harness::scenario::Scenario;
use harness::stack::Backend;

use crate::entry;
use crate::progress::{ProgressLine, put};

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The plan.
    pub scenario: Scenario,
    /// Where the stores come from.
    pub backend: Backend,
    /// Further arguments of every service process.
    pub service_args: Vec<String>,
    /// Folder of all reports.
    pub reports: PathBuf,
    /// Command that repeats the run.
    pub command: String,
}

/// Runs it and prints what came of it. The exit code is that of the outcome.
#[must_use]
pub fn run_one(launch: Launch) -> ExitCode {
    put(&format!("scenario {}  seed {}  repeat with: {}\n", launch.scenario.name, launch.scenario.seed, launch.command));
    // One worker is enough: the load has a thread of its own, and the cores belong to what is tested.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(OutcomeClass::RigFailed, &format!("start the runtime: {error}")),
    };
    let progress = ProgressLine::default();
    let result = runtime.block_on(run_request(launch, &progress));
    progress.close();
    match result {
        Ok(judged) => show(&judged),
        Err(error) => fail(class_of(&error), &error.to_string()),
    }
}

async fn run_request(launch: Launch, progress: &ProgressLine) -> Result<Judged, RunError> {
    let system = |error: std::io::Error| RunError::Thread(error.to_string());
    let stop = entry::stop_on_signal().map_err(system)?;
    let request = RunRequest {
        scenario: launch.scenario,
        backend: launch.backend,
        service: entry::service_command().map_err(system)?,
        service_args: launch.service_args,
        reports: launch.reports,
        command: launch.command,
        commit: entry::source_commit(),
    };
    run::run(&request, progress, &stop).await
}

/// Prints the table of a judged run.
#[must_use]
pub fn show(judged: &Judged) -> ExitCode {
    put(&console::render(&judged.report, judged.folder.path()));
    ExitCode::from(judged.report.outcome.exit)
}

/// Prints why there is no verdict.
#[must_use]
pub fn fail(class: OutcomeClass, why: &str) -> ExitCode {
    entry::eprintln_plain(&format!("{}: {why}", class.name()));
    ExitCode::from(class.exit_code())
}

/// What an error of a run means: a wrong command line, missing servers and stores that hold data are the user's to mend, the rest is ours.
#[must_use]
pub const fn class_of(error: &RunError) -> OutcomeClass {
    match error {
        RunError::Scenario(_) => OutcomeClass::Usage,
        RunError::Stack(error) if error.is_usage() => OutcomeClass::Usage,
        _ => OutcomeClass::RigFailed,
    }
}
