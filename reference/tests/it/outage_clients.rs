//! Clients that are slow, silent, gone or many: each costs the service a bounded time and bounded memory, and the others nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http_bench::{Service, exchange, get, none, order, post, read_reply};
use crate::ledger_bench::fresh_url;
use crate::outage_program::Program;
use crate::stock_fixture::OwnRedis;
use crate::support::{fresh_item, stores};

const HEAD: &str =
    "POST /orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";

/// A service that waits a second for its clients.
async fn impatient() -> Service {
    Service::with(&["--client-timeout-ms=1000"]).await
}

/// Reads until the service ends the connection, which it must.
async fn until_ended(stream: &mut TcpStream, who: &str) -> Vec<u8> {
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    // A reset is an end too.
    let _ = reading.unwrap_or_else(|_| panic!("{who}: still connected after 20 s"));
    rest
}

#[tokio::test]
async fn a_client_that_sends_no_head_or_never_ends_it_is_sent_away() {
    let service = impatient().await;
    for sent in ["", "P", "POST /orders HTTP/1.1\r\nHost: te", "GET /health/live HTTP/1.1\r\nHost: test\r\n"] {
        let mut stream = TcpStream::connect(service.public).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        until_ended(&mut stream, sent).await;
    }
    let mut trickle = TcpStream::connect(service.public).await.unwrap();
    let mut ended = false;
    for byte in HEAD.bytes().cycle().take(100) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // One byte at a time keeps nobody waiting for longer than the whole may take.
        if trickle.write_all(&[byte.max(b'a')]).await.is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended, "a head that comes byte by byte is not waited for");
    assert_eq!(service.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_timeout_without_effect() {
    let service = impatient().await;
    let item = service.item(10).await;
    for part in ["", "{", &order("o", item, 1).to_string()] {
        let mut stream = TcpStream::connect(service.public).await.unwrap();
        stream.write_all(format!("{HEAD}{part}").as_bytes()).await.unwrap();
        assert_eq!(read_reply(&mut stream).await.error(), none(408, "invalid"), "{part}");
    }
    let chunked = HEAD.replace("Content-Length: 500", "Transfer-Encoding: chunked");
    let mut stream = TcpStream::connect(service.public).await.unwrap();
    stream.write_all(format!("{chunked}2\r\n{{\"\r\n").as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.error(), none(408, "invalid"));
    assert_eq!(service.left(item).await, 10);
    assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_and_closed_when_it_rests_too_long() {
    let service = impatient().await;
    let mut kept = TcpStream::connect(service.public).await.unwrap();
    for _ in 0..3 {
        kept.write_all(b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"live\n") {
            answer.push(kept.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    }
    until_ended(&mut kept, "a connection that rests").await;
}

#[tokio::test]
async fn a_client_that_takes_no_replies_is_cut_off() {
    let service = impatient().await;
    let mut greedy = TcpStream::connect(service.public).await.unwrap();
    let many = "GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1_000);
    let asking = async { while greedy.write_all(many.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("it is cut off within 60 s");
    assert_eq!(service.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_head_without_end_is_refused_with_bounded_memory() {
    let service = impatient().await;
    let mut stream = TcpStream::connect(service.public).await.unwrap();
    let endless = format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}", "x".repeat(100_000));
    let _ = stream.write_all(endless.as_bytes()).await;
    let reply = String::from_utf8(until_ended(&mut stream, "an endless head").await).unwrap();
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431"), "{reply}");
    assert_eq!(service.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn beyond_its_connections_a_listener_lets_clients_wait_and_not_fail() {
    let service = Service::with(&["--connections-max=16", "--client-timeout-ms=1500"]).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(service.public).await.unwrap());
    }
    assert_eq!(get(service.public, "/health/live").await.status, 200, "once the silent ones were sent away");
    assert_eq!(get(service.admin, "/health/live").await.status, 200, "the other listener has its own places");
}

/// Descriptors that this process, and so its child, may have.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1_000_000)
}

/// Connections that send nothing.
async fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    streams
}

#[tokio::test]
async fn more_connections_are_served_than_a_process_may_have_by_habit() {
    let program = Program::start_behind("ulimit -Sn 300", &stores().await.redis_url(), &fresh_url().await).await;
    let item = fresh_item();
    assert_eq!(program.open(item, 10).await.status, 201);
    // Well before the first of them is sent away for being idle.
    let idle = tokio::time::timeout(Duration::from_secs(15), silent(program.public, 1_000)).await;
    let idle = idle.expect("all of them are connected");
    let reply = exchange(program.public, &post("/orders", &order("o", item, 1).to_string())).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    drop(idle);
}

#[tokio::test]
async fn clients_that_take_every_place_leave_descriptors_for_the_stores() {
    let mut redis = OwnRedis::start(&[]).await;
    let program = Program::start_behind("ulimit -n 400", &redis.url(), &fresh_url().await).await;
    let item = fresh_item();
    assert_eq!(program.open(item, 10).await.status, 201);
    // One client came before the crowd and stays connected.
    let mut early = TcpStream::connect(program.public).await.unwrap();
    let mut ask = async |id: &str| {
        let body = order(id, item, 1).to_string();
        let head = format!(
            "POST /orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        early.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        one_reply(&mut early).await
    };
    assert_eq!(ask("before").await, 201);
    // More than fit into places and backlog: those that come last wait for their connection.
    let mut crowd = JoinSet::new();
    for _ in 0..600 {
        crowd.spawn(silent(program.public, 1));
    }
    let held = crowd_is_in(&program).await;
    assert!(held + 100 <= 400, "{held} descriptors are in use: those who wait for a connection must not have the last ones");
    // While redis is away its descriptors are free, and nobody who waits may take them.
    redis.kill();
    while ask("away").await != 503 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    crowd_is_in(&program).await;
    redis.restart().await;
    let mut answers = Vec::new();
    // Idle clients are sent away after half a minute; until then it must have reached redis again.
    let again = async {
        for at in 0.. {
            answers.push(ask(&format!("after-{at}")).await);
            if answers.last() == Some(&201) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(15), again).await;
    assert!(reached.is_ok(), "{answers:?}");
}

/// Waits until the process holds many descriptors, and has taken no more for a while. How many.
async fn crowd_is_in(program: &Program) -> usize {
    let open = || std::fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap().count();
    let (mut before, mut same) = (0, 0);
    while same < 30 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = open();
        (before, same) = if now == before && now > 120 { (now, same + 1) } else { (now, 0) };
    }
    before
}

/// Status of the next reply on a connection that is kept.
async fn one_reply(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_memory_and_no_order() {
    let stores = stores().await;
    let program = Program::start(&stores.redis_url(), &fresh_url().await, &[]).await;
    let item = fresh_item();
    assert_eq!(program.open(item, 100).await.status, 201);
    let count = (descriptors().saturating_sub(1_000)).min(10_000);
    assert!(count >= 2_000, "this test needs 3,000 descriptors at the least, ulimit -n");
    let before = program.resident_kib();
    let mut idle = Vec::with_capacity(count);
    for at in 0..count {
        let mut stream = TcpStream::connect(program.public).await.unwrap();
        // Half of them have begun a request that never ends.
        if at % 2 == 0 {
            stream.write_all(format!("{HEAD}{{\"order_id\":").as_bytes()).await.unwrap();
        }
        idle.push(stream);
    }
    for at in 0..20 {
        let reply = exchange(program.public, &post("/orders", &order(&format!("o-{at}"), item, 1).to_string())).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let grown = program.resident_kib().saturating_sub(before);
    println!("{count} idle connections: {before} KiB before, {grown} KiB more with them");
    assert!(grown < 32 * count as u64, "{grown} KiB for {count} connections");
    drop(idle);
    let left = get(program.public, &format!("/stock/{}/{}/{}", item.store, item.product, item.sku)).await;
    assert_eq!(left.json()["available"], json!(80));
}
