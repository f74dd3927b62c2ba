//! Runs the loads of the benchmark as judged runs of the harness, and keeps what they say of themselves.
//!
//! In: a [`Sale`]. Out: a [`Sold`], if every claim held: a missed latency budget is a figure, all else is none. What the runs tell of machine,
//! servers and program is kept for the report.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::report::bench::JudgedRun;
use harness::report::{OutcomeClass, Report, RunFolder, calendar, figures};
use harness::run::{Judged, Watch};
use harness::scenario::Scenario;
use harness::seed::Seed;
use harness::snapshot::Servers;
use harness::stack::Rig;

use super::companions::Nobody;
use super::readings::{during_load, mean};
use crate::entry;
use crate::launch::{Launch, Runner};
use crate::progress::put;

/// Folder of all benchmarks within that of the reports.
pub(super) const FOLDER: &str = "bench";
/// Above so many orders the snapshot is not read again for the size of a batch.
const BATCH_ORDERS_MAX: usize = 300_000;

/// A load, how the service is set for it, and who stands beside it.
pub(super) struct Sale<'a> {
    scenario: Scenario,
    arguments: Vec<String>,
    companion: &'a dyn Watch,
}

impl<'a> Sale<'a> {
    /// A load alone.
    pub(super) fn of(scenario: Scenario, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { scenario, arguments, companion: &Nobody }
    }

    /// With somebody beside it.
    pub(super) fn beside(self, companion: &'a dyn Watch) -> Self {
        Self { companion, ..self }
    }
}

/// A judged load.
#[derive(Debug)]
pub(super) struct Sold {
    /// Accepted and durable orders per second.
    pub(super) accepted_per_s: f64,
    /// p99 of accepted orders, ms.
    pub(super) p99_ms: f64,
    /// Orders in a transaction, on average.
    pub(super) batch: Option<f64>,
    /// The whole report.
    pub(super) report: Report,
}

/// What the runs told.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Of the machine.
    pub(super) machine: BTreeMap<String, String>,
    /// Of the servers.
    pub(super) servers: Servers,
    /// Hash of the program.
    pub(super) build_id: String,
    /// Every run.
    pub(super) runs: Vec<JudgedRun>,
}

/// Where a benchmark runs.
pub(super) struct Field<'a> {
    runner: &'a Runner,
    root: PathBuf,
    reports: PathBuf,
    seed: Cell<u64>,
    known: RefCell<Known>,
    /// Whether loads are short.
    pub(super) quick: bool,
}

impl<'a> Field<'a> {
    /// A field whose run folders lie below `reports`, by the start of the benchmark.
    pub(super) fn open(runner: &'a Runner, reports: &Path, seed: Seed, (quick, wall_start_ms): (bool, u64)) -> Self {
        let runs = reports.join(FOLDER).join(calendar::stamp(wall_start_ms));
        Self { runner, root: reports.to_owned(), reports: runs, seed: Cell::new(seed.0), known: RefCell::default(), quick }
    }

    /// A seed for the next run.
    pub(super) fn next_seed(&self) -> Seed {
        let seed = self.seed.get();
        self.seed.set(seed.wrapping_add(1));
        Seed(seed)
    }

    /// Whether somebody asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.runner.is_stopped()
    }

    /// Runs a future of the benchmark itself.
    pub(super) fn wait<F: Future>(&self, work: F) -> F::Output {
        self.runner.wait(work)
    }

    /// Runs a load and judges it.
    ///
    /// # Errors
    /// Why it gives no figure.
    pub(super) fn sell(&self, sale: Sale<'_>, round: u32) -> Result<Sold, String> {
        let name = sale.scenario.name.clone();
        if self.is_stopped() {
            return Err(format!("{name} in round {round} did not run: interrupted"));
        }
        let launch = Launch {
            command: entry::repeat_command("chaos", sale.scenario.seed),
            scenario: sale.scenario,
            saved: None,
            rig: Rig { service_args: sale.arguments, ..Rig::default() },
            reports: self.reports.clone(),
        };
        let judged = self.runner.watched(launch, sale.companion).map_err(|error| format!("{name} in round {round}: {error}"))?;
        let run = self.keep(&judged, round);
        let line =
            format!("accepted {:>8}/s  refused {:>8}/s", figures::rate(run.accepted_per_s), figures::rate(run.refused_per_s));
        put(&format!("round {round:<2} {name:<26} {line}  {}\n", run.class.name()));
        if !matches!(run.class, OutcomeClass::Held | OutcomeClass::BudgetMissed) {
            return Err(format!("{name} in round {round} is {}: {}", run.class.name(), run.sentence));
        }
        Ok(Sold {
            accepted_per_s: run.accepted_per_s,
            p99_ms: run.p99_ms.unwrap_or(f64::INFINITY),
            batch: run.batch,
            report: judged.report,
        })
    }

    fn keep(&self, judged: &Judged, round: u32) -> JudgedRun {
        let report = &judged.report;
        let (measured, path) = (&report.measurements, judged.folder.path());
        let cpu = measured.readings.iter().filter(|curve| curve.name == "cpu_percent");
        let run = JudgedRun {
            round,
            name: report.run.scenario.clone(),
            class: report.outcome.class,
            sentence: report.outcome.sentence.clone(),
            folder: relative(path, &self.root),
            accepted_per_s: measured.throughput.accepted_per_s,
            refused_per_s: measured.throughput.refused_per_s,
            p99_ms: figures::row(measured, "create_order", "ok", "baseline").map(|row| row.response.p99_ms),
            batch: has_one_writer(report).then(|| batch(&judged.folder, measured.generator.planned)).flatten(),
            cpu_percent: cpu
                .map(|curve| (curve.of.clone(), mean(&during_load(measured, &curve.name, &curve.of, u64::MAX))))
                .collect(),
        };
        let mut known = self.known.borrow_mut();
        known.machine.clone_from(&report.run.machine);
        known.servers.clone_from(&report.run.servers);
        known.build_id.clone_from(&report.run.build_id);
        known.runs.push(run.clone());
        run
    }

    /// What all runs told.
    pub(super) fn close(&self) -> Known {
        self.known.take()
    }
}

/// A path within `root` as a link from there; as it is if it lies elsewhere.
fn relative(path: &Path, root: &Path) -> String {
    let below = |path: &Path| Some(path.canonicalize().ok()?.strip_prefix(root.canonicalize().ok()?).ok()?.display().to_string());
    below(path).unwrap_or_else(|| path.display().to_string())
}

/// Whether one connection alone wrote the orders.
fn has_one_writer(report: &Report) -> bool {
    let measured = report.measurements.readings.iter();
    let api = measured.filter(|curve| curve.name == "memory_mib" && curve.of.starts_with("api-")).count();
    api == 1 && report.run.service_args.is_empty()
}

/// Orders in a transaction on average: rows of one INSERT bear one time of the database, and one writer hardly ever begins two within a
/// millisecond.
#[expect(clippy::cast_precision_loss, reason = "counts of one run")]
fn batch(folder: &RunFolder, planned: u64) -> Option<f64> {
    if usize::try_from(planned).ok()? > BATCH_ORDERS_MAX {
        return None;
    }
    let stops = folder.read_stops().ok()?;
    let orders = &stops.first()?.snapshot.orders;
    let inserts: BTreeSet<i64> = orders.iter().map(|order| order.created_at_ms).collect();
    (!inserts.is_empty()).then(|| orders.len() as f64 / inserts.len() as f64)
}
