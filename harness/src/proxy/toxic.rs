//! Toxics as data: what they are called, what they do, how many connections they touch.

use std::time::Duration;

use super::Direction;

/// A toxic of one proxy and direction.
#[derive(Debug, Clone, PartialEq)]
pub struct ToxicSpec {
    /// Unique in its proxy, over both directions.
    pub name: String,
    /// The direction whose bytes it touches.
    pub direction: Direction,
    /// The share of connections that it touches, from 0 to 1. Whether it touches one follows from the seed, the number of the
    /// connection and the name of the toxic, and never changes.
    pub toxicity: f32,
    /// What it does.
    pub kind: ToxicKind,
}

impl ToxicSpec {
    /// A toxic for every connection, named `<type>_<stream>`.
    #[must_use]
    pub fn new(direction: Direction, kind: ToxicKind) -> Self {
        Self { name: format!("{}_{direction}", kind.type_name()), direction, toxicity: 1.0, kind }
    }
}

/// How a delay is spread around its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Anything from `latency − jitter` to `latency + jitter`, all alike.
    Uniform,
    /// `latency` and a tail that falls off exponentially, `jitter` in the mean.
    Exponential,
}

/// What a toxic does. All figures are whole and not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToxicKind {
    /// Delays bytes, in order.
    Latency {
        /// Milliseconds.
        latency_ms: u64,
        /// Milliseconds.
        jitter_ms: u64,
        /// How the jitter is spread.
        spread: Spread,
    },
    /// Limits the rate.
    Bandwidth {
        /// Kilobytes (1,000 bytes) a second; 0 holds all bytes until the toxic goes.
        rate_kb_s: u64,
        /// Whether all connections of the proxy share the rate.
        shared: bool,
    },
    /// Delays the end of the stream.
    SlowClose {
        /// Milliseconds.
        delay_ms: u64,
    },
    /// Throws bytes away, and closes the connection once none came for a while. Closes it when removed.
    Timeout {
        /// Milliseconds without bytes; 0 never closes.
        timeout_ms: u64,
    },
    /// Resets the connection after its first bytes.
    ResetPeer {
        /// Milliseconds from the first bytes to the reset.
        timeout_ms: u64,
    },
    /// Cuts what is sent into small pieces.
    Slicer {
        /// Bytes of a piece.
        average_size: u64,
        /// Bytes by which a piece may be larger or smaller.
        size_variation: u64,
        /// Microseconds between pieces.
        delay_us: u64,
    },
    /// Closes the connection when it has carried a number of bytes.
    LimitData {
        /// Bytes.
        bytes: u64,
    },
    /// Does nothing.
    Noop,
}

impl ToxicKind {
    /// A delay without jitter.
    #[must_use]
    pub fn latency(delay: Duration) -> Self {
        let latency_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self::Latency { latency_ms, jitter_ms: 0, spread: Spread::Uniform }
    }

    /// Its type, as Toxiproxy calls it.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::SlowClose { .. } => "slow_close",
            Self::Timeout { .. } => "timeout",
            Self::ResetPeer { .. } => "reset_peer",
            Self::Slicer { .. } => "slicer",
            Self::LimitData { .. } => "limit_data",
            Self::Noop => "noop",
        }
    }
}

/// An outage of a whole proxy. Several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outage {
    /// Neither listens nor keeps a connection: `enabled: false`.
    Disabled,
    /// Does not listen: new connections are refused at once, those that stand go on.
    Refuse,
    /// Accepts and then neither dials nor answers; when it ends, the connections that still stand go on as if just accepted.
    BlackholeAccept,
    /// No byte leaves the proxy in either direction, none is lost, no connection is closed.
    Stall,
    /// As [`Self::Stall`], for requests only.
    StallUpstream,
    /// As [`Self::Stall`], for replies only.
    StallDownstream,
}

impl Outage {
    /// Whether bytes of this direction are held back.
    pub(super) fn stalls(self, direction: Direction) -> bool {
        match self {
            Self::Stall => true,
            Self::StallUpstream => direction == Direction::Upstream,
            Self::StallDownstream => direction == Direction::Downstream,
            Self::Disabled | Self::Refuse | Self::BlackholeAccept => false,
        }
    }

    /// Whether new connections are refused by the system.
    pub(super) const fn closes_listener(self) -> bool {
        matches!(self, Self::Disabled | Self::Refuse)
    }
}
