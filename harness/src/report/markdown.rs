//! `report.md`: one page for a pull request.
//!
//! In: a report. Out: GitHub-flavoured markdown. Text from outside is escaped, so that an order id cannot break a table.

use std::fmt::Write as _;

use super::figures::{self, count, ms, verdict_detail, verdict_sign, verdict_word};
use super::{Report, breakage, stories};
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
    write_faults(page, report)?;
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

fn write_faults(page: &mut String, report: &Report) -> std::fmt::Result {
    let Some(line) = breakage::line(&report.measurements) else { return Ok(()) };
    let names = breakage::COMPONENTS.map(crate::measure::recovery::Component::name).join(" | ");
    writeln!(page, "## Faults\n\n{}.\n\n| fault | in force | proof | {names} | promised |", cell(&line))?;
    writeln!(page, "|---|---|---|--:|--:|--:|--:|--:|--:|")?;
    for fault in breakage::faults(&report.measurements) {
        let recovery: Vec<String> = fault.recovery.iter().map(|part| part.text.clone()).collect();
        let (name, target, lasted) = (cell(&fault.name), cell(&fault.target), cell(&fault.lasted));
        let (proof, recovery) = (cell(&fault.proof), recovery.join(" | "));
        writeln!(page, "| {name} on {target} | {lasted} | {proof} | {recovery} | {} |", fault.promised)?;
    }
    writeln!(page)?;
    let matrix = breakage::matrix(&report.coverage);
    if matrix.rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "## Kill points\n\n| point | {} |\n|---|{}", matrix.actions.join(" | "), "---|".repeat(matrix.actions.len()))?;
    for row in matrix.rows {
        let told = |told: &Option<breakage::MatrixCell>| {
            told.as_ref().map_or_else(
                || "–".to_owned(),
                |told| std::iter::once(&told.head).chain(&told.lines).cloned().collect::<Vec<_>>().join(", "),
            )
        };
        let cells: Vec<String> = row.cells.iter().map(|one| cell(&told(one))).collect();
        writeln!(page, "| `{}` | {} |", cell(&row.point), cells.join(" | "))?;
    }
    writeln!(page)
}

fn write_figures(page: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(page, "## Figures\n\n- Throughput: {}.", figures::throughput(report))?;
    writeln!(page, "- Generator: {}.", figures::generator(&report.measurements))?;
    let closed = figures::closed_loop(&report.measurements);
    closed.into_iter().try_for_each(|line| writeln!(page, "- Closed loop: {line}; in no other figure here."))?;
    writeln!(page)?;
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
