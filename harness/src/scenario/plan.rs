//! The plan of a run: every arrival, drawn before anything starts and saved as `plan.json`.
//!
//! In: a checked scenario. Out: arrivals in order of their due time. The draw itself is `load::arrivals`.

use serde::{Deserialize, Serialize};

use crate::clock::Offset;
use crate::scenario::Scenario;

/// What a user does at an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sends the order for the first time.
    Create,
    /// Sends the same order, id and body, again.
    Repeat,
    /// Cancels the order.
    Cancel,
    /// Pays the order.
    Pay,
    /// Reads the order back.
    Read,
}

/// One planned request. Its due time comes from the plan alone, never from a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ArrivalRow", into = "ArrivalRow")]
pub struct Arrival {
    /// When it is due, from the start of the load.
    pub due: Offset,
    /// What happens.
    pub action: Action,
    /// Index into [`Plan::orders`].
    pub order: u32,
    /// Index of the api process that it is sent to.
    pub instance: u16,
}

/// An order that a user will ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OrderRow", into = "OrderRow")]
pub struct PlannedOrder {
    /// Index into the items of the scenario.
    pub item: u32,
    /// Units asked for.
    pub quantity: u32,
    /// Who asks.
    pub user: u64,
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
    /// Arrivals, sorted by due time.
    pub arrivals: Vec<Arrival>,
}

impl Plan {
    /// The order id that clients send for the order with this index.
    #[must_use]
    pub fn order_id(&self, index: u32) -> String {
        format!("{}-{index}", self.run_tag)
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

#[derive(Serialize, Deserialize)]
struct OrderRow(u32, u32, u64);

impl From<OrderRow> for PlannedOrder {
    fn from(row: OrderRow) -> Self {
        Self { item: row.0, quantity: row.1, user: row.2 }
    }
}

impl From<PlannedOrder> for OrderRow {
    fn from(order: PlannedOrder) -> Self {
        Self(order.item, order.quantity, order.user)
    }
}
