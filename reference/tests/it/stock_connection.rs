//! Faults: what a call says when the server or the link fails under it, and that the next calls find their way back.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::Epoch;
use reference::stock::{Applied, NotReady, PreDeduct, Stock, StockError, StockSettings, Taken, Unready};

use crate::stock_fixture::{Fixture, OwnRedis, patient, quantity, until};

const SHORT: Duration = Duration::from_millis(200);

fn is_unknown<T>(outcome: &Result<T, StockError>) -> bool {
    matches!(outcome, Err(StockError::Unknown { .. }))
}

fn is_not_executed<T>(outcome: &Result<T, StockError>) -> bool {
    matches!(outcome, Err(StockError::NotExecuted { .. }))
}

/// A fixture on an own server, with a counter, whose client loses patience soon.
async fn impatient(server: &OwnRedis, units: i64) -> Fixture {
    let mut at = Fixture::on(server.url()).await;
    at.install(1, units).await;
    let settings = StockSettings { command_timeout: SHORT, connect_timeout: SHORT, ..patient(server.url()) };
    at.stock = Stock::open(settings).await.unwrap();
    at
}

async fn take_one(at: &Fixture, order: &str) -> Result<PreDeduct, StockError> {
    at.stock.pre_deduct(at.item, &order.parse().unwrap(), quantity(1)).await
}

fn why_not_ready(outcome: &Result<PreDeduct, StockError>) -> Option<Unready> {
    match outcome {
        Ok(PreDeduct::NotReady(NotReady { why, .. })) => Some(*why),
        _ => None,
    }
}

#[tokio::test]
async fn a_flushed_server_has_no_counter_until_the_next_install() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    let lock = at.take("o1", 2).await;
    at.raw::<()>("FLUSHALL").await;
    let missing = NotReady { epoch: Epoch(0), why: Unready::Missing };
    assert_eq!(at.pre_deduct("o1", 2).await, PreDeduct::NotReady(missing));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), std::slice::from_ref(&lock)).await, Ok(Applied::NotReady(missing)));
    at.install(2, 5).await;
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &[lock]).await, Ok(Applied::Stale(Epoch(2))));
    assert_eq!(at.units().await, 5);
}

#[tokio::test]
async fn every_script_is_sent_again_to_a_server_that_forgot_it() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    let forget = async || at.raw::<()>("SCRIPT FLUSH").await;
    at.install(1, 5).await;
    forget().await;
    at.install(2, 5).await;
    forget().await;
    let locks = [at.take("o1", 2).await, at.take("o2", 1).await];
    forget().await;
    assert_eq!(at.stock.confirm(at.item, Epoch(2), &locks[..1]).await, Ok(Applied::Done(1)));
    forget().await;
    assert_eq!(at.stock.rollback(at.item, Epoch(2), &locks[1..]).await, Ok(Applied::Done(1)));
    forget().await;
    assert_eq!(at.stock.apply_delta(at.item, Epoch(2), "C.x", 1).await, Ok(Applied::Done(1)));
    forget().await;
    assert_eq!(at.stock.probe(at.item, Duration::ZERO, None, &[]).await.unwrap().stock, 4);
}

#[tokio::test]
async fn a_call_whose_connection_is_cut_before_the_reply_is_unknown_and_the_next_one_works() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    at.raw::<()>("CLIENT PAUSE 60000 WRITE").await;
    let cut = async {
        let waiting = async || {
            at.raw::<String>("CLIENT LIST").await.lines().any(|line| line.contains(" cmd=evalsha") && line.contains(" flags=b"))
        };
        until("the call waits in the server", waiting).await;
        at.raw::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
    };
    let (outcome, ()) = tokio::join!(take_one(&at, "o1"), cut);
    assert!(is_unknown(&outcome), "{outcome:?}");
    at.raw::<()>("CLIENT UNPAUSE").await;
    assert!(matches!(take_one(&at, "o1").await, Ok(PreDeduct::Taken(_))));
}

#[tokio::test]
async fn an_idle_connection_that_was_cut_costs_at_most_one_call() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    at.take("o1", 1).await;
    at.raw::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
    let first = take_one(&at, "o2").await;
    assert!(matches!(first, Ok(PreDeduct::Taken(_))) || is_unknown(&first) || is_not_executed(&first), "{first:?}");
    assert!(matches!(take_one(&at, "o2").await, Ok(PreDeduct::Taken(_))));
    assert_eq!(at.units().await, 3);
}

