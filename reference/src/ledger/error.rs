//! Why a unit of work in MySQL gave no result: what is known afterwards decides what a caller may do.

/// Why a unit of work in MySQL gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Certainly nothing was changed.
    #[error("{act}: nothing changed: {why}")]
    Failed {
        /// What was tried.
        act: &'static str,
        /// What MySQL or the system said.
        why: String,
    },
    /// Certainly nothing was changed: MySQL cannot be reached, or takes no work now.
    #[error("{act}: nothing changed: {why}")]
    Away {
        /// What was tried.
        act: &'static str,
        /// What MySQL or the system said.
        why: String,
    },
    /// Nobody can say whether it was committed.
    #[error("{act}: nobody can say whether it was committed: {why}")]
    Unknown {
        /// What was tried.
        act: &'static str,
        /// What MySQL or the system said.
        why: String,
    },
    /// Every seat for such an order is taken; nothing was tried.
    #[error("write order: all {capacity} seats for it are taken")]
    QueueFull {
        /// Number of seats.
        capacity: usize,
    },
    /// The server cannot carry the protocol.
    #[error("use mysql: {0}")]
    Unsuitable(String),
}
