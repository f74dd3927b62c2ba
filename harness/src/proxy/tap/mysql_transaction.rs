//! The transaction that is open on a connection, as far as its statements tell.
//!
//! In: what each packet does, and whether the server says that a transaction is open. Out: what the packet is called, above all which kind of
//! transaction a COMMIT ends, and whose orders are in it.

use super::dialect::Meaning;
use super::naming::Asked;
use super::sql::{Meanings, Named, Reading};
use super::step::{Act, Phase, Step, Unit};

/// Statements that change something, so that outside a transaction they commit it by themselves.
const WRITES: [Meaning; 9] = [
    Meaning::InsertOrders,
    Meaning::InsertTombstone,
    Meaning::InsertDeducts,
    Meaning::InsertRestock,
    Meaning::FinishIncreases,
    Meaning::UpdateLedger,
    Meaning::EndOrders,
    Meaning::Pay,
    Meaning::OpenEpoch,
];
const CLAIMS: [Meaning; 2] = [Meaning::ClaimDeducts, Meaning::ClaimIncreases];

/// What was done since BEGIN.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    is_open: bool,
    done: Meanings,
    orders: Vec<String>,
}

impl Transaction {
    /// Takes the next packet; its name, if it has one.
    pub(super) fn ask(&mut self, reading: Reading) -> Option<Asked> {
        let is_open = self.is_open || reading.begins;
        if reading.begins || !self.is_open {
            self.forget();
        }
        let had_rows = self.done.has(Meaning::InsertOrders);
        let now = reading.meanings;
        self.done.add(now);
        let named = reading.orders.into_iter().filter_map(|named| if let Named::Id(id) = named { Some(id) } else { None });
        let own: Vec<String> = named.collect();
        let act = if reading.commits || (!is_open && now.has_any(&WRITES)) {
            Act::Commit(self.unit())
        } else if now.has(Meaning::InsertOrders) {
            Act::OrderRows
        } else if now.has(Meaning::InsertDeducts) && had_rows {
            Act::OrderMessages
        } else if now.has_any(&CLAIMS) {
            Act::OutboxClaim
        } else if now.has(Meaning::OpenEpoch) {
            Act::EpochUpdate
        } else if now.has(Meaning::UpdateLedger) {
            Act::LedgerUpdate
        } else if reading.begins {
            Act::Begin
        } else {
            self.add(own);
            return None;
        };
        self.add(own);
        let first_rows = now.has(Meaning::InsertOrders) && !had_rows;
        Some(Asked { step: Step { act, phase: Phase::Request }, orders: self.orders.clone(), item: None, first_rows })
    }

    /// Takes what the server says at the end of a reply.
    pub(super) fn answered(&mut self, is_open: bool) {
        self.is_open = is_open;
        if !is_open {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.done = Meanings::default();
        self.orders.clear();
    }

    fn add(&mut self, mut orders: Vec<String>) {
        if orders.is_empty() {
            return;
        }
        self.orders.append(&mut orders);
        self.orders.sort_unstable();
        self.orders.dedup();
    }

    /// The kind of the transaction. A rebuild may move the ledger as a deduct does, and an order may move a balance: the more special comes first.
    fn unit(&self) -> Unit {
        let kinds = [
            (Meaning::OpenEpoch, Unit::Rebuild),
            (Meaning::InsertOrders, Unit::Order),
            (Meaning::InsertTombstone, Unit::Tombstone),
            (Meaning::EndOrders, Unit::End),
            (Meaning::InsertRestock, Unit::Restock),
            (Meaning::ClaimDeducts, Unit::Deduct),
            (Meaning::ClaimIncreases, Unit::Claim),
            (Meaning::FinishIncreases, Unit::Finish),
            (Meaning::Pay, Unit::Pay),
        ];
        kinds.into_iter().find(|(meaning, _)| self.done.has(*meaning)).map_or(Unit::Other, |(_, unit)| unit)
    }
}
