//! The steps of the protocol that a tap can name, and the words for them.

use super::dialect::Script;

/// Kind of a transaction: what its COMMIT makes true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Orders come into being.
    Order,
    /// Sales are moved through the ledger and their messages are done.
    Deduct,
    /// Orders end: cancelled, expired or refunded.
    End,
    /// A new epoch opens.
    Rebuild,
    /// Units are added to an item.
    Restock,
    /// An id is spent, so that no order can follow.
    Tombstone,
    /// Increases are taken for a time.
    Claim,
    /// Increases are marked as done.
    Finish,
    /// A payment is noted.
    Pay,
    /// None of these.
    Other,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// Runs a script.
    Script(Script),
    /// Begins a transaction and does nothing yet that has a name.
    Begin,
    /// Inserts orders into an open transaction.
    OrderRows,
    /// Inserts the deduct messages of orders, in a packet without the orders.
    OrderMessages,
    /// Takes messages of the outbox.
    OutboxClaim,
    /// Moves the ledger.
    LedgerUpdate,
    /// Writes the new epoch of a rebuild.
    EpochUpdate,
    /// Commits, or is a write that commits by itself.
    Commit(Unit),
    /// A client asks for an order.
    CreateOrder,
}

/// Where an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The request.
    Request,
    /// The reply that it had its effect, also if it had had it before.
    Done,
    /// The reply that it had none: a code of refusal, an error, or nothing found.
    Refused,
    /// The reply that the server does not know the script: it did not run, and the same call comes again with its text.
    NotKnown,
}

/// One frame of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// What is asked for.
    pub act: Act,
    /// Where the exchange is.
    pub phase: Phase,
}

/// Names of one act: of its request and of the reply with effect, of the one without, and of the one about a script that is not known.
struct Names {
    done: &'static str,
    refused: &'static str,
    not_known: &'static str,
}

macro_rules! names {
    ($name:literal) => {
        Names { done: $name, refused: concat!($name, "_refused"), not_known: concat!($name, "_not_known") }
    };
}

impl Act {
    /// Every act that a tap can see.
    pub const ALL: [Self; 23] = [
        Self::Script(Script::PreDeduct),
        Self::Script(Script::Confirm),
        Self::Script(Script::Rollback),
        Self::Script(Script::ApplyDelta),
        Self::Script(Script::Install),
        Self::Script(Script::Probe),
        Self::Begin,
        Self::OrderRows,
        Self::OrderMessages,
        Self::OutboxClaim,
        Self::LedgerUpdate,
        Self::EpochUpdate,
        Self::Commit(Unit::Order),
        Self::Commit(Unit::Deduct),
        Self::Commit(Unit::End),
        Self::Commit(Unit::Rebuild),
        Self::Commit(Unit::Restock),
        Self::Commit(Unit::Tombstone),
        Self::Commit(Unit::Claim),
        Self::Commit(Unit::Finish),
        Self::Commit(Unit::Pay),
        Self::Commit(Unit::Other),
        Self::CreateOrder,
    ];

    const fn names(self) -> Names {
        match self {
            Self::Script(Script::PreDeduct) => names!("pre_deduct"),
            Self::Script(Script::Confirm) => names!("confirm"),
            Self::Script(Script::Rollback) => names!("rollback"),
            Self::Script(Script::ApplyDelta) => names!("apply_delta"),
            Self::Script(Script::Install) => names!("install"),
            Self::Script(Script::Probe) => names!("probe"),
            Self::Begin => names!("begin"),
            Self::OrderRows => names!("order_rows"),
            Self::OrderMessages => names!("order_messages"),
            Self::OutboxClaim => names!("outbox_claim"),
            Self::LedgerUpdate => names!("ledger_update"),
            Self::EpochUpdate => names!("epoch_update"),
            Self::Commit(Unit::Order) => names!("commit_order"),
            Self::Commit(Unit::Deduct) => names!("commit_deduct"),
            Self::Commit(Unit::End) => names!("commit_end"),
            Self::Commit(Unit::Rebuild) => names!("commit_rebuild"),
            Self::Commit(Unit::Restock) => names!("commit_restock"),
            Self::Commit(Unit::Tombstone) => names!("commit_tombstone"),
            Self::Commit(Unit::Claim) => names!("commit_claim"),
            Self::Commit(Unit::Finish) => names!("commit_finish"),
            Self::Commit(Unit::Pay) => names!("commit_pay"),
            Self::Commit(Unit::Other) => names!("commit_other"),
            Self::CreateOrder => names!("create_order"),
        }
    }
}

impl Step {
    /// The word for it: `pre_deduct` for the request and for the reply that it took effect, `pre_deduct_refused` for the reply that it did not,
    /// `pre_deduct_not_known` for the reply that the script is not known. Which way the frame goes tells request and reply apart.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let names = self.act.names();
        match self.phase {
            Phase::Request | Phase::Done => names.done,
            Phase::Refused => names.refused,
            Phase::NotKnown => names.not_known,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_acts_share_a_name() {
        let names: HashSet<&str> = Act::ALL.into_iter().map(|act| Step { act, phase: Phase::Request }.name()).collect();
        assert_eq!(names.len(), Act::ALL.len());
        let refused = Step { act: Act::Commit(Unit::Order), phase: Phase::Refused };
        assert_eq!(refused.name(), "commit_order_refused");
    }
}
