//! The fence of an order transaction: which epoch of each item may admit, who admits, and what a user may hold (`docs/protocol.md` 5.1).

use std::collections::HashMap;

use super::connection::{Connection, Reply};
use super::failure::Failure;
use super::order_batch::Verdict;
use super::quota::SeenLimits;
use super::{Admission, EpochState, Mode, NewOrder, Written, rows, sql};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, UserLimit};

/// The epochs that are share-locked until COMMIT.
#[derive(Debug)]
pub(super) struct Fence {
    gates: HashMap<Item, Gate>,
}

/// What the fence of an item says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gate {
    state: EpochState,
    limit: UserLimit,
}

impl Fence {
    /// The fence that lets every order pass as counted by Redis; `None` if there is none, or if an id is contested.
    pub(super) fn assumed(orders: &[&NewOrder], limits: &SeenLimits) -> Option<Self> {
        let mut gates = HashMap::new();
        for order in orders {
            for admission in &order.admissions {
                let state = EpochState { epoch: admission.token?.epoch, mode: Mode::Redis };
                let gate = Gate { state, limit: limits.of(admission.line.item) };
                if order.contested || *gates.entry(admission.line.item).or_insert(gate) != gate {
                    return None;
                }
            }
        }
        Some(Self { gates })
    }

    /// Begins, and share-locks.
    ///
    /// # Errors
    /// As a query.
    pub(super) async fn close(connection: &mut Connection, orders: &[&NewOrder]) -> Result<Self, Failure> {
        Self::read(&connection.begin(&Self::share(orders)).await?)
    }

    /// Statements that share-lock the epoch of every item, in the order in which everybody locks them.
    pub(super) fn share(orders: &[&NewOrder]) -> String {
        #[cfg(feature = "defects")]
        if planted(Defect::EpochCheckedWithoutLock) {
            let read = |item| sql::share_epoch(item).replace(" LOCK IN SHARE MODE", "");
            return Self::items(orders).into_iter().map(read).collect::<Vec<_>>().join("; ");
        }
        Self::items(orders).into_iter().map(sql::share_epoch).collect::<Vec<_>>().join("; ")
    }

    /// [`Self::share`], each refused unless the fence stands as this one says.
    pub(super) fn share_as_assumed(&self) -> Vec<String> {
        let mut gates: Vec<(&Item, &Gate)> = self.gates.iter().collect();
        gates.sort_unstable_by_key(|(item, _)| **item);
        gates.into_iter().map(|(item, gate)| sql::share_epoch_as(*item, gate.state.epoch, gate.limit)).collect()
    }

    /// The items of these orders, in the order in which they are locked.
    pub(super) fn items(orders: &[&NewOrder]) -> Vec<Item> {
        let mut items: Vec<Item> = orders.iter().flat_map(|order| &order.admissions).map(|admission| admission.line.item).collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// What the share locks returned.
    ///
    /// # Errors
    /// The rows are none of the protocol.
    pub(super) fn read(reply: &Reply) -> Result<Self, Failure> {
        let locked = (0..reply.len()).flat_map(|at| reply.rows(at));
        let gate = |row| Ok((rows::item(row)?, Gate { state: rows::epoch_state(row)?, limit: rows::user_limit(row)? }));
        Ok(Self { gates: locked.map(gate).collect::<Result<_, Failure>>()? })
    }

    /// Tells a guess what stands.
    pub(super) fn teach(&self, limits: &mut SeenLimits) {
        self.gates.iter().for_each(|(item, gate)| limits.learn(*item, gate.limit));
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.gates.len()
    }

    /// The limit of an item for each user.
    pub(super) fn limit(&self, item: Item) -> UserLimit {
        self.gates.get(&item).map(|gate| gate.limit).unwrap_or_default()
    }

    /// Whether a balance moves in the transaction of this order.
    pub(super) fn guards(&self, order: &NewOrder) -> bool {
        order.admissions.iter().any(|admission| matches!(self.path(admission), Some((Path::Guarded, _))))
    }

    /// The epochs in which the lines of an order that it admits are committed, in their order.
    pub(super) fn epochs(&self, order: &NewOrder) -> Vec<Epoch> {
        order.admissions.iter().filter_map(|admission| self.path(admission)).map(|(_, epoch)| epoch).collect()
    }

    /// Why an order is not inserted by a transaction of `together` orders; `None` if it is.
    pub(super) fn stops(&self, order: &NewOrder, together: usize) -> Option<Verdict> {
        if let Some(admission) = order.admissions.iter().find(|admission| self.path(admission).is_none()) {
            return Some(Verdict::Is(Written::NotAdmitted { item: admission.line.item }));
        }
        (together > 1 && self.guards(order)).then_some(Verdict::Alone)
    }

    /// Which way a line takes, and the epoch of its item; `None` if it is not admitted.
    pub(super) fn path(&self, admission: &Admission) -> Option<(Path, Epoch)> {
        let state = self.gates.get(&admission.line.item)?.state;
        #[cfg(feature = "defects")]
        if let (Mode::Redis, Some(token), true) = (state.mode, admission.token, planted(Defect::EpochNotChecked)) {
            return Some((Path::Counted, token.epoch));
        }
        let path = match (state.mode, admission.token) {
            (Mode::Redis, Some(token)) if token.epoch == state.epoch => Path::Counted,
            (Mode::Strict, Some(token)) if token.epoch == state.epoch => Path::Guarded,
            (Mode::Db, None) => Path::Guarded,
            #[cfg(feature = "defects")]
            (Mode::Redis, None) if planted(Defect::DegradeWithoutFence) => Path::Guarded,
            _ => return None,
        };
        Some((path, state.epoch))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// Redis counted; the deduct comes later through the outbox.
    Counted,
    /// The balance moves in this transaction, if it covers the line.
    Guarded,
}
