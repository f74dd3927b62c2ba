//! Changes of stock that no order makes, and the limit of units for each user.

use super::ids::{Invalid, Item, OrderId};

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Adds units.
    Restock,
    /// Takes units out, if they are free.
    Cut,
    /// Keeps free units from being sold; a negative number releases.
    Hold,
}

impl ChangeKind {
    /// The word in the database and in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restock => "RESTOCK",
            Self::Cut => "CUT",
            Self::Hold => "HOLD",
        }
    }
}

/// A valid change. Its id names it for ever, over all items and kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockChange {
    id: OrderId,
    item: Item,
    kind: ChangeKind,
    units: i64,
    reason: String,
}

impl StockChange {
    /// Most units of one change.
    pub const UNITS_MAX: i64 = 1_000_000_000_000;
    /// Longest reason, characters.
    pub const REASON_MAX: usize = 200;
    /// Names the opening balance of every item, and no change.
    pub const OPENING_ID: &str = "open";

    /// A change, if its parts are in range.
    ///
    /// # Errors
    /// The id is that of the opening; units are 0, too many, or negative for anything but a hold; no reason, or one too long.
    pub fn new(id: OrderId, item: Item, kind: ChangeKind, units: i64, reason: &str) -> Result<Self, Invalid> {
        if id.as_str() == Self::OPENING_ID {
            return Err(Invalid::new("id", "must not be \"open\", which names the opening"));
        }
        let least = if kind == ChangeKind::Hold { -Self::UNITS_MAX } else { 1 };
        if units == 0 || !(least..=Self::UNITS_MAX).contains(&units) {
            return Err(Invalid::new("quantity", "must be an integer from 1 to 1000000000000, or of a hold its negative"));
        }
        if reason.trim().is_empty() || reason.chars().count() > Self::REASON_MAX {
            return Err(Invalid::new("reason", "must be 1 to 200 characters, not all blank"));
        }
        Ok(Self { id, item, kind, units, reason: reason.to_owned() })
    }

    /// The id that the client chose.
    #[must_use]
    pub const fn id(&self) -> &OrderId {
        &self.id
    }

    /// The item.
    #[must_use]
    pub const fn item(&self) -> Item {
        self.item
    }

    /// What it does.
    #[must_use]
    pub const fn kind(&self) -> ChangeKind {
        self.kind
    }

    /// How many units; negative if a hold releases.
    #[must_use]
    pub const fn units(&self) -> i64 {
        self.units
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Most units of an item that the live orders of one user may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UserLimit(i64);

impl UserLimit {
    /// No limit.
    pub const NONE: Self = Self(0);
    /// Greatest limit.
    pub const MAX: i64 = 1_000_000_000_000;

    /// A limit; 0 is none.
    ///
    /// # Errors
    /// The number is negative or above the maximum.
    pub fn new(units: i64) -> Result<Self, Invalid> {
        let rule = Invalid::new("limit_per_user", "must be an integer from 0 to 1000000000000; 0 is none");
        if (0..=Self::MAX).contains(&units) { Ok(Self(units)) } else { Err(rule) }
    }

    /// The number of units; 0 is no limit.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether there is no limit.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str, kind: ChangeKind, units: i64, reason: &str) -> Result<StockChange, Invalid> {
        StockChange::new(id.parse().unwrap(), Item::new(1, 1, 1).unwrap(), kind, units, reason)
    }

    #[test]
    fn a_change_has_units_a_reason_and_an_id_of_its_own() {
        assert!(change("c-1", ChangeKind::Hold, -5, "found sound").is_ok());
        assert!(change("c-1", ChangeKind::Cut, 1_000_000_000_000, "é").is_ok());
        for kind in [ChangeKind::Restock, ChangeKind::Cut] {
            assert!(change("c-1", kind, -1, "x").is_err());
        }
        for kind in [ChangeKind::Restock, ChangeKind::Cut, ChangeKind::Hold] {
            assert!(change("c-1", kind, 0, "x").is_err());
            assert!(change("c-1", kind, i64::MAX, "x").is_err());
            assert!(change("c-1", kind, i64::MIN, "x").is_err());
            assert!(change("open", kind, 1, "x").is_err());
            assert!(change("c-1", kind, 1, " ").is_err());
            assert!(change("c-1", kind, 1, &"x".repeat(201)).is_err());
        }
    }

    #[test]
    fn a_limit_is_never_negative() {
        assert!(UserLimit::new(0).unwrap().is_none());
        assert_eq!(UserLimit::new(3).unwrap().get(), 3);
        assert!(UserLimit::new(-1).is_err() && UserLimit::new(i64::MAX).is_err());
    }
}
