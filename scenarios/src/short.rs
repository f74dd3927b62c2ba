//! A shorter run of a scenario, for questions about what is right and not about how fast it is.
//!
//! In: a scenario. Out: the same mix, rate, processes and faults with less load before, between and behind them. Recovery is not promised, because
//! nobody watches for it, and percentiles lean on too few answers to be judged. What the sale has for sale shrinks with what is asked for, so
//! that it sells out at the same share of its length.

use harness::scenario::{LoadStretch, Phase, Scenario};

/// Load before the first measured stretch.
const WARM_UP_MS: u64 = 500;
/// Load before the first fault.
const BEFORE_MS: u64 = 2_500;
/// Load behind the last heal.
const BEHIND_MS: u64 = 1_500;
/// Longest stretch of a load without faults.
const STRETCH_MS: u64 = 5_000;
/// Backlog that did not fall for this long is stuck: still far longer than any worker takes to come round.
const STALL_MS: u64 = 7_000;

/// The shorter scenario. Making it shorter again changes nothing.
#[must_use]
pub fn short(mut scenario: Scenario) -> Scenario {
    let asked = scenario.expected_orders();
    match scenario.faults.iter().map(|window| window.start_ms.0).min() {
        None => shorten_stretches(&mut scenario.stretches),
        Some(first) => pull_forward(&mut scenario, first.saturating_sub(BEFORE_MS)),
    }
    scale_supply(&mut scenario, asked);
    scenario.limits.quiesce_stall_ms = scenario.limits.quiesce_stall_ms.min(STALL_MS);
    scenario
}

fn shorten_stretches(stretches: &mut [LoadStretch]) {
    for stretch in stretches {
        let longest = if stretch.phase == Phase::Warmup { WARM_UP_MS } else { STRETCH_MS };
        stretch.duration_ms = stretch.duration_ms.min(longest);
    }
}

/// Every fault `by_ms` earlier, and a load that ends soon behind the last of them.
fn pull_forward(scenario: &mut Scenario, by_ms: u64) {
    for window in &mut scenario.faults {
        window.start_ms = (window.start_ms.0 - by_ms, window.start_ms.1 - by_ms);
        window.recovery_ms = None;
    }
    let healed = scenario.faults.iter().map(harness::scenario::FaultWindow::latest_end_ms).max().unwrap_or(0);
    let mut left = (healed + BEHIND_MS).min(scenario.load_ms());
    let last = scenario.stretches.len().saturating_sub(1);
    for (place, stretch) in scenario.stretches.iter_mut().enumerate() {
        let longest = if stretch.phase == Phase::Warmup { WARM_UP_MS } else { left };
        // The last one takes what is left: the faults must end within the load.
        stretch.duration_ms = if place == last { left } else { stretch.duration_ms.min(longest) };
        left = left.saturating_sub(stretch.duration_ms);
    }
    scenario.stretches.retain(|stretch| stretch.duration_ms > 0);
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of a plan, checked afterwards"
)]
fn scale_supply(scenario: &mut Scenario, asked: f64) {
    let share = scenario.expected_orders() / asked;
    for sale in &mut scenario.items {
        sale.opening = ((sale.opening as f64 * share).round() as u64).max(1);
    }
}

#[cfg(test)]
mod tests {
    use harness::seed::Seed;

    use super::*;
    use crate::catalog;

    #[test]
    fn every_scenario_can_be_shortened_once_and_keeps_its_faults() {
        for entry in catalog::all() {
            let whole = (entry.plan)(Seed(1));
            let short = short(whole.clone());
            assert_eq!(short.check(), Ok(()), "{}", entry.name);
            assert!(short.load_ms() < whole.load_ms(), "{}: {} ms", entry.name, short.load_ms());
            assert_eq!(short.faults.len(), whole.faults.len(), "{}", entry.name);
            assert_eq!(super::short(short.clone()), short, "{}", entry.name);
            let share = |scenario: &Scenario| scenario.supply() as f64 / scenario.expected_orders();
            let few = whole.items.len() as f64 / short.expected_orders();
            assert!((share(&short) - share(&whole)).abs() <= few, "{}: {} of {}", entry.name, share(&short), share(&whole));
        }
    }
}
