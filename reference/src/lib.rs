//! Reservation service for flash sales: Redis admits, MySQL decides, an outbox ties them, workers settle what a crash left.
//!
//! ```text
//! http ──► flow ──► stock  (Redis: lua/*.lua)
//!           ▲  └──► ledger (MySQL: migrations/*.sql)
//! workers ──┘
//! ```
//!
//! `flow` is the only place that sees both stores; it owns the order of writes of each use case. The service keeps no state
//! that matters: any number of processes of each role may run.

pub mod domain;
pub mod ledger;
pub mod stock;
