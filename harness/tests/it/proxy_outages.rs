//! What a proxy does with whole connections: forwards, half-closes, stalls, refuses, keeps silent, resets, and ends faults by itself.

use std::io::ErrorKind;
use std::time::Duration;

use harness::proxy::{End, Outage, ProxyError, ProxySpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy_rig::{LONG, Rig, connect, is_silent, read, read_to_end, round_trip};

const A_WHILE: Duration = Duration::from_millis(150);

#[tokio::test]
async fn bytes_go_through_unchanged_and_are_counted() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let (mut from, mut to) = client.split();
    let (sent, got) = tokio::join!(
        async {
            to.write_all(&bytes).await.unwrap();
            to.shutdown().await.unwrap();
        },
        async {
            let mut got = Vec::new();
            from.read_to_end(&mut got).await.unwrap();
            got
        }
    );
    let () = sent;
    assert!(got == bytes, "the bytes came back changed");
    let counters = rig.until("end", |counters| counters.open() == 0).await;
    assert_eq!((counters.opened, counters.upstream.forwarded, counters.downstream.forwarded), (1, 3_000_000, 3_000_000));
    assert_eq!((counters.waiting(), counters.connections[0].ended.map(|(end, _)| end)), (0, Some(End::Finished)));
}

#[tokio::test]
async fn a_half_close_leaves_the_reply_path_open() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = rig.proxies.create(ProxySpec::plain("late", listener.local_addr().unwrap().to_string())).await.unwrap();
    let mut client = connect(address).await;
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await.unwrap(), b"question");
    assert!(is_silent(&mut client, A_WHILE).await);
    server.write_all(b"answer").await.unwrap();
    drop(server);
    assert_eq!(read_to_end(&mut client).await.unwrap(), b"answer");
}

#[tokio::test]
async fn a_reset_of_one_side_reaches_the_other_as_a_reset() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = rig.proxies.create(ProxySpec::plain("reset", listener.local_addr().unwrap().to_string())).await.unwrap();
    let mut client = connect(address).await;
    let (server, _) = listener.accept().await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(read_to_end(&mut client).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_stall_keeps_sockets_and_bytes_and_resumes_without_loss() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    round_trip(&mut client, b"before").await;
    let before = rig.proxies.generation();
    assert!(rig.proxies.begin("echo", Outage::Stall, LONG).await.unwrap() > before);
    client.write_all(b"while").await.unwrap();
    let counters = rig.until("bytes waiting", |counters| counters.upstream.waiting() == 5).await;
    assert_eq!(counters.upstream.forwarded, 6);
    assert!(is_silent(&mut client, A_WHILE).await);
    rig.proxies.end("echo", Outage::Stall).await.unwrap();
    assert_eq!(read(&mut client, 5).await, b"while");
    round_trip(&mut client, b"after").await;
}

#[tokio::test]
async fn a_stall_of_replies_lets_requests_through() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    rig.proxies.begin("echo", Outage::StallDownstream, LONG).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let counters = rig.until("reply waiting", |counters| counters.downstream.waiting() == 5).await;
    assert_eq!((counters.upstream.forwarded, counters.downstream.forwarded), (5, 0));
    rig.proxies.reset().await.unwrap();
    assert_eq!(read(&mut client, 5).await, b"hello");
}

