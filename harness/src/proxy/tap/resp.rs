//! The tap of a connection to Redis: which script a command calls, for which orders and item, and which reply answers it.
//!
//! In: both byte streams of one connection. Out: the same bytes in pieces, and how each call of `pre_deduct` ended. Replies are matched first in, first out; what does not keep to
//! that (subscriptions, replication, switched-off replies) makes the connection one of bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::cutter::{Cutter, cut};
use super::dialect::{Dialect, Script, ScriptForm, ScriptOrders, sha1};
use super::lost::Lost;
use super::naming::{Asked, Naming};
use super::process::{CallEnd, Process};
use super::resp_command::{CommandReader, number};
use super::resp_reply::{Ended, ReplyReader};
use super::step::{Act, Phase, Step};
use crate::clock::Offset;
use crate::proxy::{Direction, Dissector, Piece};

/// Commands whose reply is outstanding, at most. The service's own bound is 512 a connection.
const OUTSTANDING_MAX: usize = 1 << 16;

/// Understands one connection to Redis.
#[derive(Debug)]
pub struct RedisTap {
    dialect: Arc<Dialect>,
    naming: Naming,
    commands: CommandReader,
    replies: ReplyReader,
    outstanding: VecDeque<Option<Call>>,
    asked: u64,
    answered: u64,
    is_lost: bool,
}

/// A named call that waits for its reply.
#[derive(Debug)]
struct Call {
    asked: Asked,
    at: Offset,
}

impl RedisTap {
    /// A tap for a new connection of `process`.
    #[must_use]
    pub const fn new(dialect: Arc<Dialect>, process: Arc<Process>) -> Self {
        Self {
            dialect,
            naming: Naming::new(process),
            commands: CommandReader::new(),
            replies: ReplyReader::new(),
            outstanding: VecDeque::new(),
            asked: 0,
            answered: 0,
            is_lost: false,
        }
    }

    fn read_commands(&mut self, bytes: &Bytes, cutter: &mut Cutter<'_>) -> Result<(), (usize, Lost)> {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, ended) = self.commands.read(&bytes[at..]).map_err(|lost| (at, lost))?;
            let start = at;
            at += taken;
            if !ended {
                continue;
            }
            // An empty line or array is no command and gets no reply.
            let Some(name) = self.commands.word(0) else { continue };
            if breaks_order(name, self.commands.word(1)) || self.outstanding.len() == OUTSTANDING_MAX {
                return Err((start, Lost("a command whose replies are not one for each request")));
            }
            let asked = understand(&self.dialect, &self.commands);
            self.asked += 1;
            if let Some(asked) = &asked {
                cutter.frame(start, at, self.naming.request(asked, self.asked));
            }
            let at = self.naming.process().now();
            self.outstanding.push_back(asked.map(|asked| Call { asked, at }));
        }
        Ok(())
    }

    fn read_replies(&mut self, bytes: &Bytes, cutter: &mut Cutter<'_>) -> Result<(), (usize, Lost)> {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, ended) = self.replies.read(&bytes[at..]).map_err(|lost| (at, lost))?;
            let start = at;
            at += taken;
            if ended != Some(Ended::Reply) {
                continue;
            }
            let call = self.outstanding.pop_front().ok_or((start, Lost("a reply that nobody asked for")))?;
            self.answered += 1;
            if let Some(call) = call {
                let phase = phase_of(&self.replies, call.asked.step.act);
                if phase != Phase::NotKnown {
                    let how = if self.replies.is_error() { CallEnd::Failed } else { CallEnd::Answered };
                    self.count(&call, how);
                }
                cutter.frame(start, at, self.naming.reply(call.asked, phase, self.answered));
            }
        }
        Ok(())
    }
}

impl RedisTap {
    fn count(&self, call: &Call, how: CallEnd) {
        if call.asked.step.act == Act::Script(Script::PreDeduct) {
            self.naming.process().pre_deduct_ended(call.at, how);
        }
    }
}

