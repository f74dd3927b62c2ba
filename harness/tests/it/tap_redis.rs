//! The tap of Redis on real connections: both versions of the protocol, pipelines, forgotten scripts, messages that nobody asked for, and what no tap can follow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;

use bytes::Bytes;
use harness::proxy::tap::{Process, RedisTap, redis_taps};
use harness::proxy::{Direction, Dissector as _, DissectorFactory, FRAMING_LOST};
use harness::target::dialect::holdfast;
use proptest::prelude::*;
use redis::aio::MultiplexedConnection;

use crate::tap_relay::{Conversation, Relay, Seen, address_of};
use crate::tap_splits::{expect_the_same, expect_the_same_in_all_cuts};
use crate::tap_stores::stores;

const INSTALL: &str = concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!("../../../lua/install.lua"));
const PRE_DEDUCT: &str = concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!("../../../lua/pre_deduct.lua"));

fn taps() -> DissectorFactory {
    redis_taps(Arc::new(holdfast()), Arc::new(Process::default()))
}

/// A connection through a tap.
async fn connect(query: &str) -> (Relay, MultiplexedConnection) {
    let url = stores().await.redis_url();
    let relay = Relay::start(address_of(&url), taps()).await;
    let client = redis::Client::open(format!("{}{query}", relay.url(&url))).unwrap();
    (relay, client.get_multiplexed_async_connection().await.unwrap())
}

/// A call of `pre_deduct` for an item.
fn pre_deduct(call: &str, script: &str, item: u32, order: &str, units: u32) -> redis::Cmd {
    let mut command = redis::cmd(call);
    command.arg(script).arg(4);
    for kind in ["stock", "meta", "lock"] {
        command.arg(format!("inventory:{kind}:{{1:1:{item}}}"));
    }
    command.arg(format!("inventory:deduct:{order}:{{1:1:{item}}}")).arg("inc").arg(order).arg(units).arg(60).arg(1000);
    command
}

fn install(item: u32, base: u32) -> redis::Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(INSTALL).arg(3);
    for kind in ["stock", "meta", "lock"] {
        command.arg(format!("inventory:{kind}:{{1:1:{item}}}"));
    }
    command.arg("inc").arg(1).arg(base);
    command
}

fn words(frames: &[Seen]) -> Vec<String> {
    let word = |(direction, frame): &Seen| {
        let arrow = if *direction == Direction::Upstream { '>' } else { '<' };
        format!("{arrow}{} {} {}", frame.step, frame.orders.join(","), frame.item.as_deref().unwrap_or("-"))
    };
    frames.iter().map(word).collect()
}

/// One conversation of a client that pipelines, forgets, asks for more than there is, and talks of other things in between.
async fn a_conversation(query: &str, item: u32) -> (Vec<String>, Conversation) {
    let (relay, mut link) = connect(query).await;
    let hash = redis::Script::new(PRE_DEDUCT).get_hash().to_owned();
    install(item, 3).exec_async(&mut link).await.unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut link).await.unwrap();
    let unknown = pre_deduct("EVALSHA", &hash, item, "o-1", 2).query_async::<redis::Value>(&mut link).await;
    assert!(unknown.unwrap_err().to_string().to_lowercase().contains("noscript"));
    pre_deduct("EVAL", PRE_DEDUCT, item, "o-1", 2).exec_async(&mut link).await.unwrap();
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg("tap:big").arg("v".repeat(40_000)).cmd("GET").arg("tap:big").cmd("INFO").cmd("HGETALL").arg("no:such");
    pipeline.add_command(pre_deduct("EVALSHA", &hash, item, "o-2", 5));
    pipeline.cmd("MGET").arg("tap:big").arg("no:such").cmd("COMMAND").arg("INFO").arg("GET").arg("SET");
    pipeline.add_command(pre_deduct("EVALSHA", &hash, item, "o-3", 1));
    pipeline.cmd("DEL").arg("tap:big");
    pipeline.exec_async(&mut link).await.unwrap();
    let mut conversations = relay.conversations();
    (words(&relay.frames()), conversations.pop().unwrap())
}

