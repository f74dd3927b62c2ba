//! How long the machine stood still while a run went on.
//!
//! In: a history with `stall_ms` samples, each saying how late a thread woke that had asked for 4 ms. Out: [`Stalls`]. Every wake that was
//! later than [`OVER_MS`] is on record, so their sum is whole.

use serde::{Deserialize, Serialize};

use crate::history::operation::History;

/// Name of the samples.
pub const STALL_SAMPLE: &str = "stall_ms";

/// A wake that is later than this, ms, is a stall; a quiet machine wakes a sleeper within one.
pub const OVER_MS: f64 = 4.0;

/// Stalls of the machine during a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    /// From the first sample to the last, ms; 0 if nothing was sampled.
    pub watched_ms: f64,
    /// Wakes that were later than 4 ms.
    pub count: u64,
    /// By how much all of them were late together, ms.
    pub total_ms: f64,
    /// The latest wake of all, ms.
    pub longest_ms: f64,
}

/// The stalls of a run.
#[must_use]
pub fn stalls(history: &History) -> Stalls {
    let samples = || history.samples.iter().filter(|sample| sample.what.name == STALL_SAMPLE && sample.what.value.is_finite());
    let times = || samples().map(|sample| sample.at);
    let Some((first, last)) = times().min().zip(times().max()) else { return Stalls::default() };
    let late = || samples().map(|sample| sample.what.value);
    let stalled = || late().filter(|late| *late > OVER_MS);
    Stalls {
        watched_ms: last.since(first).as_secs_f64() * 1e3,
        count: stalled().count() as u64,
        total_ms: stalled().sum(),
        longest_ms: late().fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Offset;
    use crate::history::operation::Timed;
    use crate::history::record::Sample;

    #[test]
    fn stalls_are_counted_and_summed_and_other_readings_are_none() {
        let sample = |ms, name: &str, value| Timed {
            at: Offset::from_millis(ms),
            what: Sample { name: name.to_owned(), of: String::new(), value },
        };
        let samples = vec![
            sample(100, STALL_SAMPLE, 0.3),
            sample(150, STALL_SAMPLE, 7.5),
            sample(180, "locks", 900.0),
            sample(200, STALL_SAMPLE, 4.0),
            sample(300, STALL_SAMPLE, 12.5),
        ];
        let history = History { samples, ..History::default() };
        assert_eq!(stalls(&history), Stalls { watched_ms: 200.0, count: 2, total_ms: 20.0, longest_ms: 12.5 });
        assert_eq!(stalls(&History::default()), Stalls::default());
    }
}
