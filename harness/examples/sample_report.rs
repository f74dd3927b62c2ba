//! Writes a report of evidence that was drawn from a seed, to look at the page without a run.
//!
//! `cargo run -p harness --example sample_report -- FOLDER [held|violated|faulty|journeys|cut_off|empty] [OPERATIONS]`, or
//! `... -- FOLDER compare` for the first and the last of the runs in a folder side by side

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

#[path = "../tests/it/report_broken.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod report_broken;
#[path = "../tests/it/report_synthetic.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod report_synthetic;

use std::error::Error;
use std::path::Path;

use harness::invariants::Verdict;
use harness::measure::measure;
use harness::report::index::RunSummary;
use harness::report::{RunFolder, compare, compare_page, console, index, write_report};
use report_synthetic as synthetic;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).cloned().unwrap_or_else(|| default.to_owned());
    if argument(1, "held") == "compare" {
        return compare_ends(Path::new(&argument(0, "target/sample-report")));
    }
    let operations: u64 = argument(2, "60000").parse()?;
    let mut findings = synthetic::all_held();
    let evidence = match argument(1, "held").as_str() {
        "cut_off" => synthetic::cut_off(operations),
        "empty" => {
            findings.iter_mut().for_each(|finding| finding.verdict = Verdict::unknown("nothing was recorded"));
            synthetic::evidence(0)
        }
        "journeys" => synthetic::with_closed_loop(operations),
        "faulty" => {
            let evidence = report_broken::evidence(operations);
            findings = harness::invariants::judge(&evidence);
            if let Some(durable) = findings.iter_mut().find(|finding| finding.invariant == "acknowledged_is_durable") {
                durable.verdict = report_broken::violated_near_the_kill();
            }
            evidence
        }
        "violated" => {
            findings[1].verdict = synthetic::violated("Item 1:20:300: 15,002 units are out of a supply of 15,000");
            findings[4].verdict = synthetic::violated("Item 1:20:300: Redis holds -2, the ledger 0");
            findings[5].verdict = Verdict::unknown("the wait was interrupted");
            let mut evidence = synthetic::evidence(operations);
            evidence.edited.push("snapshot.json.zst was changed after the run".to_owned());
            evidence
        }
        _ => synthetic::evidence(operations),
    };
    let mut identity = synthetic::identity();
    let folder = RunFolder::create(Path::new(&argument(0, "target/sample-report")), &identity.scenario, 7, identity.wall_start_ms)?;
    identity.run_id = folder.run_id();
    let measurements = measure(&evidence.plan, &evidence.history);
    let report = write_report(&folder, &evidence, &identity, findings, measurements)?;
    index::write(Path::new(&argument(0, "target/sample-report")))?;
    println!("{}", console::render(&report, folder.path()));
    Ok(())
}

/// Sets the first and the last run of a folder side by side.
fn compare_ends(reports: &Path) -> Result<(), Box<dyn Error>> {
    let (runs, _) = index::summaries(reports)?;
    let read =
        |run: &RunSummary| RunFolder::open(&reports.join(&run.scenario).join(&run.run_id)).and_then(|folder| folder.read_report());
    let [last, .., first] = runs.as_slice() else { return Err("there are not two runs".into()) };
    let (before, after) = (read(first)?, read(last)?);
    let comparison = compare::compare(&before, &after, &runs);
    println!("{}\n{}", comparison.to_text(), compare_page::write(&comparison, [&before, &after], reports)?.display());
    Ok(())
}
