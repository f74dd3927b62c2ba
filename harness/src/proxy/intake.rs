//! Where bytes enter a lane: they are dissected, and frames that a trigger waits for are held here, with all that follows them.
//!
//! In: bytes as read, decisions, the time. Out: items for the chain of toxics. A connection without a protocol has none of this.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::armed::{Place, Verdict};
use super::counters::{End, LiveFlow};
use super::dissect::FRAMING_LOST;
use super::running::Proxy;
use super::stage::Item;
use super::{Decision, Direction, Dissector, Frame, Piece, lock};
use crate::clock::Offset;

/// What both directions of a dissected connection share.
pub(super) struct Tap {
    pub(super) dissector: Mutex<Box<dyn Dissector>>,
    /// Exchange whose reply is to be swallowed, plus one; 0 if none.
    swallow: AtomicU64,
}

impl Tap {
    pub(super) fn new(dissector: Box<dyn Dissector>) -> Self {
        Self { dissector: Mutex::new(dissector), swallow: AtomicU64::new(0) }
    }
}

/// A frame that waits for its decision.
struct Held {
    bytes: Bytes,
    frame: Frame,
    decision: Option<oneshot::Receiver<Decision>>,
    until: Offset,
    since: Offset,
}

/// See the module.
pub(super) struct Intake<'a> {
    pub(super) tap: Option<&'a Tap>,
    pub(super) proxy: &'a Proxy,
    pub(super) connection: u64,
    pub(super) direction: Direction,
    pub(super) flow: &'a LiveFlow,
    queue: VecDeque<Piece>,
    pieces: Vec<Piece>,
    held: Option<Held>,
    /// Bytes of unfinished frames that the dissector keeps.
    kept: usize,
    end: Option<End>,
    cut: bool,
}

impl<'a> Intake<'a> {
    pub(super) const fn new(
        tap: Option<&'a Tap>,
        proxy: &'a Proxy,
        connection: u64,
        direction: Direction,
        flow: &'a LiveFlow,
    ) -> Self {
        Self {
            tap,
            proxy,
            connection,
            direction,
            flow,
            queue: VecDeque::new(),
            pieces: Vec::new(),
            held: None,
            kept: 0,
            end: None,
            cut: false,
        }
    }

