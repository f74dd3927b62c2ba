//! `chaos replay RUN`: the plan of a saved run, sent again several times, and how often its verdict came back.
//!
//! Real processes are not deterministic: the same plan is the same requests, faults and seeds, not the same interleaving. So the answer
//! is a rate with its interval, never "reproduced". It stands on what the saved run stood on, unless another backend is asked for; addresses of
//! given stores are not saved, because they may hold a password.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::report::folder::RunFolder;
use harness::report::{OutcomeClass, RunIdentity};
use harness::stack::{Backend, Rig};

use crate::launch::{self, Launch, Runner};
use crate::progress::put;
use crate::rig::{self, RigOptions};
use crate::series;
use crate::wilson::Rate;

/// What to do.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The saved run.
    pub run: PathBuf,
    /// How often its plan is sent.
    pub times: u32,
    /// Folder of the new reports.
    pub reports: PathBuf,
    /// What was asked for beside what the run was saved with.
    pub rig: RigOptions,
}

/// A saved run, ready to be sent again.
struct Saved {
    launch: Launch,
    class: OutcomeClass,
    violated: Vec<String>,
}

/// Runs it. The exit code is the strongest of the new runs.
#[must_use]
pub fn replay(options: &Replay) -> ExitCode {
    let Saved { launch, class, violated } = match saved(options) {
        Ok(saved) => saved,
        Err(why) => return launch::fail(OutcomeClass::Usage, &why),
    };
    let runner = match Runner::start() {
        Ok(runner) => runner,
        Err(error) => return launch::fail(OutcomeClass::RigFailed, &format!("start the runtime: {error}")),
    };
    let mut ended = Vec::new();
    for _ in 0..options.times {
        if runner.is_stopped() {
            break;
        }
        ended.push(series::run_launch(&runner, launch.clone()));
    }
    let same = ended.iter().filter(|run| run.class == class && run.violated == violated).count();
    let rate = Rate { hits: same as u64, of: ended.len() as u64 };
    put(&format!("the saved verdict ({}) came back in {rate}\n", class.name()));
    series::close(&runner, &ended)
}

/// The launch that sends the saved plan again, and the verdict to compare with.
fn saved(options: &Replay) -> Result<Saved, String> {
    let Replay { run, times, reports, .. } = options;
    let folder = RunFolder::open(run).map_err(|error| error.to_string())?;
    let plan = folder.read_plan().map_err(|error| error.to_string())?;
    let report = folder.read_report().map_err(|error| error.to_string())?;
    let rig = rig_of(&report.run, &options.rig)?;
    if *times > 1 {
        rig::carries_several(&rig)?;
    }
    rig::misfit(&plan.scenario, &rig).map_or(Ok(()), Err)?;
    let violated = report.findings.iter().filter(|finding| finding.verdict.is_violated());
    let violated = violated.map(|finding| finding.invariant.clone()).collect();
    let launch =
        Launch { scenario: plan.scenario.clone(), command: command(run, &rig), saved: Some(plan), rig, reports: reports.clone() };
    Ok(Saved { launch, class: report.outcome.class, violated })
}

/// What the run stood on, changed by what was asked for now.
fn rig_of(run: &RunIdentity, asked: &RigOptions) -> Result<Rig, String> {
    let given = || {
        let why = "the saved run stood on given stores, whose addresses are not saved: give --redis-url and --mysql-url";
        asked.external().ok_or_else(|| why.to_owned())
    };
    let backend = match (asked.backend, run.backend.as_str()) {
        (Some(_), _) => asked.backend(),
        (None, "external") => given()?,
        (None, "containers") => asked.containers(),
        (None, _) => Backend::Process,
    };
    let toxiproxy = asked.toxiproxy.clone().or_else(|| run.toxiproxy.clone());
    Ok(Rig { backend, toxiproxy, service_args: run.service_args.clone() })
}

/// The command that does this again. The arguments of the service are those of the saved run in any case.
fn command(run: &Path, rig: &Rig) -> String {
    let asked = Rig { service_args: Vec::new(), ..rig.clone() };
    format!("cargo run --release --bin chaos -- replay {}{}", run.display(), rig::words(&asked))
}
