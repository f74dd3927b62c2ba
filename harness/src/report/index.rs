//! `reports/index.html`: every run that has a report, with filters and trends.
//!
//! In: the folder of all reports. Out: one self-contained page. Runs whose rig failed stand apart: they say nothing about the service, and
//! would spoil every trend. [`summaries`] reads, [`render`] is pure.

use std::fs;
use std::path::{Path, PathBuf};

use askama::Template;
use serde::{Deserialize, Serialize};

use super::figures::{self, ms, rate};
use super::files::{self, form_error, io_error};
use super::folder::{HTML, LATEST, REPORT};
use super::{OutcomeClass, Report, ReportError, bench, calendar};

/// Name of the page.
pub const INDEX: &str = "index.html";

/// Pages about more than one run, in the folder of the reports: file and name.
const OTHER_PAGES: [(&str, &str); 2] = [(bench::HTML, "Benchmark"), ("selftest.html", "Self-test")];

/// What a list of runs says of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Scenario.
    pub scenario: String,
    /// Name of the run folder.
    pub run_id: String,
    /// Seed.
    pub seed: u64,
    /// How it ended.
    pub class: OutcomeClass,
    /// The sentence of the verdict.
    pub sentence: String,
    /// Start, ms since 1970.
    pub wall_start_ms: u64,
    /// Commit of the source.
    pub commit: String,
    /// Versions of the stores.
    pub servers: String,
    /// p99 of the response time of accepted orders in the baseline, ms.
    pub p99_ok_ms: Option<f64>,
    /// Of orders refused as sold out.
    pub p99_sold_out_ms: Option<f64>,
    /// Operations answered per second of the baseline; absent without one.
    pub answered_per_s: Option<f64>,
    /// Orders accepted per second of the baseline; absent without one.
    pub accepted_per_s: Option<f64>,
    /// Slowest recovery from any fault, ms.
    pub recovery_ms: Option<f64>,
    /// Faults that were injected.
    pub faults: u64,
}

impl RunSummary {
    /// What a report says, in short.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let measured = &report.measurements;
        let p99 = |outcome| figures::row(measured, "create_order", outcome, "baseline").map(|row| row.response.p99_ms);
        let per_s = |value: f64| (measured.throughput.seconds > 0.0).then_some(value);
        let recoveries = measured.faults.iter().filter_map(|fault| fault.recovery.as_ref()?.worst().map(|(_, ms)| ms));
        Self {
            scenario: report.run.scenario.clone(),
            run_id: report.run.run_id.clone(),
            seed: report.run.seed,
            class: report.outcome.class,
            sentence: report.outcome.sentence.clone(),
            wall_start_ms: report.run.wall_start_ms,
            commit: report.run.commit.clone(),
            servers: [report.run.servers.redis.as_str(), report.run.servers.mysql.as_str()].join(", "),
            p99_ok_ms: p99("ok"),
            p99_sold_out_ms: p99("sold_out"),
            answered_per_s: per_s(measured.throughput.achieved_per_s),
            accepted_per_s: per_s(measured.throughput.accepted_per_s),
            recovery_ms: recoveries.max_by(f64::total_cmp),
            faults: measured.faults.iter().filter(|fault| fault.span.injected.is_some()).count() as u64,
        }
    }
}

/// All runs below a folder of reports, newest first, and the paths of reports that cannot be read.
///
/// # Errors
/// The folder itself cannot be read.
pub fn summaries(reports: &Path) -> Result<(Vec<RunSummary>, Vec<String>), ReportError> {
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for scenario in folders(reports)? {
        for run in folders(&scenario)? {
            let path = run.join(REPORT);
            if !path.exists() {
                continue;
            }
            match files::read_json::<Report>(&path) {
                Ok(report) => runs.push(RunSummary::of(&report)),
                Err(error) => unreadable.push(error.to_string()),
            }
        }
    }
    runs.sort_by(|a, b| (b.wall_start_ms, &b.run_id).cmp(&(a.wall_start_ms, &a.run_id)));
    Ok((runs, unreadable))
}

