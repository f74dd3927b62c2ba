//! One time origin a run. Every time that a run records is an [`Offset`] from it.
//!
//! In: nothing. Out: offsets, and the wall time of the origin for people. This is the only place that reads the system's
//! clocks; `clippy.toml` bans the calls elsewhere.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Nanoseconds since the origin of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The origin itself.
    pub const ZERO: Self = Self(0);

    /// The offset of a whole number of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Whole nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds with their fraction, for people.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people; a run lasts far less than 2^53 ns")]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This offset moved on by `by`; saturates at the end of the range (584 years).
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.as_millis_f64() / 1e3)
    }
}

/// The clock of one run: monotonic, shared by load, faults and proxies.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    origin: Instant,
    wall_start_ms: u64,
}

impl RunClock {
    /// Starts the clock; its origin is this instant.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where a run reads the system's clocks")]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), wall_start_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Time since the origin.
    #[must_use]
    pub fn now(&self) -> Offset {
        Offset(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The monotonic instant of an offset, for timers.
    #[must_use]
    pub fn instant(&self, at: Offset) -> Instant {
        self.origin + Duration::from_nanos(at.0)
    }

    /// Wall time of the origin in milliseconds since 1970, for people and for file names.
    #[must_use]
    pub const fn wall_start_ms(&self) -> u64 {
        self.wall_start_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_prints_seconds_and_never_goes_below_zero() {
        assert_eq!(Offset::from_millis(1500).to_string(), "1.500 s");
        assert_eq!(Offset(3).since(Offset(5)), Duration::ZERO);
    }
}
