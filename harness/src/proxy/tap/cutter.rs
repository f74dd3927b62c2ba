//! Cuts one chunk into pieces: a piece for each named frame that ends in it, and pieces for what lies between.

use bytes::Bytes;

use crate::proxy::{Frame, Piece};

/// One chunk that is being cut. What is not cut out is one piece.
pub(super) struct Cutter<'a> {
    rest: Bytes,
    /// Bytes of the chunk that are in `out` already.
    cut: usize,
    out: &'a mut Vec<Piece>,
}

impl<'a> Cutter<'a> {
    pub(super) const fn new(chunk: Bytes, out: &'a mut Vec<Piece>) -> Self {
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
    pub(super) fn finish(self) {
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
