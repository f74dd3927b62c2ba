//! `report.html`: one self-contained page that opens from disk without a network.
//!
//! In: a report and its evidence. Out: HTML with styles, plots and data inside. All tables and the verdict are plain HTML; only the
//! plots need a script.

use std::collections::BTreeMap;

use askama::Template;

use super::charts::Charts;
use super::figures::{self, count, ms, rate, verdict_detail, verdict_sign, verdict_word};
use super::files::form_error;
use super::folder::HTML;
use super::outcome::{Weight, weight};
use super::{OutcomeClass, Report, ReportError, calendar, stories};
use crate::history::operation::{History, Timed};
use crate::history::record::{FaultMark, FaultStep};
use crate::invariants::{Evidence, Finding, Story, Verdict, Violation};
use crate::measure::{Latency, LatencyRow, OutcomeCount};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    mood: &'static str,
    started: String,
    length: String,
    tally: String,
    headline: Vec<Headline>,
    claims: Vec<Claim<'a>>,
    trials: Vec<Trial<'a>>,
    latency: Vec<PhaseTable>,
    outcomes: Vec<[String; 5]>,
    generator: Vec<(&'static str, String)>,
    faults: Vec<[String; 5]>,
    samples: Vec<[String; 4]>,
    charts: String,
    has_plots: bool,
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
}

/// A row of the table of claims.
struct Claim<'a> {
    finding: &'a Finding,
    slug: &'static str,
    sign: &'static str,
    word: &'static str,
    detail: String,
}

/// A violated claim with its counter-examples.
struct Trial<'a> {
    finding: &'a Finding,
    summary: String,
    hidden: u64,
    examples: Vec<Example<'a>>,
}

/// One counter-example.
struct Example<'a> {
    violation: &'a Violation,
    open: bool,
    concerns: String,
    orders: String,
    story: Vec<[String; 3]>,
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
    let charts = Charts::of(&report.measurements, evidence).to_json().map_err(form_error("render", HTML.as_ref()))?;
    let page = Page {
        report,
        mood: mood(report.outcome.class),
        started: calendar::utc(report.run.wall_start_ms),
        length: figures::duration(report.run.duration_ms),
        tally: figures::tally(&report.findings),
        headline: headline(report),
        claims: report.findings.iter().map(claim).collect(),
        trials: trials(&report.findings),
        latency: phase_tables(&report.measurements.latency),
        outcomes: outcomes(report),
        generator: generator(report),
        faults: faults(&evidence.history),
        samples: samples(&evidence.history),
        charts,
        has_plots: !report.measurements.buckets.is_empty(),
        budget: ms(evidence.scenario().promises.latency_p99_budget_ms),
        styles: include_str!("../../assets/report.css"),
        plot_styles: include_str!("../../assets/uplot/uPlot.min.css"),
        plot_script: include_str!("../../assets/uplot/uPlot.iife.min.js"),
        script: include_str!("../../assets/report.js"),
    };
    page.render().map_err(form_error("render", HTML.as_ref()))
}

/// The colour of a class, by meaning.
const fn mood(class: OutcomeClass) -> &'static str {
    match class {
        OutcomeClass::Held => "good",
        OutcomeClass::Violated => "bad",
        OutcomeClass::BudgetMissed => "late",
        OutcomeClass::Usage | OutcomeClass::Inconclusive | OutcomeClass::RigFailed | OutcomeClass::Interrupted => "open",
    }
}

fn headline(report: &Report) -> Vec<Headline> {
    let measured = &report.measurements;
    let p99 = |outcome| figures::row(measured, "create_order", outcome, "baseline").map(|row| ms(row.response.p99_ms));
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let per_s = |value: f64| if measured.throughput.seconds > 0.0 { rate(value) } else { "–".to_owned() };
    vec![
        Headline { label: "p99 accepted", value: or_none(p99("ok")), unit: "ms" },
        Headline { label: "p99 sold out", value: or_none(p99("sold_out")), unit: "ms" },
        Headline { label: "offered", value: per_s(measured.throughput.offered_per_s), unit: "/s" },
        Headline { label: "answered", value: per_s(measured.throughput.achieved_per_s), unit: "/s" },
        Headline { label: "orders accepted", value: per_s(measured.throughput.accepted_per_s), unit: "/s" },
        Headline { label: "arrivals shed", value: count(measured.generator.shed), unit: "" },
    ]
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
    Claim { finding, slug, sign: verdict_sign(&finding.verdict), word, detail: verdict_detail(&finding.verdict) }
}

fn trials(findings: &[Finding]) -> Vec<Trial<'_>> {
    let trial = |finding| {
        let examples = examples(finding);
        let hidden = found(finding).saturating_sub(examples.len() as u64);
        Trial { finding, summary: verdict_detail(&finding.verdict), hidden, examples }
    };
    findings.iter().filter(|finding| finding.verdict.is_violated()).map(trial).collect()
}

/// Counter-examples found, the ones without a story among them.
const fn found(finding: &Finding) -> u64 {
    match &finding.verdict {
        Verdict::Violated { count, .. } => count.get(),
        _ => 0,
    }
}

/// The counter-examples of a claim; the first, which is the worst, stands open.
fn examples(finding: &Finding) -> Vec<Example<'_>> {
    let line = |line: &Story| [stories::time(line.at), line.lane.clone(), line.what.clone()];
    let all_orders = |violation: &Violation| (violation.orders.len() > stories::ORDERS_NAMED).then(|| violation.orders.join(" "));
    let numbered = finding.verdict.violations().iter().enumerate();
    numbered
        .map(|(index, violation)| Example {
            violation,
            open: index == 0,
            concerns: stories::concerns(violation).join(" · "),
            orders: all_orders(violation).unwrap_or_default(),
            story: violation.story.iter().map(line).collect(),
        })
        .collect()
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
}

/// Kind, target, injected, healed, proof of each fault.
fn faults(history: &History) -> Vec<[String; 5]> {
    let injected = history.faults.iter().filter(|mark| mark.what.step == FaultStep::Injected);
    let of = |id: u32, step: FaultStep| history.faults.iter().find(move |mark| mark.what.id == id && mark.what.step == step);
    let row = |mark: &Timed<FaultMark>| {
        let healed = of(mark.what.id, FaultStep::Healed).map_or_else(|| "never".to_owned(), |end| end.at.to_string());
        let proof = of(mark.what.id, FaultStep::Bit).map_or_else(|| "did not bite".to_owned(), |bit| bit.what.proof.clone());
        [mark.what.kind.clone(), mark.what.target.clone(), mark.at.to_string(), healed, proof]
    };
    injected.map(row).collect()
}

/// Name, of whom, mean, largest of each kind of reading.
#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn samples(history: &History) -> Vec<[String; 4]> {
    let mut readings: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for sample in &history.samples {
        readings.entry((&sample.what.name, &sample.what.of)).or_default().push(sample.what.value);
    }
    let row = |((name, of), values): ((&str, &str), Vec<f64>)| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let largest = values.iter().copied().fold(f64::MIN, f64::max);
        [name.replace('_', " "), of.to_owned(), rate(mean), rate(largest)]
    };
    readings.into_iter().map(row).collect()
}
