//! One api process is refused by MySQL again and again while half of all orders are sent twice, most of them at once to the other one as
//! well: what fails here may come into being there.

use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let refusals = [Target::Api(1), Target::Api(2), Target::Api(1), Target::Api(2)];
    let refusals = refusals.map(|api| window(Fault::Refuse { store: Store::Mysql }, api, 700));
    let stage = Stage::new("mysql_refuse_one");
    let mix = Mix { duplicates: 0.5, concurrent_duplicates: 0.8, ..stage.mix };
    // Sold out at about the end of it: a unit that is given back and kept as well is sold twice.
    Stage { mix, supply: 0.7, faults: in_turn(refusals, 700), ..stage }.scenario(seed)
}
