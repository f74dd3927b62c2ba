//! Figures as people read them, and the few that every form of the report shows first.
//!
//! In: numbers and [`Measurements`]. Out: text with fixed rules, so that console, page and markdown agree.

use super::Report;
use crate::invariants::{Finding, Verdict};
use crate::measure::{Latency, LatencyRow, Measurements};

/// `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// `1 order` or `2,000 orders`.
#[must_use]
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Milliseconds with three significant digits and no unit: `0.412`, `3.07`, `42.0`, `1,250`.
#[must_use]
pub fn ms(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => whole(value),
    }
}

/// A rate per second: `0.25`, `7.5`, `4,980`.
#[must_use]
pub fn rate(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => whole(value),
    }
}

/// The nearest whole number of a value that is not negative.
fn whole(value: f64) -> String {
    format!("{value:.0}").parse().map_or_else(|_| format!("{value:.0}"), count)
}

/// A duration of whole milliseconds: `850 ms`, `42.1 s`, `3 min 20 s`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{:.1} s", millis as f64 / 1e3),
        _ => format!("{} min {} s", millis / 60_000, millis / 1_000 % 60),
    }
}

/// Milliseconds without their fraction, for [`duration`].
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a figure for people")]
pub const fn whole_millis(ms: f64) -> u64 {
    ms as u64
}

/// What people call an outcome: `accepted` for an order that ended ok, `sold out`, `in doubt`.
#[must_use]
pub fn outcome_label(function: &str, outcome: &str) -> String {
    match (function, outcome) {
        ("create_order" | "create_order_closed_loop", "ok") => "accepted".to_owned(),
        (_, "info") => "in doubt".to_owned(),
        (_, other) => other.replace('_', " "),
    }
}

/// The row of a function and outcome in a phase.
#[must_use]
pub fn row<'a>(measurements: &'a Measurements, function: &str, outcome: &str, phase: &str) -> Option<&'a LatencyRow> {
    measurements.latency.iter().find(|row| row.function == function && row.outcome == outcome && row.phase == phase)
}

/// The lines that matter most: accepted and sold-out orders of the baseline, response before service time. Empty rows are left out.
#[must_use]
pub fn headline(measurements: &Measurements) -> Vec<(&'static str, &'static str, &Latency)> {
    let of = |label, outcome| {
        let row = row(measurements, "create_order", outcome, "baseline");
        row.map(|row| [(label, "response", &row.response), (label, "service", &row.service)]).into_iter().flatten()
    };
    of("accepted", "ok").chain(of("sold out", "sold_out")).collect()
}

/// `12 held, 1 violated, 0 unknown, 2 not applicable`.
#[must_use]
pub fn tally(findings: &[Finding]) -> String {
    let number = |wanted: &str| findings.iter().filter(|finding| verdict_word(&finding.verdict) == wanted).count();
    let words = ["held", "violated", "unknown", "not applicable"];
    words.map(|word| format!("{} {word}", number(word))).join(", ")
}

/// One word for a verdict.
#[must_use]
pub const fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held { .. } => "held",
        Verdict::Violated { .. } => "violated",
        Verdict::Unknown { .. } => "unknown",
        Verdict::NotApplicable { .. } => "not applicable",
    }
}

/// A sign for a verdict that is also told apart without colour.
#[must_use]
pub const fn verdict_sign(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Held { .. } => "✓",
        Verdict::Violated { .. } => "✗",
        Verdict::Unknown { .. } => "?",
        Verdict::NotApplicable { .. } => "–",
    }
}

/// What stands beside a verdict: things examined, counter-examples found, or why there is no answer.
#[must_use]
pub fn verdict_detail(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Held { examined } => format!("{} examined", count(examined.get())),
        Verdict::Violated { examined, count: found, .. } => {
            format!("{} among {} examined", plural(found.get(), "counter-example", "counter-examples"), count(examined.get()))
        }
        Verdict::Unknown { why } | Verdict::NotApplicable { why } => why.clone(),
    }
}

/// `throughput offered 5,000/s, answered 4,990/s, accepted 500/s, refused 4,400/s`, or that nothing was judged.
#[must_use]
pub fn throughput(report: &Report) -> String {
    let figures = &report.measurements.throughput;
    if figures.seconds <= 0.0 {
        return "no baseline phase, so no throughput".to_owned();
    }
    let [offered, achieved, accepted, refused] =
        [figures.offered_per_s, figures.achieved_per_s, figures.accepted_per_s, figures.refused_per_s].map(rate);
    format!("offered {offered}/s, answered {achieved}/s, accepted {accepted}/s, refused {refused}/s over {:.1} s", figures.seconds)
}

/// `lag p99 0.8 ms, shed 0 of 120,000 arrivals, at most 88 in flight`.
#[must_use]
pub fn generator(measurements: &Measurements) -> String {
    let generator = &measurements.generator;
    let (shed, planned, flight) = (count(generator.shed), count(generator.planned), count(generator.in_flight_max));
    format!("lag p99 {} ms, shed {shed} of {planned} arrivals, at most {flight} in flight", ms(generator.lag.p99_ms))
}

/// `20 users sent 812 operations, 800 answered, 201 orders accepted`; none without closed-loop users.
#[must_use]
pub fn closed_loop(measurements: &Measurements) -> Option<String> {
    let told = measurements.closed_loop.as_ref()?;
    let (users, operations) = (plural(told.users, "user", "users"), plural(told.operations, "operation", "operations"));
    Some(format!(
        "{users} sent {operations}, {} answered, {} accepted",
        count(told.answered),
        plural(told.accepted, "order", "orders")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_the_same_everywhere() {
        let counts = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!([0.0, 0.4119, 3.068, 42.0, 1_250.4].map(ms), ["0.000", "0.412", "3.07", "42.0", "1,250"]);
        assert_eq!([0.25, 7.5, 4_980.3].map(rate), ["0.25", "7.5", "4,980"]);
        assert_eq!([850, 42_100, 200_000].map(duration), ["850 ms", "42.1 s", "3 min 20 s"]);
        assert_eq!((plural(1, "order", "orders"), plural(0, "order", "orders")), ("1 order".into(), "0 orders".into()));
    }
}
