//! What happened in a run: operations and faults, as they happened.
//!
//! In: records from load, faults, stack and snapshot, through one [`recorder`]. Out: a journal on disk ([`journal`]) that
//! survives a crash of the harness, and, read back from it, paired [`operation::Operation`]s ([`pairing`]).

pub mod journal;
pub mod operation;
pub mod pairing;
pub mod record;
pub mod recorder;
