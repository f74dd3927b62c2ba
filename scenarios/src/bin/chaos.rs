//! `chaos`: scenarios by name, and saved runs judged again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harness::report::OutcomeClass;
use harness::run::{Write, judge_saved};
use harness::seed::Seed;
use harness::stack::Backend;
use scenarios::catalog::{self, CATALOG};
use scenarios::progress::put;
use scenarios::{differences, entry, launch};

/// Scenarios by name, and saved runs judged again.
///
/// Exit codes: 0 held, 1 violated, 2 usage, 3 inconclusive, 4 rig failed, 5 budget missed, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the scenarios
    List,
    /// Runs one scenario
    Run {
        /// Its name
        name: String,
        /// Seed of every draw; a fresh one by default
        #[arg(long)]
        seed: Option<Seed>,
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

fn main() -> ExitCode {
    if let Some(code) = entry::serve_if_asked() {
        return code;
    }
    match Arguments::parse().command {
        Command::List => list(),
        Command::Run { name, seed, reports } => run(&name, seed, reports),
        Command::Verify { run, write } => verify(&run, if write { Write::Yes } else { Write::No }),
    }
}

fn list() -> ExitCode {
    for entry in CATALOG {
        put(&format!("{:<24} {}\n", entry.name, entry.shows));
    }
    ExitCode::SUCCESS
}

fn run(name: &str, seed: Option<Seed>, reports: PathBuf) -> ExitCode {
    let Some(found) = catalog::find(name) else {
        return launch::fail(OutcomeClass::Usage, &format!("there is no scenario {name:?}: see `chaos list`"));
    };
    let seed = seed.unwrap_or_else(entry::fresh_seed);
    let scenario = (found.plan)(seed);
    launch::run_one(launch::Launch {
        scenario,
        backend: Backend::Process,
        service_args: Vec::new(),
        reports,
        command: entry::repeat_command("chaos", seed),
    })
}

fn verify(run: &std::path::Path, write: Write) -> ExitCode {
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
