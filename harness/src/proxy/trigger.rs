//! Frames at which something is to happen: what to look for, what was hit, what is decided.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::DropGuard;

use super::Direction;
use crate::clock::Offset;

/// How long a held frame waits for a decision before it passes, unless the trigger says otherwise.
pub const HOLD_MAX: Duration = Duration::from_secs(2);

/// What to look for.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Name of a step or of a kill point.
    pub point: String,
    /// Proxies to look at; empty for all.
    pub proxies: Vec<String>,
    /// Only frames of this direction.
    pub direction: Option<Direction>,
    /// Only frames about this order.
    pub order: Option<String>,
    /// The first match that counts, from 1.
    pub nth: u64,
    /// How many matches count, from the `nth` on.
    pub times: u64,
    /// What happens at a hit.
    pub on_hit: OnHit,
    /// How long a frame is held without a decision.
    pub hold_max: Duration,
    /// When the trigger disarms itself, counted from arming.
    pub max: Duration,
}

impl Trigger {
    /// Asks at the first frame of this step or kill point in any proxy.
    pub fn at(point: impl Into<String>, max: Duration) -> Self {
        Self {
            point: point.into(),
            proxies: Vec::new(),
            direction: None,
            order: None,
            nth: 1,
            times: 1,
            on_hit: OnHit::Ask,
            hold_max: HOLD_MAX,
            max,
        }
    }
}

/// What happens at a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHit {
    /// The frame is held until the hit is decided, at most `hold_max`; then it passes.
    Ask,
    /// This, at once; the hit is reported and cannot be decided.
    Do(Decision),
}

/// What becomes of a held frame and its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The frame goes on.
    Pass,
    /// A request goes on, its reply is swallowed when it comes and the connection is closed; a reply is swallowed here.
    DropReply,
    /// The frame is thrown away and the connection is closed on both sides.
    CutBefore,
    /// The frame goes on, then the connection is closed on both sides.
    CutAfter,
    /// The frame is thrown away and both sides are reset.
    Reset,
    /// The frame is thrown away, the client is reset, and the server is not told: it keeps the connection until it ends it itself.
    Forget,
    /// The frame goes on after this time.
    Stall(Duration),
}

/// A frame that a trigger was waiting for.
#[derive(Debug)]
pub struct Hit {
    /// The point of the trigger.
    pub point: String,
    /// The step of the frame.
    pub step: &'static str,
    /// Name of the proxy.
    pub proxy: String,
    /// Number of the connection in its proxy.
    pub connection: u64,
    /// Which way the frame was going.
    pub direction: Direction,
    /// Orders that it is about.
    pub orders: Vec<String>,
    /// The item that it is about.
    pub item: Option<String>,
    /// The how manieth match of the trigger it is, from 1.
    pub nth: u64,
    /// When it was held.
    pub at: Offset,
    pub(super) decide: Option<oneshot::Sender<Decision>>,
}

impl Hit {
    /// Decides what becomes of the frame. False if it was no longer held: it had waited too long, its connection is gone, or the
    /// trigger decides by itself. A hit that is dropped undecided lets its frame pass.
    pub fn decide(mut self, decision: Decision) -> bool {
        self.decide.take().is_some_and(|sender| sender.send(decision).is_ok())
    }
}

/// An armed trigger; disarmed when dropped, which lets its held frames pass.
#[derive(Debug)]
#[must_use = "a trigger is disarmed when this is dropped"]
pub struct Armed {
    pub(super) hits: mpsc::Receiver<Hit>,
    pub(super) _disarm: DropGuard,
}

impl Armed {
    /// The next hit; `None` once the trigger has hit as often as it may, or was disarmed by its dead-man timer.
    ///
    /// Cancel safe: no hit is lost.
    pub async fn next(&mut self) -> Option<Hit> {
        self.hits.recv().await
    }
}
