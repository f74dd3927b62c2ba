//! Gauges of items: what the last sweep of the resolver and the last audits saw, encoded at each scrape.
//!
//! Totals cover every item. Series of single items are given for the first [`LISTED_MAX`] only, because a time series database pays for
//! each of them; `items_unlisted` says how many are left out.

use std::collections::BTreeMap;
use std::fmt::{Error, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::domain::{Epoch, Item};
use crate::ledger::Mode;

/// Items with series of their own at most.
const LISTED_MAX: usize = 1_000;

/// What a look at one item showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemReading {
    /// The item.
    pub item: Item,
    /// Its epoch in MySQL.
    pub epoch: Epoch,
    /// Who may admit.
    pub mode: Mode,
    /// Unresolved locks.
    pub locks: u64,
    /// By how much the oldest lock is older than the grace period; zero if none is.
    pub overdue: Duration,
    /// For how long its counter has not been able to admit; zero if it can, or need not.
    pub not_ready: Duration,
}

/// What one sweep over all items showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReading {
    listed: Vec<ItemReading>,
    unlisted: u64,
    modes: [u64; 4],
    locks: u64,
    overdue: Duration,
    not_ready: Duration,
}

const MODES: [Mode; 4] = [Mode::Redis, Mode::Strict, Mode::Db, Mode::Closed];

