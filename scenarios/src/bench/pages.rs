//! What a benchmark leaves for people and machines, and the state of the machine that it stood on.
//!
//! In: a [`BenchReport`]. Out: `bench.json` and `bench.html` in the folder of the reports, a copy of the data beside the runs, and a table for the console.

use std::path::{Path, PathBuf};

use harness::report::bench::{self, BenchReport, Curve, Figure, median};
use harness::report::bench_page::{self, goal_text, value_text};
use harness::report::{ReportError, calendar, figures, files};

use super::field::FOLDER;

/// Writes all files; the path of the page.
pub(super) fn write(reports: &Path, report: &BenchReport) -> Result<PathBuf, ReportError> {
    let own = reports.join(FOLDER).join(calendar::stamp(report.wall_start_ms));
    std::fs::create_dir_all(&own).map_err(|source| ReportError::Io { act: "create", path: own.clone(), source })?;
    files::write_json(&own.join(bench::JSON), report)?;
    files::write_json(&reports.join(bench::JSON), report)?;
    let page = reports.join(bench::HTML);
    files::write(&page, bench_page::render(report)?.as_bytes())?;
    Ok(page)
}

/// One line for each figure and each size of a curve.
pub(super) fn table(report: &BenchReport) -> String {
    let lines = report.figures.iter().map(figure_line).chain(report.curves.iter().flat_map(curve_lines));
    lines.collect::<Vec<_>>().concat()
}

fn figure_line(figure: &Figure) -> String {
    let met = match figure.met() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "no value",
    };
    let value = figure.value().map_or_else(|| "-".to_owned(), |value| value_text(figure.goal, value, &figure.unit));
    let of = |values: &[f64]| median(values).map_or_else(|| "-".to_owned(), figures::rate);
    let (ours, theirs, goal) = (of(&figure.ours), of(&figure.theirs), goal_text(figure.goal, &figure.unit));
    let why: String = figure.missing.iter().map(|why| format!("    no value: {why}\n")).collect();
    format!("{met:<9} {:<16} {value:>12}  goal {goal:<10} {ours} against {theirs} {}\n{why}", figure.id, figure.unit)
}

fn curve_lines(curve: &Curve) -> Vec<String> {
    let of = |values: &[f64], form: fn(f64) -> String| median(values).map_or_else(|| "-".to_owned(), form);
    let point = |point: &bench::CurvePoint| {
        let (accepted, p99) = (of(&point.accepted_per_s, figures::rate), of(&point.p99_ms, figures::ms));
        format!("{:<26} {:>9}  accepted {accepted:>8}/s  p99 {p99:>8} ms\n", curve.id, point.size)
    };
    let missing = curve.missing.iter().map(|why| format!("    no value: {why}\n"));
    curve.points.iter().map(point).chain(missing).collect()
}

/// The load average of the last minute; 0 where the system does not tell.
pub(super) fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