    /// Takes bytes as they were read.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        match self.tap {
            None => self.queue.push_back(Piece { bytes, frame: None }),
            Some(tap) => {
                self.kept += bytes.len();
                lock(&tap.dissector).feed(self.direction, bytes, &mut self.pieces);
                self.take_pieces();
            }
        }
    }

    fn take_pieces(&mut self) {
        let came_out: usize = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        self.kept = self.kept.saturating_sub(came_out);
        self.queue.extend(self.pieces.drain(..));
    }

    /// Bytes of this direction that are ready and not written. What the dissector keeps does not count: only more bytes end that.
    pub(super) fn waiting(&self) -> usize {
        usize::try_from(self.flow.read().waiting()).unwrap_or(usize::MAX).saturating_sub(self.kept)
    }

    /// The stream has ended behind what was fed.
    pub(super) fn finish(&mut self, end: End) {
        if let Some(tap) = self.tap {
            lock(&tap.dissector).finish(self.direction, &mut self.pieces);
            self.take_pieces();
        }
        self.end.get_or_insert(end);
    }

    /// When the held frame passes by itself.
    pub(super) fn held_until(&self) -> Option<Offset> {
        self.held.as_ref().map(|held| held.until)
    }

    /// The decision on the held frame; pending for ever without one. Cancel safe.
    pub(super) async fn decided(&mut self) -> Decision {
        match self.held.as_mut().and_then(|held| held.decision.as_mut()) {
            // A hit that was dropped undecided passes.
            Some(decision) => decision.await.unwrap_or(Decision::Pass),
            None => std::future::pending().await,
        }
    }

    /// Carries a decision out.
    pub(super) fn decide(&mut self, decision: Decision, now: Offset) -> Result<Option<Item>, End> {
        let Some(held) = self.held.take() else { return Ok(None) };
        self.note(&held, decision, now);
        self.carry_out(decision, held.bytes, held.frame, now)
    }

    /// The next item for the chain, if there is one and no frame is held before it.
    ///
    /// # Errors
    /// [`End::Reset`] if a trigger wants it.
    pub(super) fn next(&mut self, now: Offset) -> Result<Option<Item>, End> {
        if self.held.as_ref().is_some_and(|held| held.until <= now) {
            return self.decide(Decision::Pass, now);
        }
        if self.held.is_some() {
            return Ok(None);
        }
        if self.cut {
            let left = self.queue.drain(..).map(|piece| piece.bytes.len()).sum();
            self.flow.discarded(left);
            return Ok(self.end.take().map(Item::Finish));
        }
        match self.queue.pop_front() {
            Some(Piece { bytes, frame: None }) => Ok(Some(Item::Data(bytes, now))),
            Some(Piece { bytes, frame: Some(frame) }) => self.look(bytes, frame, now),
            None => Ok(self.end.take().map(Item::Finish)),
        }
    }

    fn look(&mut self, bytes: Bytes, frame: Frame, now: Offset) -> Result<Option<Item>, End> {
        self.flow.frame();
        if frame.step == FRAMING_LOST {
            self.proxy.event(Some(self.connection), format!("{FRAMING_LOST} {}", self.direction));
        }
        if self.is_to_be_swallowed(&frame) {
            return Ok(self.drop_and_close(&bytes));
        }
        let place = Place { proxy: &self.proxy.name, connection: self.connection, direction: self.direction };
        match self.proxy.shared.triggers.look(&frame, &place, self.proxy.shared.clock) {
            None => Ok(Some(Item::Data(bytes, now))),
            Some(Verdict::Do(decision)) => self.carry_out(decision, bytes, frame, now),
            Some(Verdict::Hold(decision, until)) => {
                self.flow.held();
                self.held = Some(Held { bytes, frame, decision: Some(decision), until, since: now });
                Ok(None)
            }
        }
    }

    fn is_to_be_swallowed(&self, frame: &Frame) -> bool {
        let exchange = self.tap.map_or(0, |tap| tap.swallow.load(Relaxed));
        self.direction == Direction::Downstream && exchange > 0 && exchange == frame.exchange + 1
    }

    fn carry_out(&mut self, decision: Decision, bytes: Bytes, frame: Frame, now: Offset) -> Result<Option<Item>, End> {
        match decision {
            Decision::Pass => Ok(Some(Item::Data(bytes, now))),
            Decision::Reset => {
                self.flow.dropped(bytes.len());
                Err(End::Reset)
            }
            Decision::Forget => {
                self.flow.dropped(bytes.len());
                Err(End::Forgotten)
            }
            Decision::CutBefore => Ok(self.drop_and_close(&bytes)),
            Decision::CutAfter => {
                self.close();
                Ok(Some(Item::Data(bytes, now)))
            }
            Decision::DropReply if self.direction == Direction::Downstream => Ok(self.drop_and_close(&bytes)),
            Decision::DropReply => {
                if let Some(tap) = self.tap {
                    tap.swallow.store(frame.exchange + 1, Relaxed);
                }
                Ok(Some(Item::Data(bytes, now)))
            }
            Decision::Stall(time) => {
                self.held = Some(Held { bytes, frame, decision: None, until: now.plus(time.min(STALL_MAX)), since: now });
                Ok(None)
            }
        }
    }

    fn drop_and_close(&mut self, bytes: &Bytes) -> Option<Item> {
        self.flow.dropped(bytes.len());
        self.close();
        self.end.take().map(Item::Finish)
    }

    /// Nothing more goes on; the connection is closed once what went before was written.
    fn close(&mut self) {
        self.cut = true;
        self.end = Some(End::Closed);
    }

    fn note(&self, held: &Held, decision: Decision, now: Offset) {
        let what = format!("{} held for {:?}, then {decision:?}", held.frame.step, now.since(held.since));
        self.proxy.event(Some(self.connection), what);
    }
}

/// The longest that a decided stall may last.
const STALL_MAX: Duration = Duration::from_secs(60);