#[tokio::test]
async fn a_call_that_timed_out_is_unknown_and_may_run_later() {
    let server = OwnRedis::start(&[]).await;
    let at = impatient(&server, 5).await;
    // The script must be known: a late NOSCRIPT would run nothing.
    at.take("o0", 1).await;
    at.raw::<()>("CLIENT PAUSE 60000 WRITE").await;
    let outcome = take_one(&at, "o1").await;
    assert!(is_unknown(&outcome), "{outcome:?}");
    at.raw::<()>("CLIENT UNPAUSE").await;
    until("the late call has run", async || at.units().await == 3).await;
    let repeat = take_one(&at, "o1").await;
    assert!(matches!(repeat, Ok(PreDeduct::Taken(Taken { left: None, .. }))), "{repeat:?}");
}

#[tokio::test]
async fn a_link_that_stays_silent_is_given_up_and_replaced_when_the_server_is_back() {
    let server = OwnRedis::start(&[]).await;
    let at = impatient(&server, 5).await;
    server.signal("STOP");
    let mut unknown = 0;
    while at.stock.is_reachable() {
        let outcome = take_one(&at, "o1").await;
        unknown += u32::from(is_unknown(&outcome));
        assert!(unknown <= 3, "{outcome:?}");
    }
    assert!(unknown > 0);
    let outcome = take_one(&at, "o1").await;
    assert!(is_not_executed(&outcome), "a stopped server accepts the connection and says nothing: {outcome:?}");
    server.signal("CONT");
    until("calls work again", async || matches!(take_one(&at, "o1").await, Ok(PreDeduct::Taken(_)))).await;
    assert!(at.stock.is_reachable());
    assert_eq!(at.units().await, 4);
}

#[tokio::test]
async fn callers_beyond_the_bound_of_a_connection_are_refused_without_having_sent_anything() {
    let server = OwnRedis::start(&[]).await;
    let at = impatient(&server, 5).await;
    server.signal("STOP");
    let outcomes = join_all((0..600).map(async |_| take_one(&at, "o1").await)).await;
    server.signal("CONT");
    let unknown = outcomes.iter().filter(|outcome| is_unknown(outcome)).count();
    let not_executed = outcomes.iter().filter(|outcome| is_not_executed(outcome)).count();
    assert_eq!(unknown + not_executed, 600);
    // A caller that waits may get the place of one whose reply is late, and the connection is given up at the third late reply.
    assert!((512..=514).contains(&unknown), "{unknown} of 600 were sent");
}

#[tokio::test]
async fn a_refused_connect_is_not_executed() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let opened = Stock::open(patient(format!("redis://127.0.0.1:{free}/"))).await;
    assert!(matches!(opened, Err(StockError::NotExecuted { act: "connect", .. })), "{opened:?}");
}

#[tokio::test]
async fn a_url_that_is_none_is_unsuitable() {
    let opened = Stock::open(patient("http://127.0.0.1:1/".into())).await;
    assert!(matches!(opened, Err(StockError::Unsuitable(_))), "{opened:?}");
}

#[tokio::test]
async fn while_the_server_is_away_calls_fail_at_once_and_definitely() {
    let mut server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    server.kill();
    until("the loss is noticed", async || take_one(&at, "o1").await.is_err() && !at.stock.is_reachable()).await;
    let calls = async {
        for _ in 0..1000 {
            let outcome = take_one(&at, "o1").await;
            assert!(is_not_executed(&outcome), "{outcome:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(5), calls).await.expect("1000 failing calls within 5 s");
    assert!(is_not_executed(&at.stock.ping().await));
    assert!(at.stock.installer().await.is_err());

    server.restart().await;
    until("the new process answers", async || why_not_ready(&take_one(&at, "o1").await) == Some(Unready::Missing)).await;
    assert_eq!(at.stock.ping().await, Ok(()));
}

#[tokio::test]
async fn a_restart_with_the_old_data_is_another_incarnation() {
    let mut server = OwnRedis::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    let lock = at.take("o1", 2).await;
    server.kill();
    server.restart().await;
    until("the new process answers", async || why_not_ready(&take_one(&at, "o1").await) == Some(Unready::Incarnation)).await;
    let elsewhere = NotReady { epoch: Epoch(1), why: Unready::Incarnation };
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &[lock]).await, Ok(Applied::NotReady(elsewhere)));
    assert_eq!(at.stock.installer().await.unwrap().probe_epoch(at.item).await, Ok(Epoch(1)));
    at.install(2, 5).await;
    at.take("o1", 2).await;
}

#[tokio::test]
async fn a_server_promoted_under_an_idle_connection_is_noticed() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    at.take("o1", 1).await;
    at.raw::<()>("REPLICAOF 127.0.0.1 1").await;
    at.raw::<()>("REPLICAOF NO ONE").await;
    let is_noticed = async || why_not_ready(&take_one(&at, "o1").await) == Some(Unready::Incarnation);
    until("the promotion is noticed", is_noticed).await;
}

