//! Draws what closed-loop users do: their rounds, with the pauses between the steps.
//!
//! In: a scenario. Out: the rounds of each user. Pure; one named stream, of which each user has its own generator, so that one more user
//! moves nobody else. The pauses of a user add up to the length of the load, so that it never runs out of rounds, but for the bound.

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scenario::Scenario;
use crate::scenario::plan::{Journey, PlannedLine};

/// Most rounds of a user, for one that never pauses.
const ROUNDS_MAX: usize = 1_000;
/// Share of the rounds that pay for their order; the others cancel it.
const PAY: f64 = 0.75;

/// The rounds of every user.
pub(super) fn draw(scenario: &Scenario) -> Vec<Vec<Journey>> {
    let mut users = scenario.seed.stream("journeys");
    let weights = WeightedIndex::new(scenario.items.iter().map(|sale| sale.weight)).ok();
    (0..scenario.mix.journeys).map(|_| rounds(scenario, weights.as_ref(), ChaCha8Rng::seed_from_u64(users.random()))).collect()
}

fn rounds(scenario: &Scenario, weights: Option<&WeightedIndex<u64>>, mut own: ChaCha8Rng) -> Vec<Journey> {
    let (mut rounds, mut thought_ms) = (Vec::new(), 0);
    while thought_ms < scenario.load_ms() && rounds.len() < ROUNDS_MAX {
        let round = round(scenario, weights, &mut own);
        thought_ms += round.think_ms.into_iter().map(u64::from).sum::<u64>();
        rounds.push(round);
    }
    rounds
}

fn round(scenario: &Scenario, weights: Option<&WeightedIndex<u64>>, own: &mut ChaCha8Rng) -> Journey {
    let item = weights.map_or(0, |weights| weights.sample(own));
    let (shortest, longest) = scenario.mix.think_ms;
    Journey {
        line: PlannedLine {
            item: u32::try_from(item).unwrap_or(0),
            quantity: own.random_range(1..=scenario.mix.quantity_max.max(1)),
        },
        pays: own.random::<f64>() < PAY,
        instance: own.random_range(0..scenario.processes.api.max(1)),
        think_ms: [(); 4].map(|()| u32::try_from(own.random_range(shortest..=longest)).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use crate::load::arrivals::draw;
    use crate::load::arrivals::tests::{near, scenario};

    #[test]
    fn each_user_has_rounds_for_the_whole_load_and_one_more_user_moves_nobody_else() {
        let mut sale = scenario();
        sale.mix.journeys = 40;
        let plan = draw(&sale, "t");
        assert_eq!(plan.journeys.len(), 40);
        let thought = |rounds: &[crate::scenario::plan::Journey]| -> u64 {
            rounds.iter().flat_map(|round| round.think_ms).map(u64::from).sum()
        };
        assert!(plan.journeys.iter().all(|rounds| thought(rounds) >= sale.load_ms()));
        let rounds: Vec<_> = plan.journeys.iter().flatten().collect();
        assert!(rounds.iter().all(|round| round.line.item < 3 && (1..=3).contains(&round.line.quantity) && round.instance < 3));
        assert!(near(rounds.iter().filter(|round| round.pays).count(), rounds.len(), 0.75));
        sale.mix.journeys = 41;
        let more = draw(&sale, "t");
        assert_eq!(more.journeys[..40], plan.journeys[..]);
        assert_eq!((more.arrivals, more.orders), (draw(&scenario(), "t").arrivals, draw(&scenario(), "t").orders));
    }

    #[test]
    fn a_user_that_never_pauses_is_bounded() {
        let mut sale = scenario();
        (sale.mix.journeys, sale.mix.think_ms) = (1, (0, 0));
        assert_eq!(draw(&sale, "t").journeys[0].len(), super::ROUNDS_MAX);
    }
}
