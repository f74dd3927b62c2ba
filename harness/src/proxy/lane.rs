//! One direction of one connection: reads from one side, writes to the other.
//!
//! In: halves of two sockets, the settings in force. Out: how the direction ended. It never closes a socket itself.
//! One loop does it all: what is due moves from stage to stage, what has come through is written, and then the lane waits for
//! whatever comes first. What it holds is bounded: it stops reading at [`HELD_MAX`] bytes, and the sender feels it.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::chain::Chain;
use super::counters::End;
use super::intake::Intake;
use super::settings::Settings;
use crate::clock::Offset;

/// The least and the most that is read at once.
const READ_MIN: usize = 16 * 1024;
const READ_MAX: usize = 256 * 1024;

/// Bytes that a lane holds while something delays them, at most.
const HELD_MAX: usize = 4 * 1024 * 1024;

/// One direction of a connection.
pub(super) struct Lane<'a> {
    pub(super) source: ReadHalf<'a>,
    pub(super) sink: WriteHalf<'a>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) intake: Intake<'a>,
    pub(super) chain: Chain<'a>,
}

/// What the lane knows of its own reading.
struct Reading {
    buffer: BytesMut,
    size: usize,
    open: bool,
}

enum Woken {
    Settings(bool),
    Wrote(std::io::Result<usize>),
    Read(std::io::Result<usize>),
    Decided(super::Decision),
    Due,
}

impl Lane<'_> {
    /// Moves bytes until the stream has ended and its end was passed on, or the connection has to end.
    pub(super) async fn run(mut self) -> End {
        let mut reading = Reading { buffer: BytesMut::new(), size: READ_MIN, open: true };
        self.settings.mark_changed();
        let mut stalled = false;
        loop {
            let now = self.intake.proxy.shared.clock.now();
            if self.settings.has_changed().unwrap_or(false) {
                let settings = Arc::clone(&self.settings.borrow_and_update());
                let lost = self.chain.follow(&settings, now);
                self.intake.flow.discarded(lost);
                stalled = settings.stalled(self.intake.direction);
            }
            let due = match self.advance(now) {
                Ok(due) => due,
                Err(end) => return end,
            };
            if !stalled && let Some(end) = self.chain.finish() {
                return self.pass_on(end).await;
            }
            let woken = self.wait(&mut reading, stalled, due).await;
            if let Err(end) = self.handle(woken, &mut reading) {
                return end;
            }
        }
    }

    /// Moves everything that can move without waiting; returns when something is due next.
    fn advance(&mut self, now: Offset) -> Result<Option<Offset>, End> {
        while let Some(item) = self.intake.next(now)? {
            let lost = self.chain.push(item, now);
            self.intake.flow.discarded(lost);
        }
        let (lost, due) = self.chain.advance(now)?;
        self.intake.flow.discarded(lost);
        Ok(due.into_iter().chain(self.intake.held_until()).min())
    }

    async fn wait(&mut self, reading: &mut Reading, stalled: bool, due: Option<Offset>) -> Woken {
        let clear = self.chain.is_clear() && !stalled && self.intake.held_until().is_none();
        let room = if clear { READ_MAX } else { HELD_MAX };
        let may_read = reading.open && self.intake.waiting() < room;
        let clock = self.intake.proxy.shared.clock;
        let next = if stalled { None } else { self.chain.out().front() };
        tokio::select! {
            biased;
            changed = self.settings.changed() => Woken::Settings(changed.is_ok()),
            written = async { self.sink.write(next.map_or(&[][..], |bytes| bytes)).await }, if next.is_some() => Woken::Wrote(written),
            decision = self.intake.decided() => Woken::Decided(decision),
            read = async {
                reading.buffer.reserve(reading.size);
                self.source.read_buf(&mut reading.buffer).await
            }, if may_read => Woken::Read(read),
            () = async { sleep_until(Instant::from_std(clock.instant(due.unwrap_or_default()))).await }, if due.is_some() => Woken::Due,
        }
    }

    fn handle(&mut self, woken: Woken, reading: &mut Reading) -> Result<(), End> {
        match woken {
            Woken::Settings(true) => {
                self.settings.mark_changed();
            }
            Woken::Settings(false) => return Err(End::Closed),
            Woken::Due => {}
            Woken::Wrote(Ok(written)) => {
                self.intake.flow.forwarded(written);
                let out = self.chain.out();
                if let Some(front) = out.front_mut() {
                    front.advance(written);
                    if front.is_empty() {
                        out.pop_front();
                    }
                }
            }
            Woken::Wrote(Err(_)) => return Err(End::Broken),
            Woken::Decided(decision) => {
                let now = self.intake.proxy.shared.clock.now();
                if let Some(item) = self.intake.decide(decision, now)? {
                    let lost = self.chain.push(item, now);
                    self.intake.flow.discarded(lost);
                }
            }
            Woken::Read(Ok(0)) => {
                reading.open = false;
                self.intake.finish(End::Finished);
            }
            Woken::Read(Ok(read)) => {
                self.intake.flow.received(read);
                if read >= reading.size {
                    reading.size = (reading.size * 2).min(READ_MAX);
                }
                self.intake.feed(reading.buffer.split().freeze());
            }
            // What was read before goes on first.
            Woken::Read(Err(_)) => {
                reading.open = false;
                self.intake.finish(End::Broken);
            }
        }
        Ok(())
    }

    /// Passes the end of the stream on; the other direction goes on after a half-close.
    async fn pass_on(&mut self, end: End) -> End {
        match end {
            End::Finished if self.sink.shutdown().await.is_err() => End::Broken,
            other => other,
        }
    }
}
