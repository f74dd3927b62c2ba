//! How fast the taps read along: bytes a second on the traffic of a sale, and on bulk that means nothing to them.
//!
//! Each measurement feeds one conversation, requests and replies, in chunks of 16 KiB as a socket gives them, to a new tap. What the figure is worth depends on
//! the machine; a sale at 5,000 orders a second is some 5 MB/s.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::proxy::tap::dialect::{Dialect, Script};
use harness::proxy::tap::{MysqlTap, Process, RedisTap};
use harness::proxy::{Direction, Dissector, Piece};
use harness::target::dialect::holdfast;

/// Bytes that a socket gives at once.
const CHUNK: usize = 16 << 10;

type Conversation = Vec<(Direction, Bytes)>;

/// What it is called, what is fed, how many named frames are in it, and what makes the tap.
type Case<'a> = (&'a str, Conversation, usize, &'a dyn Fn() -> Box<dyn Dissector>);

/// One turn of a conversation in chunks.
fn turn(direction: Direction, bytes: Vec<u8>) -> impl Iterator<Item = (Direction, Bytes)> {
    let whole = Bytes::from(bytes);
    (0..whole.len()).step_by(CHUNK).map(move |at| (direction, whole.slice(at..whole.len().min(at + CHUNK))))
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut command = redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(word);
    });
    command.get_packed_command()
}

/// Calls of `pre_deduct`, 64 in a pipeline.
fn reservations(dialect: &Dialect) -> Conversation {
    let form = dialect.scripts.iter().find(|form| form.script == Script::PreDeduct);
    let hash = form.map(|form| form.sha1.clone()).unwrap_or_default();
    let keys = ["stock", "meta", "lock"].map(|kind| format!("inventory:{kind}:{{1:1:1}}"));
    let inc = "0123456789abcdef0123456789abcdef01234567:0123456789abcdef0123456789abcdef01234567";
    let mut conversation = Vec::new();
    for round in 0..200 {
        let (mut calls, mut replies) = (Vec::new(), Vec::new());
        for number in 0..64 {
            let order = format!("order-{round:04}-{number:04}-0123456789ab");
            let record = format!("inventory:deduct:{order}:{{1:1:1}}");
            calls.extend(command(&[
                "EVALSHA", &hash, "4", &keys[0], &keys[1], &keys[2], &record, inc, &order, "1", "604800", "1000000",
            ]));
            replies.extend_from_slice(b"*5\r\n$2\r\nOK\r\n$6\r\n1:4711\r\n$1\r\n1\r\n$5\r\n12345\r\n$4\r\n4711\r\n");
        }
        conversation.extend(turn(Direction::Upstream, calls));
        conversation.extend(turn(Direction::Downstream, replies));
    }
    conversation
}

/// GET and SET of large values.
fn values() -> Conversation {
    let value = "v".repeat(1 << 20);
    let mut conversation = Vec::new();
    for _ in 0..16 {
        conversation.extend(turn(Direction::Upstream, command(&["SET", "key", &value])));
        conversation.extend(turn(Direction::Downstream, b"+OK\r\n".to_vec()));
        conversation.extend(turn(Direction::Upstream, command(&["GET", "key"])));
        conversation.extend(turn(Direction::Downstream, format!("${}\r\n{value}\r\n", value.len()).into_bytes()));
    }
    conversation
}

fn packet(sequence: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[length[0], length[1], length[2], sequence], content].concat()
}

fn query(text: &str) -> Vec<u8> {
    packet(0, &[b"\x03", text.as_bytes()].concat())
}

/// An OK that says whether a transaction is open and whether more results follow.
fn ok(status: u8) -> [u8; 7] {
    [0, 0, 0, status, 0, 0, 0]
}

/// The handshake of a server and a client that agree on rows that end with an OK.
fn login() -> Conversation {
    let mut greeting = b"\x0A11.0-bench\0".to_vec();
    greeting.extend_from_slice(&[0; 13]);
    greeting.extend_from_slice(&[0xFF, 0xF7, 45, 2, 0, 0xFF, 0x01, 21]);
    greeting.extend_from_slice(&[0; 23]);
    let mut response = (0x01FF_F7DF_u32).to_le_bytes().to_vec();
    response.extend_from_slice(&[0; 40]);
    let turns = [
        (Direction::Downstream, packet(0, &greeting)),
        (Direction::Upstream, packet(1, &response)),
        (Direction::Downstream, packet(2, &ok(2))),
    ];
    turns.into_iter().flat_map(|(direction, bytes)| turn(direction, bytes)).collect()
}

