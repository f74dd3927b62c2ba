//! Names of things: items, orders, users.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Text that is no valid value, with the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Invalid {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl Invalid {
    /// A value of `field` that breaks `rule`.
    #[must_use]
    pub const fn new(field: &'static str, rule: &'static str) -> Self {
        Self { field, rule }
    }
}

/// One thing that is sold: a SKU of a product in a store. Numbers are 1 to 2^63 − 1.
///
/// Written `store:product:sku`; in Redis keys inside braces, which make it the Cluster hash tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Store number.
    pub store: i64,
    /// Product number.
    pub product: i64,
    /// SKU number.
    pub sku: i64,
}

impl Item {
    /// An item, if all numbers are in range.
    ///
    /// # Errors
    /// The first number that is out of range.
    pub fn new(store: i64, product: i64, sku: i64) -> Result<Self, Invalid> {
        for (field, number) in [("store_id", store), ("product_id", product), ("sku_id", sku)] {
            if number < 1 {
                return Err(Invalid::new(field, "must be an integer from 1 to 9223372036854775807"));
            }
        }
        Ok(Self { store, product, sku })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.store, self.product, self.sku)
    }
}

impl FromStr for Item {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = Invalid::new("item", "must have the form store:product:sku");
        let numbers: Vec<i64> = text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong.clone())?;
        match numbers[..] {
            [store, product, sku] => Self::new(store, product, sku),
            _ => Err(wrong),
        }
    }
}

/// The idempotency key that a client chose for its order: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// Ids that the service makes itself contain a `.`, so the two never collide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Arc<str>);

impl OrderId {
    /// Longest id a client may choose, bytes.
    pub const MAX_LEN: usize = 64;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::new("order_id", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"))
        }
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user: 0 to 2^63 − 1. By default 0, as in a row that names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(i64);

impl UserId {
    /// A user, if the number is in range.
    ///
    /// # Errors
    /// The number is negative.
    pub const fn new(number: i64) -> Result<Self, Invalid> {
        if number < 0 { Err(Invalid::new("user_id", "must be an integer from 0 to 9223372036854775807")) } else { Ok(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_takes_its_alphabet_and_nothing_else() {
        assert!("aZ0_-".parse::<OrderId>().is_ok());
        assert!("x".repeat(64).parse::<OrderId>().is_ok());
        for wrong in ["", "a.b", "a b", "é", "a|b", "a{b}", "a'b", &"x".repeat(65)] {
            assert!(wrong.parse::<OrderId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_item_reads_what_it_writes_and_refuses_zero() {
        let item = Item::new(1, 2, 3).unwrap();
        assert_eq!(item.to_string().parse(), Ok(item));
        for wrong in ["0:1:1", "1:2", "1:2:3:4", "1:-2:3", "9223372036854775808:1:1"] {
            assert!(wrong.parse::<Item>().is_err(), "{wrong:?}");
        }
    }
}
