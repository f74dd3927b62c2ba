//! The matrix for people: `selftest.html` and `selftest.md`, beside `selftest.json`.
//!
//! In: the [`Matrix`]. Out: one self-contained page that looks like the report of a run, and the same in Markdown for a summary of CI. Links are
//! relative to the folder of the reports.

use std::fmt::Write as _;
use std::path::Path;

use askama::Template;
use harness::report::{OutcomeClass, ReportError, STYLES, calendar, figures, files, folder};

use super::expectations::Length;
use super::matrix::{Control, JSON, Matrix, Row, Run, Trial, Verdict};
use crate::wilson::Rate;

/// The page.
pub(super) const HTML: &str = "selftest.html";
/// The page for a summary of CI.
const MARKDOWN: &str = "selftest.md";

/// Writes all three files into the folder of the reports.
pub(super) fn write(reports: &Path, matrix: &Matrix) -> Result<(), ReportError> {
    let path = reports.join(HTML);
    let page = render(matrix).map_err(|error| ReportError::Form { act: "render", path: path.clone(), why: error.to_string() })?;
    files::write_json(&reports.join(JSON), matrix)?;
    files::write(&reports.join(MARKDOWN), markdown(matrix).as_bytes())?;
    files::write(&path, page.as_bytes())
}

#[derive(Template)]
#[template(path = "selftest.html")]
struct Page<'a> {
    matrix: &'a Matrix,
    mood: &'static str,
    headline: String,
    sentence: String,
    began: String,
    took: String,
    claims: Vec<&'a str>,
    rows: Vec<Shown<'a>>,
    controls: Vec<ShownControl<'a>>,
    styles: &'static str,
}

/// A row of the matrix.
struct Shown<'a> {
    row: &'a Row,
    /// The name, with a place to break it behind each `_`.
    name: String,
    mood: &'static str,
    cells: Vec<Option<Square>>,
    killed: String,
    interval: String,
    detected: String,
    took: String,
    tested: String,
    told: Vec<Told<'a>>,
}

/// A cell with something in it.
struct Square {
    mood: &'static str,
    text: String,
    hint: String,
}

/// A run of a row.
struct Told<'a> {
    seed: u64,
    mood: &'static str,
    verdict: &'static str,
    link: Option<String>,
    claim: &'a str,
    harm: &'a str,
    why: &'a str,
    repeated: &'a str,
}

struct ShownControl<'a> {
    control: &'a Control,
    mood: &'static str,
    runs: Vec<(String, Option<String>, &'a Run)>,
    length: &'static str,
    took: String,
}

fn render(matrix: &Matrix) -> Result<String, askama::Error> {
    let claims: Vec<&str> =
        harness::invariants::names().filter(|claim| matrix.rows.iter().any(|row| row.cell(claim).is_some())).collect();
    let worst =
        matrix.rows.iter().map(|row| mood(row.verdict)).chain(matrix.controls.iter().map(|control| class_mood(control.class())));
    let worst = ["bad", "open", "good"].into_iter().find(|mood| worst.clone().any(|other| other == *mood));
    let page = Page {
        matrix,
        mood: worst.unwrap_or("open"),
        headline: format!("{} of {} killed", matrix.count(Verdict::Killed), matrix.rows.len()),
        sentence: matrix.sentence(),
        began: calendar::utc(matrix.at_ms),
        took: figures::duration(matrix.took_ms),
        rows: matrix.rows.iter().map(|row| shown(row, &claims)).collect(),
        claims,
        controls: matrix.controls.iter().map(shown_control).collect(),
        styles: STYLES,
    };
    page.render()
}

const fn mood(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Killed => "good",
        Verdict::Unknown => "open",
        Verdict::Seen | Verdict::Escaped => "bad",
    }
}

const fn class_mood(class: OutcomeClass) -> &'static str {
    match class {
        OutcomeClass::Held => "good",
        OutcomeClass::Violated => "bad",
        _ => "open",
    }
}

fn shown<'a>(row: &'a Row, claims: &[&str]) -> Shown<'a> {
    let (low, high) = row.killed().interval();
    let Rate { hits, of } = row.killed();
    Shown {
        row,
        name: row.defect.replace('_', "_\u{200b}"),
        mood: mood(row.verdict),
        cells: claims.iter().map(|claim| square(row, claim)).collect(),
        killed: format!("{hits}/{of}"),
        interval: format!("{low:.2}–{high:.2}"),
        detected: middle(row.runs.iter().filter_map(Trial::detected_ms)).map_or_else(|| "–".to_owned(), figures::duration),
        took: middle(row.runs.iter().map(|trial| trial.run.took_ms)).map_or_else(|| "–".to_owned(), figures::duration),
        tested: calendar::utc(row.at_ms),
        told: row.runs.iter().map(told).collect(),
    }
}

