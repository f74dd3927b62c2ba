//! The kill points: half states of the protocol that a proxy can hold a process in.
//!
//! In: a step, the orders that it is about, and what this process has been seen to do. Out: the points that the step is at. Which action is taken there, and
//! how often, is not decided here.

use super::dialect::Script;
use super::process::{Process, Seen};
use super::step::{Act, Phase, Step, Unit};

/// A named moment at which half of something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// `pre_deduct` goes to Redis, its reply is not seen yet. Left behind: maybe a lock.
    PreDeductForwarded,
    /// Reply that units were taken. Left behind: a lock, no order.
    PreDeductReplyHeld,
    /// First packet with the rows of an order whose units this process knows to be taken. Left behind: a lock, no order, and the service knows.
    PreDeductDelivered,
    /// Another `pre_deduct` of an order that holds one item already. Left behind: part of a cart is locked.
    CartBetweenItems,
    /// The messages of orders whose rows are inserted and not committed. Left behind: an open transaction with row locks.
    OrderInserted,
    /// COMMIT of orders. Left behind: a transaction that rolls back.
    CommitHeld,
    /// Reply to the COMMIT of orders. Left behind: durable orders, and a service that is unsure.
    CommitForwardedReplyWithheld,
    /// HTTP reply that an order was created. Left behind: a durable order, and a client that is unsure.
    CommittedReplyUnsent,
    /// Reply of the claim, with messages. Left behind: a claim held by a dead worker.
    OutboxClaimed,
    /// COMMIT of deducts. Left behind: a transaction that rolls back, and messages that come again.
    DeductCommitHeld,
    /// `confirm` of orders whose deduct this process has committed. Left behind: OUT in the ledger, and the lock alive.
    BetweenDbCommitAndConfirm,
    /// Reply that locks were confirmed. Left behind: a worker that is unsure.
    ConfirmReplyHeld,
    /// Reply that units were given back. Left behind: a caller that will repeat it.
    RollbackReplyHeld,
    /// `rollback` of orders whose tombstone this process has committed. Left behind: a lock without a possible order.
    TombstoneCommitted,
    /// `apply_delta` of an order that was ended. Left behind: the ledger has given back, Redis has not.
    UnlockCommitted,
    /// Reply that an increase was applied. Left behind: it is applied, and its message is not done.
    ApplyDeltaReplyHeld,
    /// `install`, which follows the COMMIT of its epoch. Left behind: Redis on a dead epoch.
    EpochBumped,
    /// Reply that the counter was installed. Left behind: a caller that is unsure.
    InstallReplyHeld,
    /// The write of a rebuild, which rests on what was read of Redis and of the ledger before it. Left behind: a decision on old data.
    ReconcileBetweenReadAndWrite,
}

/// Kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers requests.
    Api,
    /// Runs workers.
    Worker,
}

/// What a process talks to through the proxy that shows a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Redis.
    Redis,
    /// MySQL.
    Mysql,
    /// Its clients, through a proxy in front of its public listener.
    Clients,
}

use Peer::{Clients, Mysql, Redis};
use Role::{Api, Worker};

impl Point {
    /// All of them, in the order in which an order meets them.
    pub const ALL: [Self; 19] = [
        Self::PreDeductForwarded,
        Self::PreDeductReplyHeld,
        Self::PreDeductDelivered,
        Self::CartBetweenItems,
        Self::OrderInserted,
        Self::CommitHeld,
        Self::CommitForwardedReplyWithheld,
        Self::CommittedReplyUnsent,
        Self::OutboxClaimed,
        Self::DeductCommitHeld,
        Self::BetweenDbCommitAndConfirm,
        Self::ConfirmReplyHeld,
        Self::RollbackReplyHeld,
        Self::TombstoneCommitted,
        Self::UnlockCommitted,
        Self::ApplyDeltaReplyHeld,
        Self::EpochBumped,
        Self::InstallReplyHeld,
        Self::ReconcileBetweenReadAndWrite,
    ];

    /// Its name in plans, records and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreDeductForwarded => "pre_deduct_forwarded",
            Self::PreDeductReplyHeld => "pre_deduct_reply_held",
            Self::PreDeductDelivered => "pre_deduct_delivered",
            Self::CartBetweenItems => "cart_between_items",
            Self::OrderInserted => "order_inserted",
            Self::CommitHeld => "commit_held",
            Self::CommitForwardedReplyWithheld => "commit_forwarded_reply_withheld",
            Self::CommittedReplyUnsent => "committed_reply_unsent",
            Self::OutboxClaimed => "outbox_claimed",
            Self::DeductCommitHeld => "deduct_commit_held",
            Self::BetweenDbCommitAndConfirm => "between_db_commit_and_confirm",
            Self::ConfirmReplyHeld => "confirm_reply_held",
            Self::RollbackReplyHeld => "rollback_reply_held",
            Self::TombstoneCommitted => "tombstone_committed",
            Self::UnlockCommitted => "unlock_committed",
            Self::ApplyDeltaReplyHeld => "apply_delta_reply_held",
            Self::EpochBumped => "epoch_bumped",
            Self::InstallReplyHeld => "install_reply_held",
            Self::ReconcileBetweenReadAndWrite => "reconcile_between_read_and_write",
        }
    }

    /// The point with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }

    /// Whose proxy shows it: the kinds of process, the likeliest first, and what they talk to.
    #[must_use]
    pub const fn lives_on(self) -> (&'static [Role], Peer) {
        match self {
            Self::PreDeductForwarded | Self::PreDeductReplyHeld | Self::CartBetweenItems => (&[Api], Redis),
            Self::PreDeductDelivered | Self::OrderInserted | Self::CommitHeld | Self::CommitForwardedReplyWithheld => {
                (&[Api], Mysql)
            }
            Self::CommittedReplyUnsent => (&[Api], Clients),
            Self::OutboxClaimed | Self::DeductCommitHeld => (&[Worker], Mysql),
            Self::BetweenDbCommitAndConfirm | Self::UnlockCommitted | Self::ApplyDeltaReplyHeld => (&[Worker], Redis),
            Self::ConfirmReplyHeld | Self::RollbackReplyHeld | Self::TombstoneCommitted => (&[Worker, Api], Redis),
            Self::EpochBumped | Self::InstallReplyHeld => (&[Api, Worker], Redis),
            Self::ReconcileBetweenReadAndWrite => (&[Worker, Api], Mysql),
        }
    }

    /// Whether it lies between two packets of one transaction: a service that sends a transaction in one packet cannot be stopped there, so its
    /// cells are not applicable and not empty.
    #[must_use]
    pub const fn is_inside_transaction(self) -> bool {
        matches!(self, Self::OrderInserted | Self::CommitHeld | Self::DeductCommitHeld | Self::ReconcileBetweenReadAndWrite)
    }
}

