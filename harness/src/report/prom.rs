//! `report.prom`: the figures of a run for a push gateway, in the text form of Prometheus.
//!
//! In: a report. Out: gauges, named `holdfast_run_...`, in seconds and operations, each with the scenario as label. Commit and seed are not
//! labels: every run would be a series of its own. A figure that was not measured is left out, never 0.

use std::fmt::Write as _;

use super::{OutcomeClass, Report, figures};
use crate::invariants::Verdict;
use crate::measure::recovery::Recovered;

const CLASSES: [OutcomeClass; 7] = [
    OutcomeClass::Held,
    OutcomeClass::Violated,
    OutcomeClass::Usage,
    OutcomeClass::Inconclusive,
    OutcomeClass::RigFailed,
    OutcomeClass::BudgetMissed,
    OutcomeClass::Interrupted,
];

/// The families of one run.
struct Families<'a> {
    scenario: &'a str,
    text: String,
}

/// The whole file.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut families = Families { scenario: &report.run.scenario, text: String::new() };
    verdict(report, &mut families);
    speed(report, &mut families);
    trouble(report, &mut families);
    families.text
}

impl Families<'_> {
    /// One gauge with a line for each set of labels; nothing at all without a line.
    fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        lines: impl IntoIterator<Item = ([(&'static str, String); N], f64)>,
    ) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP holdfast_run_{name} {help}\n# TYPE holdfast_run_{name} gauge");
        for (labels, value) in lines {
            let _ = write!(self.text, "holdfast_run_{name}{{scenario=\"{}\"", escaped(self.scenario));
            for (label, content) in labels {
                let _ = write!(self.text, ",{label}=\"{}\"", escaped(&content));
            }
            let _ = writeln!(self.text, "}} {value}");
        }
    }
}

fn verdict(report: &Report, families: &mut Families<'_>) {
    let outcome = CLASSES.map(|class| ([("class", class.name().replace(' ', "_"))], f64::from(class == report.outcome.class)));
    families.gauge("outcome", "1 for the class in which the run ended.", outcome);
    families.gauge("exit_code", "Exit code of the program.", [([], f64::from(report.outcome.exit))]);
    families.gauge("started_seconds", "Start of the run, since 1970.", [([], millis(report.run.wall_start_ms))]);
    families.gauge("duration_seconds", "Length of the run.", [([], millis(report.run.duration_ms))]);
    let words = ["held", "violated", "unknown", "not applicable"];
    let number = |word: &str| report.findings.iter().filter(|finding| figures::verdict_word(&finding.verdict) == word).count();
    families.gauge(
        "claims",
        "Claims by verdict.",
        words.map(|word| ([("verdict", word.replace(' ', "_"))], whole(number(word) as u64))),
    );
    let violated = report.findings.iter().filter_map(|finding| match &finding.verdict {
        Verdict::Violated { count, .. } => Some(([("claim", finding.invariant.clone())], whole(count.get()))),
        _ => None,
    });
    families.gauge("counter_examples", "Counter-examples of each violated claim.", violated);
}

fn speed(report: &Report, families: &mut Families<'_>) {
    let measured = &report.measurements;
    let throughput = &measured.throughput;
    let kinds = [
        ("offered", throughput.offered_per_s),
        ("answered", throughput.achieved_per_s),
        ("accepted", throughput.accepted_per_s),
        ("refused", throughput.refused_per_s),
    ];
    let judged = kinds.into_iter().filter(|_| throughput.seconds > 0.0);
    families.gauge(
        "operations_per_second",
        "Operations per second of the baseline.",
        judged.map(|(kind, rate)| ([("kind", kind.to_owned())], rate)),
    );
    let rows = || measured.latency.iter().filter(|row| row.phase == "baseline");
    let times = rows().flat_map(|row| [(row, "response", &row.response), (row, "service", &row.service)]);
    let quantiles = times.flat_map(|(row, time, latency)| {
        let of = [("0.5", latency.p50_ms), ("0.9", latency.p90_ms), ("0.99", latency.p99_ms), ("0.999", latency.p999_ms)];
        of.map(|(quantile, ms)| {
            let labels = [
                ("operation", row.function.clone()),
                ("outcome", row.outcome.clone()),
                ("time", time.to_owned()),
                ("quantile", quantile.to_owned()),
            ];
            (labels, ms / 1e3)
        })
    });
    families.gauge("latency_seconds", "Percentiles of the baseline; response counts from due, service from sent.", quantiles);
    let counts =
        rows().map(|row| ([("operation", row.function.clone()), ("outcome", row.outcome.clone())], whole(row.response.count)));
    families.gauge("latency_operations", "Operations that the percentiles stand on.", counts);
}

fn trouble(report: &Report, families: &mut Families<'_>) {
    let measured = &report.measurements;
    let sent = measured.outcomes.iter().map(|line| {
        let labels = [("operation", line.function.clone()), ("class", line.class.clone()), ("why", line.why.clone())];
        (labels, whole(line.count))
    });
    families.gauge("operations", "Operations by outcome, of the whole run.", sent);
    families.gauge("shed_arrivals", "Arrivals that found no slot in the generator.", [([], whole(measured.generator.shed))]);
    let lag = (measured.generator.lag.count > 0).then(|| ([], measured.generator.lag.p99_ms / 1e3));
    families.gauge("generator_lag_p99_seconds", "How late requests were sent, 99th percentile.", lag);
    let stalls = (measured.stalls.watched_ms > 0.0).then(|| ([], measured.stalls.total_ms / 1e3));
    families.gauge("machine_stalls_seconds", "By how much a sleeping thread woke late, of wakes over 4 ms.", stalls);
    let closed = measured.closed_loop.iter().flat_map(|told| {
        [("sent", told.operations), ("answered", told.answered), ("orders_accepted", told.accepted)]
            .map(|(kind, number)| ([("kind", kind.to_owned())], whole(number)))
    });
    families.gauge("closed_loop_operations", "What closed-loop users did; in no rate above.", closed);
    let recoveries = measured.faults.iter().flat_map(|fault| {
        let parts = fault.recovery.iter().flat_map(|recovery| &recovery.components);
        parts.filter_map(|part| {
            let Recovered::After { ms } = part.recovered else { return None };
            let labels = [
                ("fault", format!("{} {}", fault.span.id, fault.span.kind)),
                ("target", fault.span.target.clone()),
                ("component", part.component.name().to_owned()),
            ];
            Some((labels, ms / 1e3))
        })
    });
    families.gauge("recovery_seconds", "From the heal of a fault until a component was back; absent if it was not.", recoveries);
}

/// Text of a label, as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
const fn whole(count: u64) -> f64 {
    count as f64
}

const fn millis(ms: u64) -> f64 {
    whole(ms) / 1e3
}
