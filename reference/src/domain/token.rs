//! Tokens: which reservation admitted an order, and in which epoch of the item.

use std::fmt;
use std::str::FromStr;

use super::ids::{Invalid, OrderId};
use super::order::Quantity;

/// Number of the period in which one installed stock counter may admit orders of an item. 0 means "none yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `epoch:version`: issued by `pre_deduct`, unique per item for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Epoch that admitted.
    pub epoch: Epoch,
    /// Number of the change of the counter within the epoch, from 1.
    pub version: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.version)
    }
}

impl FromStr for Token {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':').and_then(|(epoch, version)| Some((epoch.parse().ok()?, version.parse().ok()?)));
        let (epoch, version) = parts.ok_or(Invalid::new("token", "must have the form epoch:version"))?;
        Ok(Self { epoch: Epoch(epoch), version })
    }
}

/// A lock as Redis stores it: `order|token|quantity`, a member of the item's lock set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// The order that the units were taken for.
    pub order: OrderId,
    /// The token of the reservation.
    pub token: Token,
    /// Units taken.
    pub quantity: Quantity,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}", self.order, self.token, self.quantity)
    }
}

impl FromStr for Member {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.split('|').collect();
        let [order, token, quantity] = fields[..] else {
            return Err(Invalid::new("member", "must have the form order|token|quantity"));
        };
        Ok(Self { order: order.parse()?, token: token.parse()?, quantity: quantity.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_reads_what_it_writes_and_refuses_the_rest() {
        let text = "o-1|3:17|2";
        assert_eq!(text.parse::<Member>().unwrap().to_string(), text);
        for wrong in ["o-1|3:17", "o-1|3|2", "o-1|3:17|0", "o-1|3:17|2|x", "|3:17|2", ""] {
            assert!(wrong.parse::<Member>().is_err(), "{wrong:?}");
        }
    }
}
