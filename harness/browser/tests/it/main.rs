//! Reports in a real browser: opened from disk with the network off, as a reader would.
//!
//! In: the pages that `scripts/test-reports` drew below `REPORT_PAGES` (by default `target/report-pages`), one folder for each kind of run.
//! Out: verdicts, and a picture of each page in `pictures` beside them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod access;
mod browser;
mod compare;
mod index;
mod pages;
mod plots;
