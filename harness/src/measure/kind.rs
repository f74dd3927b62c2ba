//! What an operation counts as: what was asked, and whether it came when it was due or when a user was ready for it.
//!
//! In: an operation. Out: a [`Kind`] with a name for files and tables. Arrivals and closed-loop users are never in one set: a closed loop waits
//! while the service is slow, and its percentiles look better the worse the service is.

use crate::history::operation::Operation;
use crate::history::record::Function;

/// Operations that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    function: Function,
    closed_loop: bool,
}

impl Kind {
    /// `create_order` as it arrives: what claims about latency speak of.
    pub const ARRIVING_ORDER: Self = Self { function: Function::CreateOrder, closed_loop: false };

    /// The kind of an operation.
    #[must_use]
    pub const fn of(op: &Operation) -> Self {
        Self { function: op.function, closed_loop: op.closed_loop }
    }

    /// `create_order`, or `create_order_closed_loop`.
    #[must_use]
    pub fn name(self) -> String {
        let loops = if self.closed_loop { "_closed_loop" } else { "" };
        format!("{}{loops}", self.function.name())
    }
}