#[tokio::test]
async fn a_server_demoted_under_a_connection_refuses_and_is_not_used_again() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    at.raw::<()>("REPLICAOF 127.0.0.1 1").await;
    for _ in 0..3 {
        let outcome = take_one(&at, "o1").await;
        assert!(is_not_executed(&outcome), "{outcome:?}");
    }
    assert!(!at.stock.is_reachable());
    assert!(at.stock.ping().await.is_err());
    assert_eq!(at.units().await, 5);
    let opened = Stock::open(patient(server.url())).await;
    assert!(matches!(&opened, Err(StockError::Unsuitable(why)) if why.contains("slave")), "{opened:?}");
}

#[tokio::test]
async fn a_server_that_evicts_keys_is_unsuitable() {
    let server = OwnRedis::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let opened = Stock::open(patient(server.url())).await;
    assert!(matches!(&opened, Err(StockError::Unsuitable(why)) if why.contains("maxmemory-policy")), "{opened:?}");
}

#[tokio::test]
async fn a_server_that_begins_to_evict_keys_is_given_up() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.raw::<()>("CONFIG SET maxmemory-policy volatile-ttl").await;
    let refused = at.stock.ping().await;
    assert!(matches!(&refused, Err(StockError::Unsuitable(why)) if why.contains("volatile-ttl")), "{refused:?}");
    assert!(is_not_executed(&take_one(&at, "o1").await));
}

#[tokio::test]
async fn a_full_server_refuses_reservations_definitely_and_still_takes_units_back() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    at.install(1, 5).await;
    let locks = [at.take("o1", 2).await, at.take("o2", 1).await];
    let before = at.dump().await;
    at.raw::<()>("CONFIG SET maxmemory 1").await;
    assert!(is_not_executed(&take_one(&at, "o3").await));
    assert!(is_not_executed(&at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await));
    assert_eq!(at.dump().await, before);
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &locks[..1]).await, Ok(Applied::Done(1)));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &locks[1..]).await, Ok(Applied::Done(1)));
    assert_eq!((at.units().await, at.meta("avail").await.as_str()), (3, "3"));
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let server = OwnRedis::start(&[]).await;
    Fixture::on(server.url()).await.raw::<()>("CONFIG SET requirepass open-sesame").await;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}/", server.port);
    let stock = Stock::open(patient(url("open-sesame"))).await.unwrap();
    assert!(!format!("{stock:?}").contains("open-sesame"));
    let refused = Stock::open(patient(url("wrong-sesame"))).await;
    assert!(is_not_executed(&refused) && !format!("{refused:?}").contains("sesame"), "{refused:?}");
}

#[tokio::test]
async fn the_connections_close_with_the_last_clone() {
    let server = OwnRedis::start(&[]).await;
    let at = Fixture::on(server.url()).await;
    let clients = async || at.raw::<String>("CLIENT LIST").await.lines().count();
    let stock = Stock::open(StockSettings { lanes: 3, ..patient(server.url()) }).await.unwrap();
    let clone = stock.clone();
    for _ in 0..6 {
        stock.ping().await.unwrap();
    }
    // One of the test, one of the fixture's client, three lanes.
    assert_eq!(clients().await, 5);
    drop(stock);
    clone.ping().await.unwrap();
    drop(clone);
    until("the lanes are closed", async || clients().await == 2).await;
}

impl OwnRedis {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}
