//! Commands as a client writes them to Redis: arrays of bulk strings, or a line of words.
//!
//! In: bytes in any cut. Out: where each command ends, and its words as far as a tap can want them. A command that can not be of interest is passed over
//! without being copied.

use super::lost::Lost;

/// Words of a command that are kept at most, in bytes: a call with some 500 members has 50 KB.
const KEPT_MAX: usize = 1 << 20;
/// Longest line that announces something or is a command itself (Redis takes 64 KiB).
const LINE_MAX: usize = 64 << 10;
/// Most words of a command (Redis takes as many).
const WORDS_MAX: u64 = 1 << 20;
/// Longest bulk string (Redis takes 512 MB unless told otherwise).
const BULK_MAX: u64 = 512 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A line: `*N` or a command of plain words.
    Head,
    /// A line `$N`.
    Length,
    /// So many bytes of a word, and CR LF.
    Word(u64),
}

/// Reads commands. Its words are those of the last command, until the next byte is read.
#[derive(Debug)]
pub(super) struct CommandReader {
    expect: Expect,
    line: Vec<u8>,
    words_left: u64,
    /// Whether the words of this command are kept.
    wanted: bool,
    kept: Vec<u8>,
    ends: Vec<usize>,
    /// Bytes of the word being read that belong to it and not to its CR LF.
    content_left: u64,
    ended: bool,
}

impl CommandReader {
    pub(super) const fn new() -> Self {
        Self {
            expect: Expect::Head,
            line: Vec::new(),
            words_left: 0,
            wanted: true,
            kept: Vec::new(),
            ends: Vec::new(),
            content_left: 0,
            ended: false,
        }
    }

    /// Reads on. Returns how many bytes it took and whether a command ended with them; less than all only then.
    ///
    /// # Errors
    /// Bytes that no client of Redis sends.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<(usize, bool), Lost> {
        if self.ended {
            self.forget();
        }
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            taken += match self.expect {
                Expect::Head | Expect::Length => self.read_line(rest)?,
                Expect::Word(left) => self.read_word(rest, left),
            };
            if self.ended {
                return Ok((taken, true));
            }
        }
        Ok((taken, false))
    }

    /// The word at `index` of the command that ended, as far as it was kept.
    pub(super) fn word(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.kept.get(start..end)
    }

    /// How many words were kept.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn forget(&mut self) {
        self.expect = Expect::Head;
        self.kept.clear();
        self.ends.clear();
        self.wanted = true;
        self.ended = false;
    }

    fn read_line(&mut self, input: &[u8]) -> Result<usize, Lost> {
        let Some(at) = input.iter().position(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(input);
            return if self.line.len() > LINE_MAX { Err(Lost("a line longer than 64 KiB")) } else { Ok(input.len()) };
        };
        if self.line.is_empty() {
            self.understand(&input[..at])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&input[..at]);
            self.understand(&line)?;
            line.clear();
            self.line = line;
        }
        Ok(at + 1)
    }

    fn understand(&mut self, line: &[u8]) -> Result<(), Lost> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (self.expect, line.first()) {
            (Expect::Head, Some(b'*')) => {
                let words = number(&line[1..]).filter(|words| *words <= WORDS_MAX).ok_or(Lost("a command without a length"))?;
                self.words_left = words;
                self.expect = Expect::Length;
                self.ended = words == 0;
            }
            (Expect::Head, _) => {
                for word in line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                    self.kept.extend_from_slice(word);
                    self.ends.push(self.kept.len());
                }
                self.ended = true;
            }
            (_, Some(b'$')) => {
                let length = number(&line[1..]).filter(|length| *length <= BULK_MAX).ok_or(Lost("a word without a length"))?;
                self.content_left = length;
                self.expect = Expect::Word(length + 2);
            }
            _ => return Err(Lost("a command whose words are no bulk strings")),
        }
        Ok(())
    }

    fn read_word(&mut self, input: &[u8], left: u64) -> usize {
        let taken = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        if self.wanted {
            let content = usize::try_from(self.content_left).map_or(taken, |content| content.min(taken));
            let room = KEPT_MAX.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&input[..content.min(room)]);
            self.content_left -= content as u64;
        }
        let left = left - taken as u64;
        self.expect = Expect::Word(left);
        if left == 0 {
            self.end_word();
        }
        taken
    }

    fn end_word(&mut self) {
        if self.wanted {
            self.ends.push(self.kept.len());
            // Only the first word tells: what follows a GET or SET is never looked at.
            self.wanted = self.ends.len() > 1 || is_of_interest(&self.kept);
        }
        self.words_left -= 1;
        self.ended = self.words_left == 0;
        self.expect = Expect::Length;
    }
}

/// Whether more than the name of the command is needed to understand it.
fn is_of_interest(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"EVALSHA") || name.eq_ignore_ascii_case(b"EVAL") || name.eq_ignore_ascii_case(b"CLIENT")
}

/// A plain decimal number.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
