//! What the tests of outages share: flows with settings of their own, and buyers who order until nothing is left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reference::domain::Item;
use reference::flow::{Created, Flow, FlowSettings, RedisDown, Refusal};
use reference::ledger::{EpochState, Ledger};
use reference::metrics::Metrics;
use reference::stock::{Stock, StockSettings};
use tokio::task::JoinSet;

use crate::flow_bench::{FlowBench, forgetful, request};
use crate::ledger_bench::settings;

/// MySQL takes over as soon as the breaker has opened.
pub(crate) const AT_ONCE: RedisDown = RedisDown::Database { after: Duration::ZERO };

pub(crate) fn when_redis_is_down(redis_down: RedisDown) -> FlowSettings {
    FlowSettings { redis_down, database_orders_per_second: 1_000_000, ..forgetful() }
}

/// A process that reaches the stores by these URLs and loses patience with Redis soon.
pub(crate) async fn process(redis_url: &str, mysql_url: &str, flow: FlowSettings) -> Flow {
    let patience = Duration::from_secs(1);
    let stock = StockSettings { lanes: 2, command_timeout: patience, connect_timeout: patience, ..StockSettings::new(redis_url) };
    let (stock, ledger) = (Stock::open(stock).await.unwrap(), Ledger::open(settings(mysql_url)).await.unwrap());
    Flow::new(stock, ledger, Metrics::default(), flow)
}

/// Epoch and mode of an item, as MySQL holds them.
pub(crate) async fn state(bench: &FlowBench, item: Item) -> EpochState {
    bench.sql.ledger.epoch(item).await.unwrap().unwrap()
}

/// Buyers who order one unit at a time, each order until it has an answer that counts, until they are told to stop.
pub(crate) struct Buyers {
    stop: Arc<AtomicBool>,
    sold: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Buyers {
    /// `count` buyers of `item` at this process.
    pub(crate) fn start(flow: &Flow, item: Item, name: &str, count: usize) -> Self {
        let mut buyers = Self { stop: Arc::default(), sold: Arc::default(), refused: Arc::default(), tasks: JoinSet::new() };
        for buyer in 0..count {
            let (flow, stop, sold, refused) =
                (flow.clone(), Arc::clone(&buyers.stop), Arc::clone(&buyers.sold), Arc::clone(&buyers.refused));
            let name = format!("{name}-{buyer}");
            buyers.tasks.spawn(async move {
                for at in 0_u64.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    match flow.create(request(&format!("{name}-{at}"), &[(item, 1)]), false).await {
                        Ok(Created::Now(_) | Created::Before(_)) => drop(sold.fetch_add(1, Ordering::SeqCst)),
                        Err(Refusal::SoldOut { .. } | Refusal::NotAdmitted(_) | Refusal::Throttled | Refusal::Fenced) => {
                            refused.fetch_add(1, Ordering::SeqCst);
                            // A client that was refused comes again a little later.
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                        // Nobody can say: the row decides, which the sums at the end are taken from.
                        Err(Refusal::Unknown(_)) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        buyers
    }

    /// Orders that their buyers know to stand.
    pub(crate) fn sold(&self) -> u64 {
        self.sold.load(Ordering::SeqCst)
    }

    /// Orders that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Ends them; none may have had an answer that cannot be.
    pub(crate) async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.sold()
    }
}
