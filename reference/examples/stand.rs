//! The service on stores of its own, for tools that are pointed at a running one: `cargo run -p reference --example stand -- 7080 7081`.
//!
//! In: the ports of the public and the admin listener; the environment variable `HOLDFAST_ADMIN_TOKEN`. Out: a line `ready` once it serves,
//! with three items on sale. Ends on SIGTERM, SIGINT, or with its parent's terminal; nothing is left behind.

use std::error::Error;
use std::io::Write as _;

use clap::Parser as _;
use harness::stack::stores::{Stores, StoresSpec};
use reference::app::serve;
use reference::config::Config;
use reference::domain::Item;
use reference::flow::{Flow, FlowSettings};
use reference::ledger::Ledger;
use reference::metrics::Metrics;
use reference::stock::Stock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Items on sale are 1:1:1 to 1:1:3.
const ITEMS: i64 = 3;
const OPENING: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse()).collect::<Result<_, _>>()?;
    let [public, admin] = ports[..] else {
        return Err("usage: stand PUBLIC_PORT ADMIN_PORT".into());
    };
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        told.cancel();
    });
    let stores = Stores::start(StoresSpec::default()).await?;
    let config = Config::parse_from([
        "reservation-service".to_owned(),
        format!("--redis-url={}", stores.redis_url()),
        format!("--mysql-url={}", stores.mysql_url("stand")),
        format!("--listen=127.0.0.1:{public}"),
        format!("--admin-listen=127.0.0.1:{admin}"),
    ]);
    let flow = Flow::new(
        Stock::open(config.stock()?).await?,
        Ledger::open(config.ledger()?).await?,
        Metrics::default(),
        FlowSettings::default(),
    );
    for sku in 1..=ITEMS {
        flow.open_item(Item::new(1, 1, sku)?, OPENING).await?;
    }
    flow.ledger().close().await;
    let serving = tokio::spawn(serve(config, stop));
    while tokio::net::TcpStream::connect(("127.0.0.1", public)).await.is_err() && !serving.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    writeln!(std::io::stdout(), "ready")?;
    serving.await??;
    Ok(())
}
