//! Tests against real servers, which they start themselves.

mod alert_rules;
mod flow_bench;
mod flow_create;
mod flow_end;
mod flow_gate;
mod flow_model;
mod flow_rebuild;
mod flow_selling_out;
mod flow_unknown;
mod http_admin;
mod http_bench;
mod http_invalid;
mod http_orders;
mod http_stop;
mod ledger_bench;
mod ledger_deduct;
mod ledger_items;
mod ledger_open;
mod ledger_orders;
mod ledger_unknown;
mod ledger_write;
mod lossy_relay;
mod operations_audit;
mod operations_http;
mod operations_poison;
mod operations_replica;
mod stock_arguments;
mod stock_connection;
mod stock_fixture;
mod stock_model;
mod stock_replies;
#[path = "support.rs"]
mod support;
