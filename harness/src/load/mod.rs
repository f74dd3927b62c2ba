//! The load: draws the arrivals, sends each when it is due (or, to find saturation, when a client is free), records what came of it.
//!
//! In: a plan and the [`Endpoints`](crate::stack::Endpoints). Out: records in the history. Knows nothing of faults; retries nothing.

pub mod arrivals;
mod ask;
mod carts;
mod client;
mod closed_loop;
mod connections;
pub mod drain;
mod journey_draws;
#[cfg(feature = "goose")]
pub mod journeys;
pub mod open_loop;
mod pacer;
pub mod progress;
mod reply;
mod sender;
mod stock_changes;
mod wire;

use crate::history::HistoryError;

/// Why load could not be sent. What a service answers is never an error of the load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What happens can no longer be recorded.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The plan names an api process that the stack does not have.
    #[error("send to api process {wanted}: the stack has {there}")]
    NoInstance {
        /// Index of the process in the plan.
        wanted: u16,
        /// Api processes of the stack.
        there: usize,
    },
    /// Something of the harness itself failed.
    #[error("{act}: {why}")]
    Failed {
        /// What was tried.
        act: &'static str,
        /// What happened.
        why: String,
    },
}
