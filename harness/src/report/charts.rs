//! Data of the page's plots.
//!
//! In: measurements and history. Out: JSON in columns, short enough for a page of under 2 MB at 100 ms buckets, and safe inside a
//! `<script>` element.

use std::time::Duration;

use serde::Serialize;

use super::Report;
use super::reading_plots::{ReadingPlot, plots};
use super::trials::story_id;
use crate::clock::Offset;
use crate::history::operation::History;
use crate::invariants::{Evidence, Finding, Violation};
use crate::measure::disturbance::Disturbance;
use crate::measure::heat::HeatMap;
use crate::measure::totals::{last_event, stretches};
use crate::measure::{Bucket, Measurements, Spectrum};

/// Everything that the page plots. Times in seconds from the start of the run.
#[derive(Debug, Serialize)]
pub struct Charts {
    budget_ms: f64,
    spans: Vec<Span>,
    at: Vec<f64>,
    rates: Rates,
    latency: Percentiles,
    spectra: Vec<Curve>,
    heat: Heat,
    flags: Vec<Flag>,
    pub(super) readings: Vec<ReadingPlot>,
}

/// The heat map: seconds and ms, cells as column, row, count.
#[derive(Debug, Serialize)]
struct Heat {
    from: f64,
    column: f64,
    rows: Vec<f64>,
    cells: Vec<(u32, u32, u64)>,
}

/// A counter-example at its instant; the page links it to its story.
#[derive(Debug, Serialize)]
struct Flag {
    at: f64,
    what: String,
    story: String,
}

/// A shaded stretch of time.
#[derive(Debug, PartialEq, Serialize)]
struct Span {
    kind: &'static str,
    name: String,
    from: f64,
    to: f64,
}

/// Operations per second by bucket.
#[derive(Debug, Serialize)]
struct Rates {
    offered: Vec<f64>,
    ok: Vec<f64>,
    fail: Vec<f64>,
    info: Vec<f64>,
    shed: Vec<f64>,
    /// Empty without closed-loop users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    closed_loop: Vec<f64>,
}

/// Response times by bucket, ms; `null` where nothing was due.
#[derive(Debug, Serialize)]
struct Percentiles {
    ok_p50: Vec<Option<f64>>,
    ok_p99: Vec<Option<f64>>,
    ok_max: Vec<Option<f64>>,
    fail_p99: Vec<Option<f64>>,
}

/// A spectrum on an axis of nines: 1 is 90 %, 2 is 99 %.
#[derive(Debug, Serialize)]
pub(super) struct Curve {
    name: String,
    nines: Vec<f64>,
    ms: Vec<f64>,
}

impl Charts {
    /// The data of one run.
    #[must_use]
    pub fn of(report: &Report, evidence: &Evidence) -> Self {
        let measurements = &report.measurements;
        let buckets = &measurements.buckets;
        let per_s = |count: fn(&Bucket) -> u64| -> Vec<f64> {
            buckets.iter().map(|bucket| per_second(count(bucket), measurements.bucket_ms)).collect()
        };
        let percentile = |value: fn(&Bucket) -> Option<f64>| buckets.iter().map(|bucket| value(bucket).map(rounded)).collect();
        Self {
            budget_ms: evidence.scenario().promises.latency_p99_budget_ms,
            spans: spans(measurements, &evidence.history),
            at: buckets.iter().map(|bucket| seconds(Offset::from_millis(bucket.at_ms))).collect(),
            rates: Rates {
                offered: per_s(|bucket| bucket.offered),
                ok: per_s(|bucket| bucket.ok),
                fail: per_s(|bucket| bucket.fail),
                info: per_s(|bucket| bucket.info),
                shed: per_s(|bucket| bucket.shed),
                closed_loop: if measurements.closed_loop.is_some() { per_s(|bucket| bucket.closed_loop) } else { Vec::new() },
            },
            latency: Percentiles {
                ok_p50: percentile(|bucket| bucket.ok_p50_ms),
                ok_p99: percentile(|bucket| bucket.ok_p99_ms),
                ok_max: percentile(|bucket| bucket.ok_max_ms),
                fail_p99: percentile(|bucket| bucket.fail_p99_ms),
            },
            spectra: measurements.spectra.iter().map(curve).collect(),
            heat: heat(&measurements.heat),
            flags: flags(&report.findings),
            readings: plots(&measurements.readings),
        }
    }