/// Order transactions of 64 orders: one packet with locks and rows, then COMMIT.
fn orders() -> Conversation {
    let rows = |row: &dyn Fn(u32) -> String| (0..64).map(row).collect::<Vec<_>>().join(",");
    let hash = "5".repeat(64);
    let mut conversation = login();
    for round in 0..100 {
        let id = |number: u32| format!("order-{round:04}-{number:04}-0123456789ab");
        let text = format!(
            "BEGIN; SELECT store_id, product_id, sku_id, epoch, mode FROM inventory_epoch WHERE store_id = 1 AND product_id = 1 AND sku_id = 1 \
             AND shard = 0 LOCK IN SHARE MODE; INSERT INTO orders (order_id, user_id, status, request_hash, expire_at) VALUES {}; \
             INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) VALUES {}; \
             INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, token) VALUES {}",
            rows(&|number| format!("('{}',7,'CREATED',x'{hash}',NOW(3) + INTERVAL 1800000000 MICROSECOND)", id(number))),
            rows(&|number| format!("('{}',1,1,1,'SALE','LOCK',1,1,'1:{number}')", id(number))),
            rows(&|number| format!("('{0}','DEDUCT_STOCK_DB','{0}',1,1,1,1,1,'1:{number}')", id(number))),
        );
        let mut replies = packet(1, &ok(0x0B));
        replies.extend(packet(2, &[1]));
        replies.extend(packet(3, b"\x03def\x04sale\x01e\x01e\x05epoch\x05epoch\x0C\x3F\0\x14\0\0\0\x08\x01\x10\0\0\0"));
        replies.extend(packet(4, b"\x011"));
        replies.extend(packet(5, &[0xFE, 0, 0, 0x0B, 0, 0, 0]));
        for (sequence, status) in [(6, 0x0B), (7, 0x0B), (8, 0x03)] {
            replies.extend(packet(sequence, &ok(status)));
        }
        conversation.extend(turn(Direction::Upstream, query(&text)));
        conversation.extend(turn(Direction::Downstream, replies));
        conversation.extend(turn(Direction::Upstream, query("COMMIT")));
        conversation.extend(turn(Direction::Downstream, packet(1, &ok(2))));
    }
    conversation
}

/// A report of many rows.
fn report() -> Conversation {
    let mut conversation = login();
    conversation.extend(turn(Direction::Upstream, query("SELECT order_id FROM orders")));
    let mut rows = packet(1, &[1]);
    rows.extend(packet(2, b"\x03def\x04sale\x01o\x01o\x08order_id\x08order_id\x0C\x3F\0\x14\0\0\0\xFD\x01\x10\0\0\0"));
    let row = [&[200][..], &[b'r'; 200]].concat();
    (0..100_000).for_each(|_| rows.extend(packet(3, &row)));
    rows.extend(packet(4, &[0xFE, 0, 0, 2, 0, 0, 0]));
    conversation.extend(turn(Direction::Downstream, rows));
    conversation
}

/// Feeds a conversation; how many named frames were in it.
fn feed(tap: &mut dyn Dissector, conversation: &Conversation, pieces: &mut Vec<Piece>) -> usize {
    let mut named = 0;
    for (direction, bytes) in conversation {
        tap.feed(*direction, bytes.clone(), pieces);
        named += pieces.iter().filter(|piece| piece.frame.is_some()).count();
        pieces.clear();
    }
    named
}

fn taps(criterion: &mut Criterion) {
    let dialect = Arc::new(holdfast());
    let redis = || -> Box<dyn Dissector> { Box::new(RedisTap::new(Arc::clone(&dialect), Arc::new(Process::default()))) };
    let mysql = || -> Box<dyn Dissector> { Box::new(MysqlTap::new(Arc::clone(&dialect), Arc::new(Process::default()))) };
    let cases: [Case<'_>; 4] = [
        ("redis reservations", reservations(&dialect), 200 * 64 * 2, &redis),
        ("redis values", values(), 0, &redis),
        ("mysql orders", orders(), 100 * 4, &mysql),
        ("mysql rows", report(), 0, &mysql),
    ];
    let mut group = criterion.benchmark_group("tap");
    for (name, conversation, named, new) in cases {
        assert_eq!(feed(new().as_mut(), &conversation, &mut Vec::new()), named, "{name}: what is measured is not what was meant");
        group.throughput(Throughput::Bytes(conversation.iter().map(|(_, bytes)| bytes.len() as u64).sum()));
        group.bench_function(name, |bencher| {
            let mut pieces = Vec::new();
            bencher.iter_batched_ref(new, |tap| black_box(feed(tap.as_mut(), &conversation, &mut pieces)), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, taps);
criterion_main!(benches);
