//! The instant at which an injection stops to prepare and begins to do harm.
//!
//! In: a word from the mechanism just before its first harm. Out: what the nemesis stamps as injected, and whether an injection that
//! failed may have left something behind.

use std::sync::OnceLock;

use crate::clock::{Offset, RunClock};

/// When the harm of one injection began; nothing while it only prepares.
pub(super) struct Begun {
    clock: RunClock,
    at: OnceLock<Offset>,
}

impl Begun {
    pub(super) const fn not_yet(clock: RunClock) -> Self {
        Self { clock, at: OnceLock::new() }
    }

    /// The harm begins now, unless it has begun before.
    pub(super) fn now(&self) {
        self.at.get_or_init(|| self.clock.now());
    }

    /// When it began.
    pub(super) fn at(&self) -> Option<Offset> {
        self.at.get().copied()
    }
}
