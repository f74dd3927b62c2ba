//! Admin calls and final reads over real sockets: a listener that answers by table records what it was asked.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use harness::scenario::SaleItem;
use harness::snapshot::final_reads::read_orders;
use harness::stack::Endpoints;
use harness::target::admin::open_sales;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::snapshot_rig::item;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
struct Asked {
    line: String,
    authorization: String,
    body: String,
}

/// What was asked, and over how many connections.
#[derive(Debug, Default)]
struct Log {
    asked: Vec<Asked>,
    connections: usize,
}

type Answer = fn(&Asked) -> (u16, String);

async fn listen(answer: Answer) -> (SocketAddr, Arc<Mutex<Log>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, log) = (listener.local_addr().unwrap(), Arc::<Mutex<Log>>::default());
    let shared = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shared.lock().unwrap().connections += 1;
            tokio::spawn(serve(stream, answer, Arc::clone(&shared)));
        }
    });
    (address, log)
}

async fn serve(stream: TcpStream, answer: Answer, log: Arc<Mutex<Log>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let asked = read_request(&mut stream).await?;
        let (status, body) = answer(&asked);
        log.lock().unwrap().asked.push(asked);
        let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let (mut asked, mut length) = (Asked::default(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("authorization", value)) => value.clone_into(&mut asked.authorization),
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => line.trim_end().clone_into(&mut asked.line),
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    asked.body = String::from_utf8(body).ok()?;
    Some(asked)
}

fn endpoints(admin: &[(&str, SocketAddr)]) -> Endpoints {
    Endpoints {
        api: Vec::new(),
        admin: admin.iter().map(|(role, address)| ((*role).to_owned(), *address)).collect(),
        admin_token: "secret".to_owned(),
        redis_url: String::new(),
        mysql_url: String::new(),
    }
}

fn sales(count: u64) -> Vec<SaleItem> {
    (1..=count).map(|sku| SaleItem { item: item(sku), opening: sku * 10, weight: 1 }).collect()
}

#[tokio::test]
async fn every_item_is_opened_once_over_few_connections() {
    let (address, log) = listen(|_| (201, String::new())).await;
    open_sales(address, "secret", &sales(2_000), 0).await.unwrap();
    let log = log.lock().unwrap();
    assert!(log.connections <= 16, "{}", log.connections);
    let mut lines: Vec<_> = log.asked.iter().map(|asked| asked.line.as_str()).collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((lines.len(), log.asked.len()), (2_000, 2_000));
    let one = log.asked.iter().find(|asked| asked.line == "PUT /admin/sales/7/8/12 HTTP/1.1").unwrap();
    assert_eq!((one.authorization.as_str(), one.body.as_str()), ("Bearer secret", r#"{"opening_stock":120}"#));
}

#[tokio::test]
async fn a_refusal_names_item_status_and_body() {
    let answer: Answer = |asked| {
        let refused = asked.line.contains("/8/3 ");
        if refused { (409, r#"{"code":"conflict"}"#.to_owned()) } else { (200, String::new()) }
    };
    let (address, _) = listen(answer).await;
    let error = open_sales(address, "secret", &sales(5), 0).await.unwrap_err();
    assert_eq!(error.to_string(), r#"open sale of 7:8:3: answered 409: {"code":"conflict"}"#);
}

#[test]
fn sales_are_opened_at_the_first_api_process_and_a_stack_without_one_is_told_its_roles() {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let first = endpoints(&[("worker-1", at(1)), ("api-1", at(2)), ("api-2", at(3))]).api_admin().unwrap();
    assert_eq!(first, at(2));
    let error = endpoints(&[("worker-1", at(1))]).api_admin().unwrap_err().to_string();
    assert_eq!(error, r#"find the admin listener of an api process: the roles are ["worker-1"]"#);
}

#[tokio::test]
async fn final_reads_keep_what_each_process_says_and_that_one_is_silent() {
    let answer: Answer = |asked| match asked.line.as_str() {
        "GET /orders/r-1 HTTP/1.1" => (200, r#"{"order_id":"r-1","status":"PAID","user_id":4,"items":[]}"#.to_owned()),
        "GET /orders/r-2 HTTP/1.1" => (404, r#"{"code":"unknown_order","message":"","effect":"none"}"#.to_owned()),
        "GET /orders/r-3 HTTP/1.1" => (200, r#"{"order_id":"another","status":"PAID"}"#.to_owned()),
        _ => (502, "<html>".to_owned()),
    };
    let (address, log) = listen(answer).await;
    let closed = SocketAddr::from(([127, 0, 0, 1], 1));
    let ids = ["r-1", "r-2", "r-3", "r-4"].map(str::to_owned);
    let reads = read_orders(&[address, closed], &ids).await;
    let told: Vec<_> = reads.iter().map(|read| (read.order_id.as_str(), read.instance, read.http, read.status.as_str())).collect();
    let expected = [
        ("r-1", 0, 200, "PAID"),
        ("r-2", 0, 404, "unknown_order"),
        ("r-3", 0, 200, "unreadable"),
        ("r-4", 0, 502, "unreadable"),
        ("r-1", 1, 0, "no_answer"),
        ("r-2", 1, 0, "no_answer"),
        ("r-3", 1, 0, "no_answer"),
        ("r-4", 1, 0, "no_answer"),
    ];
    assert_eq!(told, expected);
    assert_eq!(log.lock().unwrap().connections, 1);
}
