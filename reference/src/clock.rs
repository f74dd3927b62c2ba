//! The one place where the service reads the system's clocks.

use std::time::{Duration, Instant};

/// This instant.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where the service reads the monotonic clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// A point in time after which waiting ends.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `after` from now.
    #[must_use]
    pub fn after(after: Duration) -> Self {
        Self(now() + after)
    }

    /// Time left until it; zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        now() >= self.0
    }
}
