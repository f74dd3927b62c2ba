//! `bench.html`: a benchmark for people, one self-contained page.
//!
//! In: a [`BenchReport`]. Out: the page; links are relative to the folder of the reports.

use askama::Template;

use super::bench::{BenchReport, Curve, Figure, Goal, JudgedRun, median};
use super::bench_plot::{Spacing, svg};
use super::figures::{count, duration, ms, rate};
use super::files::form_error;
use super::folder::HTML as RUN_HTML;
use super::{OutcomeClass, ReportError, STYLES, calendar};

#[derive(Template)]
#[template(path = "bench.html")]
struct Page<'a> {
    bench: &'a BenchReport,
    mood: &'static str,
    headline: String,
    sentence: String,
    began: String,
    took: String,
    figures: Vec<Shown<'a>>,
    curves: Vec<ShownCurve<'a>>,
    runs: Vec<ShownRun<'a>>,
    styles: &'static str,
}

struct Shown<'a> {
    figure: &'a Figure,
    mood: &'static str,
    word: &'static str,
    value: String,
    goal: String,
    ours: String,
    theirs: String,
    rounds: usize,
    beside: Vec<(&'a str, String)>,
    traces: Vec<(String, String)>,
}

struct ShownCurve<'a> {
    curve: &'a Curve,
    accepted: String,
    p99: String,
    rows: Vec<(String, String, String)>,
}

struct ShownRun<'a> {
    run: &'a JudgedRun,
    mood: &'static str,
    link: String,
    accepted: String,
    refused: String,
    p99: String,
    batch: String,
    cpu: String,
}

/// The page.
///
/// # Errors
/// It cannot be rendered.
pub fn render(bench: &BenchReport) -> Result<String, ReportError> {
    let page = Page {
        mood: mood(bench.class()),
        headline: bench.class().name().to_owned(),
        sentence: bench.sentence(),
        began: calendar::utc(bench.wall_start_ms),
        took: duration(bench.took_ms),
        figures: bench.figures.iter().map(shown).collect(),
        curves: bench.curves.iter().map(shown_curve).collect(),
        runs: bench.runs.iter().map(shown_run).collect(),
        styles: STYLES,
        bench,
    };
    page.render().map_err(|error| form_error("render", super::bench::HTML.as_ref())(error.to_string()))
}

const fn mood(class: OutcomeClass) -> &'static str {
    match class {
        OutcomeClass::Held => "good",
        OutcomeClass::Violated | OutcomeClass::RigFailed => "bad",
        OutcomeClass::BudgetMissed => "late",
        _ => "open",
    }
}

fn shown(figure: &Figure) -> Shown<'_> {
    let (mood, word) = match figure.met() {
        Some(true) => ("good", "met"),
        Some(false) => ("late", "missed"),
        None => ("open", "no value"),
    };
    Shown {
        mood,
        word,
        value: figure.value().map_or_else(|| "–".to_owned(), |value| value_text(figure.goal, value, &figure.unit)),
        goal: goal_text(figure.goal, &figure.unit),
        ours: spread(&figure.ours),
        theirs: spread(&figure.theirs),
        rounds: figure.ours.len(),
        beside: figure.beside.iter().map(|(name, values)| (name.as_str(), spread(values))).collect(),
        traces: figure
            .traces
            .iter()
            .map(|trace| (trace_title(&trace.what, &trace.unit), svg(&trace.points, &trace.what, Spacing::Even)))
            .collect(),
        figure,
    }
}

fn trace_title(what: &str, unit: &str) -> String {
    if unit.is_empty() { format!("{what}, over seconds") } else { format!("{what}, {unit}, over seconds") }
}

/// The value that a goal is compared with, as people read it.
#[must_use]
pub fn value_text(goal: Goal, value: f64, unit: &str) -> String {
    match goal {
        Goal::RatioAtLeast { .. } => format!("{value:.2}×"),
        Goal::Below { .. } => format!("{} {unit}", number(value)),
    }
}

/// A goal as people read it.
#[must_use]
pub fn goal_text(goal: Goal, unit: &str) -> String {
    match goal {
        Goal::RatioAtLeast { least } => format!("≥ {least}×"),
        Goal::Below { limit } => format!("< {limit} {unit}"),
    }
}

/// Median, and smallest to largest of several.
fn spread(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "–".to_owned() };
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    if values.len() == 1 { number(middle) } else { format!("{} ({} to {})", number(middle), number(low), number(high)) }
}

fn number(value: f64) -> String {
    if value < 100.0 { ms(value) } else { rate(value) }
}

