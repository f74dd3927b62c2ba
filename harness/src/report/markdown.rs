//! `report.md`: one page for a pull request.
//!
//! In: a report. Out: GitHub-flavoured markdown. Text from outside is escaped, so that an order id cannot break a table.

use std::fmt::Write as _;

use super::figures::{self, count, ms, verdict_detail, verdict_sign, verdict_word};
use super::{Report, stories};
use crate::invariants::Finding;

/// Counter-examples told for each violated claim.
const VIOLATIONS_TOLD: usize = 3;

/// The whole page.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut page, report);
    page
}

fn write_all(page: &mut String, report: &Report) -> std::fmt::Result {
    let outcome = &report.outcome;
    writeln!(page, "# {}: {} (exit code {})\n", cell(&report.run.scenario), outcome.class.name(), outcome.exit)?;
    writeln!(page, "{}\n", cell(&outcome.sentence))?;
    report.warnings.iter().try_for_each(|warning| writeln!(page, "> **Warning:** {}\n", cell(warning)))?;
    writeln!(page, "Seed {}, run `{}`, commit `{}`. Repeat it:\n", report.run.seed, report.run.run_id, report.run.commit)?;
    writeln!(page, "```sh\n{}\n```\n", report.run.command.replace("```", ""))?;
    write_claims(page, &report.findings)?;
    report.findings.iter().try_for_each(|finding| write_stories(page, finding))?;
    write_figures(page, report)?;
    writeln!(page, "## Not tested\n")?;
    report.not_tested.iter().try_for_each(|text| writeln!(page, "- {}", cell(text)))
}

fn write_claims(page: &mut String, findings: &[Finding]) -> std::fmt::Result {
    writeln!(page, "## Claims\n\n{}.\n\n| | claim | looked at | result |\n|---|---|---|---|", figures::tally(findings))?;
    for finding in findings {
        let sign = verdict_sign(&finding.verdict);
        let (word, detail) = (verdict_word(&finding.verdict), verdict_detail(&finding.verdict));
        let (looked_at, detail) = (cell(&finding.looked_at), cell(&detail));
        writeln!(page, "| {sign} | `{}` | {looked_at} | {word}: {detail} |", finding.invariant)?;
    }
    writeln!(page)
}

fn write_stories(page: &mut String, finding: &Finding) -> std::fmt::Result {
    let violations = finding.verdict.violations();
    if violations.is_empty() {
        return Ok(());
    }
    writeln!(page, "### `{}`\n\n{}\n", finding.invariant, cell(&finding.claim))?;
    for violation in violations.iter().take(VIOLATIONS_TOLD) {
        writeln!(page, "```text\n{}\n```\n", stories::lines(violation).join("\n").replace("```", "'''"))?;
    }
    Ok(())
}

fn write_figures(page: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(page, "## Figures\n\n- Throughput: {}.", figures::throughput(report))?;
    writeln!(page, "- Generator: {}.\n", figures::generator(&report.measurements))?;
    let lines = figures::headline(&report.measurements);
    if lines.is_empty() {
        return writeln!(page, "No order was answered in a baseline phase.\n");
    }
    writeln!(page, "| create_order, baseline, ms | count | p50 | p90 | p99 | p99.9 | max |\n|---|--:|--:|--:|--:|--:|--:|")?;
    for (outcome, kind, latency) in lines {
        let values = [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms].map(ms).join(" | ");
        writeln!(page, "| {outcome}, {kind} time | {} | {values} |", count(latency.count))?;
    }
    writeln!(page)
}

/// Text that can stand in a cell, a quote or a list: one line, no markup of its own.
fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|").replace('<', "&lt;").replace('`', "'")
}
