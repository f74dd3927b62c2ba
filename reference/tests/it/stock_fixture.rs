//! A Redis server, a client on it, an item of its own, and a raw connection to look behind the client's back.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value};
use reference::domain::{Epoch, Item, Member, Quantity, Token};
use reference::stock::{Installed, PreDeduct, Stock, StockSettings, Taken};

use crate::support::{fresh_item, stores};

/// A server of one test, which may be paused, flushed and killed. Gone when dropped.
pub(crate) struct OwnRedis {
    child: Child,
    folder: PathBuf,
    pub(crate) port: u16,
    args: Vec<String>,
}

impl OwnRedis {
    /// Starts a server and waits until it answers.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("holdfast-stock-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let mut server = Self { child: Self::spawn(port, &folder, &args), folder, port, args };
        server.wait().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where its data is.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A new process on the same port and data.
    pub(crate) async fn restart(&mut self) {
        self.child = Self::spawn(self.port, &self.folder, &self.args);
        self.wait().await;
    }

    fn spawn(port: u16, folder: &PathBuf, args: &[String]) -> Child {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder)
            .args(args)
            .stdout(Stdio::null())
            .spawn()
            .expect("tests need redis-server: run scripts/setup")
    }

    /// Waits for this very process: another server may have taken the port.
    async fn wait(&mut self) {
        let own = format!("process_id:{}\r\n", self.id());
        let url = self.url();
        let info = async || -> redis::RedisResult<String> { redis::cmd("INFO").query_async(&mut connect(&url).await?).await };
        until("the own redis-server answers", async || info().await.is_ok_and(|info| info.contains(&own))).await;
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody listens on, below the range from which the system takes the ports of clients: one of those could keep a
/// server from coming back on its own port.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another process of these tests begins elsewhere.
    let first = u16::try_from(std::process::id() % 200 * 40).unwrap();
    let ports = std::iter::repeat_with(|| 12_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 8_000);
    let mut free = ports.take(8_000).filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a free port from 12000 to 19999")
}

/// Polls until `condition` holds, at most 30 s: waits for row locks add up on a busy machine, and how fast it is, is not what these tests ask.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let polling = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), polling).await.unwrap_or_else(|_| panic!("waited 30 s until {what}"));
}

async fn connect(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("PING").exec_async(&mut connection).await?;
    Ok(connection)
}

/// Settings with limits that a busy machine keeps.
pub(crate) fn patient(url: String) -> StockSettings {
    let patience = Duration::from_secs(5);
    StockSettings { lanes: 1, command_timeout: patience, connect_timeout: patience, ..StockSettings::new(url) }
}

/// A client on a server, and an item that no other test touches.
pub(crate) struct Fixture {
    pub(crate) stock: Stock,
    pub(crate) item: Item,
    raw: MultiplexedConnection,
}

impl Fixture {
    /// On the server that all tests share.
    pub(crate) async fn new() -> Self {
        Self::on(stores().await.redis_url()).await
    }

    pub(crate) async fn on(url: String) -> Self {
        let raw = connect(&url).await.unwrap();
        Self { stock: Stock::open(patient(url)).await.unwrap(), item: fresh_item(), raw }
    }

    /// The same client, on another item.
    pub(crate) fn of(&self, item: Item) -> Self {
        Self { stock: self.stock.clone(), item, raw: self.raw.clone() }
    }

    /// With a counter of epoch 1.
    pub(crate) async fn stocked(units: i64) -> Self {
        let fixture = Self::new().await;
        fixture.install(1, units).await;
        fixture
    }

    pub(crate) async fn install(&self, epoch: u64, base: i64) {
        let installed = self.stock.installer().await.unwrap().install(self.item, Epoch(epoch), base).await;
        assert_eq!(installed, Ok(Installed::Done));
    }

    pub(crate) async fn pre_deduct(&self, order: &str, units: i64) -> PreDeduct {
        self.stock.pre_deduct(self.item, &order.parse().unwrap(), quantity(units)).await.unwrap()
    }

    /// Takes units that must be there; the lock.
    pub(crate) async fn take(&self, order: &str, units: i64) -> Member {
        match self.pre_deduct(order, units).await {
            PreDeduct::Taken(Taken { token, quantity, .. }) => member(order, token, quantity),
            other => panic!("{other:?}"),
        }
    }

    /// `inventory:<kind>:<item>`
    pub(crate) fn key(&self, kind: &str) -> String {
        format!("inventory:{kind}:{{{}}}", self.item)
    }

    /// Any command, words separated by blanks.
    pub(crate) async fn raw<T: FromRedisValue>(&self, command: &str) -> T {
        self.words(&command.split(' ').collect::<Vec<_>>()).await.unwrap()
    }

    /// Any command.
    pub(crate) async fn words<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut self.raw.clone()).await
    }

    /// A field of meta, as text.
    pub(crate) async fn meta(&self, field: &str) -> String {
        self.raw(&format!("HGET {} {field}", self.key("meta"))).await
    }

    pub(crate) async fn units(&self) -> i64 {
        self.raw(&format!("GET {}", self.key("stock"))).await
    }

    /// Everything that Redis holds of the item, to see that nothing changed.
    pub(crate) async fn dump(&self) -> Vec<(String, Value)> {
        let mut keys: Vec<String> = self.raw(&format!("KEYS *{{{}}}", self.item)).await;
        keys.sort();
        let mut all = Vec::new();
        for key in keys {
            let kind: String = self.raw(&format!("TYPE {key}")).await;
            let read = match kind.as_str() {
                "string" => format!("GET {key}"),
                "hash" => format!("HGETALL {key}"),
                "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
                "list" => format!("LRANGE {key} 0 -1"),
                other => panic!("{key} is a {other}"),
            };
            let value = self.raw(&read).await;
            all.push((key, value));
        }
        all
    }
}

pub(crate) fn quantity(units: i64) -> Quantity {
    Quantity::new(units).unwrap()
}

pub(crate) fn member(order: &str, token: Token, quantity: Quantity) -> Member {
    Member { order: order.parse().unwrap(), token, quantity }
}