fn shown_curve(curve: &Curve) -> ShownCurve<'_> {
    #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
    let line = |of: fn(&super::bench::CurvePoint) -> &Vec<f64>| -> Vec<(f64, f64)> {
        curve.points.iter().filter_map(|point| Some((point.size as f64, median(of(point))?))).collect()
    };
    // A power of ten has no place for nothing at all.
    let spacing = if curve.points.first().is_some_and(|point| point.size == 0) { Spacing::Even } else { Spacing::Powers };
    ShownCurve {
        accepted: svg(&line(|point| &point.accepted_per_s), "accepted orders per second", spacing),
        p99: svg(&line(|point| &point.p99_ms), "p99 in a closed loop, ms", spacing),
        rows: curve.points.iter().map(|point| (count(point.size), spread(&point.accepted_per_s), spread(&point.p99_ms))).collect(),
        curve,
    }
}

fn shown_run(run: &JudgedRun) -> ShownRun<'_> {
    let cpu = run.cpu_percent.iter().map(|(role, percent)| format!("{role} {percent:.0}"));
    ShownRun {
        mood: mood(run.class),
        link: format!("{}/{RUN_HTML}", run.folder),
        accepted: rate(run.accepted_per_s),
        refused: rate(run.refused_per_s),
        p99: run.p99_ms.map_or_else(|| "–".to_owned(), ms),
        batch: run.batch.map_or_else(|| "–".to_owned(), |batch| format!("{batch:.1}")),
        cpu: cpu.collect::<Vec<_>>().join(", "),
        run,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::bench::{CurvePoint, SCHEMA_VERSION, Trace};
    use super::*;

    fn bench() -> BenchReport {
        let run = JudgedRun {
            round: 1,
            name: "bench_<b>".into(),
            class: OutcomeClass::Held,
            sentence: "Every claim held.".into(),
            folder: "bench/x/bench_b/1".into(),
            accepted_per_s: 12_345.0,
            refused_per_s: 0.0,
            p99_ms: None,
            batch: Some(33.3),
            cpu_percent: BTreeMap::from([("api-1".to_owned(), 61.0)]),
        };
        let figure = Figure {
            id: "hot".into(),
            what: "Accepted orders".into(),
            unit: "/s".into(),
            against: "one at a time".into(),
            goal: Goal::RatioAtLeast { least: 4.0 },
            how: "closed loop".into(),
            ours: vec![12_000.0, 13_000.0],
            theirs: vec![4_000.0, 5_000.0],
            beside: BTreeMap::from([("p99, ms".to_owned(), vec![20.0, 30.0])]),
            traces: vec![Trace { what: "backlog".into(), unit: String::new(), points: vec![(0.0, 1.0), (1.0, 5.0)] }],
            missing: vec!["round 3 is violated".into()],
        };
        let point = CurvePoint { size: 64, accepted_per_s: vec![9_000.0], p99_ms: vec![8.0] };
        BenchReport {
            schema_version: SCHEMA_VERSION,
            wall_start_ms: 0,
            took_ms: 61_000,
            command: "chaos bench".into(),
            commit: "abc".into(),
            build_id: "def".into(),
            rounds: 2,
            quick: false,
            interrupted: false,
            machine: BTreeMap::from([("cores".to_owned(), "2".to_owned())]),
            load_average: (0.1, 1.5),
            servers: crate::snapshot::Servers::default(),
            figures: vec![figure],
            curves: vec![Curve {
                id: "by".into(),
                what: "Clients".into(),
                how: String::new(),
                points: vec![point],
                missing: vec![],
            }],
            runs: vec![run],
        }
    }

    #[test]
    fn the_page_shows_values_goals_reasons_and_links_and_escapes_what_it_is_given() {
        let page = render(&bench()).unwrap();
        for text in
            ["2.80×", "≥ 4×", "12,500 (12,000 to 13,000)", "25.0 (20.0 to 30.0)", "round 3 is violated", "<svg", "Budget missed"]
        {
            let found = page.to_lowercase().contains(&text.to_lowercase());
            assert!(found, "{text}");
        }
        assert!(page.contains(r#"href="bench/x/bench_b/1/report.html""#) && !page.contains("<b>"));
        assert!(!page.contains("http://") && !page.contains("https://"), "nothing is loaded from elsewhere");
    }

    #[test]
    fn a_missed_goal_or_a_figure_without_a_value_is_not_held() {
        let mut bench = bench();
        assert_eq!(bench.class(), OutcomeClass::BudgetMissed);
        assert_eq!(bench.sentence(), "0 of 1 goals met; every claim held in 1 of 1 judged runs.");
        bench.figures[0].theirs = vec![3_000.0, 3_000.0];
        assert_eq!(bench.class(), OutcomeClass::Held);
        bench.figures[0].ours.clear();
        assert_eq!(bench.class(), OutcomeClass::Inconclusive);
        bench.runs[0].class = OutcomeClass::Violated;
        assert_eq!(bench.class(), OutcomeClass::Violated);
    }
}
