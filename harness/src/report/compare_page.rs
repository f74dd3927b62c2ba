//! A comparison as a page: both verdicts, the figures with their noise, and the curves of both runs over each other.
//!
//! In: a [`Comparison`], the reports that it was made from, and where the reports are kept. Out: one self-contained page among them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use askama::Template;
use serde::Serialize;

use super::charts::{Curve, curve, per_second, rounded};
use super::compare::{Comparison, Difference, PEERS_MIN, Weight};
use super::figures::{self, count, plural};
use super::files::{self, form_error, io_error};
use super::folder::HTML;
use super::index::RunSummary;
use super::{Report, ReportError, calendar};
use crate::measure::Bucket;

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    title: String,
    sentence: String,
    comparison: &'a Comparison,
    sides: [Side<'a>; 2],
    rows: Vec<Row>,
    peers_min: usize,
    has_plots: bool,
    data: String,
    styles: &'static str,
    plot_styles: &'static str,
    plot_script: &'static str,
    script: &'static str,
}

/// One of the two runs.
struct Side<'a> {
    letter: &'static str,
    run: &'a RunSummary,
    /// Its report, relative to the page; empty if it is kept elsewhere.
    href: String,
    started: String,
    mood: &'static str,
}

/// A figure of both.
struct Row {
    figure: &'static str,
    /// Value, and what it stands on.
    values: [(String, String); 2],
    change: String,
    noise: String,
    peers: String,
    slug: &'static str,
    weight: &'static str,
}

/// What is drawn of a run; seconds from its first arrival.
#[derive(Serialize)]
struct Curves {
    letter: &'static str,
    at: Vec<f64>,
    answered: Vec<f64>,
    ok: Vec<f64>,
    p99: Vec<Option<f64>>,
    spectra: BTreeMap<String, Curve>,
}

/// The page, and its place among the reports. Links lead to those of the two runs that are kept there.
///
/// # Errors
/// The page cannot be rendered or written.
pub fn write(comparison: &Comparison, reports: [&Report; 2], folder: &Path) -> Result<PathBuf, ReportError> {
    let path = folder.join(format!("compare-{}-{}.html", comparison.before.run_id, comparison.after.run_id));
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    files::write(&path, render(comparison, reports, folder)?.as_bytes())?;
    Ok(path)
}

fn render(comparison: &Comparison, reports: [&Report; 2], folder: &Path) -> Result<String, ReportError> {
    let failed = |error: &dyn std::fmt::Display| form_error("render", "compare.html".as_ref())(error.to_string());
    let drawn = [curves("A", reports[0]), curves("B", reports[1])];
    let json = serde_json::to_string(&drawn).map_err(|error| failed(&error))?;
    let page = Page {
        title: title(comparison),
        sentence: sentence(comparison),
        sides: [("A", &comparison.before), ("B", &comparison.after)].map(|(letter, run)| side(letter, run, folder)),
        rows: comparison.figures.iter().map(|difference| row(difference, reports)).collect(),
        comparison,
        peers_min: PEERS_MIN,
        has_plots: drawn.iter().any(|run| !run.at.is_empty()),
        data: json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        styles: include_str!("../../assets/report.css"),
        plot_styles: include_str!("../../assets/uplot/uPlot.min.css"),
        plot_script: include_str!("../../assets/uplot/uPlot.iife.min.js"),
        script: include_str!("../../assets/compare.js"),
    };
    page.render().map_err(|error| failed(&error))
}

fn title(comparison: &Comparison) -> String {
    let (before, after) = (&comparison.before.scenario, &comparison.after.scenario);
    if before == after { format!("{before}, twice") } else { format!("{before} and {after}") }
}

/// What the comparison comes to, in one sentence.
fn sentence(comparison: &Comparison) -> String {
    let number = |weight: Weight| comparison.figures.iter().filter(|difference| difference.weight == weight).count() as u64;
    let beyond = number(Weight::BeyondNoise);
    let figures = match (beyond, number(Weight::WithinNoise), number(Weight::Unknown)) {
        (0, 0, _) => "whether the figures differ by more than noise is not known".to_owned(),
        (0, _, 0) => "no figure differs by more than noise".to_owned(),
        (0, _, unknown) => format!("no figure differs by more than noise, and of {unknown} it is not known"),
        (beyond, ..) => format!("{} by more than noise", plural(beyond, "figure differs", "figures differ")),
    };
    let claims = match comparison.verdicts.len() as u64 {
        0 => "Every claim has the same verdict in both".to_owned(),
        differ => format!("{} in {}", "The verdicts differ", plural(differ, "claim", "claims")),
    };
    format!("{claims}; {figures}.")
}

fn side<'a>(letter: &'static str, run: &'a RunSummary, folder: &Path) -> Side<'a> {
    let page = format!("{}/{}/{HTML}", run.scenario, run.run_id);
    let kept = folder.join(&page).is_file();
    Side {
        letter,
        run,
        href: if kept { page } else { String::new() },
        started: calendar::utc(run.wall_start_ms),
        mood: super::html::mood(run.class),
    }
}

fn row(difference: &Difference, reports: [&Report; 2]) -> Row {
    let form = difference.form;
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), form);
    let on = |report| (difference.stands_on)(report).unwrap_or_default();
    let slug = match difference.weight {
        Weight::BeyondNoise => "late",
        Weight::WithinNoise => "none",
        Weight::Unknown => "open",
    };
    Row {
        figure: difference.figure,
        values: [(value(difference.before), on(reports[0])), (value(difference.after), on(reports[1]))],
        change: difference.change_percent.map_or_else(|| "–".to_owned(), |change| format!("{change:+.1} %")),
        noise: difference.noise.map_or_else(|| "not known".to_owned(), form),
        peers: format!("of {}", plural(difference.peers as u64, "run", "runs")),
        slug,
        weight: difference.weight.name(),
    }
}

fn curves(letter: &'static str, report: &Report) -> Curves {
    let measured = &report.measurements;
    let first = measured.buckets.first().map_or(0, |bucket| bucket.at_ms);
    let per_s = |number: fn(&Bucket) -> u64| -> Vec<f64> {
        measured.buckets.iter().map(|bucket| per_second(number(bucket), measured.bucket_ms)).collect()
    };
    Curves {
        letter,
        at: measured.buckets.iter().map(|bucket| seconds(bucket.at_ms - first)).collect(),
        answered: per_s(|bucket| bucket.ok + bucket.fail),
        ok: per_s(|bucket| bucket.ok),
        p99: measured.buckets.iter().map(|bucket| bucket.ok_p99_ms.map(rounded)).collect(),
        spectra: measured.spectra.iter().map(|spectrum| (spectrum.name.clone(), curve(spectrum))).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "tenths of a second of a run")]
fn seconds(ms: u64) -> f64 {
    rounded(ms as f64 / 1e3)
}

/// `of 10,000 orders`: what a p99 of the baseline stands on.
pub(super) fn orders(report: &Report, outcome: &str) -> Option<String> {
    let row = figures::row(&report.measurements, "create_order", outcome, "baseline")?;
    Some(format!("of {} orders", count(row.response.count)))
}

/// `over 27.5 s`: what a rate stands on.
pub(super) fn stretch(report: &Report) -> Option<String> {
    let seconds = report.measurements.throughput.seconds;
    (seconds > 0.0).then(|| format!("over {seconds:.1} s"))
}

/// `of 3 faults`: what a slowest recovery stands on.
pub(super) fn faults(report: &Report) -> Option<String> {
    let faults = report.measurements.faults.len() as u64;
    (faults > 0).then(|| format!("of {}", plural(faults, "fault", "faults")))
}