fn expected(item: u32) -> Vec<String> {
    let tail = format!("1:1:{item}");
    let frame = |step: &str, order: &str| format!("{step} {order} {tail}");
    vec![
        frame(">install", ""),
        frame("<install", ""),
        frame(">pre_deduct", "o-1"),
        frame("<pre_deduct_not_known", "o-1"),
        frame(">pre_deduct", "o-1"),
        frame("<pre_deduct", "o-1"),
        frame(">pre_deduct", "o-2"),
        frame(">pre_deduct", "o-3"),
        frame("<pre_deduct_refused", "o-2"),
        frame("<pre_deduct", "o-3"),
    ]
}

#[tokio::test]
async fn both_versions_of_the_protocol_give_the_same_frames_in_every_cut() {
    let _alone = crate::tap_stores::scripts_alone().await;
    for (query, item) in [("", 1), ("?protocol=resp3", 2)] {
        let (words, conversation) = a_conversation(query, item).await;
        assert_eq!(words, expected(item), "{query}");
        let exchange = |at: usize| conversation.frames[at].1.exchange;
        assert_eq!((exchange(6), exchange(7)), (exchange(8), exchange(9)), "a reply carries the number of its request");
        expect_the_same_in_all_cuts(&conversation, &taps());
    }
}

#[tokio::test]
async fn messages_that_nobody_asked_for_do_not_shift_the_replies() {
    let _alone = crate::tap_stores::scripts_alone().await;
    let (relay, mut link) = connect("?protocol=resp3").await;
    install(3, 9).exec_async(&mut link).await.unwrap();
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").arg("BCAST").exec_async(&mut link).await.unwrap();
    for number in 0..5 {
        pre_deduct("EVAL", PRE_DEDUCT, 3, &format!("o-{number}"), 1).exec_async(&mut link).await.unwrap();
    }
    let conversation = relay.conversations().pop().unwrap();
    let pushes = conversation.chunks.iter().filter(|(_, chunk)| chunk.windows(10).any(|part| part == b"invalidate")).count();
    assert!(pushes > 0, "the server sent no invalidation, so nothing was shown");
    let replies: Vec<&Seen> = conversation.frames.iter().filter(|(direction, _)| *direction == Direction::Downstream).collect();
    assert_eq!(replies.len(), 6);
    assert!(replies.iter().all(|(_, frame)| matches!(frame.step, "install" | "pre_deduct")), "{replies:?}");
    expect_the_same_in_all_cuts(&conversation, &taps());
}

/// Feeds one direction whole; the names of the frames and whether every byte came out.
fn feed(tap: &mut RedisTap, direction: Direction, bytes: &[u8]) -> Vec<&'static str> {
    let mut pieces = Vec::new();
    tap.feed(direction, Bytes::copy_from_slice(bytes), &mut pieces);
    assert_eq!(crate::tap_relay::put_together(&pieces), bytes);
    pieces.iter().filter_map(|piece| Some(piece.frame.as_ref()?.step)).collect()
}

fn new_tap() -> RedisTap {
    RedisTap::new(Arc::new(holdfast()), Arc::new(Process::default()))
}

#[test]
fn what_breaks_the_order_of_replies_is_said_once_and_then_passed_on_as_bytes() {
    for breaking in
        ["SUBSCRIBE a\r\n", "*1\r\n$7\r\nMONITOR\r\n", "*3\r\n$6\r\nclient\r\n$5\r\nreply\r\n$3\r\noff\r\n", "*1\r\n:1\r\n"]
    {
        let mut tap = new_tap();
        assert_eq!(feed(&mut tap, Direction::Upstream, breaking.as_bytes()), [FRAMING_LOST], "{breaking:?}");
        let call = pre_deduct("EVAL", PRE_DEDUCT, 1, "o", 1).get_packed_command();
        assert!(feed(&mut tap, Direction::Upstream, &call).is_empty(), "{breaking:?}");
        assert!(feed(&mut tap, Direction::Downstream, b"+message\r\n").is_empty(), "{breaking:?}");
    }
    let mut tap = new_tap();
    assert_eq!(feed(&mut tap, Direction::Downstream, b"-ERR max number of clients reached\r\n"), [FRAMING_LOST]);
}

