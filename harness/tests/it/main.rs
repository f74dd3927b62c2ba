//! Tests against real servers and real processes, which they start themselves.

mod snapshot;
mod snapshot_calls;
mod snapshot_quiesce;
mod snapshot_rig;
mod stack_stores;
