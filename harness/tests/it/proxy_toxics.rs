//! What each toxic does to real connections, and what becomes of held bytes when it changes or goes.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::ErrorKind;
use std::time::Duration;

use harness::proxy::{Direction, Spread, ToxicKind, ToxicSpec};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::proxy_rig::{LONG, Rig, is_silent, read, read_to_end, round_trip};

const A_WHILE: Duration = Duration::from_millis(150);

async fn with_toxic(direction: Direction, kind: ToxicKind) -> (Rig, TcpStream) {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    round_trip(&mut client, b"before").await;
    rig.proxies.add_toxic("echo", ToxicSpec::new(direction, kind), LONG).await.unwrap();
    (rig, client)
}

/// Milliseconds that a round trip takes.
async fn timed(rig: &Rig, client: &mut TcpStream) -> u128 {
    let start = rig.clock.now();
    round_trip(client, b"ping").await;
    rig.clock.now().since(start).as_millis()
}

#[tokio::test]
async fn latency_delays_live_connections_in_its_direction_only_and_two_add_up() {
    let (rig, mut client) = with_toxic(Direction::Upstream, ToxicKind::latency(Duration::from_millis(120))).await;
    assert!(timed(&rig, &mut client).await >= 120);
    let more = ToxicSpec::new(Direction::Downstream, ToxicKind::latency(Duration::from_millis(130)));
    rig.proxies.add_toxic("echo", more, LONG).await.unwrap();
    let more =
        ToxicSpec { name: "third".into(), ..ToxicSpec::new(Direction::Downstream, ToxicKind::latency(Duration::from_millis(50))) };
    rig.proxies.add_toxic("echo", more, LONG).await.unwrap();
    assert!(timed(&rig, &mut client).await >= 300);
    let counters = rig.until("empty proxy", |counters| counters.waiting() == 0).await;
    assert_eq!(counters.opened, 1);
}

#[tokio::test]
async fn jitter_keeps_the_order_and_its_bounds() {
    for spread in [Spread::Uniform, Spread::Exponential] {
        let kind = ToxicKind::Latency { latency_ms: 30, jitter_ms: 25, spread };
        let (rig, mut client) = with_toxic(Direction::Upstream, kind).await;
        let start = rig.clock.now();
        for n in 0..40_u8 {
            client.write_all(&[n]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&mut client, 40).await, (0..40).collect::<Vec<u8>>());
        assert!(rig.clock.now().since(start) >= Duration::from_millis(5));
    }
}

#[tokio::test]
async fn latency_taken_away_or_shortened_gives_its_bytes_back_at_once() {
    let (rig, mut client) = with_toxic(Direction::Upstream, ToxicKind::latency(LONG)).await;
    client.write_all(b"removed").await.unwrap();
    rig.until("held bytes", |counters| counters.upstream.waiting() == 7).await;
    rig.proxies.remove_toxic("echo", "latency_upstream").await.unwrap();
    assert_eq!(read(&mut client, 7).await, b"removed");

    rig.proxies.add_toxic("echo", ToxicSpec::new(Direction::Upstream, ToxicKind::latency(LONG)), LONG).await.unwrap();
    client.write_all(b"updated").await.unwrap();
    rig.until("held bytes", |counters| counters.upstream.waiting() == 7).await;
    rig.proxies.update_toxic("echo", "latency_upstream", ToxicKind::latency(Duration::from_millis(1)), 1.0).await.unwrap();
    assert_eq!(read(&mut client, 7).await, b"updated");
}

#[tokio::test]
async fn bandwidth_limits_the_rate_and_a_rate_of_zero_holds_all() {
    let (rig, mut client) = with_toxic(Direction::Upstream, ToxicKind::Bandwidth { rate_kb_s: 100, shared: false }).await;
    let start = rig.clock.now();
    let bytes = vec![3; 40_000];
    round_trip(&mut client, &bytes).await;
    assert!(rig.clock.now().since(start) >= Duration::from_millis(380), "{:?}", rig.clock.now().since(start));

    rig.proxies
        .update_toxic("echo", "bandwidth_upstream", ToxicKind::Bandwidth { rate_kb_s: 0, shared: false }, 1.0)
        .await
        .unwrap();
    client.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client, A_WHILE).await);
    rig.proxies.remove_toxic("echo", "bandwidth_upstream").await.unwrap();
    assert_eq!(read(&mut client, 4).await, b"held");
}

