//! `chaos selftest`: the service with one planted mistake after another, and which claim of the judge finds it.
//!
//! In: the table of [`expectations`], the program with the defects ([`twin`]), seeds. Out: the kill matrix as `selftest.json`, `selftest.html`
//! and `selftest.md` in the folder of the reports, every run folder below `selftest/runs/`, and an exit code: 0 when every defect was killed and
//! every clean control held, 1 when a control was violated or a defect escaped or was only seen, 3 when something stayed unknown, 130 when
//! it was interrupted.
//!
//! Each run is a process of its own ([`child`]): this program again for the clean controls, its twin for the defects. [`reading`] takes in what its
//! report says, [`judging`] weighs it, [`matrix`] is what is kept of it, [`pages`] shows it.

mod bench;
mod child;
pub mod expectations;
mod jobs;
mod judging;
pub mod matrix;
mod pages;
mod reading;
mod twin;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use harness::report::OutcomeClass;
use harness::seed::Seed;

use crate::launch::{self, Runner};
use crate::progress::put;
use crate::{entry, series};
use bench::Bench;
use matrix::{Matrix, Session, Verdict};

/// Most runs at once: each is a whole stack.
const JOBS_MAX: u16 = 16;

/// Options of the self-test.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only the ten most common mistakes
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Only these defects, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Runs of each defect, each with a seed of its own, 1 to 100
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seed of the first run of each defect, each further one has the next; a fresh one by default
    #[arg(long)]
    seed: Option<Seed>,
    /// Runs at once, 1 to 16; two suit two cores, because a run waits more than it computes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    jobs: u16,
    /// Folder of the reports
    #[arg(long, default_value = "reports", value_name = "DIR")]
    reports: PathBuf,
    /// The program chaos-defects, built already from the same sources; by default cargo builds it
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs it. The exit code is that of the matrix.
#[must_use]
pub fn selftest(options: &Options) -> ExitCode {
    match attempt(options) {
        Ok(code) => ExitCode::from(code),
        Err((class, why)) => launch::fail(class, &why),
    }
}

/// What hinders the self-test itself.
type Hindered = (OutcomeClass, String);

fn attempt(options: &Options) -> Result<u8, Hindered> {
    let usage = |why: String| (OutcomeClass::Usage, why);
    let rig = |why: String| (OutcomeClass::RigFailed, why);
    if cfg!(feature = "defects") {
        return Err(usage("the clean controls need a build without defects: call `chaos selftest`".to_owned()));
    }
    let chosen = expectations::chosen(&options.only, options.quick).map_err(usage)?;
    let runner = Runner::start().map_err(|error| rig(format!("start the runtime: {error}")))?;
    let twin = match &options.program {
        Some(program) => twin::given(program).map_err(usage)?,
        None => twin::build().map_err(usage)?,
    };
    if runner.is_stopped() {
        return Err((OutcomeClass::Interrupted, "nothing ran".to_owned()));
    }
    let mistakes = twin::mistakes(&twin).map_err(usage)?;
    expectations::compare(mistakes.keys().map(String::as_str)).map_err(usage)?;
    let session = session(options).map_err(rig)?;
    put(&format!("self-test of {} defects  seed {}  commit {}\n", chosen.len(), session.seed, session.commit));
    let mut matrix = matrix::read(&options.reports).map_err(usage)?;
    let bench = Bench { runner: &runner, clean: session.clean.clone(), twin, session: &session };
    let started = series::now();
    let tested = bench.test(&chosen, &mistakes).map_err(rig)?;
    let code = exit_code(&tested, runner.is_stopped());
    let counted = tested.sentence();
    matrix.take(tested, &session, started.elapsed());
    pages::write(&options.reports, &matrix).map_err(|error| rig(error.to_string()))?;
    put(&format!("{counted}\nmatrix       {}\n", options.reports.join(pages::HTML).display()));
    Ok(code)
}

fn session(options: &Options) -> Result<Session, String> {
    let clean = entry::service_command(&[]).map_err(|error| format!("find this program: {error}"))?.program;
    Ok(Session {
        seed: options.seed.unwrap_or_else(entry::fresh_seed),
        runs: options.runs,
        jobs: usize::from(options.jobs),
        reports: options.reports.clone(),
        commit: entry::source_commit(),
        at_ms: harness::clock::RunClock::start().wall_start_ms(),
        clean,
    })
}

/// The exit code of what was tested now; rows of earlier sessions have had theirs.
fn exit_code(tested: &Matrix, stopped: bool) -> u8 {
    let rows = tested.rows.iter().map(|row| match row.verdict {
        Verdict::Killed => OutcomeClass::Held,
        Verdict::Unknown => OutcomeClass::Inconclusive,
        Verdict::Seen | Verdict::Escaped => OutcomeClass::Violated,
    });
    let stopped = stopped.then_some(OutcomeClass::Interrupted);
    series::strongest(rows.chain(tested.controls.iter().map(matrix::Control::class)).chain(stopped)).exit_code()
}
