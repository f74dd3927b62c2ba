//! Tests against real servers, which they start themselves.

mod ledger_bench;
mod ledger_deduct;
mod ledger_items;
mod ledger_open;
mod ledger_orders;
mod ledger_write;
#[path = "support.rs"]
mod support;
