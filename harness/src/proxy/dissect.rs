//! The hook through which a proxy learns where the frames of a protocol end.
//!
//! In: the bytes of one connection, both directions. Out: the same bytes in pieces, some of which complete a frame with a
//! name. A proxy looks for its triggers at those pieces and holds them; it knows no protocol itself.

use std::sync::Arc;

use bytes::Bytes;

use super::Direction;

/// Cuts the two byte streams of one connection into pieces.
///
/// The pieces of a direction, put together, are exactly the bytes fed in that direction; some of them may come out at a later
/// call. Bytes may be kept back only while the frame that they begin is unfinished, and a piece without a frame is always
/// right: whoever loses the framing gives back every byte as it came.
pub trait Dissector: Send {
    /// Takes the next `bytes` of one direction and appends the pieces that are complete now to `out`.
    fn feed(&mut self, direction: Direction, bytes: Bytes, out: &mut Vec<Piece>);

    /// Gives back what is still kept of a direction, because its stream ended. Nothing, for a dissector that keeps no bytes.
    fn finish(&mut self, direction: Direction, out: &mut Vec<Piece>) {
        let _ = (direction, out);
    }
}

/// The step of a frame by which a dissector says, once, that it no longer follows its connection; kept as an event.
pub const FRAMING_LOST: &str = "framing_lost";

/// Makes the dissector of the connection with the given number, which is unique in its proxy.
pub type DissectorFactory = Arc<dyn Fn(u64) -> Box<dyn Dissector> + Send + Sync>;

/// Bytes that go on together; with a frame if they are its last ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The bytes as they were fed.
    pub bytes: Bytes,
    /// The frame that these bytes complete.
    pub frame: Option<Frame>,
}

/// A request or a reply with a meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it is, in the words of the protocol: `pre_deduct`, `commit`, …
    pub step: &'static str,
    /// Kill points that it is at; triggers match them as well as the step.
    pub points: Vec<&'static str>,
    /// Orders that it is about.
    pub orders: Vec<String>,
    /// The item that it is about.
    pub item: Option<String>,
    /// Number of its exchange on this connection: a reply carries the number of its request, 0 if it answers none.
    pub exchange: u64,
}
