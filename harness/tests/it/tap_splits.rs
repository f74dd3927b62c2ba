//! The same conversation in other chunks: whatever the network does to the boundaries, a tap sees the same frames and passes the same bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use bytes::Bytes;
use harness::proxy::{Direction, DissectorFactory, Frame, Piece};

use crate::tap_relay::{Conversation, Seen, put_together};

/// Feeds a conversation again, each of its chunks cut as `cut` says (how long the next part is, at least 1), and checks bytes and frames.
///
/// Chunks of one direction that follow each other are put together first, so that a cut may also lie where none was.
pub(crate) fn expect_the_same(conversation: &Conversation, taps: &DissectorFactory, mut cut: impl FnMut() -> usize) {
    let mut tap = taps(0);
    let mut frames: Vec<Seen> = Vec::new();
    for (direction, whole) in turns(conversation) {
        let mut rest = whole;
        while !rest.is_empty() {
            let part = rest.split_to(cut().clamp(1, rest.len()));
            let mut pieces: Vec<Piece> = Vec::new();
            tap.feed(direction, part.clone(), &mut pieces);
            assert_eq!(put_together(&pieces), part);
            assert!(pieces.iter().all(|piece| !piece.bytes.is_empty()), "a piece without a byte");
            frames.extend(pieces.into_iter().filter_map(|piece| Some((direction, piece.frame?))));
        }
    }
    assert_eq!(alone(&frames), alone(&conversation.frames));
}

/// Without the points, some of which rest on what other connections of the process had done by then.
fn alone(frames: &[Seen]) -> Vec<Seen> {
    frames.iter().map(|(direction, frame)| (*direction, Frame { points: Vec::new(), ..frame.clone() })).collect()
}

/// The chunks with those of one direction put together where they follow each other.
fn turns(conversation: &Conversation) -> Vec<(Direction, Bytes)> {
    let mut turns: Vec<(Direction, Vec<u8>)> = Vec::new();
    for (direction, chunk) in &conversation.chunks {
        match turns.last_mut() {
            Some((last, bytes)) if last == direction => bytes.extend_from_slice(chunk),
            _ => turns.push((*direction, chunk.to_vec())),
        }
    }
    turns.into_iter().map(|(direction, bytes)| (direction, Bytes::from(bytes))).collect()
}

/// Cuts byte by byte, in every small size, and by a fixed sequence that looks like none.
pub(crate) fn expect_the_same_in_all_cuts(conversation: &Conversation, taps: &DissectorFactory) {
    for size in [1, 2, 3, 5, 7, 64, 1448, 65_536] {
        expect_the_same(conversation, taps, || size);
    }
    let mut state = 0x9E37_79B9_u32;
    for _ in 0..20 {
        expect_the_same(conversation, taps, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + usize::try_from(state >> 16).unwrap() % 300
        });
    }
}
