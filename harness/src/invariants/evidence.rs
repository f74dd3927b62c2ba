//! All that a judge may look at.

use crate::history::operation::History;
use crate::scenario::Scenario;
use crate::scenario::plan::Plan;
use crate::snapshot::Stop;

/// Evidence of one run, read from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What was planned.
    pub plan: Plan,
    /// What happened.
    pub history: History,
    /// What both stores held, at each stop: after the load, after the drain. Empty if the run was cut off before.
    pub stops: Vec<Stop>,
    /// Why parts of the evidence cannot be read, in words: missing history, bad frames, files that do not parse. Claims that lean on
    /// them cannot be judged.
    pub damage: Vec<String>,
    /// Evidence files that were changed or removed since the run wrote them, in words. They are readable and judged as they stand: a
    /// violation in them convicts, but nothing in them can prove that a claim held.
    pub edited: Vec<String>,
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
}
