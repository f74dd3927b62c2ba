//! One set of latencies: an HDR histogram with exact extremes and a count of what lay beyond its range.
//!
//! In: durations. Out: [`Latency`] and spectrum points. Sets are merged by adding histograms; percentiles are never averaged.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Latency, SpectrumPoint};

/// End of the range, µs: 60 s. Larger values are recorded here and counted as overflow.
pub const RANGE_MAX_US: u64 = 60_000_000;

/// Points of a spectrum, at most.
pub const SPECTRUM_POINTS_MAX: u32 = 200;

/// An empty histogram of the project's one shape: 1 µs to 60 s, 3 digits, of fixed size (some 17,000 slots).
#[must_use]
pub fn empty_counts() -> Histogram<u64> {
    Histogram::new_with_bounds(1, RANGE_MAX_US, 3).expect("1 to 60,000,000 with 3 digits is a legal range")
}

/// Whole microseconds of a duration, rounded to the nearest.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().saturating_add(500) / 1_000).unwrap_or(u64::MAX)
}

/// Milliseconds of whole microseconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people; no latency comes near 2^53 µs")]
pub fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// A set of latencies.
#[derive(Debug, Clone)]
pub struct LatencyHistogram {
    counts: Histogram<u64>,
    min_us: u64,
    max_us: u64,
    sum_us: u128,
    overflow: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { counts: empty_counts(), min_us: u64::MAX, max_us: 0, sum_us: 0, overflow: 0 }
    }
}

impl LatencyHistogram {
    /// Records one value; beyond the range it saturates and is counted as overflow.
    pub fn record(&mut self, time: Duration) {
        let value = micros(time);
        self.counts.saturating_record(value);
        self.min_us = self.min_us.min(value);
        self.max_us = self.max_us.max(value);
        self.sum_us += u128::from(value);
        self.overflow += u64::from(value > RANGE_MAX_US);
    }

    /// Adds all values of another set.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts).expect("all sets have one shape");
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        self.sum_us += other.sum_us;
        self.overflow += other.overflow;
    }

    /// Values recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// The value that a share `quantile` of all values does not exceed, ms; within 0.1 %, and never above the largest.
    fn at_ms(&self, quantile: f64) -> f64 {
        millis(self.counts.value_at_quantile(quantile).clamp(self.min_us, self.max_us))
    }

    /// The figures of the set; all zero if it is empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    pub fn latency(&self) -> Latency {
        if self.count() == 0 {
            return Latency::default();
        }
        Latency {
            count: self.count(),
            min_ms: millis(self.min_us),
            p50_ms: self.at_ms(0.5),
            p90_ms: self.at_ms(0.9),
            p99_ms: self.at_ms(0.99),
            p999_ms: self.at_ms(0.999),
            max_ms: millis(self.max_us),
            mean_ms: self.sum_us as f64 / self.count() as f64 / 1e3,
            overflow: self.overflow,
        }
    }

    /// The spectrum at even steps of the number of nines, −log10(1 − quantile), up to the last quantile that the count can tell
    /// apart, then the largest value at quantile 1. Empty for an empty set.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a position on an axis")]
    pub fn spectrum(&self) -> Vec<SpectrumPoint> {
        if self.count() == 0 {
            return Vec::new();
        }
        let last_nines = (self.count() as f64).log10();
        let steps = SPECTRUM_POINTS_MAX - 2;
        let quantile = |step: u32| 1.0 - 10_f64.powf(-last_nines * f64::from(step) / f64::from(steps));
        let mut points: Vec<SpectrumPoint> =
            (0..=steps).map(quantile).map(|quantile| SpectrumPoint { quantile, ms: self.at_ms(quantile) }).collect();
        points.dedup_by(|next, kept| next.quantile <= kept.quantile);
        points.push(SpectrumPoint { quantile: 1.0, ms: millis(self.max_us) });
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values_us: impl IntoIterator<Item = u64>) -> LatencyHistogram {
        let mut set = LatencyHistogram::default();
        values_us.into_iter().for_each(|value| set.record(Duration::from_micros(value)));
        set
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let latency = of(1..=1_000).latency();
        let figures = [latency.min_ms, latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms];
        assert_eq!(figures, [0.001, 0.5, 0.9, 0.99, 0.999, 1.0]);
        assert_eq!((latency.count, latency.mean_ms, latency.overflow), (1_000, 0.5005, 0));
    }

    #[test]
    fn values_beyond_the_range_saturate_and_are_counted() {
        let latency = of([5_000, RANGE_MAX_US, RANGE_MAX_US + 1, 90_000_000]).latency();
        assert_eq!(latency.overflow, 2);
        assert_eq!(latency.max_ms, 90_000.0);
        assert!((latency.p90_ms - 60_000.0).abs() < 60.0, "{}", latency.p90_ms);
    }

    #[test]
    fn merging_is_not_averaging() {
        let mut merged = of(std::iter::repeat_n(1_000, 99));
        merged.merge(&of([100_000]));
        let latency = merged.latency();
        assert_eq!((latency.count, latency.p99_ms, latency.max_ms), (100, 1.0, 100.0));
        assert!((latency.mean_ms - 1.99).abs() < 1e-9);
    }

    #[test]
    fn a_spectrum_rises_to_the_largest_value_and_stays_small() {
        let points = of(1..=100_000).spectrum();
        assert!(points.len() <= SPECTRUM_POINTS_MAX as usize);
        assert!(points.windows(2).all(|pair| pair[0].quantile < pair[1].quantile && pair[0].ms <= pair[1].ms));
        assert_eq!(points.last(), Some(&SpectrumPoint { quantile: 1.0, ms: 100.0 }));
        assert_eq!(of([7]).spectrum().len(), 2);
        assert_eq!(of([]).spectrum(), []);
        assert_eq!(of([]).latency(), Latency::default());
    }
}
