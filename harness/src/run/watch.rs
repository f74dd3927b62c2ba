//! How a run tells whoever watches where it stands. Nothing is judged from it.

use std::path::Path;
use std::time::Duration;

use crate::clock::Offset;
use crate::history::standing::Standing;
use crate::load::progress::Counts;
use crate::stack::Endpoints;

/// A reading of the load while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<'a> {
    /// Time since the start of the run.
    pub at: Offset,
    /// Name of the load stretch.
    pub stretch: &'a str,
    /// Requests planned.
    pub planned: u64,
    /// Counters so far.
    pub counts: Counts,
    /// Requests due per second, since the last reading.
    pub offered_per_s: f64,
    /// Requests answered per second, since the last reading.
    pub answered_per_s: f64,
    /// 99th percentile of the response time of accepted creates so far.
    pub accepted_p99: Option<Duration>,
    /// Faults in force and the backlog, as recorded last.
    pub standing: Standing,
}

/// Somebody who watches a run.
pub trait Watch: Send + Sync {
    /// The run has a folder, and its plan is in it.
    fn opened(&self, folder: &Path);
    /// The run enters a stage: "starting the stack", "selling", "waiting for rest", ...
    fn stage(&self, name: &str);
    /// The stack is up, and nothing has been sold yet. What is done here is done before the sale opens.
    fn up(&self, _endpoints: &Endpoints) {}
    /// The load stands here; called about once a second.
    fn reading(&self, reading: &Reading<'_>);
}
