//! `report.html`: one self-contained page that opens from disk without a network.
//!
//! In: a report and its evidence. Out: HTML with styles, plots and data inside. All tables and the verdict are plain HTML; only the
//! plots need a script.

use std::collections::BTreeMap;

use askama::Template;

use super::breakage::{self, FaultRow, Matrix};
use super::charts::Charts;
use super::figures::{self, count, ms, plural, rate, verdict_detail, verdict_sign, verdict_word};
use super::files::form_error;
use super::folder::HTML;
use super::outcome::{Weight, weight};
use super::trials::{Trial, trial_id, trials};
use super::{OutcomeClass, Report, ReportError, calendar};
use crate::invariants::{Evidence, Finding};
use crate::measure::errors::ErrorCause;
use crate::measure::recovery::Component;
use crate::measure::{Latency, LatencyRow, OutcomeCount};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    mood: &'static str,
    started: String,
    length: String,
    machine: Vec<(String, &'a str)>,
    tally: String,
    headline: Vec<Headline>,
    claims: Vec<Claim<'a>>,
    trials: Vec<Trial<'a>>,
    latency: Vec<PhaseTable>,
    outcomes: Vec<[String; 5]>,
    generator: Vec<(&'static str, String)>,
    faults: Vec<FaultRow>,
    components: Vec<&'static str>,
    matrix: Matrix,
    errors: Vec<[String; 7]>,
    samples: Vec<[String; 4]>,
    reading_plots: Vec<(String, String)>,
    charts: String,
    has_plots: bool,
    live: bool,
    live_script: &'static str,
    stalls: Option<String>,
    closed_loop: bool,
    budget: String,
    styles: &'static str,
    plot_styles: &'static str,
    plot_script: &'static str,
    script: &'static str,
}

/// A figure at the top of the page.
struct Headline {
    label: &'static str,
    value: String,
    unit: &'static str,
    /// What it stands on.
    on: String,
}

/// A row of the table of claims.
struct Claim<'a> {
    finding: &'a Finding,
    slug: &'static str,
    sign: &'static str,
    word: &'static str,
    detail: String,
    /// Name of its stories within the page; empty if it has none.
    told_at: String,
}

/// Percentiles of one phase.
struct PhaseTable {
    phase: String,
    open: bool,
    rows: Vec<PercentileRow>,
}

struct PercentileRow {
    function: String,
    outcome: String,
    count: String,
    response: [String; 5],
    service: [String; 5],
}

/// The whole page.
///
/// # Errors
/// The page or its data cannot be rendered.
pub fn render(report: &Report, evidence: &Evidence) -> Result<String, ReportError> {
    page(report, evidence, false)
}

/// The page of a run that goes on: no verdict, and a script that asks for the page again.
///
/// # Errors
/// As [`render`].
pub(super) fn render_live(report: &Report, evidence: &Evidence) -> Result<String, ReportError> {
    page(report, evidence, true)
}

fn page(report: &Report, evidence: &Evidence, live: bool) -> Result<String, ReportError> {
    let charts = Charts::of(report, evidence);
    let page = Page {
        report,
        mood: if live { "running" } else { mood(report.outcome.class) },
        started: calendar::utc(report.run.wall_start_ms),
        length: figures::duration(report.run.duration_ms),
        machine: machine(report),
        tally: figures::tally(&report.findings),
        headline: headline(report),
        claims: claims(&report.findings),
        trials: trials(&report.findings),
        latency: phase_tables(&report.measurements.latency),
        outcomes: outcomes(report),
        generator: generator(report),
        faults: breakage::faults(&report.measurements),
        components: breakage::COMPONENTS.map(Component::name).into(),
        matrix: breakage::matrix(&report.coverage),
        errors: errors(report),
        samples: samples(report),
        reading_plots: charts.readings.iter().map(|plot| (plot.id.clone(), plot.title.clone())).collect(),
        charts: charts.to_json().map_err(form_error("render", HTML.as_ref()))?,
        has_plots: !report.measurements.buckets.is_empty(),
        live,
        live_script: include_str!("../../assets/live.js"),
        stalls: stalls(report),
        closed_loop: report.measurements.closed_loop.is_some(),
        budget: ms(evidence.scenario().promises.latency_p99_budget_ms),
        styles: include_str!("../../assets/report.css"),
        plot_styles: include_str!("../../assets/uplot/uPlot.min.css"),
        plot_script: include_str!("../../assets/uplot/uPlot.iife.min.js"),
        script: include_str!("../../assets/report.js"),
    };
    page.render().map_err(form_error("render", HTML.as_ref()))
}