impl SweepReading {
    /// Adds an item.
    pub fn add(&mut self, reading: ItemReading) {
        for (mode, count) in MODES.iter().zip(&mut self.modes) {
            *count += u64::from(*mode == reading.mode);
        }
        self.locks += reading.locks;
        self.overdue = self.overdue.max(reading.overdue);
        self.not_ready = self.not_ready.max(reading.not_ready);
        if self.listed.len() < LISTED_MAX {
            self.listed.push(reading);
        } else {
            self.unlisted += 1;
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Audit {
    drift: Option<i64>,
    ledger_difference: i64,
}

#[derive(Debug, Default)]
struct State {
    sweep: Option<SweepReading>,
    audits: BTreeMap<Item, Audit>,
}

/// The readings, behind the registry.
#[derive(Debug, Default)]
pub(super) struct ItemGauges(Mutex<State>);

impl ItemGauges {
    pub(super) fn swept(&self, reading: SweepReading) {
        self.lock().sweep = Some(reading);
    }

    pub(super) fn audited(&self, item: Item, drift: Option<i64>, ledger_difference: Option<i64>) {
        let mut state = self.lock();
        let ledger_difference =
            ledger_difference.or_else(|| state.audits.get(&item).map(|last| last.ledger_difference)).unwrap_or(0);
        let sound = drift.unwrap_or(0) == 0 && ledger_difference == 0;
        // An item that is out of balance is always kept: alerts count them.
        if sound && state.audits.len() >= LISTED_MAX && !state.audits.contains_key(&item) {
            return;
        }
        state.audits.insert(item, Audit { drift, ledger_difference });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count as a gauge. Counts stay far below 2^53, where a float is exact.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; counts stay far below 2^53")]
pub(super) const fn gauge(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; units stay far below 2^53")]
const fn signed(units: i64) -> f64 {
    units as f64
}

type Labels = Vec<(&'static str, String)>;

impl Collector for ItemGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let state = self.lock();
        if let Some(sweep) = &state.sweep {
            encode_sweep(&mut encoder, sweep)?;
        }
        encode_audits(&mut encoder, &state.audits)
    }
}

fn encode_sweep(encoder: &mut DescriptorEncoder<'_>, sweep: &SweepReading) -> Result<(), Error> {
    let modes = MODES.iter().zip(sweep.modes).map(|(mode, count)| (vec![("mode", mode.name().to_owned())], gauge(count)));
    family(encoder, "items", "Items by mode", None, modes)?;
    single(encoder, "items_unlisted", "Items without series of their own", None, gauge(sweep.unlisted))?;
    single(encoder, "locks", "Unresolved locks in Redis", None, gauge(sweep.locks))?;
    let (overdue, not_ready) = (sweep.overdue.as_secs_f64(), sweep.not_ready.as_secs_f64());
    single(encoder, "lock_overdue", "Age of the oldest lock beyond the grace period", Some(&Unit::Seconds), overdue)?;
    let help = "How long the counter of some item has not been able to admit, the longest of them";
    single(encoder, "not_ready", help, Some(&Unit::Seconds), not_ready)?;
    let epochs = sweep.listed.iter().map(|reading| (vec![of(reading.item)], gauge(reading.epoch.0)));
    family(encoder, "item_epoch", "Epoch of an item in MySQL; each rebuild moves it on", None, epochs)?;
    let mode = |reading: &ItemReading| vec![of(reading.item), ("mode", reading.mode.name().to_owned())];
    let modes = sweep.listed.iter().map(|reading| (mode(reading), 1.0));
    family(encoder, "item_mode", "1 for the mode that an item is in", None, modes)?;
    let locks = sweep.listed.iter().map(|reading| (vec![of(reading.item)], gauge(reading.locks)));
    family(encoder, "item_locks", "Unresolved locks of an item in Redis", None, locks)
}

fn encode_audits(encoder: &mut DescriptorEncoder<'_>, audits: &BTreeMap<Item, Audit>) -> Result<(), Error> {
    let units = Unit::Other("units".to_owned());
    let drifts = audits.iter().filter_map(|(item, audit)| audit.drift.map(|drift| (vec![of(*item)], signed(drift))));
    let help = "Redis less ledger at the last audit of an item; above 0 Redis promises too much";
    family(encoder, "item_drift", help, Some(&units), drifts)?;
    let unsound = audits.values().filter(|audit| audit.ledger_difference != 0).count();
    let help = "Items whose balance is not the sum of their ledger rows";
    single(encoder, "ledger_differences", help, None, gauge(unsound as u64))?;
    let unsound = audits.iter().filter(|(_, audit)| audit.ledger_difference != 0);
    let differences = unsound.map(|(item, audit)| (vec![of(*item)], signed(audit.ledger_difference)));
    let help = "Balance less the sum of the ledger rows, of items where they differ";
    family(encoder, "item_ledger_difference", help, Some(&units), differences)
}

fn of(item: Item) -> (&'static str, String) {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _infallible = write!(text, "{item}");
    ("item", text)
}

/// A gauge without labels.
fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> Result<(), Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    series: impl Iterator<Item = (Labels, f64)>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in series {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    fn reading(sku: i64, mode: Mode, overdue_s: u64) -> ItemReading {
        let item = Item::new(1, 2, sku).unwrap();
        let overdue = Duration::from_secs(overdue_s);
        ItemReading { item, epoch: Epoch(4), mode, locks: 2, overdue, not_ready: Duration::ZERO }
    }

    #[test]
    fn a_sweep_gives_totals_and_series_of_its_items() {
        let metrics = Metrics::default();
        assert!(!metrics.render().contains("holdfast_items{"), "nothing is claimed before the first sweep");
        let mut sweep = SweepReading::default();
        sweep.add(reading(3, Mode::Redis, 1));
        sweep.add(reading(4, Mode::Closed, 9));
        metrics.swept(sweep);
        metrics.audited(Item::new(1, 2, 3).unwrap(), Some(-2), Some(0));
        metrics.audited(Item::new(1, 2, 4).unwrap(), None, Some(5));
        metrics.audited(Item::new(1, 2, 4).unwrap(), None, None);
        let text = metrics.render();
        for line in [
            r#"holdfast_items{mode="REDIS"} 1"#,
            r#"holdfast_items{mode="DB"} 0"#,
            "holdfast_locks 4",
            "holdfast_lock_overdue_seconds 9",
            r#"holdfast_item_epoch{item="1:2:3"} 4"#,
            r#"holdfast_item_mode{item="1:2:4",mode="CLOSED"} 1"#,
            r#"holdfast_item_drift_units{item="1:2:3"} -2"#,
            "holdfast_ledger_differences 1",
            r#"holdfast_item_ledger_difference_units{item="1:2:4"} 5"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains(r#"holdfast_item_drift_units{item="1:2:4"}"#), "no drift without a Redis part");
    }

    #[test]
    fn series_of_single_items_are_bounded_and_totals_are_not() {
        let metrics = Metrics::default();
        let mut sweep = SweepReading::default();
        for sku in (1..).take(LISTED_MAX + 5) {
            sweep.add(reading(sku, Mode::Redis, 0));
        }
        metrics.swept(sweep);
        let text = metrics.render();
        assert_eq!(text.matches("holdfast_item_epoch{").count(), LISTED_MAX);
        assert!(text.contains("holdfast_items_unlisted 5") && text.contains(r#"holdfast_items{mode="REDIS"} 1005"#), "{text}");
    }
}
