//! What a bench of the parts measured: a table for people and `target/bench-parts/<bench>.json` for programs.
//!
//! In: values of interleaved rounds, and a goal. Out: medians and whether each meets its goal. A goal that is missed is shown and fails
//! nothing: a busy machine is no defect.

#![allow(dead_code, reason = "each bench uses a part")]

use std::error::Error;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

/// What a bench ends with.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A bound on a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// The figure is to be this or more.
    AtLeast(f64),
    /// The figure is to be this or less.
    AtMost(f64),
    /// For information.
    None,
}

impl Goal {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::None => true,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
            Self::None => "-".to_owned(),
        }
    }
}

/// One figure and what it stands on.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What is measured.
    pub(crate) name: String,
    /// What it is measured against, in the same rounds.
    pub(crate) against: String,
    /// Unit of the value; `x` for a ratio.
    pub(crate) unit: &'static str,
    /// The figure: a median, or a ratio of medians.
    pub(crate) value: f64,
    /// Its bound.
    pub(crate) goal: Goal,
    /// Unit of the rounds.
    pub(crate) rounds_in: &'static str,
    /// What was measured in each round.
    pub(crate) ours: Vec<f64>,
    /// What the other side did in the same round; empty where there is none.
    pub(crate) theirs: Vec<f64>,
}

/// The middle value; the upper one of two. Zero of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Prints the table of a bench and writes its file.
pub(crate) fn publish(bench: &str, figures: &[Figure]) -> Outcome<()> {
    print(figures);
    let rows: Vec<_> = figures.iter().map(with_verdict).collect::<Result<_, _>>()?;
    let machine = json!({ "cores": std::thread::available_parallelism().map_or(0, usize::from), "processor": processor() });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-parts");
    std::fs::create_dir_all(&folder)?;
    let file = json!({ "bench": bench, "machine": machine, "figures": rows });
    std::fs::write(folder.join(format!("{bench}.json")), serde_json::to_vec_pretty(&file)?)?;
    Ok(())
}

fn with_verdict(figure: &Figure) -> Result<serde_json::Value, serde_json::Error> {
    let mut row = serde_json::to_value(figure)?;
    row["met"] = figure.goal.is_met_by(figure.value).into();
    Ok(row)
}

#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
fn print(figures: &[Figure]) {
    println!("{:<64} {:>12} {:<10} {:>10}  met  ours / theirs", "figure", "value", "", "goal");
    for Figure { name, against, unit, value, goal, rounds_in, ours, theirs } in figures {
        let theirs = if theirs.is_empty() { "-".to_owned() } else { format!("{:.3}", median(theirs)) };
        println!(
            "{name:<64} {value:>12.3} {unit:<10} {:>10}  {:<4} {:.3} / {theirs} {rounds_in}, of {} rounds, against {against}",
            goal.words(),
            if goal.is_met_by(*value) { "yes" } else { "NO" },
            median(ours),
            ours.len()
        );
    }
}

/// The processor, as the kernel names it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}