#[tokio::test]
async fn a_shared_rate_is_that_of_all_connections_together() {
    let (rig, mut one) = with_toxic(Direction::Upstream, ToxicKind::Bandwidth { rate_kb_s: 100, shared: true }).await;
    let mut other = rig.client().await;
    let start = rig.clock.now();
    let bytes = vec![3; 20_000];
    tokio::join!(round_trip(&mut one, &bytes), round_trip(&mut other, &bytes));
    assert!(rig.clock.now().since(start) >= Duration::from_millis(380), "{:?}", rig.clock.now().since(start));
}

#[tokio::test]
async fn slow_close_delays_the_end_only() {
    let (rig, mut client) = with_toxic(Direction::Downstream, ToxicKind::SlowClose { delay_ms: 150 }).await;
    let start = rig.clock.now();
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read(&mut client, 4).await, b"last");
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
    assert!(rig.clock.now().since(start) >= Duration::from_millis(150));
}

#[tokio::test]
async fn timeout_throws_bytes_away_and_closes_once_none_came_for_a_while() {
    let (rig, mut client) = with_toxic(Direction::Upstream, ToxicKind::Timeout { timeout_ms: 200 }).await;
    let start = rig.clock.now();
    for _ in 0..3 {
        client.write_all(b"lost").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
    assert!(rig.clock.now().since(start) >= Duration::from_millis(400), "each chunk starts the time again");
    let counters = rig.counters();
    assert_eq!((counters.upstream.discarded, counters.closed), (12, 1));
}

#[tokio::test]
async fn timeout_zero_never_closes_and_its_removal_does() {
    let (rig, mut client) = with_toxic(Direction::Downstream, ToxicKind::Timeout { timeout_ms: 0 }).await;
    client.write_all(b"asked").await.unwrap();
    rig.until("discarded reply", |counters| counters.downstream.discarded == 5).await;
    assert!(is_silent(&mut client, A_WHILE).await);
    rig.proxies.remove_toxic("echo", "timeout_downstream").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
}

#[tokio::test]
async fn reset_peer_resets_a_live_connection_after_its_first_bytes() {
    let (rig, mut client) = with_toxic(Direction::Downstream, ToxicKind::ResetPeer { timeout_ms: 100 }).await;
    assert!(is_silent(&mut client, A_WHILE).await, "without bytes nothing happens");
    let start = rig.clock.now();
    client.write_all(b"x").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert!(rig.clock.now().since(start) >= Duration::from_millis(100));
    assert_eq!(rig.counters().reset, 1);
}

#[tokio::test]
async fn reset_peer_that_waits_can_be_taken_away() {
    let (rig, mut client) = with_toxic(Direction::Upstream, ToxicKind::ResetPeer { timeout_ms: 60_000 }).await;
    client.write_all(b"spared").await.unwrap();
    rig.until("held bytes", |counters| counters.upstream.waiting() == 6).await;
    rig.proxies.reset().await.unwrap();
    assert_eq!(read(&mut client, 6).await, b"spared");
}

#[tokio::test]
async fn slicer_cuts_into_pieces_with_pauses_and_loses_nothing() {
    let kind = ToxicKind::Slicer { average_size: 100, size_variation: 50, delay_us: 2_000 };
    let (rig, mut client) = with_toxic(Direction::Upstream, kind).await;
    let bytes: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let start = rig.clock.now();
    round_trip(&mut client, &bytes).await;
    // At most 150 bytes a piece, so at least 66 pauses.
    assert!(rig.clock.now().since(start) >= Duration::from_millis(130), "{:?}", rig.clock.now().since(start));
}

#[tokio::test]
async fn limit_data_closes_at_the_limit_and_counts_through_updates() {
    let (rig, mut client) = with_toxic(Direction::Downstream, ToxicKind::LimitData { bytes: 10 }).await;
    round_trip(&mut client, b"12345").await;
    rig.proxies.update_toxic("echo", "limit_data_downstream", ToxicKind::LimitData { bytes: 12 }, 1.0).await.unwrap();
    client.write_all(b"1234567890").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, Ok(b"1234567".to_vec()));
    assert_eq!(rig.counters().closed, 1);
}

