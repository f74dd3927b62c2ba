//! The run folder and what people and machines read in it.
//!
//! In: evidence, findings, measurements. Out: `report.json`, `report.html`, `report.md`, `junit.xml`, `report.prom`,
//! `latency.hlog`, and the exit code.
//! No async, no sockets, no clock. It judges no claim: it weighs findings that others made.
//!
//! [`folder`] names and keeps the files, [`reload`] reads evidence back, [`outcome`](outcome::outcome) weighs; one file for each
//! thing that is written. [`index`] lists all runs, [`compare`](compare::compare) sets two side by side.

pub mod bench;
pub mod bench_page;
mod bench_plot;
pub mod breakage;
pub mod calendar;
pub mod charts;
pub mod compare;
pub mod compare_page;
pub mod console;
pub mod coverage;
pub mod figures;
pub mod files;
pub mod folder;
pub mod formulas;
pub mod hlog;
pub mod html;
pub mod index;
pub mod junit;
pub mod live;
pub mod markdown;
pub mod not_tested;
pub mod outcome;
pub mod prom;
mod reading_plots;
pub mod reload;
pub mod stories;
mod timeline;
mod trials;
pub mod warnings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::invariants::{Evidence, Finding};
use crate::measure::Measurements;

pub use folder::RunFolder;
pub use reload::load_evidence;

/// Styles that every page shares.
pub const STYLES: &str = include_str!("../../assets/report.css");

/// Version of `run.json` and `report.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// Why a report could not be written or read back. Every variant names the act and the file.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be read or written.
    #[error("{act} {path}: {source}")]
    Io {
        /// `read`, `write`, `create`, ...
        act: &'static str,
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content is not what the file should hold, or cannot be put into its form.
    #[error("{act} {path}: {why}")]
    Form {
        /// `parse`, `render`, ...
        act: &'static str,
        /// Which.
        path: std::path::PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// How a run ended. Precedence, strongest first: interrupted, violated, rig failed, inconclusive, budget missed, held; a violation on
/// sound evidence is not masked by a rig that failed. Usage stands alone: nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// Every applicable claim held and every budget was met.
    Held,
    /// At least one claim is violated on sound evidence.
    Violated,
    /// Command line or scenario wrong; nothing ran.
    Usage,
    /// A required claim is unknown, evidence was edited or has no end, a store could not be read, the backlog was still falling, or
    /// nothing could be judged.
    Inconclusive,
    /// Harness or stack failed, or the evidence is unsound.
    RigFailed,
    /// A service level was missed while all claims held.
    BudgetMissed,
    /// SIGINT or SIGTERM.
    Interrupted,
}

impl OutcomeClass {
    /// The exit code of the program.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Violated => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::RigFailed => 4,
            Self::BudgetMissed => 5,
            Self::Interrupted => 130,
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Violated => "violated",
            Self::Usage => "usage",
            Self::Inconclusive => "inconclusive",
            Self::RigFailed => "rig failed",
            Self::BudgetMissed => "budget missed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The outcome and its one sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// The class.
    pub class: OutcomeClass,
    /// The exit code.
    pub exit: u8,
    /// One sentence for people.
    pub sentence: String,
}

/// Identity of a run: `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// Version of this format; additive within a major version.
    pub schema_version: u32,
    /// Name of the run folder.
    pub run_id: String,
    /// Scenario.
    pub scenario: String,
    /// Seed.
    pub seed: u64,
    /// Exact command that repeats the run.
    pub command: String,
    /// Commit of the source, `unknown` if it cannot be told; ends in `-dirty` if the tree was.
    pub commit: String,
    /// SHA-256 of the program under test.
    pub build_id: String,
    /// Start, ms since 1970.
    pub wall_start_ms: u64,
    /// Length of the whole run so far, ms.
    pub duration_ms: u64,
    /// Where the stores came from: `process`, `external` or `containers`; empty in runs that were saved before this was kept.
    #[serde(default)]
    pub backend: String,
    /// The Toxiproxy server whose proxies were used; absent if they were those of the harness, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toxiproxy: Option<String>,
    /// Further arguments that every service process was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_args: Vec<String>,
    /// Versions of the servers.
    pub servers: crate::snapshot::Servers,
    /// Cores, memory, system.
    pub machine: BTreeMap<String, String>,
    /// SHA-256 of each evidence file by name.
    pub files: BTreeMap<String, String>,
    /// What failed in harness or stack, in words; empty if nothing.
    pub rig_errors: Vec<String>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// Everything the report says: `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format; additive within a major version.
    pub schema_version: u32,
    /// The outcome.
    pub outcome: RunOutcome,
    /// The run.
    pub run: RunIdentity,
    /// Every claim.
    pub findings: Vec<Finding>,
    /// Every figure.
    pub measurements: Measurements,
    /// The kill-point matrix; empty if no point was aimed at or met.
    #[serde(default)]
    pub coverage: Vec<coverage::CoverageCell>,
    /// What this run did not test, in words.
    pub not_tested: Vec<String>,
    /// What a reader must know before believing the rest: damage, edited files, a run that was cut off.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Weighs the findings and writes every file of the report into the folder: `latency.hlog`, `report.md`, `junit.xml`, `report.prom`,
/// `report.html`, and `report.json` last. Each is written beside its place and renamed into it.
///
/// # Errors
/// A file that could not be rendered or written; files before it are in place.
pub fn write_report(
    folder: &RunFolder,
    evidence: &Evidence,
    identity: &RunIdentity,
    findings: Vec<Finding>,
    measurements: Measurements,
) -> Result<Report, ReportError> {
    let report = assemble(evidence, identity, findings, measurements);
    files::write(&folder.file(folder::LATENCY), &hlog::render(&evidence.history, &evidence.plan, identity)?)?;
    files::write(&folder.file(folder::MARKDOWN), markdown::render(&report).as_bytes())?;
    files::write(&folder.file(folder::JUNIT), junit::render(&report)?.as_bytes())?;
    files::write(&folder.file(folder::PROM), prom::render(&report).as_bytes())?;
    files::write(&folder.file(folder::HTML), html::render(&report, evidence)?.as_bytes())?;
    files::write_json(&folder.file(folder::REPORT), &report)?;
    Ok(report)
}

/// The report of a run as data, without writing anything.
#[must_use]
pub fn assemble(evidence: &Evidence, identity: &RunIdentity, findings: Vec<Finding>, measurements: Measurements) -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        outcome: outcome::outcome(identity, &findings, evidence),
        run: identity.clone(),
        not_tested: not_tested::not_tested(evidence, &identity.servers),
        warnings: warnings::warnings(evidence, identity, &measurements),
        coverage: coverage::coverage(evidence, &findings, &measurements.points),
        findings,
        measurements,
    }
}
