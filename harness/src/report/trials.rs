//! Violated claims with their counter-examples, as the page tells them.
//!
//! In: findings. Out: a [`Trial`] for each violated claim, with the formula that failed, and up to twenty stories with their timelines. Each
//! has a name by which the page links to it.

use super::figures::verdict_detail;
use super::formulas::formula;
use super::stories;
use super::timeline::{Timeline, timeline};
use crate::invariants::{Finding, Story, Verdict, Violation};

/// A violated claim with its counter-examples.
pub(super) struct Trial<'a> {
    pub(super) finding: &'a Finding,
    pub(super) id: String,
    pub(super) formula: Option<&'static str>,
    pub(super) summary: String,
    pub(super) hidden: u64,
    pub(super) examples: Vec<Example<'a>>,
}

/// One counter-example.
pub(super) struct Example<'a> {
    pub(super) id: String,
    pub(super) violation: &'a Violation,
    pub(super) open: bool,
    pub(super) concerns: String,
    pub(super) orders: String,
    pub(super) timeline: Option<Timeline>,
    pub(super) story: Vec<[String; 3]>,
}

/// Every violated claim.
pub(super) fn trials(findings: &[Finding]) -> Vec<Trial<'_>> {
    let trial = |finding| {
        let examples = examples(finding);
        let hidden = found(finding).saturating_sub(examples.len() as u64);
        Trial {
            finding,
            id: trial_id(finding),
            formula: formula(&finding.invariant),
            summary: verdict_detail(&finding.verdict),
            hidden,
            examples,
        }
    };
    findings.iter().filter(|finding| finding.verdict.is_violated()).map(trial).collect()
}

/// Counter-examples found, the ones without a story among them.
const fn found(finding: &Finding) -> u64 {
    match &finding.verdict {
        Verdict::Violated { count, .. } => count.get(),
        _ => 0,
    }
}

/// The counter-examples of a claim; the first, which is the worst, stands open.
fn examples(finding: &Finding) -> Vec<Example<'_>> {
    let line = |line: &Story| [stories::time(line.at), line.lane.clone(), line.what.clone()];
    let all_orders = |violation: &Violation| (violation.orders.len() > stories::ORDERS_NAMED).then(|| violation.orders.join(" "));
    let numbered = finding.verdict.violations().iter().enumerate();
    numbered
        .map(|(index, violation)| Example {
            id: story_id(finding, index),
            violation,
            open: index == 0,
            concerns: stories::concerns(violation).join(" · "),
            orders: all_orders(violation).unwrap_or_default(),
            timeline: timeline(violation),
            story: violation.story.iter().map(line).collect(),
        })
        .collect()
}

/// Name of a violated claim within the page.
pub(super) fn trial_id(finding: &Finding) -> String {
    format!("violated-{}", finding.invariant)
}

/// Name of one of its counter-examples within the page.
pub(super) fn story_id(finding: &Finding, index: usize) -> String {
    format!("story-{}-{index}", finding.invariant)
}