#[tokio::test]
async fn a_stalled_sender_feels_that_the_proxy_holds_only_so_much() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    rig.proxies.begin("echo", Outage::Stall, LONG).await.unwrap();
    let chunk = vec![7; 1 << 20];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), client.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "a stalled connection takes bytes without end");
    }
    let waiting = rig.counters().upstream.waiting();
    assert!((4 << 20..5 << 20).contains(&waiting), "{waiting} bytes held");
    rig.proxies.end("echo", Outage::Stall).await.unwrap();
    assert!(read(&mut client, sent).await.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn refusing_closes_the_door_only() {
    let rig = Rig::start().await;
    let mut old = rig.client().await;
    round_trip(&mut old, b"old").await;
    rig.proxies.begin("echo", Outage::Refuse, LONG).await.unwrap();
    assert_eq!(TcpStream::connect(rig.address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    round_trip(&mut old, b"still").await;
    rig.proxies.end("echo", Outage::Refuse).await.unwrap();
    round_trip(&mut rig.client().await, b"new").await;
}

#[tokio::test]
async fn a_disabled_proxy_neither_listens_nor_keeps_connections() {
    let rig = Rig::start().await;
    let mut old = rig.client().await;
    round_trip(&mut old, b"old").await;
    rig.proxies.begin("echo", Outage::Disabled, LONG).await.unwrap();
    assert_eq!(read_to_end(&mut old).await, Ok(Vec::new()));
    assert_eq!(TcpStream::connect(rig.address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!rig.proxies.view("echo").unwrap().enabled);
    rig.proxies.reset().await.unwrap();
    round_trip(&mut rig.client().await, b"new").await;
}

#[tokio::test]
async fn a_blackhole_accepts_and_is_silent_until_it_ends() {
    let rig = Rig::start().await;
    rig.proxies.begin("echo", Outage::BlackholeAccept, LONG).await.unwrap();
    let mut client = rig.client().await;
    client.write_all(b"anybody?").await.unwrap();
    assert!(is_silent(&mut client, A_WHILE).await);
    assert_eq!((rig.echo.accepted(), rig.counters().opened), (0, 1));
    rig.proxies.end("echo", Outage::BlackholeAccept).await.unwrap();
    assert_eq!(read(&mut client, 8).await, b"anybody?");
}

#[tokio::test]
async fn live_connections_are_reset_on_both_sides() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = rig.proxies.create(ProxySpec::plain("live", listener.local_addr().unwrap().to_string())).await.unwrap();
    let mut client = connect(address).await;
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    read(&mut server, 1).await;
    assert_eq!(rig.proxies.rst_now("live").await.unwrap(), 1);
    assert_eq!(read_to_end(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(read_to_end(&mut server).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(rig.proxies.counters("live").unwrap().reset, 1);
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_counted_as_refused_and_blocks_nobody_else() {
    let rig = Rig::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = rig.proxies.create(ProxySpec::plain("dead", free.to_string())).await.unwrap();
    let mut client = connect(address).await;
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
    round_trip(&mut rig.client().await, b"alive").await;
    assert_eq!(rig.proxies.counters("dead").unwrap().refused, 1);
    assert!(rig.proxies.events_since(0).iter().any(|event| event.proxy == "dead" && event.what.starts_with("dial")));
}

#[tokio::test]
async fn a_fault_ends_by_itself_when_its_time_is_over() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    round_trip(&mut client, b"before").await;
    let short = Duration::from_millis(200);
    rig.proxies.begin("echo", Outage::Stall, short).await.unwrap();
    rig.proxies.begin("echo", Outage::Disabled, short).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
    rig.until("listening again", |_| rig.proxies.view("echo").unwrap().outages.is_empty()).await;
    round_trip(&mut rig.client().await, b"healed").await;
    let events = rig.proxies.events_since(0);
    let ended: Vec<_> = events.iter().filter(|event| event.what.contains("its own timer")).collect();
    assert_eq!(ended.len(), 2, "{events:#?}");
    assert!(events.windows(2).all(|pair| pair[0].number + 1 == pair[1].number && pair[0].at <= pair[1].at));
}

#[tokio::test]
async fn names_are_unique_and_unknown_ones_are_told() {
    let rig = Rig::start().await;
    let again = rig.proxies.create(ProxySpec::plain("echo", "127.0.0.1:1")).await;
    assert!(matches!(again, Err(ProxyError::ProxyExists)));
    assert!(matches!(rig.proxies.counters("other"), Err(ProxyError::ProxyNotFound)));
    rig.proxies.delete("echo").await.unwrap();
    assert!(matches!(rig.proxies.delete("echo").await, Err(ProxyError::ProxyNotFound)));
    assert_eq!(TcpStream::connect(rig.address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn another_upstream_takes_the_next_connections() {
    let rig = Rig::start().await;
    let mut old = rig.client().await;
    round_trip(&mut old, b"old").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    rig.proxies.set_upstream("echo", listener.local_addr().unwrap().to_string()).await.unwrap();
    assert_eq!(read_to_end(&mut old).await, Ok(Vec::new()));
    let mut client = rig.client().await;
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"another").await.unwrap();
    assert_eq!(read(&mut client, 7).await, b"another");
}
