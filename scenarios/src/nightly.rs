//! `chaos nightly`: the catalog again and again with fresh seeds, until its time is over.
//!
//! In: a time and a folder. Out: the folders of all runs that were not held, and one summary in Markdown.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use harness::report::OutcomeClass;
use harness::report::folder::RunFolder;
use harness::seed::Seed;
use harness::stack::Rig;

use crate::catalog::{self, Plan};
use crate::launch::{self, Runner};
use crate::progress::put;
use crate::series::{self, Ended};

/// What to do.
#[derive(Debug, Clone)]
pub struct Nightly {
    /// No run begins after this.
    pub time: Duration,
    /// Seed of the first run; each further run has the next one.
    pub seed: Seed,
    /// Folder of all reports.
    pub reports: PathBuf,
    /// What the runs stand on. Scenarios that it cannot carry are left out.
    pub rig: Rig,
}

/// Name of the summary within the folder of the reports.
pub const SUMMARY: &str = "nightly.md";

/// Runs it. The exit code is the strongest of all runs.
#[must_use]
pub fn nightly(options: &Nightly) -> ExitCode {
    let entries = match series::carried(catalog::all(), options.seed, &options.rig) {
        Ok(entries) => entries,
        Err(why) => return launch::fail(OutcomeClass::Usage, &why),
    };
    let runner = match Runner::start() {
        Ok(runner) => runner,
        Err(error) => return launch::fail(OutcomeClass::RigFailed, &format!("start the runtime: {error}")),
    };
    let (started, mut ended) = (series::now(), Vec::new());
    for (number, entry) in entries.into_iter().cycle().enumerate() {
        let over = series::now().duration_since(started) >= options.time;
        // Somebody who asks for a minute gets at least one run.
        if runner.is_stopped() || (over && number > 0) {
            break;
        }
        let seed = Seed(options.seed.0.wrapping_add(number as u64));
        let mut run = series::run_entry(&runner, entry, (Plan::Whole, seed), &options.reports, &options.rig);
        if run.class == OutcomeClass::Held {
            discard(&mut run);
        }
        ended.push(run);
        // After every run: what was found until then outlives whatever comes.
        if let Err(error) = std::fs::write(options.reports.join(SUMMARY), summary(&ended, &options.reports)) {
            return launch::fail(OutcomeClass::RigFailed, &format!("write {SUMMARY}: {error}"));
        }
    }
    put(&format!("summary      {}\n", options.reports.join(SUMMARY).display()));
    series::close(&runner, &ended)
}

/// A held run can be had again from its seed; its folder would only fill the disk.
fn discard(run: &mut Ended) {
    let Some(path) = run.folder.take() else { return };
    if let Err(error) = RunFolder::open(&path).and_then(RunFolder::discard) {
        put(&format!("the folder of a held run stays: {error}\n"));
    }
}

/// A table of scenarios and outcomes, and a line for each run that was not held.
fn summary(ended: &[Ended], reports: &Path) -> String {
    let mut text =
        format!("# Chaos, {} runs\n\n| scenario | runs | held | other | longest, s |\n|---|---|---|---|---|\n", ended.len());
    for entry in catalog::all() {
        let runs: Vec<&Ended> = ended.iter().filter(|run| run.scenario == entry.name).collect();
        let held = runs.iter().filter(|run| run.class == OutcomeClass::Held).count();
        let longest = runs.iter().map(|run| run.took.as_secs()).max().unwrap_or(0);
        let others: Vec<&str> = runs.iter().filter(|run| run.class != OutcomeClass::Held).map(|run| run.class.name()).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {held} | {} | {longest} |", entry.name, runs.len(), others.join(", "));
    }
    let others: Vec<&Ended> = ended.iter().filter(|run| run.class != OutcomeClass::Held).collect();
    text.push_str(if others.is_empty() { "\nEvery run was held.\n" } else { "\n## Not held\n\n" });
    for run in others {
        let folder = run.folder.as_deref().map(|path| path.strip_prefix(reports).unwrap_or(path).display().to_string());
        let _ = writeln!(
            text,
            "- **{}** {} seed {}: {} Folder: `{}`. Repeat: `{}`",
            run.class.name(),
            run.scenario,
            run.seed,
            run.sentence,
            folder.as_deref().unwrap_or("none"),
            run.command
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(class: OutcomeClass, folder: Option<&str>) -> Ended {
        Ended {
            scenario: "steady".to_owned(),
            seed: Seed(7),
            class,
            sentence: "1 claim is violated: no_oversell.".to_owned(),
            violated: vec!["no_oversell".to_owned()],
            folder: folder.map(PathBuf::from),
            command: "chaos run steady --seed 7".to_owned(),
            took: Duration::from_secs(31),
        }
    }

    #[test]
    fn a_summary_counts_every_run_and_names_those_that_were_not_held() {
        let ended = [run(OutcomeClass::Held, None), run(OutcomeClass::Violated, Some("reports/steady/x"))];
        let text = summary(&ended, Path::new("reports"));
        assert!(text.contains("| steady | 2 | 1 | violated | 31 |"), "{text}");
        assert!(text.contains("- **violated** steady seed 7: 1 claim is violated: no_oversell. Folder: `steady/x`."), "{text}");
        assert!(summary(&ended[..1], Path::new("reports")).contains("Every run was held."));
    }
}
