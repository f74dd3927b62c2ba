//! Told to stop, the service answers what is under way, closes what is idle, and ends in time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http_bench::{Service, order, post, read_reply};
use crate::ledger_bench::{connect, execute};
use crate::stock_fixture::until;

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let (public, url) = (service.public, service.mysql_url.clone());
    // The fence of the item is held, so that the order cannot be written yet.
    let mut holder = connect(&url).await;
    execute(&mut holder, "BEGIN; SELECT epoch FROM inventory_epoch FOR UPDATE").await;
    let mut stream = TcpStream::connect(public).await.unwrap();
    stream.write_all(post("/orders", &order("o", item, 3).to_string()).as_bytes()).await.unwrap();
    until("the units are taken", async || service.left(item).await == 7).await;
    service.tell_to_stop();
    until("nobody new is let in", async || TcpStream::connect(public).await.is_err()).await;
    execute(&mut holder, "ROLLBACK").await;
    let reply = read_reply(&mut stream).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    service.ended().await.unwrap();
    execute(&mut holder, "SELECT 1").await;
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let service = Service::start().await;
    let mut silent = TcpStream::connect(service.public).await.unwrap();
    let mut kept = TcpStream::connect(service.public).await.unwrap();
    kept.write_all(b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    service.tell_to_stop();
    service.ended().await.unwrap();
    for stream in [&mut silent, &mut kept] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_cannot_keep_the_service_from_ending() {
    let service = Service::with(&["--drain-ms=700"]).await;
    let mut slow = TcpStream::connect(service.public).await.unwrap();
    slow.write_all(b"POST /orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
        .await
        .unwrap();
    // The reply shows that the listener had accepted the connection before this one.
    assert_eq!(service.get("/health/live").await.status, 200);
    service.tell_to_stop();
    let ended = tokio::time::timeout(Duration::from_secs(5), service.ended()).await;
    ended.expect("it ends once the client's share of the time to drain is over").expect("and well");
}
