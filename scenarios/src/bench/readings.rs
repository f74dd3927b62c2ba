//! Readings of a run while its load went on: what was sampled before and behind it says nothing about the load.
//!
//! In: the figures of a run. Out: seconds from the first order, and value.

use harness::measure::{Bucket, Measurements};

/// The shortest pause between a load and what comes behind it: the stores are read meanwhile. Loads have orders more often.
const PAUSE_MS: u64 = 500;

/// Readings between the first and the last order that was due in the load, for at most `seconds`.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub(super) fn during_load(measured: &Measurements, name: &str, of: &str, seconds: u64) -> Vec<(f64, f64)> {
    let begins = measured.buckets.first().map_or(0, |bucket| bucket.at_ms);
    let ends = load_ends(&measured.buckets).min(begins.saturating_add(seconds.saturating_mul(1_000)));
    let curve = measured.readings.iter().find(|curve| curve.name == name && curve.of == of);
    let points = curve.iter().flat_map(|curve| &curve.points).filter(|point| (begins..=ends).contains(&point.0));
    points.map(|(at_ms, value)| ((at_ms - begins) as f64 / 1e3, *value)).collect()
}

/// When the load ended: the drain comes behind a pause without any order.
fn load_ends(buckets: &[Bucket]) -> u64 {
    let mut busy = buckets.iter().filter(|bucket| bucket.offered + bucket.ok + bucket.fail > 0).map(|bucket| bucket.at_ms);
    let first = busy.next().unwrap_or(0);
    let follows = |last: u64, at: u64| if at - last < PAUSE_MS { Ok(at) } else { Err(last) };
    busy.try_fold(first, follows).unwrap_or_else(|last| last)
}

/// Mean of readings; 0 without any.
pub(super) fn mean(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|point| point.1).sum::<f64>() / f64::from(u32::try_from(points.len()).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use harness::measure::readings::ReadingCurve;

    use super::*;

    #[test]
    fn readings_count_from_the_first_order_to_the_pause_before_the_drain() {
        let bucket = |at_ms, offered| Bucket { at_ms, offered, ..Bucket::default() };
        let buckets = vec![bucket(1_000, 5), bucket(1_100, 0), bucket(1_200, 5), bucket(1_300, 0), bucket(1_700, 9)];
        let points = vec![(900, 1.0), (1_000, 2.0), (1_200, 4.0), (1_700, 8.0)];
        let curve = ReadingCurve { name: "cpu".into(), of: "api-1".into(), points, ..ReadingCurve::default() };
        let measured = Measurements { buckets, readings: vec![curve], ..Measurements::default() };
        let seen = during_load(&measured, "cpu", "api-1", u64::MAX);
        assert_eq!(seen, [(0.0, 2.0), (0.2, 4.0)]);
        assert_eq!((mean(&seen), mean(&[])), (3.0, 0.0));
        assert_eq!(during_load(&measured, "cpu", "mysql", u64::MAX), []);
    }
}
