//! Cost as work grows: saturation against clients, items, processes and older orders.
//!
//! In: a round. Out: accepted orders per second and p99 at each size. Every point is a closed loop, so its p99 is that of a saturated service.

use harness::report::bench::{Curve, CurvePoint};

use super::field::Sale;
use super::older::Older;
use super::round::Round;
use super::sales::Saturation;

/// Clients of a load whose clients are not what grows.
const CLIENTS: u32 = 256;

/// A curve and how it is measured.
#[derive(Debug)]
pub(super) struct Spec {
    /// Name on the command line.
    pub(super) id: &'static str,
    /// What grows.
    pub(super) what: &'static str,
    how: &'static str,
    sizes: &'static [u64],
    sizes_quick: &'static [u64],
    at: fn(&Round<'_>, u64) -> Result<Point, String>,
}

/// Accepted orders per second, and p99 in ms.
type Point = (f64, f64);

/// Every curve.
pub(super) static TABLE: [Spec; 4] = [
    Spec {
        id: "by_clients",
        what: "Clients, one connection each",
        how: "One hot item, one api process. Batches grow with the clients that wait, so throughput rises until the cores are full; from there on more clients only wait longer.",
        sizes: &[4, 16, 64, 256, 1_024],
        sizes_quick: &[16, 256],
        at: |round, clients| point(round, Saturation::of_one_item(u32::try_from(clients).unwrap_or(u32::MAX), round.orders().0)),
    },
    Spec {
        id: "by_skus",
        what: "Items, all asked for alike",
        how: "256 clients, one api process. A batch locks the fence of every item in it, and the deduct worker moves one balance for every item in its batch.",
        sizes: &[1, 10, 100, 1_000, 10_000],
        sizes_quick: &[1, 100],
        at: |round, items| point(round, Saturation { items, ..Saturation::of_one_item(CLIENTS, round.orders().0) }),
    },
    Spec {
        id: "by_processes",
        what: "Api processes",
        how: "256 clients over all of them, one hot item. Every process has a writer of its own; the cores stay the same, so more processes cannot do more than the cores.",
        sizes: &[1, 2, 4],
        sizes_quick: &[1, 2],
        at: |round, api| {
            point(
                round,
                Saturation { api: u16::try_from(api).unwrap_or(u16::MAX), ..Saturation::of_one_item(CLIENTS, round.orders().0) },
            )
        },
    },
    Spec {
        id: "by_orders",
        what: "Orders of earlier sales in the tables",
        how: "256 clients, one hot item, one api process. The older orders are paid, deducted and done; they are moved into other tables behind the load, so that the judge reads the rows of the sale.",
        sizes: &[0, 1_000_000, 5_000_000],
        sizes_quick: &[0, 100_000],
        at: beside_older,
    },
];

fn point(round: &Round<'_>, load: Saturation) -> Result<Point, String> {
    let sold = round.saturated("service", load, &[])?;
    Ok((sold.accepted_per_s, sold.p99_ms))
}

fn beside_older(round: &Round<'_>, orders: u64) -> Result<Point, String> {
    let load = Saturation::of_one_item(CLIENTS, round.orders().0);
    let older = Older::new(orders);
    let scenario = load.scenario(&format!("bench_older_{orders}"), round.field.next_seed());
    let sold = round.field.sell(Sale::of(scenario, &[]).beside(&older), round.number);
    older.end()?;
    let sold = sold?;
    Ok((sold.accepted_per_s, sold.p99_ms))
}

/// The curves before the first round.
pub(super) fn empty(specs: &[&Spec]) -> Vec<Curve> {
    let curve = |spec: &&Spec| Curve {
        id: spec.id.to_owned(),
        what: spec.what.to_owned(),
        how: spec.how.to_owned(),
        points: Vec::new(),
        missing: Vec::new(),
    };
    specs.iter().map(curve).collect()
}

/// Measures every size of every curve once.
pub(super) fn measure(specs: &[&Spec], round: &Round<'_>, curves: &mut [Curve]) {
    for (spec, curve) in specs.iter().zip(curves) {
        let sizes = if round.field.quick { spec.sizes_quick } else { spec.sizes };
        for (place, size) in sizes.iter().enumerate() {
            if curve.points.len() <= place {
                curve.points.push(CurvePoint { size: *size, accepted_per_s: Vec::new(), p99_ms: Vec::new() });
            }
            match (spec.at)(round, *size) {
                Ok((accepted_per_s, p99_ms)) => {
                    curve.points[place].accepted_per_s.push(accepted_per_s);
                    curve.points[place].p99_ms.push(p99_ms);
                }
                Err(why) => curve.missing.push(why),
            }
        }
    }
}
