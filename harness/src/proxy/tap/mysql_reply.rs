//! Where the reply to a command of MySQL ends.
//!
//! In: the packets of the server. Out: the last packet of each reply, and what the reply says: an error, rows, a statement that was prepared, whether a
//! transaction is open. Several statements in one text have several results, which are one reply.

use super::lost::Lost;
use super::mysql_packet::{Fields, Packet};

/// More results follow.
const MORE_RESULTS: u64 = 0x0008;
/// A transaction is open.
const IN_TRANSACTION: u64 = 0x0001;
/// The rows stay at the server, to be fetched.
const CURSOR_EXISTS: u64 = 0x0040;

/// What kind of reply a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Results: of a query, or of a statement that is executed.
    Results,
    /// A prepared statement.
    Prepared,
    /// One packet.
    One,
    /// Definitions of columns, or rows, up to an EOF.
    UntilEof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    First,
    /// So many definitions of columns.
    Columns(u64),
    ColumnsEnd,
    Rows,
    /// So many packets that say nothing.
    Skip(u64),
}

/// A prepared statement as the server announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) id: u32,
    pub(super) parameters: usize,
}

/// Reads replies, one after the other.
#[derive(Debug)]
pub(super) struct ReplyReader {
    /// Agreed on in the handshake: rows end with an OK and definitions of columns with nothing.
    pub(super) without_eof: bool,
    expect: Expect,
    columns: u64,
    /// Place of the column that names orders, in a reply whose orders are wanted.
    order_column: Option<u64>,
    /// What the reply has said so far.
    pub(super) said: Said,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    pub(super) is_error: bool,
    pub(super) rows: u64,
    pub(super) statement: Option<Statement>,
    /// `None` if no packet told.
    pub(super) in_transaction: Option<bool>,
    /// Whether the server waits for the content of a file now.
    pub(super) wants_file: bool,
    /// Orders named in the rows, if they were wanted.
    pub(super) orders: Vec<String>,
}

impl ReplyReader {
    pub(super) fn new() -> Self {
        Self { without_eof: false, expect: Expect::First, columns: 0, order_column: None, said: Said::default() }
    }

    /// Takes the next packet of a reply of this form; whether the reply ends with it. `orders_wanted`: look for orders in its rows.
    ///
    /// # Errors
    /// A packet that has no place there.
    pub(super) fn packet(&mut self, form: Form, orders_wanted: bool, packet: Packet<'_>) -> Result<bool, Lost> {
        let ended = match (form, self.expect) {
            (_, Expect::Skip(left)) => self.skip(left),
            (Form::One, _) => self.one(packet),
            (Form::Prepared, _) => self.prepared(packet)?,
            (Form::UntilEof, _) => self.row(packet, false),
            (Form::Results, Expect::First) => self.first(packet)?,
            (Form::Results, Expect::Columns(left)) => {
                if orders_wanted {
                    self.look_at_column(left, packet);
                }
                self.expect = match left {
                    1 if self.without_eof => Expect::Rows,
                    1 => Expect::ColumnsEnd,
                    _ => Expect::Columns(left - 1),
                };
                false
            }
            (Form::Results, Expect::ColumnsEnd) => self.columns_end(packet),
            (Form::Results, Expect::Rows) => self.row(packet, orders_wanted),
        };
        if ended {
            self.expect = Expect::First;
        }
        Ok(ended)
    }

    /// What the reply that ended said; the next one begins.
    pub(super) fn take_said(&mut self) -> Said {
        std::mem::take(&mut self.said)
    }

    fn skip(&mut self, left: u64) -> bool {
        self.expect = Expect::Skip(left.saturating_sub(1));
        left <= 1
    }

    fn one(&mut self, packet: Packet<'_>) -> bool {
        match packet.kept.first() {
            Some(0xFF) => self.said.is_error = true,
            Some(0x00) => drop(self.status_of_ok(packet)),
            _ => {}
        }
        true
    }

