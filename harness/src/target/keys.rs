//! Redis keys of the target, written and read.
//!
//! `inventory:stock:T`, `inventory:meta:T`, `inventory:lock:T`, `inventory:deduct:<order>:T`, `inventory:delta:<event>:T`,
//! with `T = {store:product:sku}` in literal braces.

use crate::scenario::ItemId;

/// Pattern of `SCAN` that matches all keys of the target.
pub const KEYS: &str = "inventory:*";

/// What a key of the target holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Units available.
    Stock(ItemId),
    /// Epoch, incarnation, version, copy of the stock.
    Meta(ItemId),
    /// Unresolved locks.
    Lock(ItemId),
    /// Which token an order got.
    Deduct(String, ItemId),
    /// An increase was applied.
    Delta(String, ItemId),
}

impl Key {
    /// Reads a key; `None` if it has none of the forms.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (kind, rest) = key.strip_prefix("inventory:")?.split_once(':')?;
        let (head, tag) = rest.split_once('{')?;
        let item = tag.strip_suffix('}')?.parse().ok()?;
        let id = head.strip_suffix(':').filter(|id| !id.is_empty()).map(str::to_owned);
        match (kind, head, id) {
            ("stock", "", _) => Some(Self::Stock(item)),
            ("meta", "", _) => Some(Self::Meta(item)),
            ("lock", "", _) => Some(Self::Lock(item)),
            ("deduct", _, Some(order)) => Some(Self::Deduct(order, item)),
            ("delta", _, Some(event)) => Some(Self::Delta(event, item)),
            _ => None,
        }
    }

    /// The item that it belongs to.
    #[must_use]
    pub const fn item(&self) -> ItemId {
        match self {
            Self::Stock(item) | Self::Meta(item) | Self::Lock(item) | Self::Deduct(_, item) | Self::Delta(_, item) => *item,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stock(item) => write!(f, "inventory:stock:{{{item}}}"),
            Self::Meta(item) => write!(f, "inventory:meta:{{{item}}}"),
            Self::Lock(item) => write!(f, "inventory:lock:{{{item}}}"),
            Self::Deduct(order, item) => write!(f, "inventory:deduct:{order}:{{{item}}}"),
            Self::Delta(event, item) => write!(f, "inventory:delta:{event}:{{{item}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_what_it_writes_and_strangers_are_none() {
        let item = ItemId { store: 1, product: 2, sku: 3 };
        let keys =
            [Key::Stock(item), Key::Meta(item), Key::Lock(item), Key::Deduct("o-1".into(), item), Key::Delta("C.o-1".into(), item)];
        for key in keys {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
        for stranger in
            ["inventory:stock:1:2:3", "inventory:lock:o:{1:2:3}", "inventory:deduct:{1:2:3}", "other", "inventory:stock:{1:2}"]
        {
            assert_eq!(Key::parse(stranger), None, "{stranger}");
        }
    }
}
