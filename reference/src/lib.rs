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

pub mod alerts;
pub mod app;
pub mod clock;
pub mod config;
#[cfg(feature = "defects")]
pub mod defects;
pub mod descriptors;
pub mod domain;
pub mod flow;
pub mod http;
pub mod ledger;
pub mod metrics;
pub mod secret;
pub mod stock;
pub mod workers;

/// Writes logs to standard error, one JSON object a line; `RUST_LOG` filters them (default `info`).
pub fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,sqlx=warn".into());
    // A second call finds a subscriber and leaves it.
    let _already_set = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