/// What the machine has, each with its label.
fn machine(report: &Report) -> Vec<(String, &str)> {
    let label = |name: &str| match name {
        "cpu" => "CPU".to_owned(),
        _ => name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect(),
    };
    report.run.machine.iter().map(|(name, value)| (label(name), value.as_str())).collect()
}

/// The colour of a class, by meaning.
pub(super) const fn mood(class: OutcomeClass) -> &'static str {
    match class {
        OutcomeClass::Held => "good",
        OutcomeClass::Violated => "bad",
        OutcomeClass::BudgetMissed => "late",
        OutcomeClass::Usage | OutcomeClass::Inconclusive | OutcomeClass::RigFailed | OutcomeClass::Interrupted => "open",
    }
}

fn headline(report: &Report) -> Vec<Headline> {
    let measured = &report.measurements;
    let none = || "–".to_owned();
    let p99 = |label, outcome| {
        let response = figures::row(measured, "create_order", outcome, "baseline").map(|row| &row.response);
        let on = response
            .map_or_else(|| "no such order".to_owned(), |response| format!("of {}", plural(response.count, "order", "orders")));
        Headline { label, value: response.map_or_else(none, |response| ms(response.p99_ms)), unit: "ms", on }
    };
    let seconds = measured.throughput.seconds;
    let per_s = |label, value: f64| {
        let on = if seconds > 0.0 { format!("over {seconds:.1} s") } else { "no baseline".to_owned() };
        Headline { label, value: if seconds > 0.0 { rate(value) } else { none() }, unit: "/s", on }
    };
    let (shed, planned) = (count(measured.generator.shed), count(measured.generator.planned));
    vec![
        p99("p99 accepted", "ok"),
        p99("p99 sold out", "sold_out"),
        per_s("offered", measured.throughput.offered_per_s),
        per_s("answered", measured.throughput.achieved_per_s),
        per_s("orders accepted", measured.throughput.accepted_per_s),
        Headline { label: "arrivals shed", value: shed, unit: "", on: format!("of {planned} planned") },
    ]
}

/// Violated ones first, then those whose answer is missing: nobody should have to look for them.
fn claims(findings: &[Finding]) -> Vec<Claim<'_>> {
    let mut claims: Vec<Claim<'_>> = findings.iter().map(claim).collect();
    claims.sort_by_key(|claim| match (claim.word, claim.finding.required) {
        ("violated", _) => 0,
        ("unknown", true) => 1,
        ("held", _) => 2,
        ("unknown", false) => 3,
        _ => 4,
    });
    claims
}

fn claim(finding: &Finding) -> Claim<'_> {
    let word = verdict_word(&finding.verdict);
    let slug = match (word, weight(&finding.invariant)) {
        ("held", _) => "good",
        ("violated", Weight::ServiceLevel) => "late",
        ("violated", _) => "bad",
        ("unknown", _) if finding.required => "open",
        _ => "none",
    };
    let told_at = if finding.verdict.is_violated() { trial_id(finding) } else { String::new() };
    Claim { finding, slug, sign: verdict_sign(&finding.verdict), word, detail: verdict_detail(&finding.verdict), told_at }
}