#[test]
fn every_type_of_reply_ends_where_it_ends() {
    let replies: [&[u8]; 12] = [
        b"+PONG\r\n",
        b"-ERR something\r\n",
        b":12\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n*1\r\n$3\r\n\r\n*\r\n%1\r\n+a\r\n_\r\n",
        b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
        b"~2\r\n#t\r\n,3.14\r\n",
        b"(3492890328409238509324850943850943825024385\r\n",
        b"!21\r\nSYNTAX invalid syntax\r\n",
        b"=15\r\ntxt:Some string\r\n",
    ];
    for reply in replies {
        let mut tap = new_tap();
        feed(&mut tap, Direction::Upstream, b"PING\r\n");
        let call = pre_deduct("EVAL", PRE_DEDUCT, 1, "o", 1).get_packed_command();
        assert_eq!(feed(&mut tap, Direction::Upstream, &call), ["pre_deduct"]);
        let both = [reply, b"*2\r\n$2\r\nOK\r\n$1\r\nx\r\n"].concat();
        assert_eq!(feed(&mut tap, Direction::Downstream, &both), ["pre_deduct"], "{}", String::from_utf8_lossy(reply));
    }
}

/// A command of plain words, or a call that has a name.
fn command() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let plain = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5).prop_map(|words| {
        let mut command = redis::cmd("SET");
        words.iter().for_each(|word| {
            command.arg(word.as_slice());
        });
        (command.get_packed_command(), false)
    });
    let named = "[A-Za-z0-9_-]{1,64}".prop_map(|order| (pre_deduct("EVAL", PRE_DEDUCT, 7, &order, 1).get_packed_command(), true));
    prop_oneof![plain, named]
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    let bulk = proptest::collection::vec(any::<u8>(), 0..60)
        .prop_map(|bytes| [format!("${}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat());
    let leaf = prop_oneof![
        bulk,
        Just(b":1\r\n".to_vec()),
        Just(b"+OK\r\n".to_vec()),
        Just(b"-ERR no\r\n".to_vec()),
        Just(b"_\r\n".to_vec())
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        let many = proptest::collection::vec(inner, 0..5);
        many.prop_map(|values| [format!("*{}\r\n", values.len()).into_bytes(), values.concat()].concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pipeline_has_one_frame_for_each_named_call_and_reply_in_any_cut(
        exchanges in proptest::collection::vec((command(), reply()), 1..12),
        cuts in proptest::collection::vec(1..90_usize, 1..40),
    ) {
        let requests: Vec<u8> = exchanges.iter().flat_map(|((bytes, _), _)| bytes.clone()).collect();
        let replies: Vec<u8> = exchanges.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let named = exchanges.iter().filter(|((_, named), _)| *named).count();
        let chunks = vec![(Direction::Upstream, Bytes::from(requests)), (Direction::Downstream, Bytes::from(replies))];
        let (mut tap, mut frames) = (new_tap(), Vec::new());
        for (direction, chunk) in &chunks {
            let mut pieces = Vec::new();
            tap.feed(*direction, chunk.clone(), &mut pieces);
            frames.extend(pieces.into_iter().filter_map(|piece| Some((*direction, piece.frame?))));
        }
        prop_assert_eq!(frames.len(), 2 * named);
        let mut cut = cuts.into_iter().cycle();
        expect_the_same(&Conversation { chunks, frames }, &taps(), || cut.next().unwrap());
    }

    #[test]
    fn bytes_that_are_no_protocol_are_passed_on_without_a_panic(chunks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 1..60)), 1..20)) {
        let (mut tap, mut lost) = (new_tap(), 0);
        for (up, chunk) in chunks {
            let direction = if up { Direction::Upstream } else { Direction::Downstream };
            lost += feed(&mut tap, direction, &chunk).into_iter().filter(|step| *step == FRAMING_LOST).count();
        }
        prop_assert!(lost <= 1);
    }
}
