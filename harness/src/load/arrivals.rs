//! Draws the whole plan of a run: every order and every arrival, before anything starts.
//!
//! In: a checked scenario. Out: a [`Plan`], the same for the same scenario and tag. Pure. Each kind of draw has its own named
//! stream and each order takes the same number of draws from it, so that changing one share of the mix moves nothing else. Changes of
//! the stock and closed-loop users have streams of their own, in [`stock_changes`](super::stock_changes) and
//! [`journey_draws`](super::journey_draws).

use std::time::Duration;

use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha8Rng;

use super::{carts, journey_draws, stock_changes};
use crate::clock::Offset;
use crate::scenario::plan::{Action, Arrival, Plan, PlannedLine, PlannedOrder};
use crate::scenario::{LoadStretch, Scenario};

/// Draws the plan of a scenario that passed [`Scenario::check`]. `run_tag` names the order ids of the run.
///
/// New orders arrive as a Poisson process at the rate of each stretch. What their users do later may be due behind the end of
/// the last stretch, by the longest pause of the mix at most; it is kept.
#[must_use]
pub fn draw(scenario: &Scenario, run_tag: &str) -> Plan {
    let mut draws = Draws::new(scenario);
    let (orders, changes, arrivals) = (Vec::new(), Vec::new(), Vec::new());
    let journeys = journey_draws::draw(scenario);
    let mut plan = Plan { scenario: scenario.clone(), run_tag: run_tag.to_owned(), orders, changes, arrivals, journeys };
    let mut start = Offset::ZERO;
    for stretch in &scenario.stretches {
        let end = start.plus(Duration::from_millis(stretch.duration_ms));
        while let Some(due) = draws.gaps.next(stretch, start, end) {
            start = due;
            draws.order(&mut plan, due);
        }
        start = end;
    }
    stock_changes::draw(&mut plan);
    // Stable: what is due at the same instant stays in the order of its drawing, so a first attempt precedes its repetition.
    plan.arrivals.sort_by_key(|arrival| arrival.due);
    plan
}

/// Of so many users one is greedy.
const GREEDY_ONE_IN: u64 = 100;

/// The gaps between new orders.
struct Gaps(ChaCha8Rng);

impl Gaps {
    /// The next arrival after `from`; `None` if it falls behind the end of the stretch. The exponential distribution has no
    /// memory, so drawing anew from the end of a stretch is exact.
    fn next(&mut self, stretch: &LoadStretch, from: Offset, end: Offset) -> Option<Offset> {
        let uniform: f64 = self.0.random();
        let gap = Duration::try_from_secs_f64(-(1.0 - uniform).ln() / stretch.rate_per_s).ok()?;
        Some(from.plus(gap)).filter(|due| *due < end)
    }
}

/// The streams and bounds of all draws.
struct Draws<'a> {
    scenario: &'a Scenario,
    gaps: Gaps,
    items: ChaCha8Rng,
    weights: Option<WeightedIndex<u64>>,
    quantities: ChaCha8Rng,
    users: ChaCha8Rng,
    instances: ChaCha8Rng,
    duplicates: ChaCha8Rng,
    altered: ChaCha8Rng,
    endings: ChaCha8Rng,
    carts: ChaCha8Rng,
    greedy: ChaCha8Rng,
    refunds: ChaCha8Rng,
    reads: ChaCha8Rng,
}

