//! Many items, most of the demand on one of them, all of them selling out: contention on one key beside thousands of cold ones. What costs
//! something for every key in Redis costs it here.

use harness::scenario::Scenario;
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage { ordinary: 3_000, hot: 0.6, supply: 0.8, rate_per_s: 500.0, ..Stage::new("hot_keys") }.scenario(seed)
}
