//! The handshake of MySQL: what both sides agree on, and when commands begin.
//!
//! In: its packets. Out: whether rows end with EOF packets, whether queries carry attributes, or that encryption or compression hide everything that follows.

use super::lost::Lost;
use super::mysql_packet::{Fields, Packet};

const COMPRESSED: u64 = 1 << 5;
const ENCRYPTED: u64 = 1 << 11;
const WITHOUT_EOF: u64 = 1 << 24;
const COMPRESSED_BY_ZSTD: u64 = 1 << 26;
const QUERY_ATTRIBUTES: u64 = 1 << 27;
/// Clients of MySQL set this; without it the extended capabilities of MariaDB count.
const IS_MYSQL: u64 = 1;
/// Of MariaDB's own: progress reports between packets, and definitions of columns that are left out.
const CHANGES_FRAMING: u64 = 1 | 1 << 4;

/// Where the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// The server speaks first.
    Greeting,
    /// The client answers.
    Response { offered: u64 },
    /// Both exchange what the method needs, until the server says OK.
    Proof,
    /// Commands and replies.
    Over,
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Agreed {
    /// Rows end with an OK, definitions of columns with nothing.
    pub(super) without_eof: bool,
    /// The text of a query stands behind its attributes.
    pub(super) query_attributes: bool,
}

impl Handshake {
    /// Takes a packet of the server.
    ///
    /// # Errors
    /// Another protocol.
    pub(super) fn hear_server(self, packet: Packet<'_>) -> Result<Self, Lost> {
        match (self, packet.kept.first()) {
            (Self::Greeting, Some(0x0A)) => {
                let offered = offered(packet.kept).ok_or(Lost("a greeting that is cut short"))?;
                Ok(Self::Response { offered })
            }
            // A refusal, after which the server closes.
            (Self::Greeting, Some(0xFF)) => Ok(self),
            (Self::Greeting, _) => Err(Lost("a greeting of another protocol than 10")),
            (Self::Proof, Some(0x00)) => Ok(Self::Over),
            _ => Ok(self),
        }
    }

    /// Takes a packet of the client; what was agreed on, once it says so.
    ///
    /// # Errors
    /// Encryption or compression, or an extension that changes the framing.
    pub(super) fn hear_client(self, packet: Packet<'_>) -> Result<(Self, Option<Agreed>), Lost> {
        let Self::Response { offered } = self else { return Ok((self, None)) };
        let mut fields = Fields(packet.kept);
        let wanted = fields.number(4).ok_or(Lost("a handshake that is cut short"))?;
        let agreed = wanted & offered;
        if agreed & ENCRYPTED != 0 {
            return Err(Lost("encryption"));
        }
        if agreed & (COMPRESSED | COMPRESSED_BY_ZSTD) != 0 {
            return Err(Lost("compression"));
        }
        let extended = fields.take(24).and_then(|_| fields.number(4)).unwrap_or_default();
        if wanted & IS_MYSQL == 0 && extended & CHANGES_FRAMING != 0 {
            return Err(Lost("an extension of MariaDB that changes the framing"));
        }
        let agreed = Agreed { without_eof: agreed & WITHOUT_EOF != 0, query_attributes: agreed & QUERY_ATTRIBUTES != 0 };
        Ok((Self::Proof, Some(agreed)))
    }
}

/// Capabilities in a greeting: two low bytes, then charset and status, then two high bytes.
fn offered(greeting: &[u8]) -> Option<u64> {
    let mut fields = Fields(greeting);
    fields.take(1)?;
    fields.zero_ended()?;
    fields.take(4 + 8 + 1)?;
    let low = fields.number(2)?;
    // Servers of the last century end here.
    let high = fields.take(3).and_then(|_| fields.number(2)).unwrap_or_default();
    Some(high << 16 | low)
}
