//! How to reach Redis, and for how long its records live.

use std::fmt;
use std::time::Duration;

/// Settings of [`super::Stock`].
#[derive(Clone, PartialEq, Eq)]
pub struct StockSettings {
    /// `redis://[user[:password]@]host[:port][/database]`.
    pub url: String,
    /// TCP connections; at least 1.
    pub lanes: usize,
    /// Longest wait for the reply to one command, and for a free place on a connection.
    pub command_timeout: Duration,
    /// Longest wait for a TCP connection that has told which process it leads to.
    pub connect_timeout: Duration,
    /// Life of a deduct record, from the reservation; whole seconds, at least 1.
    pub record_ttl: Duration,
    /// Life of the marker of an applied increase; whole seconds, at least 1. Must outlive the event of the increase.
    pub marker_ttl: Duration,
}

impl StockSettings {
    /// The defaults: 4 connections, 500 ms, 500 ms, 7 days, 7 days.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
        const PATIENCE: Duration = Duration::from_millis(500);
        Self { url: url.into(), lanes: 4, command_timeout: PATIENCE, connect_timeout: PATIENCE, record_ttl: WEEK, marker_ttl: WEEK }
    }
}

/// Leaves the URL out: it may hold a password.
impl fmt::Debug for StockSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StockSettings")
            .field("lanes", &self.lanes)
            .field("command_timeout", &self.command_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("record_ttl", &self.record_ttl)
            .field("marker_ttl", &self.marker_ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_url_is_not_printed() {
        let settings = StockSettings::new("redis://user:secret@127.0.0.1/");
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
