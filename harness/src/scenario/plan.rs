//! The plan of a run: every arrival, drawn before anything starts and saved as `plan.json`.
//!
//! In: a checked scenario. Out: arrivals in order of their due time. The draw itself is `load::arrivals`.

use serde::{Deserialize, Serialize};

use crate::clock::Offset;
use crate::scenario::{ItemId, Scenario};

/// What a user, or the operator, does at an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sends the order for the first time.
    Create,
    /// Sends the same order, id and body, again.
    Repeat,
    /// Sends the id again with one unit more in its first line.
    Alter,
    /// Cancels the order.
    Cancel,
    /// Pays the order.
    Pay,
    /// Gives the paid order back.
    Refund,
    /// Reads the order back.
    Read,
    /// Adds units.
    Restock,
    /// Takes units out of the stock.
    Cut,
    /// Keeps units from being sold.
    Hold,
    /// Lets held units be sold again.
    Release,
}

impl Action {
    /// Whether it changes the stock beside the orders.
    #[must_use]
    pub const fn is_of_operator(self) -> bool {
        matches!(self, Self::Restock | Self::Cut | Self::Hold | Self::Release)
    }
}

/// One planned request. Its due time comes from the plan alone, never from a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ArrivalRow", into = "ArrivalRow")]
pub struct Arrival {
    /// When it is due, from the start of the load.
    pub due: Offset,
    /// What happens.
    pub action: Action,
    /// Index into [`Plan::orders`]; of an action of the operator, into [`Plan::changes`].
    pub order: u32,
    /// Index of the api process that it is sent to.
    pub instance: u16,
}

/// Units of one item that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct PlannedLine {
    /// Index into the items of the scenario.
    pub item: u32,
    /// Units asked for.
    pub quantity: u32,
}

/// An order that a user will ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OrderRow", into = "OrderRow")]
pub struct PlannedOrder {
    /// The first line, which every order has.
    pub first: PlannedLine,
    /// Who asks.
    pub user: u64,
    /// Further lines of a cart; several may name one item.
    pub further: Vec<PlannedLine>,
}

impl PlannedOrder {
    /// An order of one line.
    #[must_use]
    pub const fn of_one(item: u32, quantity: u32, user: u64) -> Self {
        Self { first: PlannedLine { item, quantity }, user, further: Vec::new() }
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = PlannedLine> + '_ {
        std::iter::once(self.first).chain(self.further.iter().copied())
    }
}

/// One round of a closed-loop user: it looks at the stock, orders, pays or cancels, and reads the order. When each step is taken depends on
/// the answers before; what is done does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "JourneyRow", into = "JourneyRow")]
pub struct Journey {
    /// What it looks at and orders.
    pub line: PlannedLine,
    /// Whether it pays for the order; else it cancels it.
    pub pays: bool,
    /// Index of the api process.
    pub instance: u16,
    /// Pauses before its four steps, ms.
    pub think_ms: [u32; 4],
}

/// Everything a run will send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario that the plan was drawn from.
    pub scenario: Scenario,
    /// Distinguishes the order ids of this run from those of other runs against the same stores: `[a-z0-9]{1,16}`.
    pub run_tag: String,
    /// The orders, by index.
    pub orders: Vec<PlannedOrder>,
    /// Changes of the stock beside the orders, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PlannedLine>,
    /// Arrivals, sorted by due time.
    pub arrivals: Vec<Arrival>,
    /// The rounds of each closed-loop user, more than it can take before the load ends, or as many as it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journeys: Vec<Vec<Journey>>,
}

impl Plan {
    /// The order id that clients send for the order with this index.
    #[must_use]
    pub fn order_id(&self, index: u32) -> String {
        format!("{}-{index}", self.run_tag)
    }

    /// The id that the operator sends for the change of stock with this index.
    #[must_use]
    pub fn change_id(&self, index: u32) -> String {
        format!("{}-s{index}", self.run_tag)
    }

    /// The id that a closed-loop user sends for the order of one of its rounds.
    #[must_use]
    pub fn journey_order_id(&self, user: usize, round: usize) -> String {
        format!("{}-j{user}-{round}", self.run_tag)
    }

    /// The user id of a closed-loop user: none that the arrivals draw.
    #[must_use]
    pub const fn journey_user(&self, user: usize) -> u64 {
        self.scenario.mix.users.saturating_add(1).saturating_add(user as u64)
    }

    /// The first user id that neither arrivals nor closed-loop users have.
    #[must_use]
    pub const fn next_user(&self) -> u64 {
        self.journey_user(self.journeys.len())
    }

    /// The item of a planned line; `None` if the scenario has no such item.
    #[must_use]
    pub fn item_of(&self, line: PlannedLine) -> Option<ItemId> {
        self.scenario.items.get(line.item as usize).map(|sale| sale.item)
    }
}

// Rows are short arrays: a plan of a million arrivals stays near 25 MB.
#[derive(Serialize, Deserialize)]
struct ArrivalRow(Offset, Action, u32, u16);

impl From<ArrivalRow> for Arrival {
    fn from(row: ArrivalRow) -> Self {
        Self { due: row.0, action: row.1, order: row.2, instance: row.3 }
    }
}

impl From<Arrival> for ArrivalRow {
    fn from(arrival: Arrival) -> Self {
        Self(arrival.due, arrival.action, arrival.order, arrival.instance)
    }
}

impl From<(u32, u32)> for PlannedLine {
    fn from((item, quantity): (u32, u32)) -> Self {
        Self { item, quantity }
    }
}

impl From<PlannedLine> for (u32, u32) {
    fn from(line: PlannedLine) -> Self {
        (line.item, line.quantity)
    }
}

/// Item, units, whether it pays, api process, pauses.
#[derive(Serialize, Deserialize)]
struct JourneyRow(u32, u32, bool, u16, [u32; 4]);

impl From<JourneyRow> for Journey {
    fn from(row: JourneyRow) -> Self {
        let line = PlannedLine { item: row.0, quantity: row.1 };
        Self { line, pays: row.2, instance: row.3, think_ms: row.4 }
    }
}

impl From<Journey> for JourneyRow {
    fn from(journey: Journey) -> Self {
        Self(journey.line.item, journey.line.quantity, journey.pays, journey.instance, journey.think_ms)
    }
}

/// Item, units, user, and the further lines of a cart.
#[derive(Serialize, Deserialize)]
struct OrderRow(u32, u32, u64, #[serde(default, skip_serializing_if = "Vec::is_empty")] Vec<PlannedLine>);

impl From<OrderRow> for PlannedOrder {
    fn from(row: OrderRow) -> Self {
        Self { first: PlannedLine { item: row.0, quantity: row.1 }, user: row.2, further: row.3 }
    }
}

impl From<PlannedOrder> for OrderRow {
    fn from(order: PlannedOrder) -> Self {
        Self(order.first.item, order.first.quantity, order.user, order.further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_one_line_is_three_numbers_and_a_cart_adds_its_lines() {
        let plain = PlannedOrder::of_one(3, 2, 7);
        let cart = PlannedOrder { further: vec![PlannedLine { item: 4, quantity: 1 }], ..plain.clone() };
        for (order, text) in [(plain, "[3,2,7]"), (cart, "[3,2,7,[[4,1]]]")] {
            assert_eq!(serde_json::to_string(&order).unwrap(), text);
            assert_eq!(serde_json::from_str::<PlannedOrder>(text).unwrap(), order);
        }
    }
}
