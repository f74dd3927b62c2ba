//! Draws what the operator does to the stock while the load goes on: restocks, cuts, holds and releases.
//!
//! In: a plan without them. Out: the plan with its changes and their arrivals, not yet in order of time. Each kind has a named stream of its
//! own, so that more of one kind moves no other.

use std::time::Duration;

use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha8Rng;

use crate::clock::Offset;
use crate::scenario::Scenario;
use crate::scenario::plan::{Action, Arrival, Plan, PlannedLine};

/// Adds the changes of stock that the scenario asks for.
pub(super) fn draw(plan: &mut Plan) {
    let operator = plan.scenario.mix.operator;
    for (name, action, count) in [
        ("restocks", Action::Restock, operator.restocks),
        ("cuts", Action::Cut, operator.cuts),
        ("holds", Action::Hold, operator.holds),
    ] {
        let mut draws = Draws::new(&plan.scenario, name);
        for number in 0..count {
            let (change, due) = (draws.change(), draws.instant());
            let (instance, release) = (draws.instance(), draws.release(due));
            add(plan, change, Arrival { due, action, order: 0, instance });
            if action == Action::Hold && number % 2 == 1 {
                add(plan, change, release);
            }
        }
    }
}

fn add(plan: &mut Plan, change: PlannedLine, arrival: Arrival) {
    let order = u32::try_from(plan.changes.len()).unwrap_or(u32::MAX);
    plan.changes.push(change);
    plan.arrivals.push(Arrival { order, ..arrival });
}

/// The stream of one kind of change. Each change takes the same draws.
struct Draws {
    random: ChaCha8Rng,
    weights: Option<WeightedIndex<u64>>,
    units_max: u32,
    load: Duration,
    think_ms: (u64, u64),
    processes: u16,
}

impl Draws {
    fn new(scenario: &Scenario, name: &str) -> Self {
        Self {
            random: scenario.seed.stream(name),
            weights: WeightedIndex::new(scenario.items.iter().map(|sale| sale.weight)).ok(),
            units_max: scenario.mix.operator.units_max.max(1),
            load: Duration::from_millis(scenario.load_ms()),
            think_ms: scenario.mix.think_ms,
            processes: scenario.processes.api.max(1),
        }
    }

    fn change(&mut self) -> PlannedLine {
        let item = self.weights.as_ref().map_or(0, |weights| weights.sample(&mut self.random));
        PlannedLine { item: u32::try_from(item).unwrap_or(0), quantity: self.random.random_range(1..=self.units_max) }
    }

    fn instant(&mut self) -> Offset {
        Offset::ZERO.plus(self.load.mul_f64(self.random.random()))
    }

    fn instance(&mut self) -> u16 {
        self.random.random_range(0..self.processes)
    }

    /// The release of a hold that is due at `hold`.
    fn release(&mut self, hold: Offset) -> Arrival {
        let (shortest, longest) = self.think_ms;
        let pause = Duration::from_millis(longest.saturating_sub(shortest)).mul_f64(self.random.random());
        let due = hold.plus(Duration::from_millis(shortest) + pause);
        Arrival { due, action: Action::Release, order: 0, instance: self.instance() }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Offset;
    use crate::load::arrivals::draw;
    use crate::load::arrivals::tests::{of, scenario};
    use crate::scenario::Operator;
    use crate::scenario::plan::{Action, Arrival};

    #[test]
    fn changes_of_stock_lie_within_the_load_and_every_second_hold_is_released_after_it() {
        let mut changes = scenario();
        changes.mix.operator = Operator { restocks: 40, cuts: 30, holds: 20, units_max: 5 };
        let plan = draw(&changes, "t");
        let count = |action| of(&plan, action).len();
        assert_eq!([Action::Restock, Action::Cut, Action::Hold, Action::Release].map(count), [40, 30, 20, 10]);
        assert_eq!(plan.changes.len(), 100);
        assert!(plan.changes.iter().all(|change| (1..=5).contains(&change.quantity) && change.item < 3));
        for release in of(&plan, Action::Release) {
            let hold = of(&plan, Action::Hold).into_iter().find(|hold| hold.order + 1 == release.order).unwrap();
            assert!(release.due > hold.due);
            assert_eq!(plan.changes[release.order as usize], plan.changes[hold.order as usize]);
        }
        let end = Offset::from_millis(changes.load_ms());
        assert!(
            plan.arrivals.iter().filter(|it| it.action.is_of_operator()).all(|it| it.due < end || it.action == Action::Release)
        );
        let plain: Vec<Arrival> = plan.arrivals.iter().copied().filter(|arrival| !arrival.action.is_of_operator()).collect();
        assert_eq!((plain, plan.orders), {
            let plain = draw(&scenario(), "t");
            (plain.arrivals, plain.orders)
        });
    }
}
