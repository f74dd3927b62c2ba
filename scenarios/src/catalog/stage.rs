//! The sale that the scenarios break: a hot item and some ordinary ones, at a rate that leaves the machine room for what is to be seen.
//!
//! In: what a scenario wants different. Out: a [`Scenario`] whose load has a fault-free baseline of ten seconds and goes on long enough
//! behind the last fault for its recovery to be seen.

use harness::scenario::faults::{Fault, FaultWindow, Target};
use harness::scenario::{Carts, ItemId, Limits, LoadStretch, Mix, Operator, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;

const WARM_UP_MS: u64 = 2_000;
/// Shortest baseline that limits may lean on.
const BASELINE_MS: u64 = 10_000;
/// The mark of the baseline is written a moment after the stretch began, and a fault that waits for a step of the protocol meets it at once:
/// without this the baseline between the two would be some milliseconds short.
const ROOM_MS: u64 = 200;
/// The first moment at which a fault may begin, ms from the start of the load.
pub(super) const FAULT_AT_MS: u64 = WARM_UP_MS + BASELINE_MS + ROOM_MS;
/// A fault begins at most this much later: drawn, so that different seeds break different moments.
const DRAWN_MS: u64 = 400;
/// Load behind the last heal beyond the recovery that is promised: ten windows of 100 ms and some more.
const SEEN_MS: u64 = 1_500;
/// Load of a scenario without faults.
const QUIET_MS: u64 = BASELINE_MS;
/// Recovery that is promised unless a scenario says otherwise: back in the band of the baseline within this time of the heal.
pub(super) const RECOVERY_MS: u64 = 5_000;

/// Pause between two audits of a scenario in which nothing may be mended behind the back of the judge.
pub(super) const UNAUDITED_MS: u64 = 3_600_000;

/// What a scenario may want different.
pub(super) struct Stage {
    /// Name in the catalog.
    pub(super) name: &'static str,
    /// New orders due per second.
    pub(super) rate_per_s: f64,
    /// Units for sale, as a share of those that will be asked for. Above 1 something is left at the end.
    pub(super) supply: f64,
    /// Share of the supply that is the hot item's.
    pub(super) hot: f64,
    /// Ordinary items.
    pub(super) ordinary: u32,
    /// Who asks for what.
    pub(super) mix: Mix,
    /// Service processes.
    pub(super) processes: Processes,
    /// Load behind the warm-up if nothing breaks, ms.
    pub(super) quiet_ms: u64,
    /// What breaks.
    pub(super) faults: Vec<FaultWindow>,
    /// What the judge may assume.
    pub(super) promises: Promises,
}

impl Stage {
    /// A sale that is not quite sold out when the load ends: whatever a fault does to it, orders can be accepted.
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            rate_per_s: 300.0,
            supply: 1.02,
            hot: 0.5,
            ordinary: 9,
            mix: Mix {
                users: 10_000,
                greedy: 0.0,
                duplicates: 0.05,
                concurrent_duplicates: 0.4,
                altered: 0.0,
                cancels: 0.05,
                payments: 0.2,
                refunds: 0.02,
                reads: 0.05,
                think_ms: (20, 2_000),
                quantity_max: 1,
                carts: Carts { share: 0.1, items_max: 3, named_twice: 0.1 },
                journeys: 0,
                operator: Operator { restocks: 2, cuts: 1, holds: 1, units_max: 20 },
            },
            processes: Processes { api: 2, worker: 2 },
            quiet_ms: QUIET_MS,
            faults: Vec::new(),
            promises: Promises::default(),
        }
    }

    /// A sale that one fault breaks.
    pub(super) fn broken_by(name: &'static str, window: FaultWindow) -> Self {
        Self { faults: vec![window], ..Self::new(name) }
    }

    /// The plan for a seed.
    pub(super) fn scenario(self, seed: Seed) -> Scenario {
        let stretches = self.stretches();
        Scenario {
            name: self.name.to_owned(),
            seed,
            items: self.items(&stretches),
            stretches,
            mix: self.mix,
            processes: self.processes,
            limits: Limits::default(),
            promises: self.promises,
            faults: self.faults,
        }
    }

    fn stretches(&self) -> Vec<LoadStretch> {
        let seen_until = |window: &FaultWindow| window.latest_end_ms() + window.recovery_ms.unwrap_or(RECOVERY_MS) + SEEN_MS;
        let end = self.faults.iter().map(seen_until).max().unwrap_or(WARM_UP_MS + self.quiet_ms);
        let stretch =
            |name: &str, phase, duration_ms| LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s: self.rate_per_s };
        vec![stretch("warm-up", Phase::Warmup, WARM_UP_MS), stretch("sale", Phase::Baseline, end - WARM_UP_MS)]
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers of a plan, checked afterwards"
    )]
    fn items(&self, stretches: &[LoadStretch]) -> Vec<SaleItem> {
        let length_s = stretches.iter().map(|stretch| stretch.duration_ms).sum::<u64>() as f64 / 1e3;
        let units = f64::midpoint(1.0, f64::from(self.mix.quantity_max));
        let supply = self.rate_per_s * length_s * units * self.supply;
        let item = |sku: u64, opening: f64| {
            let opening = (opening as u64).max(1);
            SaleItem { item: ItemId { store: 1, product: 1, sku }, opening, weight: opening }
        };
        let rest = (1.0 - self.hot) * supply / f64::from(self.ordinary.max(1));
        let ordinary = (0..u64::from(self.ordinary)).map(|index| item(index + 2, rest));
        std::iter::once(item(1, self.hot * supply)).chain(ordinary).collect()
    }
}

/// A fault that begins behind the baseline, lasts `duration_ms`, and whose recovery is promised.
pub(super) fn window(fault: Fault, target: Target, duration_ms: u64) -> FaultWindow {
    FaultWindow {
        fault,
        target,
        start_ms: (FAULT_AT_MS, FAULT_AT_MS + DRAWN_MS),
        duration_ms,
        // Twice its time is as much as a heal that is late may take.
        max_ms: duration_ms * 2 + 1_000,
        recovery_ms: Some(RECOVERY_MS),
    }
}

/// Windows one after another, each `pause_ms` behind the end of the one before. The next fault comes before the last one need be recovered
/// from, so recovery is promised behind the last of them only.
pub(super) fn in_turn(windows: impl IntoIterator<Item = FaultWindow>, pause_ms: u64) -> Vec<FaultWindow> {
    let mut turn: Vec<FaultWindow> = Vec::new();
    for window in windows {
        let start = turn.last().map_or(FAULT_AT_MS, |earlier| earlier.latest_end_ms() + pause_ms);
        let spread = window.start_ms.1 - window.start_ms.0;
        if let Some(earlier) = turn.last_mut() {
            earlier.recovery_ms = None;
        }
        turn.push(FaultWindow { start_ms: (start, start + spread), ..window });
    }
    turn
}

/// For windows of several processes side by side: recovery is promised behind the last of all.
pub(super) fn promise_at_the_end(faults: &mut [FaultWindow]) {
    let last = faults.iter().map(FaultWindow::latest_end_ms).max();
    for fault in faults {
        fault.recovery_ms = (Some(fault.latest_end_ms()) == last).then_some(RECOVERY_MS);
    }
}

/// The sale with its last item all but sold out from the start. Carts take their items in order, so those that ask for it are refused with
/// the others in hand, and what they held has to be given back: one RESOLVE each.
pub(super) fn without_last_item(mut scenario: Scenario) -> Scenario {
    if let Some(last) = scenario.items.last_mut() {
        last.opening = 1;
    }
    scenario
}
