//! What happened in a run: operations and faults, as they happened.
//!
//! In: records from load, faults, stack and snapshot, through one [`recorder`]. Out: a journal on disk ([`journal`]) that
//! survives a crash of the harness, and, read back from it, paired [`operation::Operation`]s ([`pairing`]), also while the run goes on ([`follow`]). [`standing`] says where it stands.

pub mod follow;
pub mod journal;
pub mod line;
pub mod operation;
mod page;
pub mod pairing;
pub mod record;
pub mod recorder;
pub mod standing;

use std::path::{Path, PathBuf};

/// Why a history could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The file could not be made, written or read.
    #[error("{act} {path}: {why}")]
    File {
        /// What was tried: `create`, `write`, `read`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The recorder is gone; what happens from here on would leave no evidence, so the run must stop.
    #[error("record what happens: the recorder has ended: {why}")]
    Lost {
        /// Why it ended.
        why: String,
    },
}

impl HistoryError {
    pub(crate) fn file(act: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::File { act, path: path.to_owned(), why: error.to_string() }
    }
}
