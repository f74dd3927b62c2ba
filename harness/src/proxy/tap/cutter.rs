//! Cuts one chunk into pieces: a piece for each named frame that ends in it, and pieces for what lies between.
//!
//! In: a chunk, and who reads it. Out: its pieces; if the reader no longer understands, the last one says so.

use bytes::Bytes;

use super::lost::Lost;
use crate::proxy::{FRAMING_LOST, Frame, Piece};

/// Cuts a chunk after what `read` finds in it. Returns whether the framing was lost, which `read` tells with the offset of the first byte that it did not
/// understand: from there on everything is bytes.
pub(super) fn cut(
    chunk: Bytes,
    out: &mut Vec<Piece>,
    read: impl FnOnce(&Bytes, &mut Cutter<'_>) -> Result<(), (usize, Lost)>,
) -> bool {
    let mut cutter = Cutter::new(chunk.clone(), out);
    let outcome = read(&chunk, &mut cutter);
    if let Err((at, Lost(why))) = outcome {
        tracing::warn!(why, "a connection is passed on as bytes: its frames are not understood");
        cutter.frame(at, chunk.len(), Frame { step: FRAMING_LOST, ..Frame::default() });
    }
    cutter.finish();
    outcome.is_err()
}

/// One chunk that is being cut. What is not cut out is one piece.
pub(super) struct Cutter<'a> {
    rest: Bytes,
    /// Bytes of the chunk that are in `out` already.
    cut: usize,
    out: &'a mut Vec<Piece>,
}

impl<'a> Cutter<'a> {
    const fn new(chunk: Bytes, out: &'a mut Vec<Piece>) -> Self {
        Self { rest: chunk, cut: 0, out }
    }

    /// A frame ends before offset `end` of the chunk. It began at `start`, or in an earlier chunk, which is `start` 0.
    pub(super) fn frame(&mut self, start: usize, end: usize, frame: Frame) {
        self.pass_until(start);
        let bytes = self.rest.split_to(end - self.cut);
        self.cut = end;
        self.out.push(Piece { bytes, frame: Some(frame) });
    }

    /// Everything else has no name.
    fn finish(self) {
        if !self.rest.is_empty() {
            self.out.push(Piece { bytes: self.rest, frame: None });
        }
    }

    fn pass_until(&mut self, offset: usize) {
        if offset > self.cut {
            let bytes = self.rest.split_to(offset - self.cut);
            self.cut = offset;
            self.out.push(Piece { bytes, frame: None });
        }
    }
}
