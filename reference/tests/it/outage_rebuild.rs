//! Redis loses, ages or falsifies what it holds while two processes sell: it is noticed, fenced and rebuilt item by item, by nobody but the
//! service, and no unit is lost or sold twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::Value;
use reference::domain::Item;
use reference::flow::{Flow, RedisDown};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::flow_bench::{FlowBench, Workers};
use crate::ledger_bench::{connect, execute, hold_epoch};
use crate::outage_bench::{Buyers, process, state, when_redis_is_down};
use crate::stock_fixture::{Fixture, OwnRedis, until};

const SUPPLY: u64 = 100_000;
const SOON: Duration = Duration::from_millis(300);

/// Two items that two processes sell, with workers.
struct Sale {
    bench: FlowBench,
    items: [Item; 2],
    buyers: Vec<(Item, Buyers)>,
    crew: Workers,
    flows: [Flow; 2],
}

impl Sale {
    /// A sale through this Redis that is going well.
    async fn going_on(redis_url: &str, bench: FlowBench) -> Self {
        let flow = async || process(redis_url, &bench.sql.url, when_redis_is_down(RedisDown::FailFast)).await;
        let (flows, items) = ([flow().await, flow().await], [bench.item(SUPPLY).await, bench.item(SUPPLY).await]);
        let (crew, mut buyers) = (Workers::returning(&flows[0], SOON), Vec::new());
        for (at, flow) in flows.iter().enumerate() {
            buyers.extend(items.map(|item| (item, Buyers::start(flow, item, &format!("{at}-{}", item.sku), 2))));
        }
        let mut sale = Self { bench, items, buyers, crew, flows };
        sale.sells_more(40, &[0, 1]).await;
        sale
    }

    fn sold(&self, item: Item) -> u64 {
        self.buyers.iter().filter(|(of, _)| *of == item).map(|(_, buyers)| buyers.sold()).sum()
    }

    /// Waits until every item of `which` has sold `units` more.
    async fn sells_more(&mut self, units: u64, which: &[usize]) {
        for item in which.iter().map(|at| self.items[*at]) {
            let before = self.sold(item);
            until("more is sold", async || self.sold(item) >= before + units).await;
        }
    }

    async fn epochs(&self) -> [u64; 2] {
        [state(&self.bench, self.items[0]).await.epoch.0, state(&self.bench, self.items[1]).await.epoch.0]
    }

    /// Waits until the items of `which` are in a newer epoch.
    async fn is_rebuilt(&self, before: [u64; 2], which: &[usize]) {
        for at in which {
            until("the item is rebuilt", async || self.epochs().await[*at] > before[*at]).await;
        }
    }

    /// Ends the sale: at rest every unit is in the counter or in an order, and every order that was told stands.
    async fn ends_well(mut self, redis_url: &str) {
        let mut sold = Vec::new();
        for (item, buyers) in self.buyers.drain(..) {
            sold.push((item, buyers.stop().await));
        }
        self.crew.stop().await;
        // The connections of the bench itself were made to a server that may be gone.
        self.bench.redis = Fixture::on(redis_url.to_owned()).await;
        self.bench.flow = self.bench.through(redis_url, &self.bench.sql.url).await;
        for item in self.items {
            self.bench.flow.ensure_ready(item, "test").await.unwrap();
            self.bench.come_to_rest(item).await;
            let (left, live) = (self.bench.left(item).await, self.bench.live(item).await);
            assert_eq!(left + live, i64::try_from(SUPPLY).unwrap(), "{left} left, {live} sold");
            let told: u64 = sold.iter().filter(|(of, _)| *of == item).map(|(_, sold)| sold).sum();
            assert!(told <= u64::try_from(live).unwrap(), "{told} orders were told and {live} stand");
        }
        assert!(self.flows.iter().all(|flow| flow.metrics().counted("create", "sold_out") == 0), "nobody was told sold out");
    }
}

