//! The tap of a connection from a client: which request asks for an order, and which reply says that it stands.
//!
//! In: both byte streams of one connection. Out: the same bytes in pieces. Requests that ask for something else have no name.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::cutter::{Cutter, cut};
use super::dialect::{CreateForm, Dialect};
use super::http_message::MessageReader;
use super::lost::Lost;
use super::naming::{Asked, Naming};
use super::process::Process;
use super::step::{Act, Phase, Step};
use crate::proxy::{Direction, Dissector, Piece};

/// Requests whose reply is outstanding, at most.
const OUTSTANDING_MAX: usize = 1024;

/// Understands one connection of a client.
#[derive(Debug)]
pub struct HttpTap {
    dialect: Arc<Dialect>,
    naming: Naming,
    requests: MessageReader,
    replies: MessageReader,
    outstanding: VecDeque<Request>,
    asked: u64,
    answered: u64,
    is_lost: bool,
}

#[derive(Debug)]
struct Request {
    asked: Option<Asked>,
    /// The reply to HEAD has no body.
    is_head: bool,
}

impl HttpTap {
    /// A tap for a new connection to `process`.
    #[must_use]
    pub const fn new(dialect: Arc<Dialect>, process: Arc<Process>) -> Self {
        Self {
            dialect,
            naming: Naming::new(process),
            requests: MessageReader::new(),
            replies: MessageReader::new(),
            outstanding: VecDeque::new(),
            asked: 0,
            answered: 0,
            is_lost: false,
        }
    }

    fn read_requests(&mut self, bytes: &Bytes, cutter: &mut Cutter<'_>) -> Result<(), (usize, Lost)> {
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            let (taken, ended) = self.requests.read(&bytes[at..], false).map_err(|lost| (start, lost))?;
            at += taken;
            if !ended {
                continue;
            }
            if self.outstanding.len() == OUTSTANDING_MAX {
                return Err((start, Lost("more requests than replies")));
            }
            let asked = understand(&self.dialect.create, &self.requests);
            self.asked += 1;
            if let Some(asked) = &asked {
                cutter.frame(start, at, self.naming.request(asked, self.asked));
            }
            let is_head = self.requests.words().next() == Some(b"HEAD");
            self.outstanding.push_back(Request { asked, is_head });
        }
        Ok(())
    }

    fn read_replies(&mut self, bytes: &Bytes, cutter: &mut Cutter<'_>) -> Result<(), (usize, Lost)> {
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            let is_head = self.outstanding.front().is_some_and(|request| request.is_head);
            let (taken, ended) = self.replies.read(&bytes[at..], is_head).map_err(|lost| (start, lost))?;
            at += taken;
            let status = self.replies.words().nth(1).unwrap_or_default();
            // What comes before the reply itself, as 100, answers nothing yet.
            if !ended || status.starts_with(b"1") {
                continue;
            }
            let succeeds = status.starts_with(b"2");
            let request = self.outstanding.pop_front().ok_or((start, Lost("a reply that nobody asked for")))?;
            self.answered += 1;
            if let Some(asked) = request.asked {
                let phase = if succeeds { Phase::Done } else { Phase::Refused };
                cutter.frame(start, at, self.naming.reply(asked, phase, self.answered));
            }
        }
        Ok(())
    }
}

impl Dissector for HttpTap {
    fn feed(&mut self, direction: Direction, bytes: Bytes, out: &mut Vec<Piece>) {
        if self.is_lost {
            out.push(Piece { bytes, frame: None });
            return;
        }
        self.is_lost = cut(bytes, out, |bytes, cutter| match direction {
            Direction::Upstream => self.read_requests(bytes, cutter),
            Direction::Downstream => self.read_replies(bytes, cutter),
        });
    }
}

/// The named request in a message.
fn understand(form: &CreateForm, message: &MessageReader) -> Option<Asked> {
    let wanted = form.target.split(' ').map(str::as_bytes);
    if !message.words().take(2).eq(wanted) {
        return None;
    }
    let step = Step { act: Act::CreateOrder, phase: Phase::Request };
    let orders = message.text_field(&form.order_field).map(str::to_owned).into_iter().collect();
    Some(Asked { step, orders, item: None, first_rows: false })
}
