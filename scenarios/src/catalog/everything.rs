//! A seeded mix: five faults drawn from those that have a name, one after another, under a load with everything in it.

use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;
use rand::seq::IteratorRandom as _;

use super::stage::{FAULT_AT_MS, Stage};
use crate::named_faults;

const FAULTS: usize = 5;

pub(super) fn plan(seed: Seed) -> Scenario {
    let drawn = named_faults::names().sample(&mut seed.stream("everything"), FAULTS);
    let names: Vec<String> = drawn.into_iter().map(str::to_owned).collect();
    let stage = Stage::new("everything");
    let mix = Mix { quantity_max: 2, cancels: 0.1, ..stage.mix };
    // The names are those of the list itself.
    let faults = named_faults::in_turn(&names, FAULT_AT_MS).unwrap_or_default();
    Stage { faults, mix, ..stage }.scenario(seed)
}