fn square(row: &Row, claim: &str) -> Option<Square> {
    let cell = row.cell(claim)?;
    let mood = match (cell.expected, cell.hits) {
        (true, 0) if matches!(row.verdict, Verdict::Seen | Verdict::Escaped) => "bad",
        (true, 0) => "none",
        (true, _) => "good",
        (false, _) => "late",
    };
    let (low, high) = cell.interval;
    let sense = if cell.expected { "names the harm" } else { "does not name the harm" };
    let hint = format!("{claim} {sense}: violated in {} of {} runs, 95 % interval {low:.2} to {high:.2}", cell.hits, cell.of);
    Some(Square { mood, text: format!("{}/{}", cell.hits, cell.of), hint })
}

fn told(trial: &Trial) -> Told<'_> {
    let harm = trial.harm();
    Told {
        seed: trial.run.seed,
        mood: mood(trial.verdict),
        verdict: trial.verdict.name(),
        link: link(&trial.run),
        claim: harm.map_or("", |found| &found.claim),
        harm: harm.map_or("", |found| &found.what),
        why: trial.why.as_deref().unwrap_or(""),
        repeated: trial.run.repeated.as_deref().unwrap_or(""),
    }
}

fn link(run: &Run) -> Option<String> {
    run.folder.as_ref().map(|folder| format!("{folder}/{}", folder::HTML))
}

fn shown_control(control: &Control) -> ShownControl<'_> {
    let name = |run: &Run| run.class.map_or("no verdict", OutcomeClass::name);
    ShownControl {
        control,
        mood: class_mood(control.class()),
        runs: control.runs.iter().map(|run| (format!("{} (seed {})", name(run), run.seed), link(run), run)).collect(),
        length: length(control.length),
        took: middle(control.runs.iter().map(|run| run.took_ms)).map_or_else(String::new, figures::duration),
    }
}

const fn length(length: Length) -> &'static str {
    match length {
        Length::Short => "short",
        Length::Whole => "whole, alone",
    }
}

/// The middle one; the larger of two.
fn middle(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn markdown(matrix: &Matrix) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_markdown(&mut text, matrix);
    text
}

fn write_markdown(text: &mut String, matrix: &Matrix) -> std::fmt::Result {
    writeln!(text, "# Self-test: planted defects\n\n{}\n", matrix.sentence())?;
    writeln!(text, "| defect | scenario | killed | by | first violation | run | commit |\n|---|---|---|---|--:|--:|---|")?;
    for row in &matrix.rows {
        let Shown { killed, interval, detected, took, .. } = shown(row, &[]);
        let by: Vec<String> =
            row.cells.iter().filter(|cell| cell.expected && cell.hits > 0).map(|cell| format!("`{}`", cell.claim)).collect();
        let by = if by.is_empty() { format!("**{}**", row.verdict.name()) } else { by.join(", ") };
        let commit = row.commit.get(..12).unwrap_or(&row.commit);
        writeln!(text, "| `{}` | {} | {killed} ({interval}) | {by} | {detected} | {took} | {commit} |", row.defect, row.scenario)?;
    }
    for row in matrix.rows.iter().filter(|row| row.verdict != Verdict::Killed) {
        for trial in row.runs.iter().filter(|trial| trial.verdict != Verdict::Killed) {
            let harm = trial.harm().map_or_else(String::new, |found| format!(" {}: {}", found.claim, cell(&found.what)));
            let why = cell(trial.why.as_deref().unwrap_or_default());
            writeln!(text, "\n- **{}** `{}` seed {}: {why}.{harm}", trial.verdict.name(), row.defect, trial.run.seed)?;
        }
    }
    let alarms: Vec<&Control> = matrix.controls.iter().filter(|control| control.class() != OutcomeClass::Held).collect();
    for control in alarms {
        for run in control.runs.iter().filter(|run| run.class != Some(OutcomeClass::Held)) {
            let class = run.class.map_or("no verdict", OutcomeClass::name);
            writeln!(
                text,
                "\n- clean run of {} ({}), seed {}: **{class}**: {}",
                control.scenario,
                length(control.length),
                run.seed,
                cell(&run.sentence)
            )?;
        }
    }
    writeln!(text, "\nNot tested:\n")?;
    matrix.not_tested.iter().try_for_each(|absent| writeln!(text, "- `{}`: {}", absent.defect, absent.why))
}

/// Text that can stand in a list: one line, no markup of its own.
fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|").replace('<', "&lt;").trim_end_matches('.').to_owned()
}
