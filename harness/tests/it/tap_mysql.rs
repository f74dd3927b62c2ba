//! The tap of MySQL on real connections: the driver's own conversations, and what only other clients do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;

use bytes::Bytes;
use harness::proxy::tap::{MysqlTap, Process, mysql_taps};
use harness::proxy::{Direction, Dissector as _, DissectorFactory, FRAMING_LOST};
use harness::target::dialect::holdfast;
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};

use crate::tap_mysql_client::{COMPRESSED, Client, PLAIN, WITHOUT_EOF, framed};
use crate::tap_relay::{Conversation, Relay, Seen, address_of, put_together};
use crate::tap_splits::{expect_the_same, expect_the_same_in_all_cuts};
use crate::tap_stores::stores;

const TABLES: &str = "
    CREATE TABLE orders (order_id VARCHAR(80) PRIMARY KEY, status VARCHAR(10) NOT NULL, note VARCHAR(10) NOT NULL DEFAULT '');
    CREATE TABLE outbox (id BIGINT AUTO_INCREMENT PRIMARY KEY, event_id VARCHAR(90), event_type VARCHAR(20), order_id VARCHAR(80), status VARCHAR(5) DEFAULT 'NEW');
    CREATE TABLE inventory_transactions (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id VARCHAR(80), transaction_type VARCHAR(8));
    CREATE TABLE inventory (sku_id BIGINT PRIMARY KEY, current_stock BIGINT);
    CREATE TABLE inventory_epoch (sku_id BIGINT PRIMARY KEY, epoch BIGINT);
    INSERT INTO inventory VALUES (1, 100); INSERT INTO inventory_epoch VALUES (1, 1);";

fn taps() -> DissectorFactory {
    mysql_taps(Arc::new(holdfast()), Arc::new(Process::default()))
}

/// A relay before an own database with tables like those of the service, and a user without a password.
async fn rig(name: &str) -> (Relay, String) {
    let stores = stores().await;
    let mut root = MySqlConnection::connect(&stores.mysql_url("")).await.unwrap();
    let make = format!(
        "CREATE DATABASE {name}; CREATE USER {name}@'127.0.0.1' IDENTIFIED VIA mysql_native_password USING ''; \
         GRANT ALL ON {name}.* TO {name}@'127.0.0.1'; USE {name}; {TABLES}"
    );
    root.execute(sqlx::raw_sql(AssertSqlSafe(make))).await.unwrap();
    let url = stores.mysql_url(name);
    let relay = Relay::start(address_of(&url), taps()).await;
    let url = relay.url(&url);
    (relay, url)
}

async fn run(connection: &mut MySqlConnection, text: &str) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(text.to_owned()))).await.unwrap();
}

/// Frames in words, probes of the driver left out: they have no name.
fn words(frames: &[Seen]) -> Vec<String> {
    let word = |(direction, frame): &Seen| {
        let arrow = if *direction == Direction::Upstream { '>' } else { '<' };
        format!("{arrow}{} {}", frame.step, frame.orders.join(",")).trim_end().to_owned()
    };
    frames.iter().map(word).collect()
}

/// The names of an exchange that takes effect.
fn both(step: &str, orders: &str) -> [String; 2] {
    ['>', '<'].map(|arrow| format!("{arrow}{step} {orders}").trim_end().to_owned())
}

