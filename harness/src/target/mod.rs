//! What is known about the system under test: its HTTP contract, its Redis keys and its ledger tables.
//!
//! The judge shares no code with the judged: names and forms are written here a second time, on purpose.

pub mod admin;
pub mod changes;
pub mod connection;
pub mod dialect;
pub mod exposition;
pub mod http;
pub mod keys;
pub mod ledger;
pub mod stock;
pub mod telemetry;
