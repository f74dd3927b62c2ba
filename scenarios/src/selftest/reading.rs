//! What the report of one run says, as far as the self-test asks.
//!
//! In: the folder that a run wrote its reports into, and the hash of the program that it should be of. Out: a [`Run`]; one without a report, or with
//! that of another program, has no class and proves nothing.

use std::path::Path;
use std::time::Duration;

use harness::invariants::{Finding, Verdict};
use harness::report::{Report, RunFolder};
use harness::seed::Seed;

use super::matrix::{Detection, Run};

/// What a run of this scenario left in `folder`. `root` is the folder of all reports, which links are relative to.
pub(super) fn read((folder, root): (&Path, &Path), scenario: &str, (seed, took): (Seed, Duration), program: &str) -> Run {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let empty = Run { seed: seed.0, took_ms: millis, ..Run::default() };
    let opened = RunFolder::open(&folder.join(scenario).join("latest"));
    let read = opened.and_then(|run| Ok((run.read_report()?, run)));
    let (report, run) = match read {
        Ok(read) => read,
        Err(error) => return Run { sentence: format!("it left no report: {error}"), ..empty },
    };
    let link = link(run.path(), root);
    if report.run.build_id != program {
        return Run { sentence: "it was a run of another program than the one asked for".to_owned(), folder: link, ..empty };
    }
    Run {
        class: Some(report.outcome.class),
        sentence: report.outcome.sentence.clone(),
        folder: link,
        violated: detections(&report),
        ..empty
    }
}

/// Path of a run folder relative to that of the reports.
fn link(run: &Path, root: &Path) -> Option<String> {
    let root = root.canonicalize().ok()?;
    Some(run.strip_prefix(root).ok()?.display().to_string())
}

fn detections(report: &Report) -> Vec<Detection> {
    report.findings.iter().filter_map(detection).collect()
}

fn detection(finding: &Finding) -> Option<Detection> {
    let Verdict::Violated { count, violations, .. } = &finding.verdict else { return None };
    Some(Detection {
        claim: finding.invariant.clone(),
        count: count.get(),
        what: violations.first().map(|violation| violation.what.clone()).unwrap_or_default(),
        at_ms: violations.iter().filter_map(|violation| violation.at).min().map(|at| at.nanos() / 1_000_000),
    })
}
