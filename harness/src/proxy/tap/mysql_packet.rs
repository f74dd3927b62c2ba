//! Packets of the MySQL protocol, put together again where one was too long for its length field.
//!
//! In: bytes in any cut. Out: where each packet ends, its length, and its first bytes as far as they are wanted.

/// A packet of this length is continued by the next one.
const CONTINUED: usize = 0xFF_FF_FF;

/// Reads packets of one direction.
#[derive(Debug)]
pub(super) struct PacketReader {
    header: [u8; 4],
    header_len: usize,
    /// Bytes still to come of the present part.
    left: usize,
    is_continued: bool,
    sequence: u8,
    len: u64,
    keep: usize,
    kept: Vec<u8>,
    ended: bool,
}

/// A packet that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    /// Its number within the exchange; a command has 0.
    pub(super) sequence: u8,
    /// Bytes of content.
    pub(super) len: u64,
    /// The first of them.
    pub(super) kept: &'a [u8],
}

impl PacketReader {
    pub(super) const fn new() -> Self {
        Self {
            header: [0; 4],
            header_len: 0,
            left: 0,
            is_continued: false,
            sequence: 0,
            len: 0,
            keep: 0,
            kept: Vec::new(),
            ended: false,
        }
    }

    /// Keeps at most so many bytes of each packet, from the next byte on.
    pub(super) const fn keep(&mut self, bytes: usize) {
        self.keep = bytes;
    }

    /// Reads on. Returns how many bytes it took and whether a packet ended with them; less than all only then.
    pub(super) fn read(&mut self, input: &[u8]) -> (usize, bool) {
        if self.ended {
            (self.len, self.ended) = (0, false);
            self.kept.clear();
        }
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            taken += if self.header_len < 4 { self.read_header(rest) } else { self.read_content(rest) };
            if self.header_len == 4 && self.left == 0 {
                self.header_len = 0;
                self.ended = !self.is_continued;
                if self.ended {
                    return (taken, true);
                }
            }
        }
        (taken, false)
    }

    /// The packet that ended.
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet { sequence: self.sequence, len: self.len, kept: &self.kept }
    }

    fn read_header(&mut self, input: &[u8]) -> usize {
        let taken = input.len().min(4 - self.header_len);
        self.header[self.header_len..self.header_len + taken].copy_from_slice(&input[..taken]);
        self.header_len += taken;
        if self.header_len == 4 {
            let [low, middle, high, sequence] = self.header;
            self.left = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
            if !self.is_continued {
                self.sequence = sequence;
            }
            self.is_continued = self.left == CONTINUED;
            self.len += self.left as u64;
        }
        taken
    }

    fn read_content(&mut self, input: &[u8]) -> usize {
        let taken = input.len().min(self.left);
        let room = self.keep.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&input[..taken.min(room)]);
        self.left -= taken;
        taken
    }
}

/// Reads the fields of a packet from its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `bytes` bytes, the lowest first.
    pub(super) fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A number whose first byte says how long it is; `None` also for NULL.
    pub(super) fn counted_number(&mut self) -> Option<u64> {
        match self.number(1)? {
            0xFB | 0xFF => None,
            0xFC => self.number(2),
            0xFD => self.number(3),
            0xFE => self.number(8),
            small => Some(small),
        }
    }

    /// A text behind its length; `Some(None)` for NULL.
    pub(super) fn counted_text(&mut self) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&0xFB) {
            self.take(1)?;
            return Some(None);
        }
        let length = usize::try_from(self.counted_number()?).ok()?;
        self.take(length).map(Some)
    }

    /// A text that a zero ends.
    pub(super) fn zero_ended(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}
