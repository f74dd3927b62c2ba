//! A token bucket: lets so many orders a second through to a store that could not carry them all.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::clock;

/// The bucket of one process. It fills steadily, holds what a tenth of a second brings (at least one), and starts full.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A bucket for `per_second` orders.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, level: Mutex::new((Self::depth(per_second), clock::now())) }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(clock::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = *level;
        let filled = (left + self.per_second * now.duration_since(since).as_secs_f64()).min(Self::depth(self.per_second));
        let takes = filled >= 1.0;
        *level = (if takes { filled - 1.0 } else { filled }, now);
        takes
    }

    fn depth(per_second: f64) -> f64 {
        (per_second / 10.0).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_lets_its_rate_through_and_no_more_however_often_it_is_asked() {
        let bucket = Bucket::new(100);
        let start = clock::now();
        let ask = |millis: u64| (0..50).filter(|_| bucket.take_at(start + Duration::from_millis(millis))).count();
        assert_eq!(ask(0), 10, "what a tenth of a second brings");
        assert_eq!(ask(0), 0);
        assert_eq!(ask(50), 5);
        assert_eq!(ask(10_000), 10, "a long rest saves up no more");
        let passed: usize = (10_001..=11_000).map(ask).sum();
        assert!((99..=101).contains(&passed), "{passed} in a second");
    }

    #[test]
    fn a_slow_one_still_lets_one_through() {
        let bucket = Bucket::new(1);
        let start = clock::now();
        let taken: Vec<bool> = [0, 500, 1_500].map(|millis| bucket.take_at(start + Duration::from_millis(millis))).into();
        assert_eq!(taken, [true, false, true]);
    }
}