/// The points that a frame is at. `first_rows` says that it is the first of its transaction with rows of orders.
pub(super) fn points_at(
    step: Step,
    orders: &[String],
    item: Option<&str>,
    first_rows: bool,
    process: &Process,
) -> Vec<&'static str> {
    let request = step.phase == Phase::Request;
    let done = step.phase == Phase::Done;
    let script = |wanted| step.act == Act::Script(wanted);
    let commit = |wanted| step.act == Act::Commit(wanted);
    let holds = |point: Point| match point {
        Point::PreDeductForwarded => request && script(Script::PreDeduct),
        Point::PreDeductReplyHeld => done && script(Script::PreDeduct),
        Point::PreDeductDelivered => request && first_rows && process.has_any(Seen::Taken, orders),
        Point::CartBetweenItems => request && script(Script::PreDeduct) && process.holds_another_item(orders, item),
        Point::OrderInserted => request && step.act == Act::OrderMessages,
        Point::CommitHeld => request && commit(Unit::Order),
        Point::CommitForwardedReplyWithheld => done && commit(Unit::Order),
        Point::CommittedReplyUnsent => done && step.act == Act::CreateOrder,
        Point::OutboxClaimed => done && step.act == Act::OutboxClaim,
        Point::DeductCommitHeld => request && commit(Unit::Deduct),
        Point::BetweenDbCommitAndConfirm => request && script(Script::Confirm) && process.has_any(Seen::Deducted, orders),
        Point::ConfirmReplyHeld => done && script(Script::Confirm),
        Point::RollbackReplyHeld => done && script(Script::Rollback),
        Point::TombstoneCommitted => request && script(Script::Rollback) && process.has_any(Seen::Fenced, orders),
        Point::UnlockCommitted => request && script(Script::ApplyDelta) && !orders.is_empty(),
        Point::ApplyDeltaReplyHeld => done && script(Script::ApplyDelta),
        Point::EpochBumped => request && script(Script::Install),
        Point::InstallReplyHeld => done && script(Script::Install),
        Point::ReconcileBetweenReadAndWrite => request && step.act == Act::EpochUpdate,
    };
    Point::ALL.into_iter().filter(|point| holds(*point)).map(Point::name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own_and_is_found_by_it() {
        let names: HashSet<&str> = Point::ALL.into_iter().map(Point::name).collect();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(Point::ALL.into_iter().all(|point| Point::named(point.name()) == Some(point)));
        assert_eq!(Point::named("commit"), None);
    }

    #[test]
    fn a_confirm_is_between_commit_and_confirm_only_after_the_deduct_of_its_order() {
        let process = Process::default();
        let confirm = Step { act: Act::Script(Script::Confirm), phase: Phase::Request };
        let orders = ["o-1".to_owned()];
        assert_eq!(points_at(confirm, &orders, None, false, &process), Vec::<&str>::new());
        process.note(Step { act: Act::Commit(Unit::Deduct), phase: Phase::Done }, &orders, None);
        assert_eq!(points_at(confirm, &orders, None, false, &process), ["between_db_commit_and_confirm"]);
        assert_eq!(points_at(confirm, &["o-2".to_owned()], None, false, &process), Vec::<&str>::new());
    }

    #[test]
    fn the_second_item_of_a_cart_is_told_from_the_same_item_again() {
        let process = Process::default();
        let orders = ["o-1".to_owned()];
        let request = Step { act: Act::Script(Script::PreDeduct), phase: Phase::Request };
        process.note(Step { phase: Phase::Done, ..request }, &orders, Some("1:1:1"));
        assert_eq!(points_at(request, &orders, Some("1:1:1"), false, &process), ["pre_deduct_forwarded"]);
        assert_eq!(points_at(request, &orders, Some("1:1:2"), false, &process), ["pre_deduct_forwarded", "cart_between_items"]);
    }

    #[test]
    fn a_refusal_is_at_no_point() {
        let process = Process::default();
        for act in Act::ALL {
            assert!(points_at(Step { act, phase: Phase::Refused }, &[], None, false, &process).is_empty(), "{act:?}");
        }
    }
}