/// The connection has ended: what was not answered never will be.
impl Drop for RedisTap {
    fn drop(&mut self) {
        // Behind the loss of the framing nobody knows what was answered.
        if !self.is_lost {
            self.outstanding.iter().flatten().for_each(|call| self.count(call, CallEnd::Failed));
        }
    }
}

impl Dissector for RedisTap {
    fn feed(&mut self, direction: Direction, bytes: Bytes, out: &mut Vec<Piece>) {
        if self.is_lost {
            out.push(Piece { bytes, frame: None });
            return;
        }
        self.is_lost = cut(bytes, out, |bytes, cutter| match direction {
            Direction::Upstream => self.read_commands(bytes, cutter),
            Direction::Downstream => self.read_replies(bytes, cutter),
        });
    }
}

/// Whether a command ends the order of one reply for each request.
fn breaks_order(name: &[u8], next: Option<&[u8]>) -> bool {
    const BREAKING: [&[u8]; 9] = [
        b"SUBSCRIBE",
        b"PSUBSCRIBE",
        b"SSUBSCRIBE",
        b"UNSUBSCRIBE",
        b"PUNSUBSCRIBE",
        b"SUNSUBSCRIBE",
        b"MONITOR",
        b"SYNC",
        b"PSYNC",
    ];
    BREAKING.iter().any(|breaking| name.eq_ignore_ascii_case(breaking))
        || (name.eq_ignore_ascii_case(b"CLIENT") && next.is_some_and(|next| next.eq_ignore_ascii_case(b"REPLY")))
}

/// The named call in a command: `EVALSHA hash keys key... argument...`, or EVAL with the text.
fn understand(dialect: &Dialect, command: &CommandReader) -> Option<Asked> {
    let name = command.word(0)?;
    let form = if name.eq_ignore_ascii_case(b"EVALSHA") {
        dialect.script(command.word(1)?)?
    } else if name.eq_ignore_ascii_case(b"EVAL") {
        dialect.script(sha1(std::str::from_utf8(command.word(1)?).ok()?).as_bytes())?
    } else {
        return None;
    };
    let keys = usize::try_from(number(command.word(2)?)?).ok()?.min(command.len());
    let key = |number: usize| if number <= keys { command.word(2 + number) } else { None };
    let item = key(1).and_then(item_of);
    let step = Step { act: Act::Script(form.script), phase: Phase::Request };
    Some(Asked { step, orders: orders_of(form, command, keys), item, first_rows: false })
}

fn orders_of(form: &ScriptForm, command: &CommandReader, keys: usize) -> Vec<String> {
    let argument = |number: usize| command.word(2 + keys + number);
    let own = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    match form.orders {
        ScriptOrders::None => Vec::new(),
        ScriptOrders::Argument(number) => argument(number).map(own).into_iter().collect(),
        ScriptOrders::MembersFrom(first) => {
            (first..).map_while(argument).map(|member| own(member.split(|byte| *byte == b'|').next().unwrap_or_default())).collect()
        }
        ScriptOrders::EventKey(number) => {
            let event = command
                .word(2 + number)
                .and_then(|key| key.split(|byte| *byte == b':').rev().find_map(|part| part.strip_prefix(b"C.")));
            event.map(own).into_iter().collect()
        }
    }
}

/// The hash tag of a key.
fn item_of(key: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(key).ok()?;
    let (_, tag) = text.split_once('{')?;
    Some(tag.split_once('}')?.0.to_owned())
}

/// What a reply says of its call.
fn phase_of(reply: &ReplyReader, act: Act) -> Phase {
    const WITH_EFFECT: [&[u8]; 3] = [b"OK", b"DUPLICATE", b"READY"];
    if reply.is_error() {
        return if reply.word().starts_with(b"NOSCRIPT") { Phase::NotKnown } else { Phase::Refused };
    }
    // A look has always been taken, whatever it found.
    let is_look = act == Act::Script(Script::Probe);
    if is_look || WITH_EFFECT.contains(&reply.word()) { Phase::Done } else { Phase::Refused }
}
