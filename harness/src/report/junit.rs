//! `junit.xml`: one test case for each claim, for CI systems.
//!
//! In: a report. Out: XML. Violated is a failure with its story, a missed budget a failure of type `budget`, a required claim without an
//! answer an error of type `inconclusive`, a claim that does not apply is skipped, and a failed rig is an errored test case of its own.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::figures::verdict_detail;
use super::files::form_error;
use super::folder::JUNIT;
use super::outcome::{Weight, weight};
use super::{OutcomeClass, Report, ReportError, stories};
use crate::invariants::{Finding, Verdict};

/// The whole file.
///
/// # Errors
/// The XML cannot be written.
pub fn render(report: &Report) -> Result<String, ReportError> {
    let mut suite = TestSuite::new(&report.run.scenario);
    suite.set_time(Duration::from_millis(report.run.duration_ms));
    suite.add_property(("run_id", report.run.run_id.as_str()));
    suite.add_property(("seed", report.run.seed.to_string().as_str()));
    suite.add_property(("command", report.run.command.as_str()));
    suite.add_property(("outcome", report.outcome.class.name()));
    for finding in &report.findings {
        suite.add_test_case(case(report, &finding.invariant, status(finding)));
    }
    suite.add_test_case(case(report, "run", run_status(report)));
    let mut junit = Junit::new("holdfast");
    junit.add_test_suite(suite);
    junit.to_string().map_err(form_error("render", JUNIT.as_ref()))
}

fn case(report: &Report, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("holdfast.{}", report.run.scenario));
    case
}

fn status(finding: &Finding) -> TestCaseStatus {
    let detail = verdict_detail(&finding.verdict);
    match &finding.verdict {
        Verdict::Held { .. } => TestCaseStatus::success(),
        Verdict::Violated { violations, .. } => {
            let kind = match weight(&finding.invariant) {
                Weight::Claim => (NonSuccessKind::Failure, "violated"),
                Weight::ServiceLevel => (NonSuccessKind::Failure, "budget"),
                Weight::Soundness => (NonSuccessKind::Error, "unsound"),
            };
            let told: Vec<String> = violations.iter().map(|violation| stories::lines(violation).join("\n")).collect();
            failed(kind, &format!("{}: {detail}", finding.claim), &told.join("\n\n"))
        }
        Verdict::Unknown { .. } if finding.required => failed((NonSuccessKind::Error, "inconclusive"), &detail, &finding.claim),
        Verdict::Unknown { .. } | Verdict::NotApplicable { .. } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(detail);
            status
        }
    }
}

fn failed((kind, name): (NonSuccessKind, &str), message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(name).set_message(message).set_description(description);
    status
}

/// The run as a whole: an error where it proves nothing, even if no single claim says so.
fn run_status(report: &Report) -> TestCaseStatus {
    let name = match report.outcome.class {
        OutcomeClass::RigFailed => "rig",
        OutcomeClass::Inconclusive => "inconclusive",
        OutcomeClass::Interrupted => "interrupted",
        OutcomeClass::Usage => "usage",
        OutcomeClass::Held | OutcomeClass::Violated | OutcomeClass::BudgetMissed => return TestCaseStatus::success(),
    };
    failed((NonSuccessKind::Error, name), &report.outcome.sentence, &report.warnings.join("\n"))
}