#[tokio::test]
async fn noop_passes_everything() {
    let (_rig, mut client) = with_toxic(Direction::Upstream, ToxicKind::Noop).await;
    round_trip(&mut client, &[5; 300_000]).await;
}

/// Which of the first connections a toxic of half toxicity touches.
async fn touched(seed: u64) -> Vec<bool> {
    let rig = Rig::with_seed(seed).await;
    let toxic = ToxicSpec { toxicity: 0.5, ..ToxicSpec::new(Direction::Upstream, ToxicKind::Timeout { timeout_ms: 0 }) };
    rig.proxies.add_toxic("echo", toxic, LONG).await.unwrap();
    let mut touched = Vec::new();
    for _ in 0..24 {
        let mut client = rig.client().await;
        client.write_all(b"x").await.unwrap();
        let number = touched.len();
        let counters = rig
            .until("fate of the byte", |counters| {
                counters.connections.get(number).is_some_and(|one| one.upstream.forwarded + one.upstream.discarded == 1)
            })
            .await;
        touched.push(counters.connections[number].upstream.discarded == 1);
    }
    touched
}

#[tokio::test]
async fn toxicity_follows_from_the_seed_and_the_connection() {
    let first = touched(11).await;
    assert_eq!(first, touched(11).await);
    assert_ne!(first, touched(12).await);
    assert!((4..=20).contains(&first.iter().filter(|touched| **touched).count()), "{first:?}");
}

#[tokio::test]
async fn a_neighbour_or_an_update_does_not_draw_toxicity_again() {
    let rig = Rig::start().await;
    let half =
        ToxicSpec { toxicity: 0.5, ..ToxicSpec::new(Direction::Upstream, ToxicKind::Bandwidth { rate_kb_s: 0, shared: false }) };
    rig.proxies.add_toxic("echo", half, LONG).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(rig.client().await);
    }
    let mut held = Vec::new();
    for round in 1..=3_u64 {
        for client in &mut clients {
            client.write_all(b"x").await.unwrap();
        }
        let counters = rig.until("bytes", |counters| counters.upstream.received == 16 * round).await;
        held.push(counters.connections.iter().map(|one| one.upstream.waiting() > 0).collect::<Vec<_>>());
        let neighbour = ToxicSpec { name: format!("noop {round}"), ..ToxicSpec::new(Direction::Upstream, ToxicKind::Noop) };
        rig.proxies.add_toxic("echo", neighbour, LONG).await.unwrap();
        let kind = ToxicKind::Bandwidth { rate_kb_s: 0, shared: false };
        rig.proxies.update_toxic("echo", "bandwidth_upstream", kind, 0.5).await.unwrap();
    }
    assert!(held.windows(2).all(|pair| pair[0] == pair[1]), "{held:?}");
    assert!(held[0].contains(&true) && held[0].contains(&false), "{held:?}");
}

#[tokio::test]
async fn a_toxic_goes_by_itself_when_its_time_is_over() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let toxic = ToxicSpec::new(Direction::Upstream, ToxicKind::latency(LONG));
    rig.proxies.add_toxic("echo", toxic, Duration::from_millis(200)).await.unwrap();
    round_trip(&mut client, b"in the end").await;
    assert!(rig.proxies.view("echo").unwrap().toxics.is_empty());
}
