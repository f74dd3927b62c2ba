//! Taking stock: how fast the service's client does it next to redis-benchmark with the same script, and what the script costs next to the
//! one of the design that the service started from.
//!
//! In every round the three take turns on one Redis, each with an item of its own: redis-benchmark with our script, the client with 64
//! callers on its 4 connections (as many requests are open as in 4 pipelines of 16), redis-benchmark with the other script.

#[path = "../../../harness/benches/figures/mod.rs"]
mod figures;
mod rival;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness::clock::RunClock;
use harness::stack::stores::{Stores, StoresSpec};
use redis::aio::MultiplexedConnection;
use reference::domain::{Epoch, Item, OrderId, Quantity};
use reference::stock::{Installed, PreDeduct, Stock, StockSettings};

use figures::{Figure, Goal, Outcome, median, publish};
use rival::{Call, Rate, run};

const ROUNDS: usize = 7;

/// Calls of each of the three in a round.
const CALLS: u64 = 100_000;

/// Requests that the client keeps open: 4 pipelines of 16.
const CALLERS: u64 = 64;

/// The script as the service sends it.
const OURS: &str = concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!("../../../lua/pre_deduct.lua"));

/// What the first design asks for, in its order: the lock of this order if it holds one; the stock, absent counting as 0; the new stock
/// written as a whole; the lock for 30 minutes; the deduct record for 7 days. It knows no token, epoch, process or quantity check, gives
/// the name of the third key together inside, and keeps a lock under a key of its own instead of in a set.
const FIRST_DESIGN: &str = r"
local held = redis.call('GET', KEYS[2])
if held then return {1, tonumber(held)} end
local wanted = tonumber(ARGV[1])
local available = tonumber(redis.call('GET', KEYS[1]) or 0)
if available < wanted then return {0, 0, 'INSUFFICIENT_STOCK', available} end
local left = available - wanted
redis.call('SET', KEYS[1], left)
redis.call('SET', KEYS[2], wanted, 'EX', 1800)
redis.call('SET', 'inventory:deduct:' .. ARGV[2] .. ':' .. ARGV[3], wanted, 'EX', 604800)
return {1, wanted, 'SUCCESS', left}
";

fn main() -> Outcome<()> {
    // As many threads as a process of the service has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    publish("pre_deduct", &runtime.block_on(measure())?)
}

async fn measure() -> Outcome<Vec<Figure>> {
    let stores = Stores::start(StoresSpec::default()).await?;
    let url = stores.redis_url();
    let port = url.trim_end_matches('/').rsplit(':').next().ok_or("a URL without a port")?.parse()?;
    let stock = Stock::open(StockSettings::new(&url)).await?;
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let (mut ours, mut client, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS as i64 {
        ours.push(our_script(port, &mut redis, &stock, item(round, 1)?).await?);
        client.push(our_client(&stock, item(round, 2)?).await?);
        first.push(first_design(port, &mut redis, round).await?);
    }
    drop(stock);
    stores.stop().await?;
    Ok(figures(&ours, &client, &first))
}

fn figures(ours: &[Rate], client: &[f64], first: &[Rate]) -> Vec<Figure> {
    let rates: Vec<f64> = ours.iter().map(|rate| rate.per_s).collect();
    let inside = |rates: &[Rate]| rates.iter().map(|rate| rate.inside_us).collect::<Vec<f64>>();
    let (ours_us, first_us) = (inside(ours), inside(first));
    vec![
        Figure {
            name: "pre_deduct through the service's client, calls per second".to_owned(),
            against: "redis-benchmark, the same script, pipelined 16".to_owned(),
            unit: "x",
            value: median(client) / median(&rates),
            goal: Goal::AtLeast(0.7),
            rounds_in: "calls/s",
            ours: client.to_vec(),
            theirs: rates,
        },
        Figure {
            name: "pre_deduct, time inside Redis".to_owned(),
            against: "the script of the first design, redis-benchmark".to_owned(),
            unit: "x",
            value: median(&ours_us) / median(&first_us),
            goal: Goal::AtMost(1.6),
            rounds_in: "us per call",
            ours: ours_us,
            theirs: first_us,
        },
    ]
}

fn item(round: i64, sku: i64) -> Outcome<Item> {
    Ok(Item::new(1, round + 1, sku)?)
}

async fn open(stock: &Stock, item: Item) -> Outcome<()> {
    let installed = stock.installer().await?.install(item, Epoch(1), 1_000_000_000).await?;
    if installed == Installed::Done { Ok(()) } else { Err(format!("install {item}: {installed:?}").into()) }
}

async fn our_script(port: u16, redis: &mut MultiplexedConnection, stock: &Stock, item: Item) -> Outcome<Rate> {
    open(stock, item).await?;
    let incarnation = stock.installer().await?.incarnation().to_owned();
    let key = |kind: &str| format!("inventory:{kind}:{{{item}}}");
    let keys = vec![key("stock"), key("meta"), key("lock"), key("deduct:o-__rand_int__")];
    let arguments = [&incarnation, "o-__rand_int__", "1", "604800", "1000000"].map(str::to_owned).into();
    let rate = run(port, redis, &Call { script: OURS, keys, arguments }, CALLS).await?;
    // Every call must have taken stock: a refusal is cheaper.
    let left: u64 = redis::cmd("GET").arg(key("stock")).query_async(redis).await?;
    if left > 1_000_000_000 - CALLS + CALLS / 1_000 { Err(format!("{left} units are left").into()) } else { Ok(rate) }
}

async fn first_design(port: u16, redis: &mut MultiplexedConnection, round: i64) -> Outcome<Rate> {
    let stock = format!("inventory:stock:1:{round}:3");
    let () = redis::cmd("SET").arg(&stock).arg(1_000_000_000).query_async(redis).await?;
    let keys = vec![stock, format!("inventory:lock:o{round}-__rand_int__:3")];
    let arguments = ["1".to_owned(), format!("o{round}-__rand_int__"), "3".to_owned()].into();
    run(port, redis, &Call { script: FIRST_DESIGN, keys, arguments }, CALLS).await
}

/// Calls per second of the client.
async fn our_client(stock: &Stock, item: Item) -> Outcome<f64> {
    open(stock, item).await?;
    let next = Arc::new(AtomicU64::new(0));
    let clock = RunClock::start();
    let begun = clock.now();
    let callers = (0..CALLERS).map(|_| tokio::spawn(take(stock.clone(), item, Arc::clone(&next))));
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    Ok(CALLS as f64 / clock.now().since(begun).as_secs_f64())
}

/// Takes units for one order after the other, until there were [`CALLS`].
async fn take(stock: Stock, item: Item, next: Arc<AtomicU64>) -> Result<(), String> {
    let (one, mut number) = (Quantity::new(1).map_err(|error| error.to_string())?, next.fetch_add(1, Ordering::Relaxed));
    while number < CALLS {
        let order: OrderId = format!("o-{number:012}").parse().map_err(|error| format!("{error}"))?;
        match stock.pre_deduct(item, &order, one).await {
            Ok(PreDeduct::Taken(_)) => number = next.fetch_add(1, Ordering::Relaxed),
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}