    fn prepared(&mut self, packet: Packet<'_>) -> Result<bool, Lost> {
        let mut fields = Fields(packet.kept);
        match fields.number(1) {
            Some(0xFF) => {
                self.said.is_error = true;
                return Ok(true);
            }
            Some(0x00) => {}
            _ => return Err(Lost("a reply to PREPARE that is none")),
        }
        let read = (|| Some((fields.number(4)?, fields.number(2)?, fields.number(2)?)))();
        let (id, columns, parameters) = read.ok_or(Lost("a reply to PREPARE that is cut short"))?;
        let statement = (|| Some(Statement { id: u32::try_from(id).ok()?, parameters: usize::try_from(parameters).ok()? }))();
        self.said.statement = statement;
        let ends = if self.without_eof { 0 } else { u64::from(columns > 0) + u64::from(parameters > 0) };
        self.expect = Expect::Skip(columns + parameters + ends);
        Ok(columns + parameters == 0)
    }

    /// The first packet of a result: OK, an error, a wish for a file, or a number of columns.
    fn first(&mut self, packet: Packet<'_>) -> Result<bool, Lost> {
        match packet.kept.first() {
            Some(0x00) => Ok(!more_after(self.status_of_ok(packet))),
            Some(0xFF) => {
                self.said.is_error = true;
                Ok(true)
            }
            Some(0xFB) => {
                self.said.wants_file = true;
                Ok(false)
            }
            _ => {
                let columns = Fields(packet.kept).counted_number().filter(|columns| (1..=4096).contains(columns));
                self.columns = columns.ok_or(Lost("a result that begins with no number of columns"))?;
                self.order_column = None;
                self.expect = Expect::Columns(self.columns);
                Ok(false)
            }
        }
    }

    fn columns_end(&mut self, packet: Packet<'_>) -> bool {
        let status = self.status_of_eof(packet);
        self.expect = Expect::Rows;
        status & CURSOR_EXISTS != 0
    }

    /// A row, or what ends them.
    fn row(&mut self, packet: Packet<'_>, orders_wanted: bool) -> bool {
        let end_below = if self.without_eof { 0xFF_FF_FF } else { 9 };
        match packet.kept.first() {
            Some(0xFE) if packet.len < end_below => {
                let status = if self.without_eof { self.status_of_ok(packet) } else { self.status_of_eof(packet) };
                self.expect = Expect::First;
                !more_after(status)
            }
            Some(0xFF) => {
                self.said.is_error = true;
                true
            }
            _ => {
                self.said.rows += 1;
                if orders_wanted {
                    self.look_at_row(packet);
                }
                false
            }
        }
    }

    /// Status in an OK packet: behind two counted numbers.
    fn status_of_ok(&mut self, packet: Packet<'_>) -> u64 {
        let mut fields = Fields(packet.kept.get(1..).unwrap_or_default());
        let status = (|| {
            fields.counted_number()?;
            fields.counted_number()?;
            fields.number(2)
        })();
        self.note(status)
    }

    /// Status in an EOF packet: behind the number of warnings.
    fn status_of_eof(&mut self, packet: Packet<'_>) -> u64 {
        self.note(Fields(packet.kept.get(3..).unwrap_or_default()).number(2))
    }

    fn note(&mut self, status: Option<u64>) -> u64 {
        if let Some(status) = status {
            self.said.in_transaction = Some(status & IN_TRANSACTION != 0);
        }
        status.unwrap_or_default()
    }

    /// The name of a column is the fifth text of its definition.
    fn look_at_column(&mut self, left: u64, packet: Packet<'_>) {
        let mut fields = Fields(packet.kept);
        let name = (0..5).map(|_| fields.counted_text()).last().flatten().flatten();
        let is_event = name == Some(b"event_id");
        if name == Some(b"order_id") || (is_event && self.order_column.is_none()) {
            self.order_column = Some(self.columns - left);
        }
    }

    /// The order that a row names: its id, or that of an event called `C.<order>`.
    fn look_at_row(&mut self, packet: Packet<'_>) {
        let Some(place) = self.order_column else { return };
        let mut fields = Fields(packet.kept);
        let value = (0..=place).map(|_| fields.counted_text()).last().flatten().flatten();
        let Some(text) = value.and_then(|value| std::str::from_utf8(value).ok()) else { return };
        let order = text.strip_prefix("C.").unwrap_or(text);
        // Other events with a dot in their name belong to no order.
        if !order.contains('.') {
            self.said.orders.push(order.to_owned());
        }
    }
}

const fn more_after(status: u64) -> bool {
    status & MORE_RESULTS != 0
}
