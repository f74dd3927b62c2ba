//! Open-loop load: draws the arrivals, sends each when it is due, records what came of it.
//!
//! In: a plan and the [`Endpoints`](crate::stack::Endpoints). Out: records in the history. Knows nothing of faults; retries nothing.

pub mod arrivals;
pub mod open_loop;
