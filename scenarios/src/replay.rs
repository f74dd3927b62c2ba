//! `chaos replay RUN`: the plan of a saved run, sent again several times, and how often its verdict came back.
//!
//! Real processes are not deterministic: the same plan is the same requests, faults and seeds, not the same interleaving. So the answer
//! is a rate with its interval, never "reproduced".

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::report::OutcomeClass;
use harness::report::folder::RunFolder;
use harness::stack::Backend;

use crate::launch::{self, Launch, Runner};
use crate::progress::put;
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
}

/// Runs it. The exit code is the strongest of the new runs.
#[must_use]
pub fn replay(options: &Replay) -> ExitCode {
    let (launch, class, violated) = match saved(&options.run, &options.reports) {
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
fn saved(run: &Path, reports: &Path) -> Result<(Launch, OutcomeClass, Vec<String>), String> {
    let folder = RunFolder::open(run).map_err(|error| error.to_string())?;
    let plan = folder.read_plan().map_err(|error| error.to_string())?;
    let report = folder.read_report().map_err(|error| error.to_string())?;
    let violated = report.findings.iter().filter(|finding| finding.verdict.is_violated());
    let violated = violated.map(|finding| finding.invariant.clone()).collect();
    let launch = Launch {
        scenario: plan.scenario.clone(),
        command: format!("cargo run --release --bin chaos -- replay {}", run.display()),
        saved: Some(plan),
        backend: Backend::Process,
        service_args: Vec::new(),
        reports: reports.to_owned(),
    };
    Ok((launch, report.outcome.class, violated))
}
