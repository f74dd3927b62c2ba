//! Sells out a flash sale against a reservation service and judges the evidence.
//!
//! One direction, one stage a folder:
//!
//! ```text
//! scenario ──► stack ──► load ───┐
//!    │           │               ├──► history ──► measure ─────┐
//!    │           └────► faults ──┘        │                    ├──► report ──► exit code
//!    └─ seed draws the whole plan         └──► invariants ─────┘
//!                        snapshot (after heal and quiesce) ─┘
//! ```
//!
//! [`run`] calls the stages in this order and does nothing else; `verify` is its last lines on what is read back from disk.
//! The harness never depends on the service that it judges.

pub mod clock;
pub mod faults;
pub mod history;
pub mod invariants;
pub mod load;
pub mod measure;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod snapshot;
pub mod stack;
pub mod target;
