//! The tap of a connection to MySQL: what each command does, in which transaction, for which orders, and where its reply ends.
//!
//! In: both byte streams of one connection. Out: the same bytes in pieces. Encryption, compression and replication make the connection one of bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::cutter::{Cutter, cut};
use super::dialect::Dialect;
use super::lost::Lost;
use super::mysql_handshake::{Agreed, Handshake};
use super::mysql_packet::{Fields, Packet, PacketReader};
use super::mysql_prepared::Prepared;
use super::mysql_reply::{Form, ReplyReader, Said};
use super::mysql_transaction::Transaction;
use super::naming::{Asked, Naming};
use super::process::Process;
use super::sql::{self, Reading};
use super::step::{Act, Phase};
use crate::proxy::{Direction, Dissector, Piece};

/// Bytes of a command that are read; what a longer one names behind them is not seen. A transaction of 1000 orders has less.
const COMMAND_KEPT: usize = 4 << 20;
/// Bytes of a reply's packet that are needed to see where the reply ends.
const REPLY_KEPT: usize = 128;
/// The same where the rows are looked at.
const ROW_KEPT: usize = 2048;
/// Commands whose reply is outstanding, at most.
const OUTSTANDING_MAX: usize = 4096;

/// Understands one connection to MySQL.
#[derive(Debug)]
pub struct MysqlTap {
    dialect: Arc<Dialect>,
    naming: Naming,
    handshake: Handshake,
    agreed: Agreed,
    commands: PacketReader,
    answers: PacketReader,
    replies: ReplyReader,
    prepared: Prepared,
    transaction: Transaction,
    outstanding: VecDeque<Command>,
    asked: u64,
    answered: u64,
    /// The client is sending a file that the server wanted.
    sends_file: bool,
    is_lost: bool,
}

/// A command whose reply is outstanding.
#[derive(Debug)]
struct Command {
    form: Form,
    asked: Option<Asked>,
    /// What a statement that is being prepared does.
    prepares: Option<Reading>,
}

impl Command {
    const fn plain(form: Form) -> Self {
        Self { form, asked: None, prepares: None }
    }

    fn is_claim(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.step.act == Act::OutboxClaim)
    }
}

impl MysqlTap {
    /// A tap for a new connection of `process`.
    #[must_use]
    pub fn new(dialect: Arc<Dialect>, process: Arc<Process>) -> Self {
        let mut commands = PacketReader::new();
        commands.keep(COMMAND_KEPT);
        Self {
            dialect,
            naming: Naming::new(process),
            handshake: Handshake::Greeting,
            agreed: Agreed::default(),
            commands,
            answers: PacketReader::new(),
            replies: ReplyReader::new(),
            prepared: Prepared::default(),
            transaction: Transaction::default(),
            outstanding: VecDeque::new(),
            asked: 0,
            answered: 0,
            sends_file: false,
            is_lost: false,
        }
    }