#[tokio::test]
async fn a_commit_is_named_after_what_was_done_since_begin_and_for_whom() {
    let (relay, url) = rig("tap_kinds").await;
    let mut link = MySqlConnection::connect(&url).await.unwrap();
    run(
        &mut link,
        "BEGIN; INSERT INTO orders (order_id, status) VALUES ('a','CREATED'),('b','CREATED'); \
        INSERT INTO outbox (event_id, event_type, order_id) VALUES ('a','DEDUCT_STOCK_DB','a'),('b','DEDUCT_STOCK_DB','b')",
    )
    .await;
    run(&mut link, "COMMIT").await;
    run(&mut link, "BEGIN; SELECT id, order_id FROM outbox WHERE event_type = 'DEDUCT_STOCK_DB' FOR UPDATE SKIP LOCKED").await;
    run(&mut link, "SELECT id FROM inventory_transactions WHERE order_id IN ('a','b')").await;
    run(&mut link, "UPDATE inventory SET current_stock = current_stock - 2; UPDATE outbox SET status = 'DONE'").await;
    run(&mut link, "COMMIT").await;
    run(&mut link, "INSERT INTO orders (order_id, status) VALUES ('gone','FENCED')").await;
    let twin = link.execute(sqlx::raw_sql("INSERT INTO orders (order_id, status) VALUES ('gone','FENCED')")).await;
    assert!(twin.is_err());
    run(&mut link, "BEGIN; SELECT epoch FROM inventory_epoch FOR UPDATE").await;
    run(&mut link, "UPDATE inventory_epoch SET epoch = 2").await;
    run(&mut link, "COMMIT").await;
    run(&mut link, "BEGIN; UPDATE orders SET status = 'CANCELLED', note = 'x' WHERE order_id = 'a' AND status = 'CREATED'").await;
    run(&mut link, "ROLLBACK").await;
    run(&mut link, "BEGIN; SELECT id, event_id FROM outbox WHERE event_type = 'APPLY_DELTA' FOR UPDATE SKIP LOCKED").await;
    run(&mut link, "COMMIT").await;
    run(&mut link, "BEGIN; INSERT INTO orders (order_id, status) VALUES ('one','CREATED'); COMMIT").await;
    let expected: Vec<String> = [
        both("order_rows", "a,b").to_vec(),
        both("commit_order", "a,b").to_vec(),
        vec![">outbox_claim".into(), "<outbox_claim a,b".into()],
        both("ledger_update", "a,b").to_vec(),
        both("commit_deduct", "a,b").to_vec(),
        both("commit_tombstone", "gone").to_vec(),
        vec![">commit_tombstone gone".into(), "<commit_tombstone_refused gone".into()],
        both("begin", "").to_vec(),
        both("epoch_update", "").to_vec(),
        both("commit_rebuild", "").to_vec(),
        both("begin", "a").to_vec(),
        vec![">outbox_claim".into(), "<outbox_claim_refused".into()],
        both("commit_claim", "").to_vec(),
        both("commit_order", "one").to_vec(),
    ]
    .concat();
    assert_eq!(words(&relay.frames()), expected);
    expect_the_same_in_all_cuts(&relay.conversations()[0], &taps());
}

