//! What a claim says of a run: held, violated or unknown, and what it looked at.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::clock::Offset;
use crate::history::record::OpId;
use crate::scenario::ItemId;

/// Result of one claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It holds for all that was examined, which is at least one thing.
    Held {
        /// Things examined.
        examined: NonZeroU64,
    },
    /// At least one counter-example.
    Violated {
        /// Things examined.
        examined: NonZeroU64,
        /// Counter-examples found.
        count: NonZeroU64,
        /// The first counter-examples, worst first, at most [`VIOLATIONS_KEPT`].
        violations: Vec<Violation>,
    },
    /// The evidence does not say.
    Unknown {
        /// Why not.
        why: String,
    },
    /// The claim does not apply to this run.
    NotApplicable {
        /// Why not.
        why: String,
    },
}

/// Counter-examples kept with their stories; the count is always whole.
pub const VIOLATIONS_KEPT: usize = 20;

/// One counter-example.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// One sentence naming the harm and the thing, with the numbers of the formula that failed.
    pub what: String,
    /// Orders concerned.
    pub orders: Vec<String>,
    /// Item concerned.
    pub item: Option<ItemId>,
    /// Operations concerned.
    pub operations: Vec<OpId>,
    /// Units too many (positive) or lost (negative), where that makes sense.
    pub units: Option<i64>,
    /// When it was first visible, if the history dates it.
    pub at: Option<Offset>,
    /// The smallest story that shows it.
    pub story: Vec<Story>,
}

/// One line of a story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// When, if known.
    pub at: Option<Offset>,
    /// Where: `client`, `redis`, `mysql`, `fault`, `process`.
    pub lane: String,
    /// What happened there.
    pub what: String,
}

/// How a linearizability question was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Both ways: a violation is one, and holding is proof.
    Exact,
    /// A violation is one; some could be missed.
    Sound,
}

/// A claim and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the claim: `no_oversell`.
    pub invariant: String,
    /// What it claims, in one sentence.
    pub claim: String,
    /// Whether a run without an answer is inconclusive.
    pub required: bool,
    /// Strength of the method, where there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<Strength>,
    /// What it looked at, in words: "10 412 accepted orders of 21 items".
    pub looked_at: String,
    /// The result.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Verdict {
    /// Held if `violations` is empty, violated otherwise; unknown if nothing was examined.
    #[must_use]
    pub fn from_violations(examined: u64, violations: Vec<Violation>) -> Self {
        Self::from_counted(examined, violations.len(), violations)
    }

    /// The same for a caller that kept only some of `count` counter-examples.
    #[must_use]
    pub fn from_counted(examined: u64, count: usize, mut violations: Vec<Violation>) -> Self {
        let Some(examined) = NonZeroU64::new(examined) else {
            return Self::Unknown { why: "nothing was there to examine".to_owned() };
        };
        violations.truncate(VIOLATIONS_KEPT);
        match NonZeroU64::new(count as u64) {
            None => Self::Held { examined },
            Some(count) => Self::Violated { examined, count, violations },
        }
    }

    /// Unknown, because of `why`.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// Whether a counter-example was found.
    #[must_use]
    pub const fn is_violated(&self) -> bool {
        matches!(self, Self::Violated { .. })
    }

    /// Whether it holds.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Whether the evidence does not say.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// Counter-examples kept.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Violated { violations, .. } => violations,
            _ => &[],
        }
    }
}
