//! The bytes of one HTTP/1.1 reply.
//!
//! In: what a connection has received so far. Out: a whole [`Reply`], or that more is needed, or that this is no reply. Knows the three ways
//! in which a body can end: by its length, by chunks, by the end of the stream. What a reply means is not decided here.

use std::borrow::Cow;

/// Longest head, and longest body, that is read: 64 KiB each.
pub(super) const PART_MAX: usize = 64 * 1024;

/// A whole reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    /// HTTP status.
    pub(super) status: u16,
    /// Body, without its framing.
    pub(super) body: Cow<'a, [u8]>,
    /// Whether the connection may carry another request.
    pub(super) keeps_open: bool,
}

/// What the bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A reply, and nothing behind it.
    Whole(Reply<'a>),
    /// The beginning of one; its status, if that has arrived.
    Part(Option<u16>),
    /// More than is read of a reply; its status, if that has arrived.
    TooLong(Option<u16>),
    /// No reply.
    Malformed,
}

/// Reads what has arrived; `ended`: nothing will follow.
pub(super) fn parse(bytes: &[u8], ended: bool) -> Parsed<'_> {
    let mut rest = bytes;
    loop {
        let Some(length) = find(rest, b"\r\n\r\n") else {
            return if rest.len() > PART_MAX { Parsed::TooLong(None) } else { Parsed::Part(None) };
        };
        let Some(head) = Head::parse(&rest[..length]) else { return Parsed::Malformed };
        rest = &rest[length + 4..];
        // 1xx but 101 is a reply before the reply.
        if !(100..200).contains(&head.status) || head.status == 101 {
            return head.with_body(rest, ended);
        }
    }
}

/// What the head says about the rest.
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    keeps_open: bool,
}

impl Head {
    /// The head in `text`, which is all before the empty line.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.split("\r\n");
        let (version, rest) = lines.next()?.split_once(' ')?;
        let minor = version.strip_prefix("HTTP/1.")?;
        let status = rest.get(..3)?.parse().ok().filter(|status| (100..1_000).contains(status))?;
        let mut head = Self { status, length: None, chunked: false, keeps_open: minor != "0" };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            head.take(name, value.trim())?;
        }
        Some(head)
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().ok()?;
            self.length.replace(length).is_none_or(|before| before == length).then_some(())?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.chunked = value.rsplit(',').next()?.trim().eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            let says = |word: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
            self.keeps_open = (self.keeps_open || says("keep-alive")) && !says("close");
        }
        Some(())
    }

    fn with_body<'a>(&self, rest: &'a [u8], ended: bool) -> Parsed<'a> {
        let (status, keeps_open) = (self.status, self.keeps_open);
        let whole = |body: Cow<'a, [u8]>, keeps_open| Parsed::Whole(Reply { status, body, keeps_open });
        match (self.chunked, self.length) {
            _ if matches!(status, 101 | 204 | 304) => whole(Cow::Borrowed(b""), keeps_open && rest.is_empty() && status != 101),
            (true, _) => match dechunk(rest) {
                Chunks::Whole(body, used) => whole(Cow::Owned(body), keeps_open && used == rest.len()),
                Chunks::Part if rest.len() > 2 * PART_MAX => Parsed::TooLong(Some(status)),
                Chunks::Part => Parsed::Part(Some(status)),
                Chunks::TooLong => Parsed::TooLong(Some(status)),
                Chunks::Malformed => Parsed::Malformed,
            },
            (false, Some(length)) if length > PART_MAX => Parsed::TooLong(Some(status)),
            (false, Some(length)) => match rest.get(..length) {
                Some(body) => whole(Cow::Borrowed(body), keeps_open && rest.len() == length),
                None => Parsed::Part(Some(status)),
            },
            (false, None) if rest.len() > PART_MAX => Parsed::TooLong(Some(status)),
            (false, None) if ended => whole(Cow::Borrowed(rest), false),
            (false, None) => Parsed::Part(Some(status)),
        }
    }
}

/// What a chunked body is.
enum Chunks {
    /// The content, and how many bytes it took.
    Whole(Vec<u8>, usize),
    Part,
    TooLong,
    Malformed,
}