impl<'a> Draws<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let stream = |name: &str| scenario.seed.stream(name);
        Self {
            scenario,
            gaps: Gaps(stream("arrivals")),
            items: stream("items"),
            weights: WeightedIndex::new(scenario.items.iter().map(|sale| sale.weight)).ok(),
            quantities: stream("quantities"),
            users: stream("users"),
            instances: stream("instances"),
            duplicates: stream("duplicates"),
            altered: stream("altered"),
            endings: stream("endings"),
            carts: stream("carts"),
            greedy: stream("greedy"),
            refunds: stream("refunds"),
            reads: stream("reads"),
        }
    }

    /// One order due at `due`, and everything that its user does with it.
    fn order(&mut self, plan: &mut Plan, due: Offset) {
        let mix = &self.scenario.mix;
        let order = u32::try_from(plan.orders.len()).unwrap_or(u32::MAX);
        let item = self.weights.as_ref().map_or(0, |weights| weights.sample(&mut self.items));
        let item = u32::try_from(item).unwrap_or(0);
        let first = PlannedLine { item, quantity: self.quantities.random_range(1..=mix.quantity_max.max(1)) };
        let (user, further) = (self.user(), carts::further_lines(self.scenario, &mut self.carts, item));
        plan.orders.push(PlannedOrder { first, user, further });
        let instance = self.instances.random_range(0..self.scenario.processes.api.max(1));
        let first = Arrival { due, action: Action::Create, order, instance };
        plan.arrivals.push(first);
        plan.arrivals.extend(self.repetition(first));
        plan.arrivals.extend(self.ending(first).into_iter().flatten());
        plan.arrivals.extend(self.read(first));
    }

    /// Anybody, or one of the greedy: the first hundredth of all users.
    fn user(&mut self) -> u64 {
        let mix = &self.scenario.mix;
        let (anybody, users) = (self.users.random_range(1..=mix.users.max(1)), mix.users.max(1));
        let (chance, greedy) = (self.greedy.random::<f64>(), self.greedy.random_range(1..=(users / GREEDY_ONE_IN).max(1)));
        if chance < mix.greedy { greedy } else { anybody }
    }

    fn repetition(&mut self, first: Arrival) -> Option<Arrival> {
        let mix = &self.scenario.mix;
        let (chance, concurrent) = (self.duplicates.random::<f64>(), self.duplicates.random::<f64>());
        let action = if self.altered.random::<f64>() < mix.altered { Action::Alter } else { Action::Repeat };
        let later = later(self.scenario, &mut self.duplicates, first, action);
        let other = self.duplicates.random_range(0..u16::MAX);
        if chance >= mix.duplicates {
            None
        } else if concurrent < mix.concurrent_duplicates {
            let instance = another(first.instance, self.scenario.processes.api, other);
            Some(Arrival { action, instance, ..first })
        } else {
            Some(later)
        }
    }

    /// A user cancels or pays, never both; who paid may give the order back after another pause.
    fn ending(&mut self, first: Arrival) -> [Option<Arrival>; 2] {
        let mix = &self.scenario.mix;
        let chance: f64 = self.endings.random();
        let cancel = later(self.scenario, &mut self.endings, first, Action::Cancel);
        let pay = Arrival { action: Action::Pay, ..cancel };
        let refund = later(self.scenario, &mut self.refunds, pay, Action::Refund);
        if chance < mix.cancels {
            [Some(cancel), None]
        } else if chance < mix.cancels + mix.payments {
            [Some(pay), None]
        } else if chance < mix.cancels + mix.payments + mix.refunds {
            [Some(pay), Some(refund)]
        } else {
            [None, None]
        }
    }

    fn read(&mut self, first: Arrival) -> Option<Arrival> {
        let chance: f64 = self.reads.random();
        let later = later(self.scenario, &mut self.reads, first, Action::Read);
        (chance < self.scenario.mix.reads).then_some(later)
    }
}

/// What a user does after thinking, through any process.
fn later(scenario: &Scenario, stream: &mut ChaCha8Rng, first: Arrival, action: Action) -> Arrival {
    let (shortest, longest) = scenario.mix.think_ms;
    let pause = Duration::from_millis(longest.saturating_sub(shortest)).mul_f64(stream.random());
    let due = first.due.plus(Duration::from_millis(shortest) + pause);
    Arrival { due, action, order: first.order, instance: stream.random_range(0..scenario.processes.api.max(1)) }
}