/// Real folders inside a folder, by name; links such as `latest` are left out.
fn folders(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(io_error("read", path))? {
        let entry = entry.map_err(io_error("read", path))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != LATEST {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    runs: Vec<Row<'a>>,
    rig: Vec<Row<'a>>,
    unreadable: &'a [String],
    others: &'a [(&'static str, &'static str)],
    scenarios: Vec<&'a str>,
    classes: Vec<&'static str>,
    data: String,
    styles: &'static str,
    plot_styles: &'static str,
    plot_script: &'static str,
    script: &'static str,
}

struct Row<'a> {
    run: &'a RunSummary,
    href: String,
    started: String,
    commit: String,
    mood: &'static str,
    figures: [String; 5],
}

/// The page, with links relative to the folder of reports; `others` are files there and their names.
///
/// # Errors
/// It cannot be rendered.
pub fn render(runs: &[RunSummary], unreadable: &[String], others: &[(&'static str, &'static str)]) -> Result<String, ReportError> {
    let failed = |error: &dyn std::fmt::Display| form_error("render", INDEX.as_ref())(error.to_string());
    let is_rig = |run: &&RunSummary| run.class == OutcomeClass::RigFailed;
    let mut scenarios: Vec<&str> = runs.iter().map(|run| run.scenario.as_str()).collect();
    scenarios.sort_unstable();
    scenarios.dedup();
    let mut classes: Vec<&'static str> = runs.iter().filter(|run| !is_rig(run)).map(|run| run.class.name()).collect();
    classes.sort_unstable();
    classes.dedup();
    let judged: Vec<&RunSummary> = runs.iter().filter(|run| !is_rig(run)).collect();
    let json = serde_json::to_string(&judged).map_err(|error| failed(&error))?;
    let page = Page {
        runs: judged.iter().map(|run| row(run)).collect(),
        rig: runs.iter().filter(is_rig).map(row).collect(),
        unreadable,
        others,
        scenarios,
        classes,
        data: json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        styles: include_str!("../../assets/report.css"),
        plot_styles: include_str!("../../assets/uplot/uPlot.min.css"),
        plot_script: include_str!("../../assets/uplot/uPlot.iife.min.js"),
        script: include_str!("../../assets/index.js"),
    };
    page.render().map_err(|error| failed(&error))
}

fn row(run: &RunSummary) -> Row<'_> {
    let figure = |value: Option<f64>, form: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), form);
    let commit = run.commit.get(..12).unwrap_or(&run.commit).to_owned();
    Row {
        run,
        href: format!("{}/{}/{HTML}", run.scenario, run.run_id),
        started: calendar::utc(run.wall_start_ms),
        commit: if run.commit.ends_with("-dirty") && !commit.ends_with("-dirty") { format!("{commit}-dirty") } else { commit },
        mood: super::html::mood(run.class),
        figures: [
            figure(run.p99_ok_ms, ms),
            figure(run.p99_sold_out_ms, ms),
            figure(run.accepted_per_s, rate),
            figure(run.answered_per_s, rate),
            figure(run.recovery_ms, |ms| format!("{:.1}", ms / 1e3)),
        ],
    }
}

/// Reads every report below `reports` and writes the page there. Returns its path.
///
/// # Errors
/// The folder cannot be read, or the page cannot be written.
pub fn write(reports: &Path) -> Result<PathBuf, ReportError> {
    let (runs, unreadable) = summaries(reports)?;
    let path = reports.join(INDEX);
    let others: Vec<_> = OTHER_PAGES.into_iter().filter(|(file, _)| reports.join(file).is_file()).collect();
    files::write(&path, render(&runs, &unreadable, &others)?.as_bytes())?;
    Ok(path)
}
