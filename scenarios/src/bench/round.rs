//! One round of the benchmark: everything is measured once, and what several figures need is run once.
//!
//! In: the field. Out: judged sales by name. Figures of one round are close in time, so that what else the machine does touches them alike.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::field::{Field, Sale, Sold};
use super::sales::Saturation;

/// Orders of a load at saturation; the shorter number is for the slower service.
const ORDERS: (u64, u64) = (100_000, 40_000);
const ORDERS_QUICK: (u64, u64) = (8_000, 3_000);
/// Clients at which saturation is looked for.
const SATURATION_CLIENTS: u32 = 256;

type Cached = Result<Rc<Sold>, String>;

/// One round.
pub(super) struct Round<'a> {
    /// Where it runs.
    pub(super) field: &'a Field<'a>,
    /// From 1.
    pub(super) number: u32,
    sold: RefCell<BTreeMap<String, Cached>>,
}

impl<'a> Round<'a> {
    /// A round in which nothing was measured yet.
    pub(super) fn new(field: &'a Field<'a>, number: u32) -> Self {
        Self { field, number, sold: RefCell::default() }
    }

    /// The service as it is at saturation: one hot item.
    pub(super) fn service(&self, clients: u32) -> Cached {
        self.saturated("service", Saturation::of_one_item(clients, self.orders().0), &[])
    }

    /// The same service with one transaction for each order, on as many connections as it allows.
    pub(super) fn single(&self, clients: u32) -> Cached {
        self.saturated("single", Saturation::of_one_item(clients, self.orders().1), &["--batch-max=1", "--writer-connections=64"])
    }

    /// Accepted orders per second that the service can do at most, as this round found it.
    pub(super) fn saturation_per_s(&self) -> Result<f64, String> {
        Ok(self.service(SATURATION_CLIENTS)?.accepted_per_s)
    }

    /// A load at saturation, run once a round.
    pub(super) fn saturated(&self, kind: &str, load: Saturation, arguments: &[&str]) -> Cached {
        let Saturation { clients, items, api, .. } = load;
        let name = format!("bench_{kind}_{clients}_{items}_{api}");
        if let Some(cached) = self.sold.borrow().get(&name) {
            return cached.clone();
        }
        let scenario = load.scenario(&name, self.field.next_seed());
        let sold = self.field.sell(Sale::of(scenario, arguments), self.number).map(Rc::new);
        self.sold.borrow_mut().insert(name, sold.clone());
        sold
    }

    /// Orders of a load at saturation, of the service and of the slower one.
    pub(super) const fn orders(&self) -> (u64, u64) {
        if self.field.quick { ORDERS_QUICK } else { ORDERS }
    }

    /// `whole`, or the short one of a quick benchmark.
    pub(super) const fn length(&self, whole: u64, short: u64) -> u64 {
        if self.field.quick { short } else { whole }
    }
}
