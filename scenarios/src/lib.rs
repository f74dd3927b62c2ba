//! The catalog of scenarios, and what the programs `flash-sale` and `chaos` share.
//!
//! One file a scenario, named for what it does to the service, plus one line in [`catalog`].

pub mod bench;
pub mod catalog;
pub mod chaos;
pub mod cli;
pub mod differences;
pub mod entry;
pub mod flash_sale;
pub mod launch;
pub mod live;
pub mod named_faults;
pub mod nightly;
pub mod progress;
pub mod replay;
pub mod rig;
pub mod selftest;
pub mod series;
pub mod short;
pub mod wilson;
