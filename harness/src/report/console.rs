//! The short table at the end of a run, for a terminal.
//!
//! In: a report and where its folder is. Out: text without colour or control codes, at most 100 columns where its content allows.

use std::fmt::Write as _;
use std::path::Path;

use super::figures::{self, count, ms, verdict_detail, verdict_sign};
use super::folder::HTML;
use super::{Report, breakage, stories};
use crate::invariants::{Finding, Verdict};

/// Counter-examples told for each violated claim; the page has the rest.
const VIOLATIONS_TOLD: usize = 3;

/// The table. `folder` is printed as it is given.
#[must_use]
pub fn render(report: &Report, folder: &Path) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, report, folder);
    text
}

fn write_all(text: &mut String, report: &Report, folder: &Path) -> std::fmt::Result {
    let outcome = &report.outcome;
    writeln!(text, "\n{}: {} (exit code {})", report.run.scenario, outcome.class.name().to_uppercase(), outcome.exit)?;
    writeln!(text, "{}\n", outcome.sentence)?;
    report.warnings.iter().try_for_each(|warning| writeln!(text, "WARNING: {warning}"))?;
    report.warnings.is_empty().then_some(()).map_or_else(|| writeln!(text), Ok)?;
    report.findings.iter().try_for_each(|finding| write_finding(text, finding))?;
    writeln!(text, "    {}\n", figures::tally(&report.findings))?;
    write_latency(text, report)?;
    writeln!(text, "throughput  {}", figures::throughput(report))?;
    writeln!(text, "generator   {}", figures::generator(&report.measurements))?;
    figures::closed_loop(&report.measurements)
        .into_iter()
        .try_for_each(|line| writeln!(text, "closed loop {line}; in no figure above"))?;
    breakage::line(&report.measurements).into_iter().try_for_each(|line| writeln!(text, "faults      {line}"))?;
    writeln!(text, "report      {}", folder.join(HTML).display())?;
    writeln!(text, "repeat      {}", report.run.command)
}

fn write_finding(text: &mut String, finding: &Finding) -> std::fmt::Result {
    let sign = verdict_sign(&finding.verdict);
    let detail = match &finding.verdict {
        Verdict::Held { .. } => finding.looked_at.clone(),
        verdict => verdict_detail(verdict),
    };
    writeln!(text, "  {sign} {:<28} {detail}", finding.invariant)?;
    for violation in finding.verdict.violations().iter().take(VIOLATIONS_TOLD) {
        stories::lines(violation).iter().try_for_each(|line| writeln!(text, "      {line}"))?;
    }
    Ok(())
}

fn write_latency(text: &mut String, report: &Report) -> std::fmt::Result {
    let lines = figures::headline(&report.measurements);
    if lines.is_empty() {
        return writeln!(text, "latency     no order was answered in a baseline phase");
    }
    writeln!(text, "latency     {:<20} {:>10} {:>9} {:>9} {:>9}   ms, baseline", "create_order", "count", "p50", "p99", "max")?;
    for (outcome, kind, latency) in lines {
        let label = format!("{outcome}, {kind}");
        let [p50, p99, max] = [latency.p50_ms, latency.p99_ms, latency.max_ms].map(ms);
        writeln!(text, "            {label:<20} {:>10} {p50:>9} {p99:>9} {max:>9}", count(latency.count))?;
    }
    Ok(())
}
