//! How a run tells a person where it stands. Decoration: nothing is judged from it.

use crate::clock::Offset;

/// A reading of the load while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// Time since the start of the run.
    pub at: Offset,
    /// Name of the load stretch.
    pub stretch: &'a str,
    /// Requests due so far, of all that are planned.
    pub offered: u64,
    /// Requests planned.
    pub planned: u64,
    /// Requests due in the last second.
    pub offered_per_s: f64,
    /// Requests answered in the last second.
    pub answered_per_s: f64,
    /// Ended `ok` so far.
    pub ok: u64,
    /// Refused so far.
    pub fail: u64,
    /// In doubt so far.
    pub info: u64,
    /// Shed so far.
    pub shed: u64,
    /// Open now.
    pub in_flight: u64,
    /// 99th percentile of the response time of accepted creates so far, ms.
    pub accepted_p99_ms: Option<f64>,
}

/// Somebody who watches a run.
pub trait Watch: Send + Sync {
    /// The run enters a stage: "starting the stack", "selling", "waiting for rest", ...
    fn stage(&self, name: &str);
    /// The load stands here; called about once a second.
    fn reading(&self, reading: &Reading<'_>);
}
