//! Claims about a run, each judged from evidence alone.
//!
//! In: [`Evidence`], read from a run folder. Out: one [`Finding`] for each claim, always all of them. No async, no sockets, no
//! clock, so that a claim takes microseconds in a unit test and judges last month's folder as it judged that night.

pub mod evidence;
pub mod verdict;

pub use evidence::Evidence;
pub use verdict::{Finding, Story, Verdict, Violation};