    /// The data as JSON without any `<`, `>` or `&`, so that no text in it can end the element that holds it.
    ///
    /// # Errors
    /// A number that JSON does not know.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|json| json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
    }
}

/// Phases as marked, and faults from injection to heal, or to the end of the run if they were never healed, and their recoveries.
fn spans(measurements: &Measurements, history: &History) -> Vec<Span> {
    let phase = |(phase, from, to): (crate::scenario::Phase, Offset, Offset)| Span {
        kind: "phase",
        name: phase.name().to_owned(),
        from: seconds(from),
        to: seconds(to),
    };
    let mut spans: Vec<Span> = stretches(history).into_iter().map(phase).collect();
    // A phase that is marked twice in a row, once for each stretch of load, is one band.
    spans.dedup_by(|next, kept| {
        let same = next.name == kept.name;
        kept.to = if same { next.to } else { kept.to };
        same
    });
    spans.extend(fault_spans(measurements, history));
    spans
}

/// Each fault while it was in force, and the recovery behind it as a band of its own.
fn fault_spans(measurements: &Measurements, history: &History) -> Vec<Span> {
    let end = last_event(history);
    let bands = |fault: &Disturbance| {
        let Some((from, to)) = fault.span.in_force(end) else { return Vec::new() };
        let band = |kind, name: String, from, to| Span { kind, name, from: seconds(from), to: seconds(to) };
        let mut bands = vec![band("fault", fault.span.kind.clone(), from, to)];
        if let Some((recovery, (_, ms))) = fault.recovery.as_ref().and_then(|recovery| Some((recovery, recovery.worst()?))) {
            let back = recovery.counted_from.plus(Duration::from_secs_f64(ms / 1e3));
            bands.push(band("recovery", format!("recovery, {}", fault.span.kind), to, back.max(to)));
        }
        bands
    };
    measurements.faults.iter().flat_map(bands).collect()
}

/// The last point, quantile 1, stands one third of a nine beyond the last that the count can tell apart.
pub(super) fn curve(spectrum: &Spectrum) -> Curve {
    let inner = spectrum.points.iter().filter(|point| point.quantile < 1.0);
    let mut nines: Vec<f64> = inner.map(|point| rounded(-(1.0 - point.quantile).log10()).max(0.0)).collect();
    let last = nines.last().copied().unwrap_or_default();
    nines.extend(spectrum.points.last().filter(|point| point.quantile >= 1.0).map(|_| rounded(last + 1.0 / 3.0)));
    Curve { name: spectrum.name.clone(), nines, ms: spectrum.points.iter().map(|point| rounded(point.ms)).collect() }
}

/// The dated ones; the others stand among the violations only.
fn flags(findings: &[Finding]) -> Vec<Flag> {
    let of = |finding: &Finding| -> Vec<Flag> {
        let numbered = finding.verdict.violations().iter().enumerate();
        let flag = |(index, violation): (usize, &Violation)| {
            let at = violation.at.or_else(|| violation.story.iter().filter_map(|line| line.at).min())?;
            Some(Flag {
                at: seconds(at),
                what: format!("{}: {}", finding.invariant, violation.what),
                story: story_id(finding, index),
            })
        };
        numbered.filter_map(flag).collect()
    };
    findings.iter().flat_map(of).collect()
}

fn heat(map: &HeatMap) -> Heat {
    Heat {
        from: seconds(Offset::from_millis(map.from_ms)),
        column: seconds(Offset::from_millis(map.column_ms)),
        rows: map.rows_ms.iter().copied().map(rounded).collect(),
        cells: map.cells.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn per_second(count: u64, bucket_ms: u64) -> f64 {
    count as f64 * 1e3 / bucket_ms.max(1) as f64
}

fn seconds(at: Offset) -> f64 {
    rounded(at.as_millis_f64() / 1e3)
}

/// Three decimals: a thousandth of a ms is the resolution of the measurement.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
