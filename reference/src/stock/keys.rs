//! Names of the Redis keys of an item. Its `store:product:sku` in literal braces is the Cluster hash tag, so all of them share a slot.

use std::fmt;

#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::Item;

/// A key, written when it is put into a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key<'a> {
    /// Units available.
    Stock(Item),
    /// Epoch, incarnation, version, copy of the stock.
    Meta(Item),
    /// Unresolved locks.
    Lock(Item),
    /// Which token an order got.
    Deduct(&'a str, Item),
    /// An increase was applied.
    Delta(&'a str, Item),
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = *self;
        #[cfg(feature = "defects")]
        let key = key.of_one_store();
        match key {
            Self::Stock(item) => write!(f, "inventory:stock:{{{item}}}"),
            Self::Meta(item) => write!(f, "inventory:meta:{{{item}}}"),
            Self::Lock(item) => write!(f, "inventory:lock:{{{item}}}"),
            Self::Deduct(order, item) => write!(f, "inventory:deduct:{order}:{{{item}}}"),
            Self::Delta(event, item) => write!(f, "inventory:delta:{event}:{{{item}}}"),
        }
    }
}

#[cfg(feature = "defects")]
impl Key<'_> {
    /// The key as somebody names it who thinks that a sku is in one store only.
    fn of_one_store(self) -> Self {
        let first = |item| Item { store: 1, ..item };
        match self {
            Self::Lock(item) if planted(Defect::KeysWithoutStore) => Self::Lock(first(item)),
            Self::Deduct(order, item) if planted(Defect::KeysWithoutStore) => Self::Deduct(order, first(item)),
            key => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_names_of_the_protocol() {
        let item = Item::new(1, 2, 3).unwrap();
        let keys = [Key::Stock(item), Key::Meta(item), Key::Lock(item), Key::Deduct("o-1", item), Key::Delta("C.o-1", item)];
        let names = [
            "inventory:stock:{1:2:3}",
            "inventory:meta:{1:2:3}",
            "inventory:lock:{1:2:3}",
            "inventory:deduct:o-1:{1:2:3}",
            "inventory:delta:C.o-1:{1:2:3}",
        ];
        assert_eq!(keys.map(|key| key.to_string()), names);
    }
}