#[tokio::test]
async fn prepared_statements_are_known_by_their_text_and_name_the_orders_in_their_parameters() {
    let (relay, url) = rig("tap_prepared").await;
    let mut link = MySqlConnection::connect(&url).await.unwrap();
    for order in ["p-1", "p-2"] {
        let mut transaction = link.begin().await.unwrap();
        let insert = sqlx::query("INSERT INTO orders (note, order_id, status) VALUES (?, ?, 'CREATED')");
        insert.bind(1_i64).bind(order).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let pay = sqlx::query("UPDATE orders SET status = 'PAID', note = ? WHERE order_id = ?").bind(7_i32).bind("p-2");
    assert_eq!(pay.execute(&mut link).await.unwrap().rows_affected(), 1);
    let rows =
        sqlx::query("SELECT order_id, status FROM orders WHERE order_id LIKE ?").bind("p-%").fetch_all(&mut link).await.unwrap();
    assert_eq!(rows.len(), 2);
    // The form says that the first value of a row is the order. Here it is a number, which is no id: better none than a wrong one.
    assert!(relay.frames().iter().filter(|(_, frame)| frame.step == "order_rows").all(|(_, frame)| frame.orders.is_empty()));
    let steps: Vec<&str> = relay.frames().iter().map(|(_, frame)| frame.step).collect();
    let one = ["begin", "begin", "order_rows", "order_rows", "commit_order", "commit_order"];
    assert_eq!(steps, [one.as_slice(), &one, &["commit_pay", "commit_pay"]].concat());
    let paid = relay.frames().pop().unwrap().1;
    assert_eq!(paid.orders, ["p-2"]);
    expect_the_same_in_all_cuts(&relay.conversations()[0], &taps());
}

#[tokio::test]
async fn packets_of_more_than_16_mb_go_through_in_both_directions() {
    let (relay, url) = rig("tap_large").await;
    let mut link = MySqlConnection::connect(&url).await.unwrap();
    // One packet that is longer than a part, and one whose parts end exactly at its end.
    for length in [17_000_000, 0xFF_FF_FF - 1 - "SELECT '' AS x".len()] {
        let text = format!("SELECT '{}' AS x", "y".repeat(length));
        let row: (String,) = sqlx::query_as(AssertSqlSafe(text)).persistent(false).fetch_one(&mut link).await.unwrap();
        assert_eq!(row.0.len(), length);
        run(&mut link, &format!("SELECT LENGTH('{}')", "z".repeat(length))).await;
    }
    run(&mut link, "INSERT INTO orders (order_id, status) VALUES ('after','FENCED')").await;
    assert_eq!(words(&relay.frames()), both("commit_tombstone", "after"));
}

/// Everything that the driver never does, on one connection.
async fn an_odd_conversation(name: &str, capabilities: u32) -> Conversation {
    let (relay, _) = rig(name).await;
    let mut client = Client::connect(relay.address, name, capabilities).await;
    let is_end = |packet: &[u8]| packet[0] == 0xFE && packet.len() < 9;
    client.command(0x02, name.as_bytes()).await;
    assert_eq!(client.packet().await[0], 0, "INIT_DB");
    client.command(0x0E, b"").await;
    assert_eq!(client.packet().await[0], 0, "PING");
    client.command(0x09, b"").await;
    assert!(client.packet().await.starts_with(b"Uptime"), "STATISTICS");
    client.command(0x04, b"orders\0%").await;
    assert!(client.until(is_end).await.len() > 3, "FIELD_LIST");
    // A file, wanted by the server in the middle of a reply.
    client.command(0x03, b"LOAD DATA LOCAL INFILE 'x' INTO TABLE outbox (order_id)").await;
    assert_eq!(client.packet().await[0], 0xFB);
    client.send(2, b"o-1\no-2\n").await;
    client.send(3, b"").await;
    assert_eq!(client.packet().await[0], 0, "LOAD DATA");
    // A cursor: the rows come later.
    client.command(0x16, b"SELECT order_id FROM outbox").await;
    let prepared = client.packet().await;
    let columns_end = usize::from(capabilities & WITHOUT_EOF == 0);
    for _ in 0..1 + columns_end {
        client.packet().await;
    }
    let statement = &prepared[1..5];
    client.command(0x17, &[statement, &[1, 1, 0, 0, 0]].concat()).await;
    client.until(is_end).await;
    client.command(0x1C, &[statement, &[10, 0, 0, 0]].concat()).await;
    assert_eq!(client.until(is_end).await.len(), 3, "FETCH");
    client.command(0x19, statement).await;
    // Several commands in one write, with answers of every length.
    let queries = [
        "SELECT 1; SELECT 2, 3; DO 0",
        "INSERT INTO orders (order_id, status) VALUES ('q','FENCED')",
        "SELECT nothing",
        "SELECT 4",
    ];
    let burst: Vec<u8> = queries.iter().flat_map(|query| framed(0, &[b"\x03", query.as_bytes()].concat())).collect();
    client.raw(&burst).await;
    client.until(|packet| packet == b"\x014").await;
    client.until(is_end).await;
    // Another user on the same connection; here the same one again.
    let mut change = [b"\x11", name.as_bytes(), b"\0\0", name.as_bytes(), b"\0", &[45, 0], b"mysql_native_password\0"].concat();
    client.send(0, &std::mem::take(&mut change)).await;
    let answer = client.packet().await;
    if answer[0] == 0xFE {
        client.send(2, b"").await;
        assert_eq!(client.packet().await[0], 0, "CHANGE_USER");
    }
    client.command(0x03, b"INSERT INTO orders (order_id, status) VALUES ('r','FENCED')").await;
    assert_eq!(client.packet().await[0], 0);
    client.command(0x01, b"").await;
    client.read_out().await;
    relay.conversations().pop().unwrap()
}

#[tokio::test]
async fn cursors_files_bursts_and_other_users_do_not_lose_the_framing_with_old_and_new_ends_of_rows() {
    for (name, capabilities) in [("tap_odd_old", PLAIN), ("tap_odd_new", PLAIN | WITHOUT_EOF)] {
        let conversation = an_odd_conversation(name, capabilities).await;
        let expected = [both("commit_tombstone", "q"), both("commit_tombstone", "r")].concat();
        assert_eq!(words(&conversation.frames), expected, "{name}");
        expect_the_same_in_all_cuts(&conversation, &taps());
    }
}

#[tokio::test]
async fn a_compressed_connection_is_passed_on_as_bytes_and_says_so_once() {
    let (relay, _) = rig("tap_compressed").await;
    let mut client = Client::connect(relay.address, "tap_compressed", PLAIN | COMPRESSED).await;
    // The answer to the login is not compressed yet; then a frame of three more bytes in its header, whose content is too short to be worth it.
    assert_eq!(client.packet().await[0], 0);
    let query = framed(0, b"\x03INSERT INTO orders (order_id, status) VALUES ('o','FENCED')");
    let length = u8::try_from(query.len()).unwrap();
    client.raw(&[&[length, 0, 0, 0, 0, 0, 0][..], &query].concat()).await;
    let answer = client.packet().await;
    assert!(!answer.is_empty(), "the server answered through the tap");
    assert_eq!(words(&relay.frames()), [format!(">{FRAMING_LOST}")]);
}

#[tokio::test]
async fn a_client_that_asks_for_encryption_is_passed_on_as_bytes_from_there() {
    let (relay, url) = rig("tap_encrypted").await;
    drop(MySqlConnection::connect(&url).await.unwrap());
    let conversation = relay.conversations().pop().unwrap();
    let mut chunks = conversation.chunks.into_iter();
    let (_, mut greeting) = chunks.next().map(|(direction, chunk)| (direction, chunk.to_vec())).unwrap();
    // The server of the test has no certificate, so the offer is put into what it really said: the fourth bit of the second byte behind its version.
    let version_end = 5 + greeting[5..].iter().position(|byte| *byte == 0).unwrap();
    greeting[version_end + 15] |= 1 << 3;
    let mut tap = MysqlTap::new(Arc::new(holdfast()), Arc::new(Process::default()));
    let mut pieces = Vec::new();
    tap.feed(Direction::Downstream, greeting.into(), &mut pieces);
    let request = framed(1, &[&(PLAIN | 1 << 11).to_le_bytes()[..], &[0; 28]].concat());
    tap.feed(Direction::Upstream, request.clone().into(), &mut pieces);
    tap.feed(Direction::Upstream, Bytes::from_static(b"\x16\x03\x01 client hello"), &mut pieces);
    let frames: Vec<&str> = pieces.iter().filter_map(|piece| Some(piece.frame.as_ref()?.step)).collect();
    assert_eq!(frames, [FRAMING_LOST]);
    assert!(put_together(&pieces).ends_with(b"client hello"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_that_are_no_protocol_are_passed_on_without_a_panic(chunks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 1..60)), 1..20)) {
        let mut tap = MysqlTap::new(Arc::new(holdfast()), Arc::new(Process::default()));
        let mut lost = 0;
        for (up, chunk) in chunks {
            let direction = if up { Direction::Upstream } else { Direction::Downstream };
            let mut pieces = Vec::new();
            tap.feed(direction, Bytes::from(chunk.clone()), &mut pieces);
            prop_assert_eq!(put_together(&pieces), chunk);
            lost += pieces.iter().filter(|piece| piece.frame.as_ref().is_some_and(|frame| frame.step == FRAMING_LOST)).count();
        }
        prop_assert!(lost <= 1);
    }
}

