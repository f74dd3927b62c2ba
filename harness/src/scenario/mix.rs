//! Who asks for what: shares of the new orders, and what the operator does to the stock while the sale goes on.

use serde::{Deserialize, Serialize};

/// Who asks for what, as shares between 0 and 1 of the new orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Number of different users; each order draws one.
    pub users: u64,
    /// Share of orders that come from greedy users: one user in a hundred, who buys again and again.
    #[serde(default)]
    pub greedy: f64,
    /// Share of orders sent a second time with the same id and body.
    pub duplicates: f64,
    /// Share of those duplicates that are due at the same instant as the first and go to another process.
    pub concurrent_duplicates: f64,
    /// Share of the duplicates that ask for one unit more: the same id with another body.
    #[serde(default)]
    pub altered: f64,
    /// Share of orders that their user cancels later (skipped if the order was refused).
    pub cancels: f64,
    /// Share of orders that their user pays later and keeps (skipped if the order was refused).
    pub payments: f64,
    /// Share of orders that their user pays later and gives back later still (skipped if the order was refused).
    #[serde(default)]
    pub refunds: f64,
    /// Share of orders that their user reads back later.
    pub reads: f64,
    /// Shortest and longest pause between an order and what its user does next.
    pub think_ms: (u64, u64),
    /// Most units asked for in one line of an order; quantities are drawn from 1 to this.
    pub quantity_max: u32,
    /// Orders of several items.
    #[serde(default)]
    pub carts: Carts,
    /// Closed-loop users beside the arrivals, 0 to 1000: each browses, orders, pays or cancels and asks again, over and over until the load
    /// ends, and thinks between its steps as long as `think_ms` says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub journeys: u32,
    /// What happens to the stock beside the orders.
    #[serde(default)]
    pub operator: Operator,
}

/// Orders of several items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carts {
    /// Share of orders that ask for several items.
    pub share: f64,
    /// Most different items in a cart; their number is drawn from 2 to this, as far as there are so many.
    pub items_max: u32,
    /// Share of the carts that name their first item in two lines.
    pub named_twice: f64,
}

/// Changes of the stock during the load, each at a random instant to an item drawn by its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Restocks.
    pub restocks: u32,
    /// Stock cuts.
    pub cuts: u32,
    /// Holds; every second one is released after a pause.
    pub holds: u32,
    /// Most units of one change; drawn from 1 to this.
    pub units_max: u32,
}

impl Mix {
    /// Mean number of arrivals that follow from one new order, itself among them.
    #[must_use]
    pub fn arrivals_per_order(&self) -> f64 {
        1.0 + self.duplicates + self.cancels + self.payments + 2.0 * self.refunds + self.reads
    }

    /// Mean number of lines of one new order of a sale of `items` items.
    #[must_use]
    pub fn lines_per_order(&self, items: usize) -> f64 {
        let most = self.carts.items_max.min(u32::try_from(items).unwrap_or(u32::MAX));
        if most < 2 {
            return 1.0;
        }
        1.0 + self.carts.share * (f64::midpoint(2.0, f64::from(most)) - 1.0 + self.carts.named_twice)
    }
}

impl Operator {
    /// Arrivals of all changes at most.
    #[must_use]
    pub fn arrivals(&self) -> f64 {
        f64::from(self.restocks) + f64::from(self.cuts) + 2.0 * f64::from(self.holds)
    }
}

/// One user who orders single units and does nothing else.
impl Default for Mix {
    fn default() -> Self {
        Self {
            users: 1,
            greedy: 0.0,
            duplicates: 0.0,
            concurrent_duplicates: 0.0,
            altered: 0.0,
            cancels: 0.0,
            payments: 0.0,
            refunds: 0.0,
            reads: 0.0,
            think_ms: (0, 0),
            quantity_max: 1,
            carts: Carts::default(),
            journeys: 0,
            operator: Operator::default(),
        }
    }
}

/// The form that serde wants.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Default for Carts {
    fn default() -> Self {
        Self { share: 0.0, items_max: 4, named_twice: 0.1 }
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self { restocks: 0, cuts: 0, holds: 0, units_max: 10 }
    }
}