/// One table a phase, the judged one first and open; phases follow in order of time, `load` last.
fn phase_tables(rows: &[LatencyRow]) -> Vec<PhaseTable> {
    let order = ["baseline", "warmup", "fault", "recovery", "quiesce", "drain", "load"];
    let table = |phase: &&str| {
        let rows: Vec<_> = rows.iter().filter(|row| row.phase == **phase).map(percentile_row).collect();
        (!rows.is_empty()).then(|| PhaseTable { phase: (*phase).to_owned(), open: *phase == "baseline", rows })
    };
    let mut tables: Vec<PhaseTable> = order.iter().filter_map(table).collect();
    if !tables.iter().any(|table| table.open) {
        tables.iter_mut().take(1).for_each(|table| table.open = true);
    }
    tables
}

fn percentile_row(row: &LatencyRow) -> PercentileRow {
    let figures = |latency: &Latency| [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms].map(ms);
    PercentileRow {
        function: row.function.clone(),
        outcome: figures::outcome_label(&row.function, &row.outcome),
        count: count(row.response.count),
        response: figures(&row.response),
        service: figures(&row.service),
    }
}

/// Function, class, reason, count, share of the function's operations.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn outcomes(report: &Report) -> Vec<[String; 5]> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for line in &report.measurements.outcomes {
        *totals.entry(&line.function).or_default() += line.count;
    }
    let share = |function: &str, count: u64| count as f64 * 100.0 / totals.get(function).copied().unwrap_or(1).max(1) as f64;
    let line = |line: &OutcomeCount| {
        let share = format!("{:.2} %", share(&line.function, line.count));
        [line.function.clone(), line.class.clone(), line.why.replace('_', " "), count(line.count), share]
    };
    report.measurements.outcomes.iter().map(line).collect()
}

fn generator(report: &Report) -> Vec<(&'static str, String)> {
    let generator = &report.measurements.generator;
    let lag = &generator.lag;
    vec![
        (
            "Lag, sent after due",
            format!("p50 {} · p99 {} · p99.9 {} · max {} ms", ms(lag.p50_ms), ms(lag.p99_ms), ms(lag.p999_ms), ms(lag.max_ms)),
        ),
        ("Arrivals planned", count(generator.planned)),
        ("Shed for want of a slot", count(generator.shed)),
        ("Skipped, their order was refused", count(generator.skipped)),
        ("Most requests open at once", count(generator.in_flight_max)),
    ]
    .into_iter()
    .chain(figures::closed_loop(&report.measurements).map(|told| ("Closed-loop users beside it", told)))
    .collect()
}

/// How long the machine stood still, in words; none if nobody watched.
fn stalls(report: &Report) -> Option<String> {
    let stalls = &report.measurements.stalls;
    let watched = || figures::duration(figures::whole_millis(stalls.watched_ms));
    (stalls.watched_ms > 0.0).then(|| {
        let wakes = plural(stalls.count, "wake", "wakes");
        format!("{} ms in {wakes} over 4 ms, longest {} ms, of {}", ms(stalls.total_ms), ms(stalls.longest_ms), watched())
    })
}

/// Name, of whom, mean, largest of each kind of reading.
fn samples(report: &Report) -> Vec<[String; 4]> {
    let readings = report.measurements.readings.iter().filter(|curve| curve.count > 0);
    readings.map(|curve| [curve.name.replace('_', " "), curve.of.clone(), rate(curve.mean), rate(curve.max)]).collect()
}

/// Function, class and reason, HTTP status, count, of those touched by faults, first seen, example.
fn errors(report: &Report) -> Vec<[String; 7]> {
    let row = |cause: &ErrorCause| {
        let reason = format!("{}, {}", cause.class, cause.why.replace('_', " "));
        let http = cause.http.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let (number, disturbed) = (count(cause.count), count(cause.disturbed));
        [cause.function.clone(), reason, http, number, disturbed, cause.first.to_string(), cause.example.clone()]
    };
    report.measurements.errors.iter().map(row).collect()
}
