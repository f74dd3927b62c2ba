//! Replies as Redis writes them, in RESP2 and RESP3.
//!
//! In: bytes in any cut. Out: where each reply ends, and the word that it begins with: the code of a script's reply, or that of an error.
//! Nothing of a reply but that word is kept.

use super::lost::Lost;
use super::resp_command::number;

/// Deepest nesting; Redis itself stays below ten.
const DEPTH_MAX: usize = 32;
/// Longest line that announces a value. Errors and simple strings may be longer and are not kept beyond it.
const LINE_KEPT: usize = 128;
/// Bytes of the first word that are kept.
const WORD_KEPT: usize = 24;

/// What has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The answer to a request.
    Reply,
    /// A message that nobody asked for.
    Push,
}

/// Reads replies. The word is that of the last reply, until the next byte is read.
#[derive(Debug)]
pub(super) struct ReplyReader {
    line: Vec<u8>,
    /// Bytes of a line that were read, kept or not; 0 between lines.
    line_len: usize,
    /// Bytes of a bulk string still to come, with CR LF.
    bulk_left: u64,
    bulk_kept: usize,
    /// How many values are still to come at each level.
    open: Vec<u64>,
    word: Vec<u8>,
    word_done: bool,
    is_error: bool,
    is_push: bool,
    ended: bool,
}

impl ReplyReader {
    pub(super) const fn new() -> Self {
        Self {
            line: Vec::new(),
            line_len: 0,
            bulk_left: 0,
            bulk_kept: 0,
            open: Vec::new(),
            word: Vec::new(),
            word_done: false,
            is_error: false,
            is_push: false,
            ended: false,
        }
    }

    /// Reads on. Returns how many bytes it took and what ended with them; less than all only then.
    ///
    /// # Errors
    /// Bytes that Redis does not send.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Ended>), Lost> {
        if self.ended {
            self.forget();
        }
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            taken += if self.bulk_left > 0 { self.read_bulk(rest) } else { self.read_line(rest)? };
            if self.ended {
                return Ok((taken, Some(if self.is_push { Ended::Push } else { Ended::Reply })));
            }
        }
        Ok((taken, None))
    }

    /// The first word of the reply that ended, without its type; at most 24 bytes of it.
    pub(super) fn word(&self) -> &[u8] {
        &self.word
    }

    /// Whether the whole reply is an error.
    pub(super) const fn is_error(&self) -> bool {
        self.is_error
    }

    fn forget(&mut self) {
        self.word.clear();
        (self.word_done, self.is_error, self.is_push, self.ended) = (false, false, false, false);
    }

    fn read_line(&mut self, input: &[u8]) -> Result<usize, Lost> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let part = &input[..end.unwrap_or(input.len())];
        let room = LINE_KEPT - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.line_len += part.len();
        if end.is_none() {
            return Ok(part.len());
        }
        let line = std::mem::take(&mut self.line);
        let outcome = self.understand(line.strip_suffix(b"\r").unwrap_or(&line), self.line_len);
        self.line = line;
        self.line.clear();
        self.line_len = 0;
        outcome.map(|()| part.len() + 1)
    }

    fn understand(&mut self, line: &[u8], length: usize) -> Result<(), Lost> {
        let (kind, text) = line.split_first().ok_or(Lost("an empty line where a reply begins"))?;
        if length > LINE_KEPT && !matches!(kind, b'+' | b'-' | b'(' | b',') {
            return Err(Lost("an announcement that is too long"));
        }
        let at_top = self.open.is_empty();
        match kind {
            b'+' | b':' | b',' | b'#' | b'(' | b'_' => self.end_value(text),
            b'-' => {
                self.is_error = at_top;
                self.end_value(text);
            }
            b'$' | b'=' | b'!' => {
                self.is_error |= at_top && *kind == b'!';
                match number(text) {
                    Some(length) => self.bulk_left = length + 2,
                    None if text == b"-1" => self.end_value(b""),
                    None => return Err(Lost("a bulk string without a length")),
                }
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => self.open(*kind, text, at_top)?,
            _ => return Err(Lost("a reply of no known type")),
        }
        Ok(())
    }

    fn open(&mut self, kind: u8, text: &[u8], at_top: bool) -> Result<(), Lost> {
        if text == b"-1" {
            self.end_value(b"");
            return Ok(());
        }
        let values = number(text).filter(|values| *values <= u64::from(u32::MAX)).ok_or(Lost("an array without a length"))?;
        let values = match kind {
            b'%' => values * 2,
            // Attributes come before the value that they belong to, which is one more.
            b'|' => values * 2 + 1,
            _ => values,
        };
        self.is_push |= kind == b'>' && at_top;
        if self.open.len() == DEPTH_MAX {
            return Err(Lost("a reply nested too deeply"));
        }
        if values == 0 {
            self.end_value(b"");
        } else {
            self.open.push(values);
        }
        Ok(())
    }

    fn read_bulk(&mut self, input: &[u8]) -> usize {
        let taken = usize::try_from(self.bulk_left).map_or(input.len(), |left| left.min(input.len()));
        if !self.word_done {
            let content = usize::try_from(self.bulk_left.saturating_sub(2)).map_or(taken, |content| content.min(taken));
            let room = WORD_KEPT - self.bulk_kept;
            self.word.extend_from_slice(&input[..content.min(room)]);
            self.bulk_kept += content.min(room);
        }
        self.bulk_left -= taken as u64;
        if self.bulk_left == 0 {
            self.bulk_kept = 0;
            self.end_value(b"");
        }
        taken
    }

    /// A value that is no container has ended; with it, perhaps, those that hold it.
    fn end_value(&mut self, text: &[u8]) {
        if !self.word_done {
            let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
            self.word.extend_from_slice(&word[..word.len().min(WORD_KEPT)]);
            self.word_done = true;
        }
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
        self.ended = true;
    }
}
