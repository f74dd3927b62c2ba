//! The main job: one hot item and many ordinary ones sell out under a rush of several times their stock.
//!
//! In: the numbers that a person chooses. Out: a [`Scenario`] with a warm-up, a spike and a tail.

use harness::scenario::faults::FaultWindow;
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;

use crate::named_faults;

/// The numbers of a flash sale.
#[derive(Debug, Clone, PartialEq)]
pub struct FlashSale {
    /// Units of the hot item.
    pub stock: u64,
    /// Ordinary items beside it.
    pub skus: u32,
    /// Units of each ordinary item.
    pub sku_stock: u64,
    /// Stores that the ordinary items are spread over, at least 1; the hot one is in the first.
    pub stores: u32,
    /// Units of one item that a user may hold; 0 is no limit.
    pub limit_per_user: u32,
    /// How long an order may stay unpaid.
    pub order_ttl_ms: u64,
    /// New orders due per second in the spike.
    pub rate_per_s: f64,
    /// Orders asked for, as a multiple of the supply; decides the length of the spike.
    pub demand: f64,
    /// Length of the spike, if it is not to follow from the demand.
    pub spike_ms: Option<u64>,
    /// Who asks for what.
    pub mix: Mix,
    /// Service processes.
    pub processes: Processes,
    /// p99 budget of a create.
    pub latency_p99_budget_ms: f64,
    /// What breaks meanwhile.
    pub faults: Vec<FaultWindow>,
}

/// Share of the spike's rate that is due in warm-up and tail.
const CALM: f64 = 0.25;
const WARM_UP_MS: u64 = 2_000;
const TAIL_MS: u64 = 3_000;
/// Shortest spike: below it a percentile over time says nothing.
const SPIKE_MS_MIN: u64 = 1_000;

/// When the first fault may begin, ms from the start of the load: behind a baseline of ten seconds.
pub const FAULTS_FROM_MS: u64 = WARM_UP_MS + 10_000;

/// Units that are asked for while these faults happen and are recovered from, at this rate.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; the scenario checks it"
)]
pub fn units_while(faults: &[FaultWindow], rate_per_s: f64) -> u64 {
    (named_faults::seen_until_ms(faults) as f64 / 1e3 * rate_per_s) as u64
}

impl Default for FlashSale {
    fn default() -> Self {
        Self {
            stock: 10_000,
            skus: 20,
            sku_stock: 50,
            stores: 1,
            limit_per_user: 0,
            order_ttl_ms: 1_800_000,
            rate_per_s: 1_200.0,
            demand: 3.0,
            spike_ms: None,
            mix: Mix {
                users: 100_000,
                duplicates: 0.05,
                concurrent_duplicates: 0.4,
                cancels: 0.03,
                reads: 0.02,
                think_ms: (20, 2_000),
                ..Mix::default()
            },
            processes: Processes { api: 2, worker: 2 },
            latency_p99_budget_ms: 10.0,
            faults: Vec::new(),
        }
    }
}

impl FlashSale {
    /// The plan for a seed. It may still break a rule of [`Scenario::check`].
    #[must_use]
    pub fn scenario(&self, seed: Seed) -> Scenario {
        let calm = self.rate_per_s * CALM;
        let stretch =
            |name: &str, phase, duration_ms, rate_per_s| LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s };
        Scenario {
            name: "flash_sale".to_owned(),
            seed,
            items: self.items(),
            stretches: vec![
                stretch("warm-up", Phase::Warmup, WARM_UP_MS, calm),
                stretch("spike", Phase::Baseline, self.spike_ms(), self.rate_per_s),
                stretch("tail", Phase::Baseline, TAIL_MS, calm),
            ],
            mix: self.mix.clone(),
            processes: self.processes,
            limits: Limits::default(),
            promises: Promises {
                latency_p99_budget_ms: self.latency_p99_budget_ms,
                order_ttl_ms: self.order_ttl_ms,
                limit_per_user: self.limit_per_user,
                ..Promises::default()
            },
            faults: self.faults.clone(),
        }
    }

    /// Demand follows supply, so that every item sells out at about the same time.
    fn items(&self) -> Vec<SaleItem> {
        let item = |store: u64, sku: u64, opening: u64| {
            let item = ItemId { store, product: 1, sku };
            SaleItem { item, opening, weight: opening }
        };
        let stores = u64::from(self.stores.max(1));
        let ordinary = (0..u64::from(self.skus)).map(|index| item(1 + index % stores, index + 2, self.sku_stock));
        let hot = (self.stock > 0).then(|| item(1, 1, self.stock));
        hot.into_iter().chain(ordinary).collect()
    }

    /// Length of the spike: what is left of the demand after warm-up and tail, at the spike's rate.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers of a plan, checked afterwards"
    )]
    fn spike_ms(&self) -> u64 {
        let items = self.items();
        let supply = items.iter().map(|sale| sale.opening).sum::<u64>() as f64;
        let calm_orders = self.rate_per_s * CALM * (WARM_UP_MS + TAIL_MS) as f64 / 1e3;
        // Mean units of an order: quantities are drawn evenly from 1 to the maximum.
        let units = f64::midpoint(1.0, f64::from(self.mix.quantity_max)) * self.mix.lines_per_order(items.len());
        let needed = ((supply * self.demand / units - calm_orders) / self.rate_per_s * 1e3).ceil();
        let faults = named_faults::seen_until_ms(&self.faults).saturating_sub(WARM_UP_MS);
        self.spike_ms.unwrap_or((needed.max(0.0) as u64).max(SPIKE_MS_MIN).max(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_asks_for_three_times_its_supply() {
        let scenario = FlashSale::default().scenario(Seed(1));
        assert_eq!(scenario.check(), Ok(()));
        assert_eq!(scenario.items.len(), 21);
        assert_eq!(scenario.supply(), 11_000);
        assert!((scenario.expected_orders() - 33_000.0).abs() < 10.0, "{}", scenario.expected_orders());
    }

    #[test]
    fn numbers_that_make_no_sale_are_refused_with_the_field() {
        let broken = [
            FlashSale { stock: 0, skus: 0, ..FlashSale::default() },
            FlashSale { rate_per_s: 0.0, ..FlashSale::default() },
            FlashSale { rate_per_s: f64::NAN, ..FlashSale::default() },
            FlashSale { sku_stock: 0, ..FlashSale::default() },
            FlashSale { spike_ms: Some(100_000_000), ..FlashSale::default() },
            FlashSale { processes: Processes { api: 0, worker: 1 }, ..FlashSale::default() },
        ];
        for sale in broken {
            let error = sale.scenario(Seed(1)).check().expect_err("out of range");
            assert!(!error.field.is_empty() && !error.why.is_empty(), "{sale:?}");
        }
    }
}
