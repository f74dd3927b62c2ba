//! The program `chaos`, and its twin with planted defects: their commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use harness::report::folder::RunFolder;
use harness::report::{OutcomeClass, compare, compare_page, index};
use harness::run::{Write, judge_saved};
use harness::seed::Seed;
use harness::stack::Rig;

use crate::catalog::{self, Entry, Plan};
use crate::launch::Runner;
use crate::nightly::{Nightly, nightly};
use crate::progress::put;
use crate::replay::{Replay, replay};
use crate::rig::{self, RigOptions};
use crate::{bench, differences, entry, launch, selftest, series};

/// Scenarios by name, and saved runs judged again.
///
/// Exit codes: 0 held, 1 violated, 2 usage, 3 inconclusive, 4 rig failed, 5 budget missed, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// How cargo knows the program of this build.
const PROGRAM: &str = if cfg!(feature = "defects") { "chaos-defects --features defects" } else { "chaos" };

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the scenarios
    List,
    /// Runs scenarios, one after another
    Run {
        /// Their names; `core` is every kind of load and fault once, `all` the whole catalog
        #[arg(required = true)]
        names: Vec<String>,
        /// Seed of every draw; a fresh one by default
        #[arg(long)]
        seed: Option<Seed>,
        /// Folder of the reports
        #[arg(long, default_value = "reports", value_name = "DIR")]
        reports: PathBuf,
        /// Further argument of every service process; may be given again
        #[arg(long = "service-arg", value_name = "ARG", allow_hyphen_values = true)]
        service_args: Vec<String>,
        /// Less load before, between and behind the faults: what is right is judged, recovery and percentiles are not
        #[arg(long)]
        short: bool,
        /// End as after Ctrl-C when standard input ends, so that a run does not outlive what started it
        #[arg(long, hide = true)]
        until_input_ends: bool,
        /// What the runs stand on
        #[command(flatten)]
        rig: RigOptions,
        /// Serve the report on a free port of 127.0.0.1 while a run goes on; measuring for it takes some of the machine
        #[arg(long)]
        live: bool,
    },
    /// Runs the service with one planted defect after another and writes which claims find it: reports/selftest.html, .json and .md
    ///
    /// Exit codes: 0 every defect was killed and every clean control held, 1 a control was violated or a defect was not killed, 3 something
    /// stayed unknown, 130 interrupted
    Selftest(selftest::Options),
    /// Measures what the service can do against what could be had at best, in interleaved rounds: reports/bench.html and bench.json
    ///
    /// Exit codes: 0 every goal was met, 1 a run violated a claim, 3 a figure has no value, 5 a goal was missed, 130 interrupted
    Bench(bench::Options),
    /// Lists the defects that are planted in this build
    #[cfg(feature = "defects")]
    Defects,
    /// Runs the catalog again and again with fresh seeds; keeps every run that is not held, and writes reports/nightly.md
    Nightly {
        /// No run begins after so many minutes
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_440))]
        minutes: u64,
        /// Seed of the first run, each further one has the next; a fresh one by default
        #[arg(long)]
        seed: Option<Seed>,
        /// Folder of the reports
        #[arg(long, default_value = "reports", value_name = "DIR")]
        reports: PathBuf,
        /// What the runs stand on; scenarios that it cannot carry are left out
        #[command(flatten)]
        rig: RigOptions,
    },
    /// Runs the plan of a saved run again and says how often its verdict comes back
    Replay {
        /// Run folder
        run: PathBuf,
        /// How often, 1 to 1000
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        times: u32,
        /// Folder of the reports
        #[arg(long, default_value = "reports", value_name = "DIR")]
        reports: PathBuf,
        /// What it stands on, if not on what the saved run stood on
        #[command(flatten)]
        rig: RigOptions,
    },
    /// Compares two saved runs, and says whether they differ by more than runs of this kind do; also as a page among the reports
    Compare {
        /// Run folder
        before: PathBuf,
        /// Run folder
        after: PathBuf,
        /// Folder of the reports, for what other runs measured
        #[arg(long, default_value = "reports", value_name = "DIR")]
        reports: PathBuf,
    },
    /// Writes reports/index.html: all runs, by scenario and outcome, with their trend
    Index {
        /// Folder of the reports
        #[arg(long, default_value = "reports", value_name = "DIR")]
        reports: PathBuf,
    },
    /// Judges a saved run again, offline, with the code of this program
    Verify {
        /// Run folder, or a link to one such as reports/flash_sale/latest
        run: PathBuf,
        /// Write the report into the run folder anew
        #[arg(long)]
        write: bool,
    },
}

