//! Prepared statements: what each does, and which orders an execution names by its parameters.
//!
//! In: the reading of a statement's text, and the packets that execute it. Out: a reading with ids in place of parameters.

use std::collections::HashMap;

use super::mysql_packet::Fields;
use super::mysql_reply::Statement;
use super::sql::{Named, Reading};

/// Statements remembered for one connection. The server's own bound is 16382 over all.
const STATEMENTS_MAX: usize = 4096;

/// The prepared statements of one connection.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    statements: HashMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    reading: Reading,
    parameters: usize,
    /// Types of the parameters; a client sends them with the first execution and may leave them out of later ones.
    types: Vec<u8>,
}

impl Prepared {
    /// Remembers a statement. Beyond the bound it is not, and its executions have no name.
    pub(super) fn add(&mut self, statement: Statement, reading: Reading) {
        if self.statements.len() < STATEMENTS_MAX {
            let Statement { id, parameters } = statement;
            self.statements.insert(id, Known { reading, parameters, types: Vec::new() });
        }
    }

    /// Forgets the statement that a packet closes.
    pub(super) fn close(&mut self, packet: &[u8]) {
        if let Some(id) = statement_id(packet) {
            self.statements.remove(&id);
        }
    }

    /// What an execution does. Its parameters are left out if `has_attributes` mixes others among them.
    pub(super) fn execute(&mut self, packet: &[u8], has_attributes: bool) -> Option<Reading> {
        let known = self.statements.get_mut(&statement_id(packet)?)?;
        let values = if has_attributes { Vec::new() } else { known.values(packet).unwrap_or_default() };
        let mut reading = known.reading.clone();
        reading.orders.retain_mut(|named| match named {
            Named::Id(_) => true,
            Named::Parameter(number) => {
                let value = values.get(*number).and_then(|value| std::str::from_utf8((*value)?).ok());
                value.inspect(|id| *named = Named::Id((*id).to_owned())).is_some()
            }
        });
        Some(reading)
    }
}

/// The number of the statement behind the byte that names the command.
fn statement_id(packet: &[u8]) -> Option<u32> {
    u32::try_from(Fields(packet.get(1..)?).number(4)?).ok()
}

impl Known {
    /// The values of the parameters: texts as they are, `None` for what is NULL or no text.
    fn values<'a>(&mut self, packet: &'a [u8]) -> Option<Vec<Option<&'a [u8]>>> {
        let mut fields = Fields(packet);
        // Command, statement, flags, and a count that is always 1.
        fields.take(1 + 4 + 1 + 4)?;
        if self.parameters == 0 {
            return Some(Vec::new());
        }
        let nulls = fields.take(self.parameters.div_ceil(8))?;
        if fields.number(1)? == 1 {
            let pairs = fields.take(2 * self.parameters)?;
            self.types = pairs.iter().step_by(2).copied().collect();
        }
        let is_null = |at: usize| nulls[at / 8] & (1 << (at % 8)) != 0;
        self.types.iter().enumerate().map(|(at, kind)| if is_null(at) { Some(None) } else { value(*kind, &mut fields) }).collect()
    }
}

/// One value of the binary protocol.
fn value<'a>(kind: u8, fields: &mut Fields<'a>) -> Option<Option<&'a [u8]>> {
    let bytes = match kind {
        0x06 => 0,
        0x01 => 1,
        0x02 | 0x0D => 2,
        0x03 | 0x04 | 0x09 => 4,
        0x05 | 0x08 => 8,
        // Dates and times say how long they are.
        0x07 | 0x0A..=0x0C => usize::try_from(fields.number(1)?).ok()?,
        _ => return fields.counted_text(),
    };
    fields.take(bytes).map(|_| None)
}