/// A conversation that really took place, cut and then spoiled at one byte: the tap may lose the framing, but never a byte.
#[tokio::test]
async fn a_real_conversation_with_one_wrong_byte_is_still_passed_on_whole() {
    let (relay, url) = rig("tap_spoiled").await;
    let mut link = MySqlConnection::connect(&url).await.unwrap();
    run(&mut link, "BEGIN; INSERT INTO orders (order_id, status) VALUES ('a','CREATED')").await;
    run(&mut link, "COMMIT; SELECT order_id FROM orders").await;
    let conversation = relay.conversations().pop().unwrap();
    let total: usize = conversation.chunks.iter().map(|(_, chunk)| chunk.len()).sum();
    for spoiled in 0..total {
        let mut tap = taps()(0);
        let mut at = 0;
        for (direction, chunk) in &conversation.chunks {
            let mut chunk = chunk.to_vec();
            if (at..at + chunk.len()).contains(&spoiled) {
                chunk[spoiled - at] ^= 0xA5;
            }
            at += chunk.len();
            let mut pieces = Vec::new();
            tap.feed(*direction, Bytes::from(chunk.clone()), &mut pieces);
            assert_eq!(put_together(&pieces), chunk);
        }
    }
    let mut cut = (1..50).cycle();
    expect_the_same(&conversation, &taps(), || cut.next().unwrap());
}
