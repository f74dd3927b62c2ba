//! The run folder and what people and machines read in it.
//!
//! In: evidence, findings, measurements. Out: `report.json`, `report.html`, `report.md`, `junit.xml`, `latency.hlog`, and the exit code.
//! No async, no sockets, no clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::invariants::Finding;
use crate::measure::Measurements;

/// How a run ended. Precedence, strongest first: interrupted, usage, rig failed, violated, inconclusive, budget missed, held;
/// a violation on sound evidence is not masked by a later rig error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// Every applicable claim held and every budget was met.
    Held,
    /// At least one claim is violated on sound evidence.
    Violated,
    /// Command line or scenario wrong; nothing ran.
    Usage,
    /// A required claim is unknown, the generator was saturated, or the backlog was still falling.
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
    /// What this run did not test, in words.
    pub not_tested: Vec<String>,
}
