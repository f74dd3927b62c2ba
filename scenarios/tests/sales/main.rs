//! The two programs as a user runs them: real servers, real processes, real files. One run at a time.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bench;
mod broken_evidence;
mod eventful_sales;
mod external_stores;
mod faults;
mod held_run;
mod interrupted;
#[cfg(feature = "goose")]
mod journeys;
mod live;
mod nightly;
mod processes;
mod programs;
mod rigs;
mod saved_run;
mod usage;
mod workplace;
