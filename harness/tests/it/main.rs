//! Tests of the stages against real servers, which they start themselves.

mod snapshot;
mod snapshot_calls;
mod snapshot_quiesce;
mod snapshot_rig;
