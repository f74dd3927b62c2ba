//! All that a judge may look at.

use crate::history::operation::History;
use crate::scenario::Scenario;
use crate::scenario::plan::Plan;
use crate::snapshot::{Snapshot, Stop};

/// Evidence of one run, read from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What was planned.
    pub plan: Plan,
    /// What happened.
    pub history: History,
    /// What both stores held, at each stop: after the load, after the drain. Empty if the run was cut off before.
    pub stops: Vec<Stop>,
    /// Why parts of the evidence cannot be trusted, in words: changed files, missing files, bad frames.
    pub damage: Vec<String>,
}

impl Evidence {
    /// The scenario.
    #[must_use]
    pub const fn scenario(&self) -> &Scenario {
        &self.plan.scenario
    }

    /// The stop after the load.
    #[must_use]
    pub fn after_load(&self) -> Option<&Stop> {
        self.stops.iter().find(|stop| stop.after == "load")
    }

    /// The stop after the drain test.
    #[must_use]
    pub fn after_drain(&self) -> Option<&Stop> {
        self.stops.iter().find(|stop| stop.after == "drain")
    }

    /// The newest snapshot.
    #[must_use]
    pub fn last_snapshot(&self) -> Option<&Snapshot> {
        self.stops.last().map(|stop| &stop.snapshot)
    }
}
