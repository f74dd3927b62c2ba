//! `chaos bench`: what the service can do, side by side with what could be had at best, in interleaved rounds on one machine.
//!
//! In: the table of [`figures`] and of [`curves`], a number of rounds. Out: `bench.json` and `bench.html` in the folder of the reports, a copy below
//! `bench/<start>/`, every run folder beside it, and an exit code: 0 every goal met, 5 one was missed, 1 a run violated a claim, 3 a figure has no value,
//! 130 it was interrupted.
//!
//! Every load on the service is an ordinary run of the harness: sold, drained to rest and judged ([`field`]). A figure of a run whose claims did
//! not all hold is no figure. [`sales`] says what is sold, [`companions`] are loads and watchers beside a run, [`raw_insert`] is MySQL without a service.

mod companions;
mod curves;
mod field;
mod figures;
mod idle;
mod lean;
mod older;
mod pages;
mod raw_insert;
mod readings;
mod round;
mod sales;
mod sold_out;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use harness::clock::RunClock;
use harness::report::OutcomeClass;
use harness::report::bench::{BenchReport, SCHEMA_VERSION};
use harness::seed::Seed;

use crate::entry;
use crate::launch::{self, Runner};
use crate::progress::put;
use field::Field;
use round::Round;

/// Options of the benchmark.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Rounds, each of which measures everything once, 1 to 50
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Only these figures and curves, separated by commas; `help` lists them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Short loads: shows that the tool works, its figures mean little
    #[arg(long)]
    quick: bool,
    /// Seed of the first run, each further one has the next; a fresh one by default
    #[arg(long)]
    seed: Option<Seed>,
    /// Folder of the reports
    #[arg(long, default_value = "reports", value_name = "DIR")]
    reports: PathBuf,
}

/// Runs it. The exit code is that of its figures.
#[must_use]
pub fn bench(options: &Options) -> ExitCode {
    if options.only.iter().any(|name| name == "help") {
        list();
        return ExitCode::SUCCESS;
    }
    match attempt(options) {
        Ok(class) => ExitCode::from(class.exit_code()),
        Err((class, why)) => launch::fail(class, &why),
    }
}

fn list() {
    for figure in &figures::TABLE {
        put(&format!("{:<16} {}\n", figure.id, figure.what));
    }
    for curve in &curves::TABLE {
        put(&format!("{:<16} {}\n", curve.id, curve.what));
    }
}

fn attempt(options: &Options) -> Result<OutcomeClass, (OutcomeClass, String)> {
    let usage = |why: String| (OutcomeClass::Usage, why);
    let rig = |why: String| (OutcomeClass::RigFailed, why);
    if cfg!(feature = "defects") {
        return Err(usage("a build with planted defects is not measured: call `chaos bench`".to_owned()));
    }
    let (figures, curves) = chosen(&options.only).map_err(usage)?;
    let runner = Runner::start().map_err(|error| rig(format!("start the runtime: {error}")))?;
    let clock = RunClock::start();
    let seed = options.seed.unwrap_or_else(entry::fresh_seed);
    let field = Field::open(&runner, &options.reports, seed, (options.quick, clock.wall_start_ms()));
    put(&format!("benchmark of {} rounds  seed {seed}\n", options.rounds));
    let before = pages::load_average();
    let (mut measured, mut drawn) = (figures::empty(&figures), curves::empty(&curves));
    for number in 1..=options.rounds {
        let round = Round::new(&field, number);
        figures::measure(&figures, &round, &mut measured);
        curves::measure(&curves, &round, &mut drawn);
        if runner.is_stopped() {
            break;
        }
    }
    let known = field.close();
    let report = BenchReport {
        schema_version: SCHEMA_VERSION,
        wall_start_ms: clock.wall_start_ms(),
        took_ms: clock.now().nanos() / 1_000_000,
        command: entry::repeat_command("chaos", seed),
        commit: entry::source_commit(),
        build_id: known.build_id,
        rounds: options.rounds,
        quick: options.quick,
        interrupted: runner.is_stopped(),
        machine: known.machine,
        load_average: (before, pages::load_average()),
        servers: known.servers,
        figures: measured,
        curves: drawn,
        runs: known.runs,
    };
    let page = pages::write(&options.reports, &report).map_err(|error| rig(error.to_string()))?;
    // The list is for looking at: without it the figures are no less measured.
    if let Err(error) = harness::report::index::write(&options.reports) {
        entry::eprintln_plain(&format!("the list of all runs was not written: {error}"));
    }
    put(&pages::table(&report));
    put(&format!("{}\nbenchmark    {}\n", report.sentence(), page.display()));
    Ok(report.class())
}

type Chosen = (Vec<&'static figures::Spec>, Vec<&'static curves::Spec>);

/// What is to be measured: all of it, unless some are named.
fn chosen(only: &[String]) -> Result<Chosen, String> {
    let is_known = |name: &String| figures::TABLE.iter().any(|it| it.id == name) || curves::TABLE.iter().any(|it| it.id == name);
    if let Some(name) = only.iter().find(|name| !is_known(name)) {
        return Err(format!("there is no figure {name:?}: see `chaos bench --only help`"));
    }
    let is_wanted = |id: &str| only.is_empty() || only.iter().any(|name| name == id);
    let figures = figures::TABLE.iter().filter(|figure| is_wanted(figure.id)).collect();
    let curves = curves::TABLE.iter().filter(|curve| is_wanted(curve.id)).collect();
    Ok((figures, curves))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_and_a_name_that_is_none_is_refused() {
        let (figures, curves) = chosen(&[]).unwrap();
        assert_eq!((figures.len(), curves.len()), (figures::TABLE.len(), curves::TABLE.len()));
        let (figures, curves) = chosen(&["hot_256".to_owned(), "by_skus".to_owned()]).unwrap();
        assert_eq!((figures[0].id, curves[0].id, figures.len() + curves.len()), ("hot_256", "by_skus", 2));
        assert!(chosen(&["fast".to_owned()]).unwrap_err().contains("\"fast\""));
    }
}
