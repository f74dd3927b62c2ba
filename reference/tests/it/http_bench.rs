//! The whole service in this process, behind its real listeners, and a client that sends what it is told byte by byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;
use reference::app::{ServeError, serve};
use reference::config::Config;
use reference::domain::Item;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ledger_bench::fresh_url;
use crate::stock_fixture::{free_port, until};
use crate::support::{fresh_database, fresh_item, stores};

/// The token of the admin routes.
pub(crate) const TOKEN: &str = "correct-horse";

/// A service under test. Its tasks end with the runtime of the test.
pub(crate) struct Service {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) mysql_url: String,
    token_file: PathBuf,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), ServeError>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.token_file);
    }
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Service {
    /// Both roles, on the stores that all tests share.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further arguments.
    pub(crate) async fn with(further: &[&str]) -> Self {
        Self::on(stores().await.redis_url(), fresh_url().await, further).await
    }

    /// On these stores; waits until it is ready.
    pub(crate) async fn on(redis_url: String, mysql_url: String, further: &[&str]) -> Self {
        let token_file = std::env::temp_dir().join(format!("holdfast-token-{}", fresh_database()));
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let (public, admin) = (free_address(), free_address());
        let mut arguments = vec!["reservation-service".to_owned()];
        arguments.extend(["--redis-url".into(), redis_url, "--mysql-url".into(), mysql_url.clone()]);
        arguments.extend([format!("--listen={public}"), format!("--admin-listen={admin}")]);
        arguments.push(format!("--admin-token-file={}", token_file.display()));
        arguments.extend(further.iter().map(ToString::to_string));
        let stop = CancellationToken::new();
        let mut ended = tokio::spawn(serve(Config::parse_from(arguments), stop.clone()));
        let ready = async |address| TcpStream::connect(address).await.is_ok() && get(address, "/health/ready").await.status == 200;
        tokio::select! {
            () = until("the service is ready", async || ready(admin).await && ready(public).await) => {}
            ended = &mut ended => panic!("the service ended before it was ready: {ended:?}"),
        }
        Self { public, admin, mysql_url, token_file, stop, ended }
    }

    /// An item on sale.
    pub(crate) async fn item(&self, opening: i64) -> Item {
        let item = fresh_item();
        let opened = self.open(item, &json!({ "opening_stock": opening })).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        item
    }

    /// The operator opens an item.
    pub(crate) async fn open(&self, item: Item, body: &Value) -> Reply {
        let path = format!("/admin/sales/{}/{}/{}", item.store, item.product, item.sku);
        let head = [format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json".into()];
        exchange(self.admin, &request("PUT", &path, &head, &body.to_string())).await
    }

    pub(crate) async fn create(&self, body: &Value) -> Reply {
        self.create_text(&body.to_string()).await
    }

    /// A body that need not be JSON.
    pub(crate) async fn create_text(&self, body: &str) -> Reply {
        exchange(self.public, &post("/orders", body)).await
    }

    pub(crate) async fn post(&self, path: &str) -> Reply {
        exchange(self.public, &request("POST", path, &[], "")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.public, path).await
    }

    /// Units that are left, by the public route.
    pub(crate) async fn left(&self, item: Item) -> i64 {
        let path = format!("/stock/{}/{}/{}", item.store, item.product, item.sku);
        self.get(&path).await.json()["available"].as_i64().unwrap()
    }

    /// Tells it to stop, as SIGTERM does.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// How it ended.
    pub(crate) async fn ended(mut self) -> Result<(), ServeError> {
        let ended = tokio::time::timeout(Duration::from_secs(30), &mut self.ended).await;
        ended.expect("the service ends within 30 s").unwrap()
    }
}

/// A body of `POST /orders` for one line of user 7.
pub(crate) fn order(id: &str, item: Item, units: i64) -> Value {
    json!({ "order_id": id, "user_id": 7, "items": [line(item, units)] })
}

pub(crate) fn line(item: Item, units: i64) -> Value {
    json!({ "store_id": item.store, "product_id": item.product, "sku_id": item.sku, "quantity": units })
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Reads a whole response. Panics on what is none.
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole response: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head:?}"));
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status, code and effect of an error; it must have a message too, and say that it is JSON.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned();
        assert!(!text("message").is_empty() && self.head.contains("content-type: application/json"), "{self:?}");
        (self.status, text("code"), text("effect"))
    }
}

/// What [`Reply::error`] is for an error without effect.
pub(crate) fn none(status: u16, code: &str) -> (u16, String, String) {
    (status, code.to_owned(), "none".to_owned())
}

/// A request whose connection ends with its response.
pub(crate) fn request(method: &str, path: &str, head: &[String], body: &str) -> String {
    let further: String = head.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n{further}\r\n{body}")
}

pub(crate) fn post(path: &str, body: &str) -> String {
    request("POST", path, &["Content-Type: application/json".into()], body)
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    exchange(address, &request("GET", path, &[], "")).await
}

/// Sends the bytes and reads until the service closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A service that refuses a body may close before it has read it; its reply is there nevertheless.
    let _ = stream.write_all(bytes.as_bytes()).await;
    read_reply(&mut stream).await
}

/// Reads until the service closes.
pub(crate) async fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    // A reset after the reply, because of what was not read, is no harm: the reply itself is checked.
    let _ = reading.unwrap_or_else(|_| panic!("no end of the response within 20 s: {:?}", String::from_utf8_lossy(&bytes)));
    Reply::parse(&String::from_utf8(bytes).unwrap())
}
