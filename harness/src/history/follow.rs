//! Reads a history while it is being written.
//!
//! In: the path of a history whose writer goes on. Out: what is on disk by now. Each call reads only what was added since the last one, and
//! leaves a frame that is not whole yet for the next. What it finds broken it does not tell: the reader of the finished file does.

use std::path::{Path, PathBuf};

use super::HistoryError;
use super::journal::{End, read_lines_from};
use super::line::parse;
use super::pairing::Pairing;
use crate::history::operation::History;

/// Follows one history.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    read: u64,
    pairing: Pairing,
}

impl Follower {
    /// Follows the history at `path`, which may not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0, pairing: Pairing::default() }
    }

    /// What was recorded so far; operations without an answer yet are in doubt. Costs as much as what was added, and a copy of the whole.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn history(&mut self) -> Result<History, HistoryError> {
        let pairing = &mut self.pairing;
        self.read = read_lines_from(&self.path, self.read, |line| match parse(line) {
            Ok(line) => pairing.take(line),
            Err(error) => pairing.unreadable(&error),
        })?
        .1;
        Ok(self.pairing.clone().finish(&End::Whole))
    }
}