#[tokio::test]
async fn after_a_flush() {
    let redis = OwnRedis::start(&[]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    for _ in 0..3 {
        let before = sale.epochs().await;
        let () = sale.bench.redis.raw("FLUSHALL").await;
        sale.is_rebuilt(before, &[0, 1]).await;
        sale.sells_more(40, &[0, 1]).await;
    }
    sale.ends_well(&redis.url()).await;
}

#[tokio::test]
async fn after_a_restart_with_nothing() {
    let mut redis = OwnRedis::start(&[]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    let before = sale.epochs().await;
    redis.kill();
    redis.restart().await;
    sale.is_rebuilt(before, &[0, 1]).await;
    sale.sells_more(40, &[0, 1]).await;
    sale.ends_well(&redis.url()).await;
}

#[tokio::test]
async fn after_a_restart_that_lost_the_tail_of_its_log() {
    let mut redis = OwnRedis::start(&["--appendonly", "yes", "--appendfsync", "everysec"]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    let before = sale.epochs().await;
    redis.kill();
    let logs = fs::read_dir(redis.folder().join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.filter(|path| path.to_str().unwrap().ends_with(".incr.aof")).max().unwrap();
    let whole = fs::metadata(&log).unwrap().len();
    fs::File::options().write(true).open(&log).unwrap().set_len(whole * 4 / 5).unwrap();
    redis.restart().await;
    let fixture = Fixture::on(redis.url()).await;
    let keys: i64 = fixture.raw("DBSIZE").await;
    assert!(keys > 0, "an older copy of the data is back");
    sale.is_rebuilt(before, &[0, 1]).await;
    sale.sells_more(40, &[0, 1]).await;
    sale.ends_well(&redis.url()).await;
}

#[tokio::test]
async fn after_keys_were_evicted() {
    let redis = OwnRedis::start(&[]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    let before = sale.epochs().await;
    let raw = &sale.bench.redis;
    let _: String = raw.raw("CONFIG SET maxmemory-policy allkeys-random").await;
    let _: String = raw.raw("CONFIG SET maxmemory 1").await;
    let gone = async || {
        let info: String = raw.raw("INFO stats").await;
        let evicted = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap().trim().parse::<u64>().unwrap();
        let counters: Vec<String> = raw.raw("KEYS inventory:stock:*").await;
        evicted > 0 && counters.is_empty()
    };
    until("the counters are evicted", gone).await;
    let _: String = raw.raw("CONFIG SET maxmemory 0").await;
    let _: String = raw.raw("CONFIG SET maxmemory-policy noeviction").await;
    sale.is_rebuilt(before, &[0, 1]).await;
    sale.sells_more(40, &[0, 1]).await;
    sale.ends_well(&redis.url()).await;
}

/// An address that leads to one server, then to another.
struct Switch {
    port: u16,
    target: Arc<Mutex<(u16, CancellationToken)>>,
}

impl Switch {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Arc::new(Mutex::new((port, CancellationToken::new())));
        let (own, shared) = (listener.local_addr().unwrap().port(), Arc::clone(&target));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (port, ended) = shared.lock().unwrap().clone();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    ended.run_until_cancelled(tokio::io::copy_bidirectional(&mut client, &mut server)).await;
                });
            }
        });
        Self { port: own, target }
    }

    /// Ends every link; new ones lead to `port`.
    fn turn_to(&self, port: u16) {
        let before = std::mem::replace(&mut *self.target.lock().unwrap(), (port, CancellationToken::new()));
        before.1.cancel();
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

#[tokio::test]
async fn after_a_failover_to_a_replica_that_lagged() {
    let master = OwnRedis::start(&[]).await;
    let replica = OwnRedis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await;
    let switch = Switch::to(master.port).await;
    let mut sale = Sale::going_on(&switch.url(), FlowBench::beside(&master).await).await;
    let follower = redis_connection(&replica).await;
    until("the replica has a copy", async || dbsize(&follower).await > 0).await;
    // From here on it lags: it is promoted with what it has, while the other still sells.
    let _: Value = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut follower.clone()).await.unwrap();
    sale.sells_more(40, &[0, 1]).await;
    let before = sale.epochs().await;
    switch.turn_to(replica.port);
    sale.is_rebuilt(before, &[0, 1]).await;
    sale.sells_more(40, &[0, 1]).await;
    // The old master is still there and full of stock that is not its own any more.
    let before = sale.epochs().await;
    switch.turn_to(master.port);
    sale.is_rebuilt(before, &[0, 1]).await;
    sale.sells_more(40, &[0, 1]).await;
    sale.ends_well(&switch.url()).await;
}