/// The whole program. The exit code is that of the outcome.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = entry::serve_if_asked() {
        return code;
    }
    match Arguments::parse().command {
        Command::List => list(),
        Command::Run { names, seed, reports, service_args, short, until_input_ends, rig, live } => {
            let plan = if short { Plan::Short } else { Plan::Whole };
            run(&names, seed, &Options { reports, rig: rig.rig(service_args), plan, until_input_ends, live })
        }
        Command::Selftest(options) => selftest::selftest(&options),
        Command::Bench(options) => bench::bench(&options),
        #[cfg(feature = "defects")]
        Command::Defects => defects(),
        Command::Nightly { minutes, seed, reports, rig } => {
            let (time, seed) = (Duration::from_secs(minutes * 60), seed.unwrap_or_else(entry::fresh_seed));
            nightly(&Nightly { time, seed, reports, rig: rig.rig(Vec::new()) })
        }
        Command::Replay { run, times, reports, rig } => replay(&Replay { run, times, reports, rig }),
        Command::Compare { before, after, reports } => compare(&before, &after, &reports),
        Command::Index { reports } => write_index(&reports),
        Command::Verify { run, write } => verify(&run, if write { Write::Yes } else { Write::No }),
    }
}

fn list() -> ExitCode {
    for (set, entries) in [("core", catalog::CORE), ("further", catalog::FURTHER)] {
        for entry in entries {
            put(&format!("{set:<8} {:<24} {}; promised: {}\n", entry.name, entry.shows, entry.promises));
        }
    }
    ExitCode::SUCCESS
}

#[cfg(feature = "defects")]
fn defects() -> ExitCode {
    for defect in reference::defects::Defect::ALL {
        put(&format!("{:<36} {}\n", defect.name(), defect.mistake()));
    }
    ExitCode::SUCCESS
}

/// What all runs of one `chaos run` share.
struct Options {
    reports: PathBuf,
    rig: Rig,
    plan: Plan,
    until_input_ends: bool,
    live: bool,
}

fn run(names: &[String], seed: Option<Seed>, options: &Options) -> ExitCode {
    let seed = seed.unwrap_or_else(entry::fresh_seed);
    let entries = match chosen(names, seed, &options.rig) {
        Ok(entries) => entries,
        Err(why) => return launch::fail(OutcomeClass::Usage, &why),
    };
    let runner = match Runner::start() {
        Ok(runner) => runner.live(options.live),
        Err(error) => return launch::fail(OutcomeClass::RigFailed, &format!("start the runtime: {error}")),
    };
    if options.until_input_ends {
        runner.stop_when_input_ends();
    }
    if let [only] = entries.as_slice() {
        let launch = launch::Launch {
            scenario: options.plan.of(only, seed),
            saved: None,
            rig: options.rig.clone(),
            reports: options.reports.clone(),
            command: entry::repeat_command(PROGRAM, seed),
        };
        return launch::run_on(&runner, launch);
    }
    let mut ended = Vec::new();
    for entry in entries {
        if runner.is_stopped() {
            break;
        }
        let plan = (options.plan, seed);
        ended.push(series::run_entry(&runner, entry, plan, &options.reports, &options.rig));
    }
    series::close(&runner, &ended)
}

/// The entries of these names, in their order, or of a set those that the rig can carry; why not, in words, before anything starts.
fn chosen(names: &[String], seed: Seed, rig: &Rig) -> Result<Vec<&'static Entry>, String> {
    match names {
        [set] if set == "all" => return series::carried(catalog::all(), seed, rig),
        [set] if set == "core" => return series::carried(catalog::CORE, seed, rig),
        _ => {}
    }
    let unknown = |name: &String| match name.as_str() {
        "all" | "core" => format!("{name:?} stands for several scenarios and is given alone"),
        _ => format!("there is no scenario {name:?}: see `chaos list`"),
    };
    let entries = names.iter().map(|name| catalog::find(name).ok_or_else(|| unknown(name)));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    if entries.len() > 1 {
        rig::carries_several(rig)?;
    }
    let misfit = entries.iter().find_map(|entry| rig::misfit(&(entry.plan)(seed), rig));
    misfit.map_or(Ok(entries), Err)
}

fn compare(before: &Path, after: &Path, reports: &Path) -> ExitCode {
    let read = |path: &Path| RunFolder::open(path).and_then(|folder| folder.read_report());
    let compared = read(before).and_then(|before| {
        let after = read(after)?;
        let (others, _) = index::summaries(reports).unwrap_or_default();
        let comparison = compare::compare(&before, &after, &others);
        Ok((compare_page::write(&comparison, [&before, &after], reports)?, comparison))
    });
    match compared {
        Ok((page, comparison)) => {
            put(&format!("{}\npage {}\n", comparison.to_text(), page.display()));
            ExitCode::SUCCESS
        }
        Err(error) => launch::fail(OutcomeClass::Usage, &error.to_string()),
    }
}

fn write_index(reports: &Path) -> ExitCode {
    match index::write(reports) {
        Ok(path) => {
            put(&format!("{}\n", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => launch::fail(OutcomeClass::Usage, &error.to_string()),
    }
}

fn verify(run: &Path, write: Write) -> ExitCode {
    if !run.is_dir() {
        return launch::fail(OutcomeClass::Usage, &format!("there is no run folder {}", run.display()));
    }
    let saved = differences::saved_verdicts(run);
    match judge_saved(run, write) {
        Ok(judged) => {
            put(&differences::render(&saved, &judged.report));
            launch::show(&judged)
        }
        Err(error) => launch::fail(OutcomeClass::RigFailed, &error.to_string()),
    }
}
