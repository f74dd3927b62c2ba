//! Which way bytes go through a proxy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The way of a stream, named as Toxiproxy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client to the server: requests.
    Upstream,
    /// From the server to the client: replies.
    Downstream,
}

impl Direction {
    /// Both of them, upstream first.
    pub const BOTH: [Self; 2] = [Self::Upstream, Self::Downstream];

    /// `upstream` or `downstream`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }

    /// Its place in a pair of things, one a direction.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Upstream => 0,
            Self::Downstream => 1,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