async fn redis_connection(server: &OwnRedis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn dbsize(connection: &redis::aio::MultiplexedConnection) -> i64 {
    redis::cmd("DBSIZE").query_async(&mut connection.clone()).await.unwrap()
}

#[tokio::test]
async fn while_two_processes_see_two_masters_at_once() {
    let (one, two) = (OwnRedis::start(&[]).await, OwnRedis::start(&[]).await);
    let (left, right) = (Switch::to(one.port).await, Switch::to(one.port).await);
    let bench = FlowBench::beside(&one).await;
    let item = bench.item(3_000).await;
    let flow = async |url: String| process(&url, &bench.sql.url, when_redis_is_down(RedisDown::FailFast)).await;
    let (here, there) = (flow(left.url()).await, flow(right.url()).await);
    let (at_one, at_two) = (Buyers::start(&here, item, "left", 3), Buyers::start(&there, item, "right", 3));
    until("both sell", async || at_one.sold() > 20 && at_two.sold() > 20).await;
    let before = state(&bench, item).await.epoch.0;
    right.turn_to(two.port);
    until("both masters were given the item in turn", async || state(&bench, item).await.epoch.0 > before + 5).await;
    right.turn_to(one.port);
    let sold = at_one.sold() + at_two.sold();
    until("both sell again", async || at_one.sold() + at_two.sold() > sold + 50).await;
    let told = at_one.stop().await + at_two.stop().await;
    bench.flow.ensure_ready(item, "test").await.unwrap();
    bench.come_to_rest(item).await;
    let (left, live) = (bench.left(item).await, bench.live(item).await);
    assert_eq!(left + live, 3_000);
    assert!(told <= u64::try_from(live).unwrap(), "{told} orders were told and {live} stand");
}

#[tokio::test]
async fn after_half_of_a_dump_was_restored_over_one_item() {
    let redis = OwnRedis::start(&[]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    for kind in ["stock", "meta"] {
        let at = sale.bench.redis.of(sale.items[0]);
        let key = at.key(kind);
        let mut raw = redis_connection(&redis).await;
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query_async(&mut raw).await.unwrap();
        sale.sells_more(40, &[0, 1]).await;
        let before = sale.epochs().await;
        let restore = redis::cmd("RESTORE").arg(&key).arg(0).arg(dump).arg("REPLACE").exec_async(&mut raw).await;
        restore.unwrap();
        sale.is_rebuilt(before, &[0]).await;
        sale.sells_more(40, &[0, 1]).await;
        assert_eq!(sale.epochs().await[1], before[1], "the other item was left alone");
    }
    sale.ends_well(&redis.url()).await;
}

#[tokio::test]
async fn after_the_stock_of_one_item_was_changed_by_hand() {
    let redis = OwnRedis::start(&[]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    for change in ["INCRBY", "DECRBY"] {
        let key = sale.bench.redis.of(sale.items[0]).key("stock");
        let before = sale.epochs().await;
        let _: i64 = sale.bench.redis.raw(&format!("{change} {key} 5000")).await;
        sale.is_rebuilt(before, &[0]).await;
        sale.sells_more(40, &[0, 1]).await;
        assert_eq!(sale.epochs().await[1], before[1], "the other item was left alone");
    }
    sale.ends_well(&redis.url()).await;
}

#[tokio::test]
async fn an_item_that_cannot_be_rebuilt_yet_keeps_no_other_from_being_rebuilt_and_sold() {
    let redis = OwnRedis::start(&[]).await;
    let mut sale = Sale::going_on(&redis.url(), FlowBench::beside(&redis).await).await;
    let before = sale.epochs().await;
    let mut holder = connect(&sale.bench.sql.url).await;
    hold_epoch(&mut holder, sale.items[0], "FOR UPDATE").await;
    let () = sale.bench.redis.raw("FLUSHALL").await;
    sale.is_rebuilt(before, &[1]).await;
    sale.sells_more(300, &[1]).await;
    assert_eq!(sale.epochs().await[0], before[0], "its fence is locked");
    execute(&mut holder, "ROLLBACK").await;
    sale.is_rebuilt(before, &[0]).await;
    sale.sells_more(40, &[0, 1]).await;
    sale.ends_well(&redis.url()).await;
}