    fn read_client(&mut self, bytes: &Bytes, cutter: &mut Cutter<'_>) -> Result<(), (usize, Lost)> {
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            let (taken, ended) = self.commands.read(&bytes[at..]);
            at += taken;
            if !ended {
                continue;
            }
            if let Some(asked) = self.command().map_err(|lost| (start, lost))? {
                cutter.frame(start, at, self.naming.request(&asked, self.asked));
            }
        }
        Ok(())
    }

    /// Takes the packet of the client that ended; the request, if it has a name.
    fn command(&mut self) -> Result<Option<Asked>, Lost> {
        let packet = self.commands.packet();
        if self.handshake != Handshake::Over {
            let (handshake, agreed) = self.handshake.hear_client(packet)?;
            self.handshake = handshake;
            if let Some(agreed) = agreed {
                self.agreed = agreed;
                self.replies.without_eof = agreed.without_eof;
            }
            return Ok(None);
        }
        if self.sends_file {
            self.sends_file = packet.len > 0;
            return Ok(None);
        }
        let Some(command) = understand(packet, &self.dialect, &mut self.prepared, self.agreed)? else { return Ok(None) };
        if self.outstanding.len() == OUTSTANDING_MAX {
            return Err(Lost("more commands than replies"));
        }
        let (asked, command) = match command {
            Understood::Login => {
                self.handshake = Handshake::Proof;
                return Ok(None);
            }
            Understood::Plain(form) => (None, Command::plain(form)),
            Understood::Prepares(reading) => (None, Command { prepares: Some(reading), ..Command::plain(Form::Prepared) }),
            Understood::Runs(reading) => {
                let asked = self.transaction.ask(reading);
                (asked.clone(), Command { asked, ..Command::plain(Form::Results) })
            }
        };
        self.asked += 1;
        self.outstanding.push_back(command);
        Ok(asked)
    }

    fn read_server(&mut self, bytes: &Bytes, cutter: &mut Cutter<'_>) -> Result<(), (usize, Lost)> {
        // Where in this chunk the reply began that is being read: at 0 if it began earlier.
        let (mut at, mut start) = (0, 0);
        while at < bytes.len() {
            let looks_at_rows = self.outstanding.front().is_some_and(Command::is_claim);
            self.answers.keep(if looks_at_rows { ROW_KEPT } else { REPLY_KEPT });
            let (taken, ended) = self.answers.read(&bytes[at..]);
            at += taken;
            if !ended {
                continue;
            }
            if self.answer(looks_at_rows).map_err(|lost| (start, lost))? {
                let (asked, said) = self.end_of_reply();
                if let Some(asked) = asked {
                    let phase = phase_of(&asked, &said);
                    let orders = if said.orders.is_empty() { asked.orders } else { said.orders };
                    cutter.frame(start, at, self.naming.reply(Asked { orders, ..asked }, phase, self.answered));
                }
                start = at;
            }
        }
        Ok(())
    }

    /// Takes the packet of the server that ended; whether a reply ended with it.
    fn answer(&mut self, looks_at_rows: bool) -> Result<bool, Lost> {
        let packet = self.answers.packet();
        if self.handshake != Handshake::Over {
            self.handshake = self.handshake.hear_server(packet)?;
            return Ok(false);
        }
        let Some(command) = self.outstanding.front() else {
            // A server that shuts down, or has waited too long, says so before it closes.
            let is_farewell = packet.kept.first() == Some(&0xFF);
            return if is_farewell { Ok(false) } else { Err(Lost("a reply that nobody asked for")) };
        };
        let ended = self.replies.packet(command.form, looks_at_rows, packet)?;
        self.sends_file |= std::mem::take(&mut self.replies.said.wants_file);
        Ok(ended)
    }

    fn end_of_reply(&mut self) -> (Option<Asked>, Said) {
        let said = self.replies.take_said();
        self.answered += 1;
        if let Some(is_open) = said.in_transaction {
            self.transaction.answered(is_open);
        }
        let command = self.outstanding.pop_front();
        let (asked, prepares) = command.map_or((None, None), |command| (command.asked, command.prepares));
        if let (Some(statement), Some(reading)) = (said.statement, prepares) {
            self.prepared.add(statement, reading);
        }
        (asked, said)
    }
}

impl Dissector for MysqlTap {
    fn feed(&mut self, direction: Direction, bytes: Bytes, out: &mut Vec<Piece>) {
        if self.is_lost {
            out.push(Piece { bytes, frame: None });
            return;
        }
        self.is_lost = cut(bytes, out, |bytes, cutter| match direction {
            Direction::Upstream => self.read_client(bytes, cutter),
            Direction::Downstream => self.read_server(bytes, cutter),
        });
    }
}

/// What a command asks for.
enum Understood {
    Plain(Form),
    Prepares(Reading),
    Runs(Reading),
    /// Another user, and the proof that goes with it.
    Login,
}

/// Reads a command; `None` if it gets no reply.
fn understand(packet: Packet<'_>, dialect: &Dialect, prepared: &mut Prepared, agreed: Agreed) -> Result<Option<Understood>, Lost> {
    let Some((kind, rest)) = packet.kept.split_first().filter(|_| packet.sequence == 0) else {
        return Err(Lost("a packet of the client that is no command"));
    };
    Ok(Some(match kind {
        0x03 => Understood::Runs(sql::read(dialect, text_of_query(rest, agreed)?)),
        0x16 => Understood::Prepares(sql::read(dialect, rest)),
        0x17 | 0xFA => {
            let reading = prepared.execute(packet.kept, agreed.query_attributes || *kind == 0xFA);
            Understood::Runs(reading.unwrap_or_default())
        }
        0x19 => {
            prepared.close(packet.kept);
            return Ok(None);
        }
        // QUIT, and the parts of a long parameter.
        0x01 | 0x18 => return Ok(None),
        0x0A => Understood::Plain(Form::Results),
        0x04 | 0x1C => Understood::Plain(Form::UntilEof),
        0x11 => Understood::Login,
        0x12 | 0x15 | 0x1E => return Err(Lost("replication")),
        0x02 | 0x05..=0x09 | 0x0C..=0x0E | 0x1A | 0x1B | 0x1F => Understood::Plain(Form::One),
        _ => return Err(Lost("a command of no known kind")),
    }))
}

/// The text of a query: behind the number of its attributes, if such were agreed on.
fn text_of_query(rest: &[u8], agreed: Agreed) -> Result<&[u8], Lost> {
    if !agreed.query_attributes {
        return Ok(rest);
    }
    let mut fields = Fields(rest);
    match (fields.counted_number(), fields.counted_number()) {
        (Some(0), Some(1)) => Ok(fields.0),
        _ => Err(Lost("a query with attributes")),
    }
}

/// What a reply says of its request. A claim that found nothing has claimed nothing.
fn phase_of(asked: &Asked, said: &Said) -> Phase {
    let found_nothing = asked.step.act == Act::OutboxClaim && said.rows == 0;
    if said.is_error || found_nothing { Phase::Refused } else { Phase::Done }
}
