//! Messages of HTTP/1.1 whose bodies say how long they are.
//!
//! In: bytes of one direction in any cut. Out: where each message ends, its first line, and the beginning of its body. Bodies in chunks, or up to the end of the
//! connection, are not followed: the service under test sends none.

use super::lost::Lost;

/// Longest head, in bytes; servers take less.
const HEAD_MAX: usize = 64 << 10;
/// Bytes of a body that are kept.
const BODY_KEPT: usize = 4 << 10;

/// Reads messages. Head and body are those of the last message, until the next byte is read.
#[derive(Debug)]
pub(super) struct MessageReader {
    head: Vec<u8>,
    in_body: bool,
    left: u64,
    body: Vec<u8>,
    ended: bool,
}

impl MessageReader {
    pub(super) const fn new() -> Self {
        Self { head: Vec::new(), in_body: false, left: 0, body: Vec::new(), ended: false }
    }

    /// Reads on. Returns how many bytes it took and whether a message ended with them; less than all only then. `without_body` says whether the message that is
    /// being read has none whatever its head says, as the reply to HEAD.
    ///
    /// # Errors
    /// No HTTP/1.1, or a body without a length.
    pub(super) fn read(&mut self, input: &[u8], without_body: bool) -> Result<(usize, bool), Lost> {
        if self.ended {
            self.head.clear();
            self.body.clear();
            (self.in_body, self.ended) = (false, false);
        }
        let mut taken = 0;
        while taken < input.len() && !self.ended {
            let rest = &input[taken..];
            taken += if self.in_body { self.read_body(rest) } else { self.read_head(rest, without_body)? };
            self.ended = self.in_body && self.left == 0;
        }
        Ok((taken, self.ended))
    }

    /// The first line of the message that ended, as its words.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        let line = self.head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        line.split(|byte| *byte == b' ')
    }

    /// The text in a field of the JSON body of the message that ended; `None` if there is none, or if it is not plain.
    pub(super) fn text_field(&self, name: &str) -> Option<&str> {
        let body = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = body.split_once(&format!("\"{name}\""))?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let (text, _) = value.split_once('"')?;
        (!text.contains('\\')).then_some(text)
    }

    fn read_head(&mut self, input: &[u8], without_body: bool) -> Result<usize, Lost> {
        let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |at| at + 1);
        self.head.extend_from_slice(&input[..end]);
        if self.head.len() > HEAD_MAX {
            return Err(Lost("a head longer than 64 KiB"));
        }
        // Empty lines before the first one are allowed and mean nothing.
        if self.head == b"\r\n" {
            self.head.clear();
        }
        if self.head.ends_with(b"\r\n\r\n") {
            self.left = if without_body { 0 } else { self.length_of_body()? };
            self.in_body = true;
        }
        Ok(end)
    }

    fn read_body(&mut self, input: &[u8]) -> usize {
        let taken = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let room = BODY_KEPT.saturating_sub(self.body.len());
        self.body.extend_from_slice(&input[..taken.min(room)]);
        self.left -= taken as u64;
        taken
    }

    fn length_of_body(&self) -> Result<u64, Lost> {
        let mut words = self.words();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_reply = first.starts_with(b"HTTP/1.");
        if !is_reply && words.next().is_none_or(|version| !version.starts_with(b"HTTP/1.")) {
            return Err(Lost("no HTTP/1.1"));
        }
        if self.header("transfer-encoding").is_some() {
            return Err(Lost("a body in chunks"));
        }
        match self.header("content-length") {
            Some(length) => length.parse().map_err(|_| Lost("a body whose length is no number")),
            None if !is_reply || matches!(second, [b'1', ..] | b"204" | b"304") => Ok(0),
            None => Err(Lost("a body up to the end of the connection")),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| std::str::from_utf8(line).ok());
        let fields = lines.filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}
