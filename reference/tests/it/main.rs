//! Tests against real servers, which they start themselves.

mod flow_bench;
mod flow_carts;
mod flow_changes;
mod flow_crash;
mod flow_create;
mod flow_end;
mod flow_gate;
mod flow_invariants;
mod flow_model;
mod flow_quota;
mod flow_races;
mod flow_rebuild;
mod flow_selling_out;
mod flow_unknown;
mod http_admin;
mod http_bench;
mod http_invalid;
mod http_orders;
mod http_stock_changes;
mod http_stop;
mod ledger_bench;
mod ledger_deduct;
mod ledger_items;
mod ledger_open;
mod ledger_orders;
mod ledger_quota;
mod ledger_unknown;
mod ledger_write;
mod lossy_relay;
mod stock_arguments;
mod stock_connection;
mod stock_fixture;
mod stock_model;
mod stock_replies;
#[path = "support.rs"]
mod support;
