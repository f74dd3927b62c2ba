//! Every scenario by name.

use harness::scenario::Scenario;
use harness::seed::Seed;

use crate::flash_sale::FlashSale;

/// An entry of the catalog.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name, also of its report folder.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub shows: &'static str,
    /// Its plan for a seed.
    pub plan: fn(Seed) -> Scenario,
}

/// The catalog, in the order in which it is run.
pub const CATALOG: &[Entry] = &[Entry {
    name: "flash_sale",
    shows: "one hot item and many ordinary ones sell out under a rush of three times their stock",
    plan: |seed| FlashSale::default().scenario(seed),
}];

/// The entry called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_valid_scenario_with_its_own_name() {
        for entry in CATALOG {
            let scenario = (entry.plan)(Seed(1));
            assert_eq!(scenario.check(), Ok(()), "{}", entry.name);
            assert_eq!(scenario.name, entry.name);
            assert_eq!(find(entry.name).map(|found| found.shows), Some(entry.shows));
        }
    }
}
