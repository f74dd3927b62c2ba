//! Frames that are held, dropped, cut and stalled by name, with a protocol of lines that these tests make up.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::clock::RunClock;
use harness::proxy::{Armed, Decision, Direction, Dissector, End, Frame, Hit, OnHit, Piece, Proxies, ProxySpec, Trigger};
use harness::seed::Seed;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::proxy_rig::{Echo, LONG, SOON, connect, is_silent, read, read_to_end, round_trip};

const A_WHILE: Duration = Duration::from_millis(150);

/// A frame is a line: its first word the step, the second an order. Replies carry the number of their request.
#[derive(Default)]
struct Lines {
    numbers: [u64; 2],
    kept: [Vec<u8>; 2],
}

impl Dissector for Lines {
    fn feed(&mut self, direction: Direction, bytes: Bytes, out: &mut Vec<Piece>) {
        let side = usize::from(direction == Direction::Downstream);
        self.kept[side].extend_from_slice(&bytes);
        while let Some(end) = self.kept[side].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.kept[side].drain(..=end).collect();
            let text = String::from_utf8_lossy(&line).into_owned();
            let mut words = text.split_whitespace();
            self.numbers[side] += 1;
            let step = match words.next() {
                Some("take") => "take",
                Some("commit") => "commit",
                _ => "other",
            };
            let points = if step == "commit" && side == 1 { vec!["commit_reply_held"] } else { Vec::new() };
            let orders = words.map(str::to_owned).collect();
            let frame = Frame { step, points, orders, item: None, exchange: self.numbers[side] };
            out.push(Piece { bytes: line.into(), frame: Some(frame) });
        }
    }

    fn finish(&mut self, direction: Direction, out: &mut Vec<Piece>) {
        let side = usize::from(direction == Direction::Downstream);
        let rest = std::mem::take(&mut self.kept[side]);
        if !rest.is_empty() {
            out.push(Piece { bytes: rest.into(), frame: None });
        }
    }
}

struct Rig {
    proxies: Proxies,
    echo: Echo,
    address: SocketAddr,
}

async fn rig() -> Rig {
    let echo = Echo::start().await;
    let proxies = Proxies::start(Seed(7), RunClock::start()).unwrap();
    let factory = Arc::new(|_| Box::new(Lines::default()) as Box<dyn Dissector>);
    let address = proxies.create(ProxySpec::dissected("lines", echo.address.to_string(), factory)).await.unwrap();
    Rig { proxies, echo, address }
}

async fn hit(armed: &mut Armed) -> Hit {
    timeout(SOON, armed.next()).await.expect("a hit in time").expect("an armed trigger")
}

#[tokio::test]
async fn a_held_frame_waits_for_its_decision_and_so_does_what_follows() {
    let rig = rig().await;
    let mut armed = rig.proxies.arm(Trigger { hold_max: LONG, ..Trigger::at("commit", LONG) });
    let mut client = connect(rig.address).await;
    client.write_all(b"take o1\ncommit o1\ntake o2\n").await.unwrap();
    let hit = hit(&mut armed).await;
    assert_eq!((hit.proxy.as_str(), hit.connection, hit.nth, hit.orders.clone()), ("lines", 1, 1, vec!["o1".to_owned()]));
    assert_eq!(read(&mut client, 8).await, b"take o1\n");
    assert!(is_silent(&mut client, A_WHILE).await);
    assert_eq!(rig.proxies.counters("lines").unwrap().upstream.held, 1);
    assert!(hit.decide(Decision::Pass));
    assert_eq!(read(&mut client, 18).await, b"commit o1\ntake o2\n");
    assert!(armed.next().await.is_none(), "it was to hit once");
}

#[tokio::test]
async fn a_hold_ends_by_itself() {
    let rig = rig().await;
    let mut armed = rig.proxies.arm(Trigger { hold_max: Duration::from_millis(200), ..Trigger::at("take", LONG) });
    let mut client = connect(rig.address).await;
    round_trip(&mut client, b"take o1\n").await;
    assert!(!hit(&mut armed).await.decide(Decision::Reset), "decided too late");
    round_trip(&mut client, b"take o2\n").await;
}