fn dechunk(bytes: &[u8]) -> Chunks {
    let (mut content, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return Chunks::Part };
        let digits = bytes[at..at + line].split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
        let Some(size) = size else { return Chunks::Malformed };
        at += line + 2;
        if size == 0 {
            return trailer(&bytes[at..]).map_or(Chunks::Part, |used| Chunks::Whole(content, at + used));
        }
        if size > PART_MAX - content.len() {
            return Chunks::TooLong;
        }
        match (bytes.get(at..at + size), bytes.get(at + size..at + size + 2)) {
            (Some(chunk), Some(b"\r\n")) => content.extend_from_slice(chunk),
            (_, Some(_)) => return Chunks::Malformed,
            _ => return Chunks::Part,
        }
        at += size + 2;
    }
}

/// Length of the lines behind the last chunk, the empty one that ends them included.
fn trailer(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") { Some(2) } else { find(bytes, b"\r\n\r\n").map(|at| at + 4) }
}

/// Where `wanted` begins, which starts with its rarest byte: only there is more compared.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == wanted[0]) {
        if text[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(status: u16, body: &str, keeps_open: bool) -> Parsed<'_> {
        Parsed::Whole(Reply { status, body: Cow::Borrowed(body.as_bytes()), keeps_open })
    }

    fn of(text: &str) -> Parsed<'_> {
        parse(text.as_bytes(), false)
    }

    #[test]
    fn a_reply_ends_where_its_length_says() {
        let text = "HTTP/1.1 201 Created\r\nContent-Type: x\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(of(text), whole(201, "hello", true));
        for length in 0..text.len() {
            let status = (length >= text.len() - 5).then_some(201);
            assert_eq!(of(&text[..length]), Parsed::Part(status), "{length}");
        }
    }

    #[test]
    fn a_reply_in_chunks_is_put_together() {
        let text =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, you all.\r\n0\r\nt: v\r\n\r\n";
        assert_eq!(of(text), whole(200, "hello, you all.", true));
        for length in 0..text.len() {
            assert!(matches!(of(&text[..length]), Parsed::Part(_)), "{length}");
        }
        assert_eq!(of(&text.replace("5\r\n", "4\r\n")), Parsed::Malformed);
        assert_eq!(of(&text.replace("A;", "G;")), Parsed::Malformed);
    }

    #[test]
    fn a_reply_without_a_length_ends_with_its_stream() {
        let text = "HTTP/1.1 200 OK\r\n\r\nhel";
        assert_eq!(of(text), Parsed::Part(Some(200)));
        assert_eq!(parse(text.as_bytes(), true), whole(200, "hel", false));
    }

    #[test]
    fn a_reply_that_has_no_body_ends_with_its_head() {
        for status in [204, 304] {
            assert_eq!(of(&format!("HTTP/1.1 {status} x\r\ncontent-length: 7\r\n\r\n")), whole(status, "", true));
        }
        assert_eq!(of("HTTP/1.1 101 x\r\n\r\n"), whole(101, "", false));
    }

    #[test]
    fn a_reply_before_the_reply_is_passed_over() {
        assert_eq!(of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 409 x\r\ncontent-length: 0\r\n\r\n"), whole(409, "", true));
        assert_eq!(of("HTTP/1.1 100 Continue\r\n\r\n"), Parsed::Part(None));
    }

    #[test]
    fn a_connection_is_kept_only_if_both_sides_know_where_the_reply_ended() {
        let keeps = |text: &str| matches!(of(text), Parsed::Whole(Reply { keeps_open: true, .. }));
        assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 0\r\n\r\n"));
        for wrong in [
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore",
        ] {
            assert!(!keeps(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_reply_is_told_from_what_is_too_long() {
        for wrong in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 2x1 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        ] {
            assert_eq!(of(wrong), Parsed::Malformed, "{wrong}");
        }
        assert_eq!(of(&"x".repeat(PART_MAX + 1)), Parsed::TooLong(None));
        assert_eq!(of("HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n"), Parsed::TooLong(Some(200)));
        assert_eq!(of("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n"), Parsed::TooLong(Some(200)));
    }
}
