//! What judging a saved run again says differently from the report that was saved with it.

use std::collections::BTreeMap;
use std::path::Path;

use harness::report::figures::verdict_word;
use harness::report::{Report, RunFolder};

/// Verdict words by claim.
pub type Verdicts = BTreeMap<String, &'static str>;

/// The verdicts in the saved report; `None` if there is none that can be read.
#[must_use]
pub fn saved_verdicts(run: &Path) -> Option<Verdicts> {
    RunFolder::open(run).ok()?.read_report().ok().map(|report| verdicts(&report))
}

/// One line for each claim whose verdict changed, or one that says that none did.
#[must_use]
pub fn render(saved: &Option<Verdicts>, now: &Report) -> String {
    let Some(saved) = saved else { return "the run has no saved report to compare with\n".to_owned() };
    let now = verdicts(now);
    let names: std::collections::BTreeSet<&String> = saved.keys().chain(now.keys()).collect();
    let word = |verdicts: &Verdicts, name: &String| verdicts.get(name).copied().unwrap_or("absent");
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| word(saved, name) != word(&now, name))
        .map(|name| format!("differs from the saved report: {name} was {}, is {}\n", word(saved, name), word(&now, name)))
        .collect();
    if changed.is_empty() { format!("same verdict as the saved report in all {} claims\n", now.len()) } else { changed.concat() }
}

fn verdicts(report: &Report) -> Verdicts {
    report.findings.iter().map(|finding| (finding.invariant.clone(), verdict_word(&finding.verdict))).collect()
}
