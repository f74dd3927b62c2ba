//! Draws the further lines of orders that ask for several items.
//!
//! In: the scenario, the stream of carts, the first item of an order. Out: its other lines, none for most orders. Every order takes the same draws
//! from the stream; a cart draws the rest from one of its own.

use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scenario::Scenario;
use crate::scenario::plan::PlannedLine;

/// The other lines of an order whose first item is `first`: other items, all equally likely, and perhaps the first again.
pub(super) fn further_lines(scenario: &Scenario, stream: &mut ChaCha8Rng, first: u32) -> Vec<PlannedLine> {
    let (carts, items) = (scenario.mix.carts, u32::try_from(scenario.items.len()).unwrap_or(u32::MAX));
    let (chance, own_seed) = (stream.random::<f64>(), stream.random::<u64>());
    let most = carts.items_max.min(items);
    if chance >= carts.share || most < 2 {
        return Vec::new();
    }
    let mut own = ChaCha8Rng::seed_from_u64(own_seed);
    let others = own.random_range(2..=most) - 1;
    let places = index::sample(&mut own, (items - 1) as usize, others as usize);
    let mut named: Vec<u32> = places.iter().filter_map(|place| u32::try_from(place).ok()).collect();
    // Places are among the items without the first.
    named.iter_mut().for_each(|item| *item += u32::from(*item >= first));
    if own.random::<f64>() < carts.named_twice {
        named.push(first);
    }
    let quantity_max = scenario.mix.quantity_max.max(1);
    named.into_iter().map(|item| PlannedLine { item, quantity: own.random_range(1..=quantity_max) }).collect()
}

#[cfg(test)]
mod tests {
    use crate::load::arrivals::draw;
    use crate::load::arrivals::tests::{near, scenario};
    use crate::scenario::Carts;
    use crate::scenario::plan::PlannedOrder;

    #[test]
    fn carts_name_several_items_within_their_bounds_and_some_name_the_first_twice() {
        let mut carts = scenario();
        carts.mix.carts = Carts { share: 0.4, items_max: 3, named_twice: 0.25 };
        let plan = draw(&carts, "t");
        let of_several: Vec<&PlannedOrder> = plan.orders.iter().filter(|order| !order.further.is_empty()).collect();
        assert!(near(of_several.len(), plan.orders.len(), 0.4));
        let different = |order: &PlannedOrder| order.lines().map(|line| line.item).collect::<std::collections::BTreeSet<_>>().len();
        assert!(of_several.iter().all(|order| (2..=3).contains(&different(order))));
        assert!(of_several.iter().all(|order| order.lines().all(|line| line.item < 3 && (1..=3).contains(&line.quantity))));
        let of_three = of_several.iter().filter(|order| different(order) == 3).count();
        assert!(near(of_three, of_several.len(), 0.5));
        let twice = |order: &&&PlannedOrder| order.further.iter().filter(|line| line.item == order.first.item).count() == 1;
        assert!(near(of_several.iter().filter(twice).count(), of_several.len(), 0.25));
        let (plain, lone) = (draw(&scenario(), "t"), PlannedOrder { further: Vec::new(), ..plan.orders[0].clone() });
        assert_eq!((plain.arrivals, plain.orders[0].clone()), (plan.arrivals, lone), "carts move no other draw");
    }
}
