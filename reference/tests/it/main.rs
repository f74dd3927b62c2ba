//! Tests against real servers, which they start themselves.

mod stock_arguments;
mod stock_connection;
mod stock_fixture;
mod stock_model;
mod stock_replies;
#[path = "support.rs"]
mod support;
