//! Two runs side by side: what differs, and whether by more than runs differ anyway.
//!
//! In: two reports, and the summaries of other runs. Out: a [`Comparison`], and its text. Noise is the spread of the figure over earlier
//! runs of the same scenario and stores; with fewer than three of those nobody can say, and the comparison says so.

use std::fmt::Write as _;

use super::figures::{ms, rate, verdict_word};
use super::index::RunSummary;
use super::{Report, calendar, compare_page};

/// Runs of the same kind that a noise is measured from, at least.
pub const PEERS_MIN: usize = 3;

/// Whether a difference says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Larger than the spread of the other runs.
    BeyondNoise,
    /// As large as runs of this kind differ anyway.
    WithinNoise,
    /// Too few other runs, or a value is missing.
    Unknown,
}

impl Weight {
    /// What people read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeyondNoise => "beyond noise",
            Self::WithinNoise => "within noise",
            Self::Unknown => "unknown",
        }
    }
}

/// One figure of both runs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What it is, with its unit.
    pub figure: &'static str,
    /// Of the first run.
    pub before: Option<f64>,
    /// Of the second.
    pub after: Option<f64>,
    /// Change in percent of the first; absent if a value is, or the first is zero.
    pub change_percent: Option<f64>,
    /// Largest less smallest value among the other runs; absent with fewer than [`PEERS_MIN`].
    pub noise: Option<f64>,
    /// Other runs that have the figure.
    pub peers: usize,
    /// Whether the change says anything.
    pub weight: Weight,
    /// How a value of it is told.
    pub(super) form: fn(f64) -> String,
    /// What its value in a report stands on.
    pub(super) stands_on: StandsOn,
}

type StandsOn = fn(&Report) -> Option<String>;

/// Two runs.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The first.
    pub before: RunSummary,
    /// The second.
    pub after: RunSummary,
    /// Why the runs can hardly be compared, in words.
    pub caveats: Vec<String>,
    /// Figures.
    pub figures: Vec<Difference>,
    /// Claims whose verdict differs: name, before, after.
    pub verdicts: Vec<(String, &'static str, &'static str)>,
}

/// Name, value of a run, form for people, what it stands on.
type Figure = (&'static str, fn(&RunSummary) -> Option<f64>, fn(f64) -> String, StandsOn);

const FIGURES: [Figure; 5] = [
    ("p99 accepted, ms", |run| run.p99_ok_ms, ms, |report| compare_page::orders(report, "ok")),
    ("p99 sold out, ms", |run| run.p99_sold_out_ms, ms, |report| compare_page::orders(report, "sold_out")),
    ("accepted per s", |run| run.accepted_per_s, rate, compare_page::stretch),
    ("answered per s", |run| run.answered_per_s, rate, compare_page::stretch),
    ("slowest recovery, ms", |run| run.recovery_ms, ms, compare_page::faults),
];

/// Compares two runs. `others` may hold any runs, these two among them: only earlier ones of the same kind as the first are used.
#[must_use]
pub fn compare(before: &Report, after: &Report, others: &[RunSummary]) -> Comparison {
    let (first, second) = (RunSummary::of(before), RunSummary::of(after));
    let same_kind = |run: &&RunSummary| {
        run.scenario == first.scenario && run.servers == first.servers && run.commit == first.commit && run.run_id != second.run_id
    };
    let peers: Vec<&RunSummary> = others.iter().filter(same_kind).collect();
    let figures =
        FIGURES.iter().map(|figure| difference(figure, [&first, &second], peers.iter().filter_map(|run| figure.1(run)))).collect();
    Comparison { caveats: caveats(before, after), figures, verdicts: verdicts(before, after), before: first, after: second }
}

fn difference(figure: &Figure, runs: [&RunSummary; 2], peers: impl Iterator<Item = f64>) -> Difference {
    let &(figure, value, form, stands_on) = figure;
    let [before, after] = runs.map(value);
    let peers: Vec<f64> = peers.collect();
    let (low, high) = peers.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let noise = (peers.len() >= PEERS_MIN).then_some(high - low);
    let both = before.zip(after);
    let weight = match (both, noise) {
        (Some((before, after)), Some(noise)) if (after - before).abs() > noise => Weight::BeyondNoise,
        (Some(_), Some(_)) => Weight::WithinNoise,
        _ => Weight::Unknown,
    };
    let change_percent = both.filter(|(before, _)| *before != 0.0).map(|(before, after)| (after - before) / before * 100.0);
    Difference { figure, before, after, change_percent, noise, peers: peers.len(), weight, form, stands_on }
}

fn caveats(before: &Report, after: &Report) -> Vec<String> {
    let (a, b) = (&before.run, &after.run);
    let differ = |what: &str, one: &str, other: &str| (one != other).then(|| format!("{what} differ: {one} and {other}"));
    let machine =
        |report: &Report| report.run.machine.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    [
        differ("the scenarios", &a.scenario, &b.scenario),
        differ("the seeds", &a.seed.to_string(), &b.seed.to_string()),
        differ("the machines", &machine(before), &machine(after)),
        differ("the Redis versions", &a.servers.redis, &b.servers.redis),
        differ("the database versions", &a.servers.mysql, &b.servers.mysql),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn verdicts(before: &Report, after: &Report) -> Vec<(String, &'static str, &'static str)> {
    let word = |report: &Report, name: &str| {
        let finding = report.findings.iter().find(|finding| finding.invariant == name);
        finding.map_or("not judged", |finding| verdict_word(&finding.verdict))
    };
    let names = before.findings.iter().chain(&after.findings).map(|finding| finding.invariant.clone());
    let mut names: Vec<String> = names.collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let differs = |name: String| {
        let (one, other) = (word(before, &name), word(after, &name));
        (one != other).then_some((name, one, other))
    };
    names.into_iter().filter_map(differs).collect()
}

impl Comparison {
    /// The comparison for a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        for (name, run) in [("A", &self.before), ("B", &self.after)] {
            let (started, class) = (calendar::utc(run.wall_start_ms), run.class.name());
            writeln!(text, "{name}  {} {}  {started}  commit {}  {class}", run.scenario, run.run_id, run.commit)?;
        }
        self.caveats.iter().try_for_each(|caveat| writeln!(text, "CAREFUL: {caveat}"))?;
        writeln!(text, "\n{:<22} {:>12} {:>12} {:>9} {:>12}", "", "A", "B", "change", "")?;
        for difference in &self.figures {
            let form = difference.form;
            let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), form);
            let change = difference.change_percent.map_or_else(|| "–".to_owned(), |change| format!("{change:+.1} %"));
            let (before, after) = (value(difference.before), value(difference.after));
            let noise = difference.noise.map_or_else(
                || format!("noise not known: {PEERS_MIN} runs of the kind of A are needed"),
                |noise| format!("{}, noise {}", difference.weight.name(), form(noise)),
            );
            writeln!(text, "{:<22} {before:>12} {after:>12} {change:>9}   {noise}", difference.figure)?;
        }
        writeln!(text)?;
        match self.verdicts.as_slice() {
            [] => writeln!(text, "every claim has the same verdict in both"),
            verdicts => verdicts.iter().try_for_each(|(name, one, other)| writeln!(text, "{name:<28} {one} → {other}")),
        }
    }
}
