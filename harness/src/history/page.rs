//! Lines that were made and are not on disk yet.
//!
//! In: records. Out: their lines, numbered in order of arrival, for the writer to take all at once. Bounded: a full page takes no more.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use super::journal::{FRAME_FULL, add_line};
use crate::clock::Offset;
use crate::history::record::{Line, Record, Tail};

/// Bytes that make a page full: some 10,000 operations, and a quarter of the longest frame that a reader accepts.
const PAGE_FULL: usize = 16 * FRAME_FULL;

/// Longest stay of a line in memory while the writer is not busy.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// The page that is being filled.
#[derive(Debug, Default)]
pub(super) struct Page {
    lines: Vec<u8>,
    records: u64,
    ops: u64,
    flush_at: Option<Offset>,
    sync: bool,
    waiting: Vec<oneshot::Sender<()>>,
    stalls: u64,
    longest_stall: Duration,
    closed: bool,
}

/// What the writer took.
#[derive(Debug)]
pub(super) struct Taken {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// Whether the disk is to have them before anything else is written.
    pub(super) sync: bool,
    /// Who waits until the disk has them.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    /// Whether nothing will follow.
    pub(super) last: bool,
}

impl Page {
    /// Adds a record that happened at `at`.
    ///
    /// # Errors
    /// It does not serialize; the page is as before.
    pub(super) fn add(&mut self, at: Offset, record: &Record) -> io::Result<()> {
        add_line(&mut self.lines, &Line { n: self.records, t: at, record })?;
        self.records += 1;
        self.ops += u64::from(matches!(record, Record::Invoke(_)));
        self.sync |= matches!(record, Record::Phase(_) | Record::Fault(_));
        Ok(())
    }

    /// Whether a sender has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= PAGE_FULL
    }

    /// Whether no line waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether the writer is to take the page now.
    pub(super) fn is_due(&self) -> bool {
        self.lines.len() >= FRAME_FULL || self.sync || !self.waiting.is_empty() || self.closed
    }

    /// When the writer is to take it at the latest; `None` while it is empty. Its first line came at `now` if none was there before.
    pub(super) fn flush_at(&mut self, now: Offset) -> Option<Offset> {
        let (empty, flush_at) = (self.is_empty(), &mut self.flush_at);
        (!empty).then(|| *flush_at.get_or_insert_with(|| now.plus(FLUSH_AFTER)))
    }

    /// Has `done` told when everything so far is on disk.
    pub(super) fn sync(&mut self, done: oneshot::Sender<()>) {
        self.waiting.push(done);
    }

    /// A sender had to wait for so long.
    pub(super) fn note_stall(&mut self, length: Duration) {
        self.stalls += 1;
        self.longest_stall = self.longest_stall.max(length);
    }

    /// Ends the history behind everything so far.
    ///
    /// # Errors
    /// As [`Page::add`].
    pub(super) fn finish(&mut self, at: Offset, why: String) -> io::Result<Tail> {
        self.tell_stalls(at)?;
        let tail = Tail { records: self.records, ops: self.ops, why };
        self.add(at, &Record::Tail(tail.clone()))?;
        self.closed = true;
        Ok(tail)
    }

    /// Takes no more lines; who waits for the disk is told that it will not come, unless the writer takes the page before it goes.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether it takes no more lines.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Forgets everything that waits.
    pub(super) fn abandon(&mut self) {
        self.closed = true;
        self.lines.clear();
        self.waiting.clear();
    }

    /// Everything so far; `spare` takes its place.
    ///
    /// # Errors
    /// As [`Page::add`].
    pub(super) fn take(&mut self, at: Offset, spare: Vec<u8>) -> io::Result<Taken> {
        self.tell_stalls(at)?;
        self.flush_at = None;
        Ok(Taken {
            lines: std::mem::replace(&mut self.lines, spare),
            sync: std::mem::take(&mut self.sync),
            waiting: std::mem::take(&mut self.waiting),
            last: self.closed,
        })
    }

    /// One note for all senders that had to wait since the last one.
    fn tell_stalls(&mut self, at: Offset) -> io::Result<()> {
        let (senders, longest) = (std::mem::take(&mut self.stalls), std::mem::take(&mut self.longest_stall));
        if senders == 0 || self.closed {
            return Ok(());
        }
        let detail = json!({ "senders": senders, "longest_ns": u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX) });
        self.add(at, &Record::Note { what: "recorder_stall".to_owned(), detail })
    }
}
