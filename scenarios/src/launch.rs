//! Runs scenarios for a person: identity line first, progress, table, exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use harness::report::{OutcomeClass, console, index};
use harness::run::{self, Judged, RunError, RunRequest, Watch};
use harness::scenario::Scenario;
use harness::scenario::plan::Plan;
use harness::stack::Rig;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::entry;
use crate::live::Live;
use crate::progress::{ProgressLine, put};

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The plan.
    pub scenario: Scenario,
    /// The draws of an earlier run, to be sent again.
    pub saved: Option<Plan>,
    /// What it stands on.
    pub rig: Rig,
    /// Folder of all reports.
    pub reports: PathBuf,
    /// Command that repeats the run.
    pub command: String,
}

/// Runs launches one after another, until somebody presses Ctrl-C.
#[derive(Debug)]
pub struct Runner {
    runtime: Runtime,
    stop: CancellationToken,
    live: bool,
}

impl Runner {
    /// A runner that listens for SIGINT and SIGTERM.
    ///
    /// # Errors
    /// The system has no thread or no signal handler left.
    pub fn start() -> std::io::Result<Self> {
        // One worker is enough: the load has a thread of its own, and the cores belong to what is tested.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stop = {
            let _inside = runtime.enter();
            entry::stop_on_signal()?
        };
        Ok(Self { runtime, stop, live: false })
    }

    /// Whether every run shows its report on loopback while it goes on.
    #[must_use]
    pub const fn live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Stops, as after Ctrl-C, when standard input ends: whoever holds its other end is gone, or wants the run to end.
    pub fn stop_when_input_ends(&self) {
        let stop = self.stop.clone();
        let wait = move || {
            // An input that cannot be read has ended as well.
            let _read = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            stop.cancel();
        };
        if let Err(error) = std::thread::Builder::new().name("input".to_owned()).spawn(wait) {
            entry::eprintln_plain(&format!("the end of standard input is not watched for: {error}"));
        }
    }

    /// Runs one scenario, with its progress on standard output.
    ///
    /// # Errors
    /// There is no verdict.
    pub fn run(&self, launch: Launch) -> Result<Judged, RunError> {
        put(&format!("scenario {}  seed {}  repeat with: {}\n", launch.scenario.name, launch.scenario.seed, launch.command));
        let progress = ProgressLine::new(self.show()?);
        let reports = launch.reports.clone();
        let result = self.watched(launch, &progress);
        progress.close();
        if let Some(live) = progress.into_live() {
            self.runtime.block_on(live.end());
        }
        // The list is for looking at: without it the run is no less judged. What was refused before anything began has made no folder.
        if reports.is_dir()
            && let Err(error) = index::write(&reports)
        {
            entry::eprintln_plain(&format!("the list of all runs was not written: {error}"));
        }
        result
    }

    /// Runs one scenario while `watch` is told where it stands; nothing is printed.
    ///
    /// # Errors
    /// There is no verdict.
    pub fn watched(&self, launch: Launch, watch: &dyn Watch) -> Result<Judged, RunError> {
        let request = RunRequest {
            scenario: launch.scenario,
            saved: launch.saved,
            service: entry::service_command(&launch.rig.service_args).map_err(|error| RunError::Thread(error.to_string()))?,
            rig: launch.rig,
            reports: launch.reports,
            command: launch.command,
            commit: entry::source_commit(),
        };
        self.wait(run::run(&request, watch, &self.stop))
    }

    /// Runs a future to its end on the runtime of the runner.
    pub(crate) fn wait<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// The page of a run that is to be watched, and where it is, in one line.
    fn show(&self) -> Result<Option<Live>, RunError> {
        if !self.live {
            return Ok(None);
        }
        let live = self.runtime.block_on(Live::start()).map_err(|error| RunError::Thread(format!("serve the page: {error}")))?;
        put(&format!("live         {}\n", live.url()));
        Ok(Some(live))
    }
}

/// Runs it and prints what came of it. The exit code is that of the outcome.
#[must_use]
pub fn run_one(launch: Launch, live: bool) -> ExitCode {
    let runner = match Runner::start() {
        Ok(runner) => runner.live(live),
        Err(error) => return fail(OutcomeClass::RigFailed, &format!("start the runtime: {error}")),
    };
    run_on(&runner, launch)
}

/// [`run_one`] on a runner that is there already.
#[must_use]
pub fn run_on(runner: &Runner, launch: Launch) -> ExitCode {
    match runner.run(launch) {
        Ok(judged) => show(&judged),
        Err(error) => fail(class_of(&error), &error.to_string()),
    }
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
