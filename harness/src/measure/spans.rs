//! Spans of faults: what really happened, from the steps that were recorded.
//!
//! In: a history. Out: one [`FaultSpan`] for each fault, in the order of their first step. Plans are never read here: a fault that was
//! planned and did not happen has no span.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::{FaultMark, FaultStep};

/// One fault from its first step to its last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// Number of the fault within the run.
    pub id: u32,
    /// Kind, by the name in the catalog.
    pub kind: String,
    /// What it hit.
    pub target: String,
    /// When it began to wait for its trigger, if it had one.
    pub armed: Option<Offset>,
    /// When it was in force.
    pub injected: Option<Offset>,
    /// When it was seen to have an effect.
    pub bit: Option<Offset>,
    /// What proves the effect; empty if nothing does.
    pub proof: String,
    /// When undoing it began.
    pub healing: Option<Offset>,
    /// When it was undone, and shown to be.
    pub healed: Option<Offset>,
    /// Why it could not be undone; `None` if it was, or if nobody tried.
    pub abandoned: Option<String>,
    /// Operations in flight or begun while it was in force.
    pub overlapped: u64,
}

/// Operations that must be in flight or begun while a fault is in force; with fewer, nobody was there to be hurt.
pub const OVERLAP_MIN: u64 = 20;

impl FaultSpan {
    /// Why nothing shows that the fault had an effect; `None` if it bit.
    #[must_use]
    pub fn toothless(&self) -> Option<String> {
        if self.injected.is_none() {
            return Some("it was never injected".to_owned());
        }
        if self.bit.is_none() {
            return Some("nothing proves that it had an effect".to_owned());
        }
        if self.proof.trim().is_empty() {
            return Some("it is said to have bitten, without a proof".to_owned());
        }
        let few = self.overlapped < OVERLAP_MIN;
        few.then(|| {
            format!("{} operations were in flight or begun while it was in force, {OVERLAP_MIN} are needed", self.overlapped)
        })
    }

    /// From injection to heal; to `end` if it was never healed. `None` if it was never injected.
    #[must_use]
    pub fn in_force(&self, end: Offset) -> Option<(Offset, Offset)> {
        let from = self.injected?;
        Some((from, self.healed.unwrap_or(end).max(from)))
    }

    fn take(&mut self, at: Offset, mark: &FaultMark) {
        match mark.step {
            FaultStep::Armed => self.armed = Some(at),
            FaultStep::Injected => self.injected = Some(at),
            FaultStep::Bit => {
                self.bit = self.bit.or(Some(at));
                self.proof.clone_from(&mark.proof);
            }
            FaultStep::Healing => self.healing = Some(at),
            FaultStep::Healed => self.healed = Some(at),
            FaultStep::Abandoned => self.abandoned = Some(mark.proof.clone()),
        }
    }
}

/// Every fault of a run, in the order of its first step. A request was in flight for `request_timeout` at the most, also where no
/// answer to it is on record.
#[must_use]
pub fn fault_spans(history: &History, request_timeout: Duration) -> Vec<FaultSpan> {
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let mut spans: Vec<FaultSpan> = Vec::new();
    for mark in &history.faults {
        let what = &mark.what;
        let place = *places.entry(what.id).or_insert_with(|| {
            spans.push(FaultSpan { id: what.id, kind: what.kind.clone(), target: what.target.clone(), ..FaultSpan::default() });
            spans.len() - 1
        });
        spans[place].take(mark.at, what);
    }
    if !spans.is_empty() {
        count_overlap(&mut spans, &history.operations, request_timeout);
    }
    spans
}

fn count_overlap(spans: &mut [FaultSpan], operations: &[Operation], request_timeout: Duration) {
    for span in spans {
        let Some((from, to)) = span.in_force(Offset(u64::MAX)) else { continue };
        let overlaps = |op: &&Operation| op.sent <= to && op.answered.unwrap_or_else(|| op.sent.plus(request_timeout)) >= from;
        span.overlapped = operations.iter().filter(overlaps).count() as u64;
    }
}