#[tokio::test]
async fn a_frame_outlives_its_sender() {
    let rig = rig().await;
    let mut armed = rig.proxies.arm(Trigger { hold_max: LONG, ..Trigger::at("commit", LONG) });
    let mut client = connect(rig.address).await;
    client.write_all(b"commit o1\n").await.unwrap();
    let hit = hit(&mut armed).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(hit.decide(Decision::Pass));
    let deadline = tokio::time::timeout(SOON, async {
        while rig.proxies.counters("lines").unwrap().upstream.forwarded < 10 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    deadline.await.expect("the frame goes on although its sender is gone");
}

#[tokio::test]
async fn the_nth_frame_about_an_order_is_hit_and_no_other() {
    let rig = rig().await;
    let wanted = Trigger {
        order: Some("o7".into()),
        nth: 2,
        direction: Some(Direction::Upstream),
        hold_max: LONG,
        ..Trigger::at("take", LONG)
    };
    let mut armed = rig.proxies.arm(wanted);
    let mut client = connect(rig.address).await;
    for line in ["take o7\n", "take o1\n", "commit o7\n"] {
        round_trip(&mut client, line.as_bytes()).await;
    }
    client.write_all(b"take o7\n").await.unwrap();
    let hit = hit(&mut armed).await;
    assert_eq!((hit.nth, hit.direction), (2, Direction::Upstream));
    hit.decide(Decision::Pass);
    assert_eq!(read(&mut client, 8).await, b"take o7\n");
}

#[tokio::test]
async fn a_dropped_reply_leaves_its_request_done_and_earlier_replies_delivered() {
    let rig = rig().await;
    let only =
        Trigger { direction: Some(Direction::Upstream), on_hit: OnHit::Do(Decision::DropReply), ..Trigger::at("commit", LONG) };
    let mut armed = rig.proxies.arm(only);
    let mut client = connect(rig.address).await;
    client.write_all(b"take o1\ncommit o1\ntake o2\n").await.unwrap();
    assert_eq!(read_to_end(&mut client).await.unwrap_or_default(), b"take o1\n");
    let hit = hit(&mut armed).await;
    assert!(!hit.decide(Decision::Pass), "there is nothing to decide");
    let counters = rig.proxies.counters("lines").unwrap();
    assert_eq!((counters.downstream.dropped, counters.closed), (1, 1));
    assert!(counters.upstream.forwarded >= 18);
    assert_eq!(rig.echo.accepted(), 1);
}

#[tokio::test]
async fn a_kill_point_of_a_reply_is_hit_by_its_name() {
    let rig = rig().await;
    let mut armed = rig.proxies.arm(Trigger { hold_max: LONG, ..Trigger::at("commit_reply_held", LONG) });
    let mut client = connect(rig.address).await;
    client.write_all(b"commit o1\n").await.unwrap();
    let hit = hit(&mut armed).await;
    assert_eq!((hit.direction, hit.step, hit.point.as_str()), (Direction::Downstream, "commit", "commit_reply_held"));
    assert!(hit.decide(Decision::DropReply));
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
}

#[tokio::test]
async fn cuts_and_resets_end_the_connection_before_or_after_the_frame() {
    let rig = rig().await;
    let cases = [(Decision::CutBefore, true, 8), (Decision::CutAfter, true, 18), (Decision::Reset, false, 8)];
    for (number, (decision, ends_quietly, forwarded)) in cases.into_iter().enumerate() {
        let mut armed = rig.proxies.arm(Trigger { hold_max: LONG, ..Trigger::at("commit", LONG) });
        let mut client = connect(rig.address).await;
        round_trip(&mut client, b"take o1\n").await;
        client.write_all(b"commit o1\n").await.unwrap();
        assert!(hit(&mut armed).await.decide(decision));
        let rest = read_to_end(&mut client).await;
        if ends_quietly {
            assert!(rest.is_ok(), "{decision:?}: {rest:?}");
        } else {
            assert_eq!(rest, Err(ErrorKind::ConnectionReset), "{decision:?}");
        }
        assert_eq!(rig.proxies.counters("lines").unwrap().connections[number].upstream.forwarded, forwarded, "{decision:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_forgotten_ends_for_its_client_only() {
    let rig = rig().await;
    for decision in [Decision::Forget, Decision::Reset] {
        let mut armed = rig.proxies.arm(Trigger { hold_max: LONG, ..Trigger::at("commit", LONG) });
        let mut client = connect(rig.address).await;
        round_trip(&mut client, b"take o1\n").await;
        client.write_all(b"commit o1\n").await.unwrap();
        assert!(hit(&mut armed).await.decide(decision));
        assert_eq!(read_to_end(&mut client).await, Err(ErrorKind::ConnectionReset), "{decision:?}");
    }
    // The server sees the end of the second one, which came later.
    let clock = RunClock::start();
    let deadline = clock.now().plus(SOON);
    while rig.echo.ended() == 0 {
        assert!(clock.now() < deadline, "no connection ended within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((rig.echo.accepted(), rig.echo.ended()), (2, 1));
    let counters = rig.proxies.counters("lines").unwrap();
    assert_eq!((counters.connections[0].ended.unwrap().0, counters.reset), (End::Forgotten, 2));
}

#[tokio::test]
async fn a_stalled_frame_goes_on_after_its_time() {
    let rig = rig().await;
    let clock = RunClock::start();
    let stall = Duration::from_millis(150);
    let _armed = rig.proxies.arm(Trigger {
        direction: Some(Direction::Upstream),
        on_hit: OnHit::Do(Decision::Stall(stall)),
        ..Trigger::at("take", LONG)
    });
    let mut client = connect(rig.address).await;
    let start = clock.now();
    round_trip(&mut client, b"take o1\n").await;
    assert!(clock.now().since(start) >= stall);
}

#[tokio::test]
async fn a_trigger_that_is_dropped_or_too_old_lets_frames_pass() {
    let rig = rig().await;
    let mut client = connect(rig.address).await;
    let requests = Some(Direction::Upstream);
    let mut armed = rig.proxies.arm(Trigger { direction: requests, hold_max: LONG, times: 9, ..Trigger::at("take", LONG) });
    client.write_all(b"take o1\n").await.unwrap();
    drop(hit(&mut armed).await);
    assert_eq!(read(&mut client, 8).await, b"take o1\n");
    drop(armed);
    let mut old = rig.proxies.arm(Trigger { hold_max: LONG, times: 9, ..Trigger::at("commit", Duration::from_millis(100)) });
    assert!(timeout(SOON, old.next()).await.unwrap().is_none(), "its time is over");
    round_trip(&mut client, b"commit o1\ncommit o2\n").await;
}
