//! Orders: what is asked for, and the states that an order and its ledger rows pass through.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::ids::{Invalid, Item, OrderId, UserId};

/// Units of one item: 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(NonZeroU32);

impl Quantity {
    /// Most units of one item in one order.
    pub const MAX: u32 = 1_000_000;
    const RULE: Invalid = Invalid::new("quantity", "must be an integer from 1 to 1000000");

    /// A quantity, if it is in range.
    ///
    /// # Errors
    /// The number is 0, negative or above the maximum.
    pub fn new(units: i64) -> Result<Self, Invalid> {
        let units = u32::try_from(units).ok().filter(|units| *units <= Self::MAX);
        units.and_then(NonZeroU32::new).map(Self).ok_or(Self::RULE)
    }

    /// The number of units.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Quantity {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Plain decimal only: "+1" and "01" would not come back as they went out.
        let plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| plain).ok_or(Self::RULE).and_then(Self::new)
    }
}

/// One line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub item: Item,
    /// How many.
    pub quantity: Quantity,
}

/// A valid request for an order: lines merged by item and sorted, so that every process locks in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    order: OrderId,
    user: UserId,
    lines: Vec<Line>,
    hash: [u8; 32],
}

impl OrderRequest {
    /// Most lines of one order, before merging.
    pub const LINES_MAX: usize = 50;

    /// Merges and sorts the lines and computes the hash of the canonical body.
    ///
    /// # Errors
    /// No line, more than [`Self::LINES_MAX`], or more units of one item than [`Quantity::MAX`].
    pub fn new(order: OrderId, user: UserId, mut lines: Vec<Line>) -> Result<Self, Invalid> {
        if lines.is_empty() || lines.len() > Self::LINES_MAX {
            return Err(Invalid::new("items", "must hold 1 to 50 lines"));
        }
        lines.sort_by_key(|line| line.item);
        let mut merged: Vec<Line> = Vec::with_capacity(lines.len());
        for line in lines {
            match merged.last_mut() {
                Some(last) if last.item == line.item => {
                    last.quantity = Quantity::new(i64::from(last.quantity.get()) + i64::from(line.quantity.get()))?;
                }
                _ => merged.push(line),
            }
        }
        let mut digest = Sha256::new().chain_update(format!("{order}\n{}\n", user.get()));
        for line in &merged {
            digest.update(format!("{} {}\n", line.item, line.quantity));
        }
        Ok(Self { order, user, lines: merged, hash: digest.finalize().into() })
    }

    /// The idempotency key.
    #[must_use]
    pub const fn order(&self) -> &OrderId {
        &self.order
    }

    /// Who orders.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The lines, one for each item, sorted by item.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// SHA-256 of the canonical body: order, user, merged lines.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Stands, unpaid.
    Created,
    /// Stands, paid.
    Paid,
    /// Was paid, then given back.
    Refunded,
    /// Given back by its user.
    Cancelled,
    /// Given back because it was not paid in time.
    Expired,
    /// Never was: a tombstone which proves that no order with this id can come into being.
    Fenced,
}

impl OrderStatus {
    /// The word in the database and in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Paid => "PAID",
            Self::Refunded => "REFUNDED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::Fenced => "FENCED",
        }
    }

    /// Whether the order stands.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Created | Self::Paid)
    }
}

impl FromStr for OrderStatus {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Created, Self::Paid, Self::Refunded, Self::Cancelled, Self::Expired, Self::Fenced];
        all.into_iter().find(|status| status.name() == text).ok_or(Invalid::new("status", "is not a status of an order"))
    }
}

/// Where the ledger row of a sale stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaleState {
    /// Admitted; the balance has not moved yet.
    Lock,
    /// The balance has moved.
    Out,
    /// Given back before the balance moved.
    Unlock,
}

impl SaleState {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lock => "LOCK",
            Self::Out => "OUT",
            Self::Unlock => "UNLOCK",
        }
    }
}

impl FromStr for SaleState {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Lock, Self::Out, Self::Unlock];
        all.into_iter().find(|state| state.name() == text).ok_or(Invalid::new("transaction_type", "is not a state of a sale"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: i64, units: i64) -> Line {
        Line { item: Item::new(1, 1, sku).unwrap(), quantity: Quantity::new(units).unwrap() }
    }

    fn request(lines: Vec<Line>) -> Result<OrderRequest, Invalid> {
        OrderRequest::new("o-1".parse().unwrap(), UserId::new(7).unwrap(), lines)
    }

    #[test]
    fn lines_of_one_item_are_merged_and_the_order_of_lines_does_not_matter() {
        let one = request(vec![line(2, 1), line(1, 1), line(2, 2)]).unwrap();
        let other = request(vec![line(1, 1), line(2, 3)]).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.lines(), [line(1, 1), line(2, 3)]);
        assert_ne!(one.hash(), request(vec![line(1, 1), line(2, 4)]).unwrap().hash());
    }

    #[test]
    fn quantities_outside_the_range_do_not_exist() {
        for wrong in [0, -1, 1_000_001, i64::MAX, i64::MIN] {
            assert!(Quantity::new(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "01", "+1", "1.5", "", "-1", "nan", "1e3", "0x10"] {
            assert!(wrong.parse::<Quantity>().is_err(), "{wrong:?}");
        }
        assert!(request(vec![line(1, 600_000), line(1, 600_000)]).is_err());
        assert!(request(vec![]).is_err());
        assert!(request(vec![line(1, 1); 51]).is_err());
    }
}
