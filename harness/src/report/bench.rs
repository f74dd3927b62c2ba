//! What a benchmark says: figures against their goals, curves, and the judged runs that they come from.
//!
//! In: values of single rounds. Out: medians, ratios, and whether a goal is met; `bench.json` is this very data. A round whose run did not hold has no
//! value, and a figure without a value meets nothing. [`bench_page`](super::bench_page) shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OutcomeClass;
use crate::snapshot::Servers;

/// The file for machines.
pub const JSON: &str = "bench.json";
/// The page for people.
pub const HTML: &str = "bench.html";
/// Version of `bench.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// All of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// Version of this format.
    pub schema_version: u32,
    /// Start, ms since 1970.
    pub wall_start_ms: u64,
    /// Length, ms.
    pub took_ms: u64,
    /// Command that repeats it.
    pub command: String,
    /// Commit of the source.
    pub commit: String,
    /// SHA-256 of the program, which is the service as well.
    pub build_id: String,
    /// Rounds that were asked for.
    pub rounds: u32,
    /// Whether it was a short one, whose figures are for trying the tool.
    pub quick: bool,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Cores, memory, system.
    pub machine: BTreeMap<String, String>,
    /// Load average of the last minute before the first run and after the last: what else the machine did.
    pub load_average: (f64, f64),
    /// Versions and durability settings, as the servers themselves told them.
    pub servers: Servers,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Cost as work grows.
    pub curves: Vec<Curve>,
    /// The runs.
    pub runs: Vec<JudgedRun>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Goal {
    /// The ratio to what it is set against.
    RatioAtLeast {
        /// The smallest that meets it.
        least: f64,
    },
    /// The figure itself.
    Below {
        /// What it must stay below.
        limit: f64,
    },
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name on the command line.
    pub id: String,
    /// What was measured.
    pub what: String,
    /// Unit of the values.
    pub unit: String,
    /// What it is set against; empty if its goal is a number.
    pub against: String,
    /// The goal.
    pub goal: Goal,
    /// How it was measured and what that leaves out.
    pub how: String,
    /// One value a round that has one.
    pub ours: Vec<f64>,
    /// What it is set against, in the same rounds.
    pub theirs: Vec<f64>,
    /// What was measured beside it, by name and unit, in the same rounds.
    pub beside: BTreeMap<String, Vec<f64>>,
    /// What happened over time in the last round.
    pub traces: Vec<Trace>,
    /// Why rounds have no value.
    pub missing: Vec<String>,
}

/// Something over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// What.
    pub what: String,
    /// Unit.
    pub unit: String,
    /// Seconds from the start of the run, and value.
    pub points: Vec<(f64, f64)>,
}

/// Throughput and latency as something grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name on the command line.
    pub id: String,
    /// What grows.
    pub what: String,
    /// How it was measured.
    pub how: String,
    /// From small to large.
    pub points: Vec<CurvePoint>,
    /// Why rounds have no value.
    pub missing: Vec<String>,
}

/// One size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// How much of it.
    pub size: u64,
    /// Accepted orders per second, one value a round.
    pub accepted_per_s: Vec<f64>,
    /// p99 of accepted orders in a closed loop, ms, one value a round.
    pub p99_ms: Vec<f64>,
}

/// A run that was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedRun {
    /// Round, from 1.
    pub round: u32,
    /// What ran.
    pub name: String,
    /// Its verdict.
    pub class: OutcomeClass,
    /// Its sentence.
    pub sentence: String,
    /// Its folder, relative to that of the reports.
    pub folder: String,
    /// Accepted orders per second.
    pub accepted_per_s: f64,
    /// Refused orders per second.
    pub refused_per_s: f64,
    /// p99 of accepted orders, ms; absent without any.
    pub p99_ms: Option<f64>,
    /// Orders in one transaction, on average.
    pub batch: Option<f64>,
    /// Mean CPU of each process while the load went on, percent of a core, by role.
    pub cpu_percent: BTreeMap<String, f64>,
}

impl Figure {
    /// What the goal is compared with: the median of the rounds' ratios, or of the values themselves.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        median(&self.compared())
    }

    /// Whether the goal is met; `None` without a value.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        let value = self.value()?;
        Some(match self.goal {
            Goal::RatioAtLeast { least } => value >= least,
            Goal::Below { limit } => value < limit,
        })
    }

    /// The values of the rounds that the goal is compared with.
    #[must_use]
    pub fn compared(&self) -> Vec<f64> {
        match self.goal {
            Goal::RatioAtLeast { .. } => self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours / theirs).collect(),
            Goal::Below { .. } => self.ours.clone(),
        }
    }
}

impl BenchReport {
    /// The class of the whole: a violated run outweighs all; then a figure without a value, then a goal that was missed.
    #[must_use]
    pub fn class(&self) -> OutcomeClass {
        let violated = self.runs.iter().any(|run| run.class == OutcomeClass::Violated);
        let empty = self.figures.iter().any(|figure| figure.value().is_none())
            || self.curves.iter().any(|curve| curve.points.iter().any(|point| point.accepted_per_s.is_empty()));
        let missed = self.figures.iter().any(|figure| figure.met() == Some(false));
        match (self.interrupted, violated, empty, missed) {
            (true, ..) => OutcomeClass::Interrupted,
            (_, true, ..) => OutcomeClass::Violated,
            (_, _, true, _) => OutcomeClass::Inconclusive,
            (_, _, _, true) => OutcomeClass::BudgetMissed,
            _ => OutcomeClass::Held,
        }
    }

    /// All of it in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let met = self.figures.iter().filter(|figure| figure.met() == Some(true)).count();
        let empty = self.figures.iter().filter(|figure| figure.value().is_none()).count();
        let held = self.runs.iter().filter(|run| matches!(run.class, OutcomeClass::Held | OutcomeClass::BudgetMissed)).count();
        let without = if empty == 0 { String::new() } else { format!(", {empty} have no value") };
        let goals = match self.figures.len() {
            0 => "No figure with a goal was asked for".to_owned(),
            figures => format!("{met} of {figures} goals met{without}"),
        };
        format!("{goals}; every claim held in {held} of {} judged runs.", self.runs.len())
    }
}

/// The middle of the values, the mean of the two middle ones if they are even in number; `None` without any.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(goal: Goal, ours: &[f64], theirs: &[f64]) -> Figure {
        Figure {
            id: "x".into(),
            what: String::new(),
            unit: String::new(),
            against: String::new(),
            goal,
            how: String::new(),
            ours: ours.to_vec(),
            theirs: theirs.to_vec(),
            beside: BTreeMap::new(),
            traces: Vec::new(),
            missing: Vec::new(),
        }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round_and_its_median_is_compared() {
        let goal = Goal::RatioAtLeast { least: 2.0 };
        let sped_up = figure(goal, &[10.0, 30.0, 50.0], &[5.0, 10.0, 50.0]);
        assert_eq!((sped_up.value(), sped_up.met()), (Some(2.0), Some(true)));
        assert_eq!(figure(goal, &[10.0], &[6.0]).met(), Some(false));
    }

    #[test]
    fn a_figure_without_a_value_meets_nothing() {
        let empty = figure(Goal::Below { limit: 5.0 }, &[], &[]);
        assert_eq!((empty.value(), empty.met()), (None, None));
        assert_eq!(figure(Goal::Below { limit: 5.0 }, &[5.0], &[]).met(), Some(false));
        assert_eq!(figure(Goal::Below { limit: 5.0 }, &[4.0, 9.0, 4.9], &[]).met(), Some(true));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 3.0, 4.0]), Some(2.5));
    }
}