/// A process other than `first`, if there is one.
fn another(first: u16, processes: u16, drawn: u16) -> u16 {
    if processes < 2 { first } else { (first + 1 + drawn % (processes - 1)) % processes }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::scenario::{ItemId, Limits, Mix, Phase, Processes, Promises, SaleItem};
    use crate::seed::Seed;

    /// A sale of three items, at three processes.
    pub(in crate::load) fn scenario() -> Scenario {
        let item = |sku, weight| SaleItem { item: ItemId { store: 1, product: 1, sku }, opening: 100, weight };
        let stretch = |phase, rate_per_s| LoadStretch { name: "s".into(), phase, duration_ms: 10_000, rate_per_s };
        Scenario {
            name: "test".into(),
            seed: Seed(1),
            items: vec![item(1, 8), item(2, 1), item(3, 1)],
            stretches: vec![stretch(Phase::Warmup, 500.0), stretch(Phase::Baseline, 1_500.0)],
            mix: Mix {
                users: 50,
                duplicates: 0.2,
                concurrent_duplicates: 0.5,
                cancels: 0.1,
                payments: 0.3,
                reads: 0.05,
                think_ms: (100, 300),
                quantity_max: 3,
                ..Mix::default()
            },
            processes: Processes { api: 3, worker: 1 },
            limits: Limits::default(),
            promises: Promises::default(),
            faults: Vec::new(),
        }
    }

    pub(in crate::load) fn of(plan: &Plan, action: Action) -> Vec<Arrival> {
        plan.arrivals.iter().copied().filter(|arrival| arrival.action == action).collect()
    }

    /// Whether `count` of `total` is within five standard deviations of the share that was asked for.
    pub(in crate::load) fn near(count: usize, total: usize, share: f64) -> bool {
        let (count, total) = (count as f64, total as f64);
        (count - total * share).abs() <= 5.0 * (total * share * (1.0 - share)).sqrt()
    }

    #[test]
    fn the_rate_of_each_stretch_is_met_and_nothing_is_created_outside() {
        let plan = draw(&scenario(), "t");
        let creates = of(&plan, Action::Create);
        let boundary = Offset::from_millis(10_000);
        let early = creates.iter().filter(|arrival| arrival.due < boundary).count() as f64;
        let late = creates.len() as f64 - early;
        assert!((early - 5_000.0).abs() < 5.0 * 5_000f64.sqrt(), "{early}");
        assert!((late - 15_000.0).abs() < 5.0 * 15_000f64.sqrt(), "{late}");
        assert!(creates.iter().all(|arrival| arrival.due < Offset::from_millis(20_000)));
    }

    #[test]
    fn the_gaps_are_exponential() {
        let creates = of(&draw(&scenario(), "t"), Action::Create);
        let gaps: Vec<f64> = creates.windows(2).map(|pair| pair[1].due.since(pair[0].due).as_secs_f64()).collect();
        let late = &gaps[6_000..];
        // Of an exponential distribution, 1/e lies above the mean.
        let above = late.iter().filter(|gap| **gap > 1.0 / 1_500.0).count();
        assert!(near(above, late.len(), (-1f64).exp()), "{above} of {}", late.len());
    }

    #[test]
    fn the_shares_of_the_mix_are_met() {
        let plan = draw(&scenario(), "t");
        let orders = plan.orders.len();
        for (action, share) in [(Action::Repeat, 0.2), (Action::Cancel, 0.1), (Action::Pay, 0.3), (Action::Read, 0.05)] {
            assert!(near(of(&plan, action).len(), orders, share), "{action:?}");
        }
        for (item, share) in [(0, 0.8), (1, 0.1), (2, 0.1)] {
            assert!(near(plan.orders.iter().filter(|order| order.first.item == item).count(), orders, share), "item {item}");
        }
        for quantity in 1..=3 {
            assert!(
                near(plan.orders.iter().filter(|order| order.first.quantity == quantity).count(), orders, 1.0 / 3.0),
                "{quantity}"
            );
        }
        assert!(plan.orders.iter().all(|order| (1..=50).contains(&order.user)));
        for instance in 0..3 {
            let there = of(&plan, Action::Create).iter().filter(|arrival| arrival.instance == instance).count();
            assert!(near(there, orders, 1.0 / 3.0), "instance {instance}");
        }
    }

    #[test]
    fn half_of_the_duplicates_are_concurrent_at_another_process_and_the_rest_come_after_thinking() {
        let plan = draw(&scenario(), "t");
        let first: HashMap<u32, Arrival> = of(&plan, Action::Create).into_iter().map(|arrival| (arrival.order, arrival)).collect();
        let repeats = of(&plan, Action::Repeat);
        let (concurrent, later): (Vec<Arrival>, Vec<Arrival>) =
            repeats.iter().partition(|again| again.due == first[&again.order].due);
        assert!(near(concurrent.len(), repeats.len(), 0.5));
        assert!(concurrent.iter().all(|again| again.instance != first[&again.order].instance));
        for again in later {
            let pause = again.due.since(first[&again.order].due);
            assert!((Duration::from_millis(100)..=Duration::from_millis(300)).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn some_duplicates_ask_for_something_else_and_the_others_stay_where_they_were() {
        let plain = draw(&scenario(), "t");
        let mut altered = scenario();
        altered.mix.altered = 0.3;
        let altered = draw(&altered, "t");
        let duplicates = of(&plain, Action::Repeat).len();
        assert!(near(of(&altered, Action::Alter).len(), duplicates, 0.3));
        assert_eq!(of(&altered, Action::Alter).len() + of(&altered, Action::Repeat).len(), duplicates);
        let dues = |plan: &Plan| plan.arrivals.iter().map(|arrival| (arrival.due, arrival.order)).collect::<Vec<_>>();
        assert_eq!(dues(&plain), dues(&altered));
    }

    #[test]
    fn no_order_is_both_cancelled_and_paid() {
        let mut all = scenario();
        (all.mix.cancels, all.mix.payments) = (0.5, 0.5);
        let plan = draw(&all, "t");
        let mut endings: Vec<u32> = [of(&plan, Action::Cancel), of(&plan, Action::Pay)].concat().iter().map(|a| a.order).collect();
        endings.sort_unstable();
        assert_eq!(endings, (0..u32::try_from(plan.orders.len()).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn arrivals_are_sorted_and_a_first_attempt_precedes_all_that_follows_from_it() {
        let plan = draw(&scenario(), "t");
        assert!(plan.arrivals.is_sorted_by_key(|arrival| arrival.due));
        let mut seen = vec![false; plan.orders.len()];
        for arrival in &plan.arrivals {
            let seen = &mut seen[arrival.order as usize];
            assert_eq!(*seen, arrival.action != Action::Create, "{arrival:?}");
            *seen = true;
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_plan_and_another_seed_another() {
        assert_eq!(draw(&scenario(), "t"), draw(&scenario(), "t"));
        let other = Scenario { seed: Seed(2), ..scenario() };
        assert_ne!(draw(&scenario(), "t").arrivals, draw(&other, "t").arrivals);
    }

    #[test]
    fn changing_one_share_moves_no_other_draw() {
        let plain = draw(&scenario(), "t");
        let mut more = scenario();
        (more.mix.duplicates, more.mix.reads) = (1.0, 0.0);
        let more = draw(&more, "t");
        assert_eq!(plain.orders, more.orders);
        for action in [Action::Create, Action::Cancel, Action::Pay] {
            assert_eq!(of(&plain, action), of(&more, action), "{action:?}");
        }
        assert!(of(&more, Action::Read).is_empty());
        assert_eq!(of(&more, Action::Repeat).len(), more.orders.len());
    }

    #[test]
    fn one_user_in_a_hundred_is_greedy() {
        let mut greedy = scenario();
        (greedy.mix.users, greedy.mix.greedy) = (5_000, 0.3);
        let plan = draw(&greedy, "t");
        let theirs = plan.orders.iter().filter(|order| order.user <= 50).count();
        assert!(near(theirs, plan.orders.len(), 0.3 + 0.7 * 0.01), "{theirs}");
    }

    #[test]
    fn a_refund_follows_a_payment_of_the_same_order() {
        let mut refunds = scenario();
        refunds.mix.refunds = 0.2;
        let plan = draw(&refunds, "t");
        let paid: HashMap<u32, Offset> = of(&plan, Action::Pay).into_iter().map(|arrival| (arrival.order, arrival.due)).collect();
        let back = of(&plan, Action::Refund);
        assert!(near(back.len(), plan.orders.len(), 0.2) && near(paid.len(), plan.orders.len(), 0.5));
        assert!(back.iter().all(|refund| refund.due >= paid[&refund.order].plus(Duration::from_millis(100))));
    }

    #[test]
    fn one_process_repeats_at_itself() {
        let mut one = scenario();
        one.processes.api = 1;
        assert!(draw(&one, "t").arrivals.iter().all(|arrival| arrival.instance == 0));
    }

    #[test]
    fn a_tiny_rate_or_an_empty_stretch_draws_nothing() {
        for (rate_per_s, duration_ms) in [(f64::MIN_POSITIVE, 10_000), (1e-9, 10_000), (1_000.0, 0)] {
            let mut quiet = scenario();
            quiet.stretches = vec![LoadStretch { name: "s".into(), phase: Phase::Baseline, duration_ms, rate_per_s }];
            let plan = draw(&quiet, "t");
            assert_eq!((plan.orders.len(), plan.arrivals.len()), (0, 0), "{rate_per_s}");
        }
    }
}
