//! What is sold, by its three numbers.
//!
//! In: numbers, or text of the form `store:product:sku`. Out: an [`ItemId`]. Whether the numbers are in range is
//! [`Scenario::check`](super::Scenario::check)'s matter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that is sold: a SKU of a product in a store. Written `store:product:sku`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    /// Store number, at least 1.
    pub store: u64,
    /// Product number, at least 1.
    pub product: u64,
    /// SKU number, at least 1.
    pub sku: u64,
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.store, self.product, self.sku)
    }
}

/// Text that is not `store:product:sku`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read item {0:?}: not of the form store:product:sku")]
pub struct ItemIdError(String);

impl FromStr for ItemId {
    type Err = ItemIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ItemIdError(text.to_owned());
        let mut numbers = text.split(':').map(str::parse::<u64>);
        let mut next = || numbers.next().and_then(Result::ok).ok_or_else(wrong);
        let item = Self { store: next()?, product: next()?, sku: next()? };
        if numbers.next().is_some() { Err(wrong()) } else { Ok(item) }
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_reads_what_it_writes_and_refuses_the_rest() {
        let item = ItemId { store: 1, product: 20, sku: 300 };
        assert_eq!(item.to_string().parse(), Ok(item));
        for wrong in ["", "1:2", "1:2:3:4", "1:2:x", "1:2:-3"] {
            assert!(wrong.parse::<ItemId>().is_err(), "{wrong:?}");
        }
    }
}
