//! How often something happened, with what that says about how often it will.

use std::fmt;

/// Hits among tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How often it happened.
    pub hits: u64,
    /// How often it could have.
    pub of: u64,
}

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.959_964;

impl Rate {
    /// The 95 % interval of the true rate (E. B. Wilson, 1927), which stays within 0 and 1 and says something at 0 and at all of few tries.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of runs")]
    pub fn interval(self) -> (f64, f64) {
        if self.of == 0 {
            return (0.0, 1.0);
        }
        let (n, p) = (self.of as f64, self.hits as f64 / self.of as f64);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let (centre, scale) = (p + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
        (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        write!(f, "{} of {} runs (95 % interval {low:.2} to {high:.2})", self.hits, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_published_one() {
        assert_eq!(Rate { hits: 20, of: 20 }.to_string(), "20 of 20 runs (95 % interval 0.84 to 1.00)");
        assert_eq!(Rate { hits: 10, of: 10 }.to_string(), "10 of 10 runs (95 % interval 0.72 to 1.00)");
        assert_eq!(Rate { hits: 0, of: 60 }.to_string(), "0 of 60 runs (95 % interval 0.00 to 0.06)");
        assert_eq!(Rate { hits: 0, of: 0 }.interval(), (0.0, 1.0));
    }
}
