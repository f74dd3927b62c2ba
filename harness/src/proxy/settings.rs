//! What is in force in a proxy: one value, swapped whole, so that every connection sees a change at once or not at all.

use std::sync::Arc;

use super::stage::Pace;
use super::{Direction, Outage, ToxicSpec};

/// A toxic in force.
#[derive(Debug, Clone)]
pub(super) struct Toxic {
    /// Generation of its creation: another toxic of the same name has another.
    pub(super) id: u64,
    pub(super) spec: ToxicSpec,
    /// Its direction as it was written, to be answered as it came.
    pub(super) stream: String,
    /// The line of a rate that all connections share.
    pub(super) pace: Pace,
}

/// Everything that connections need to know. Connections compare it with what they had; nobody waits for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) generation: u64,
    pub(super) toxics: Vec<Arc<Toxic>>,
    pub(super) outages: Vec<Outage>,
}

impl Settings {
    pub(super) fn has(&self, outage: Outage) -> bool {
        self.outages.contains(&outage)
    }

    pub(super) fn stalled(&self, direction: Direction) -> bool {
        self.outages.iter().any(|outage| outage.stalls(direction))
    }

    pub(super) fn toxic(&self, name: &str) -> Option<&Arc<Toxic>> {
        self.toxics.iter().find(|toxic| toxic.spec.name == name)
    }
}
