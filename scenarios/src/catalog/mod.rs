//! Every scenario by name. A file each, named for what it does to the service.

mod bad_message;
mod cancel_then_sell;
mod cart_contention;
mod commit_reply_lost;
mod connection_resets;
mod crash_matrix;
mod deduct_worker_crash;
mod deduct_worker_pause;
mod degrade_behind;
mod delta_reply_lost;
mod duplicate_requests;
mod everything;
mod expiry_race;
mod forgotten_deduct;
mod forgotten_session;
mod hot_keys;
mod late_pre_deduct;
mod ledger_behind;
mod mysql_lock_wait;
mod mysql_refuse_one;
mod mysql_refuses;
mod mysql_restart;
mod mysql_stall;
mod order_crash;
mod overload;
mod paused_process;
mod points;
mod reconcile_under_load;
mod redis_data_loss;
mod redis_evicts;
mod redis_failover;
mod redis_full;
mod redis_latency;
mod redis_partition;
mod redis_partition_one;
mod redis_restart;
mod redis_stale_restore;
mod restock_refused;
mod rollback_reply_lost;
mod rolling_restart;
mod slow_network;
mod slow_rebuilds;
mod split_admission;
mod stage;
mod steady;
mod stock_cut_during_sale;
mod two_reconcilers;
mod two_stores;
mod user_limit;
mod worker_kill;
mod worker_redis_slow;

use harness::scenario::{Mix, Operator, Scenario};
use harness::seed::Seed;

use crate::flash_sale::FlashSale;
use crate::short::short;

/// An entry of the catalog.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name, also of its report folder.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub shows: &'static str,
    /// What the service promises to keep up, or to come back to, meanwhile.
    pub promises: &'static str,
    /// Its plan for a seed.
    pub plan: fn(Seed) -> Scenario,
}

/// How much of a scenario is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// As it stands in the catalog.
    Whole,
    /// [`short`].
    Short,
}

impl Plan {
    /// The scenario of an entry for a seed.
    #[must_use]
    pub fn of(self, entry: &Entry, seed: Seed) -> Scenario {
        let scenario = (entry.plan)(seed);
        if self == Self::Short { short(scenario) } else { scenario }
    }
}

const ALWAYS: &str = "every request answered within the budget";
const WITHIN_5_S: &str = "answers, latency, backlog and locks back in the band of the baseline 5 s after the last heal";

/// The sale of the program of this name. The moment of selling out lasts as long as a call to Redis, so one of them says little: a few units at a
/// time come in while everybody asks, and each lot sells out anew.
fn flash_sale(seed: Seed) -> Scenario {
    let sale = FlashSale::default();
    let operator = Operator { restocks: 40, units_max: 3, ..sale.mix.operator };
    FlashSale { mix: Mix { operator, ..sale.mix }, ..sale }.scenario(seed)
}

/// Every kind of load and of fault once, in the order in which they are run.
pub const CORE: &[Entry] = &[
    Entry { name: "steady", shows: "a sale of ordinary size, nothing breaks", promises: ALWAYS, plan: steady::plan },
    Entry {
        name: "flash_sale",
        shows: "one hot item and many ordinary ones sell out under a rush of three times their stock, and again whenever a few units come in",
        promises: ALWAYS,
        plan: flash_sale,
    },
    Entry {
        name: "duplicate_requests",
        shows: "half of all orders are sent twice, most of them at once to two processes",
        promises: ALWAYS,
        plan: duplicate_requests::plan,
    },
    Entry { name: "hot_keys", shows: "three thousand items and one that everybody wants", promises: ALWAYS, plan: hot_keys::plan },
    Entry {
        name: "cancel_then_sell",
        shows: "sold out, then half of it cancelled and sold again",
        promises: ALWAYS,
        plan: cancel_then_sell::plan,
    },
    Entry {
        name: "cart_contention",
        shows: "nearly every order is a cart of a few items, asked for in any order, and one process is slow to reach Redis",
        promises: WITHIN_5_S,
        plan: cart_contention::plan,
    },
    Entry {
        name: "expiry_race",
        shows: "orders expire about when their users pay or cancel",
        promises: ALWAYS,
        plan: expiry_race::plan,
    },
    Entry {
        name: "stock_cut_during_sale",
        shows: "cuts, holds, releases and restocks while the sale runs",
        promises: ALWAYS,
        plan: stock_cut_during_sale::plan,
    },
    Entry { name: "worker_kill", shows: "a worker is killed at its work, twice", promises: WITHIN_5_S, plan: worker_kill::plan },
    Entry {
        name: "deduct_worker_crash",
        shows: "the deduct worker dies at each step of its work",
        promises: WITHIN_5_S,
        plan: deduct_worker_crash::plan,
    },
    Entry {
        name: "deduct_worker_pause",
        shows: "the workers stand still with work in hand, for a while both",
        promises: WITHIN_5_S,
        plan: deduct_worker_pause::plan,
    },
    Entry {
        name: "rolling_restart",
        shows: "every process is ended and started again, one after the other",
        promises: WITHIN_5_S,
        plan: rolling_restart::plan,
    },
    Entry {
        name: "paused_process",
        shows: "an api process stands still for longer than its clients wait",
        promises: WITHIN_5_S,
        plan: paused_process::plan,
    },
    Entry {
        name: "crash_matrix",
        shows: "at every named step of the protocol: the process killed, the reply lost, the connection cut",
        promises: WITHIN_5_S,
        plan: crash_matrix::plan,
    },
    Entry {
        name: "commit_reply_lost",
        shows: "COMMIT is executed and its reply never comes",
        promises: WITHIN_5_S,
        plan: commit_reply_lost::plan,
    },
    Entry {
        name: "rollback_reply_lost",
        shows: "units are given back and the reply is lost",
        promises: WITHIN_5_S,
        plan: rollback_reply_lost::plan,
    },
    Entry {
        name: "late_pre_deduct",
        shows: "requests reach Redis long after their clients gave up",
        promises: WITHIN_5_S,
        plan: late_pre_deduct::plan,
    },
    Entry { name: "redis_latency", shows: "every reply of Redis is late", promises: WITHIN_5_S, plan: redis_latency::plan },
    Entry {
        name: "redis_partition",
        shows: "nobody reaches Redis for three seconds",
        promises: WITHIN_5_S,
        plan: redis_partition::plan,
    },
    Entry {
        name: "redis_restart",
        shows: "Redis is killed and comes back with its append-only file",
        promises: WITHIN_5_S,
        plan: redis_restart::plan,
    },
    Entry {
        name: "redis_stale_restore",
        shows: "Redis comes back with a copy that is three seconds old",
        promises: WITHIN_5_S,
        plan: redis_stale_restore::plan,
    },
    Entry {
        name: "redis_data_loss",
        shows: "Redis loses what it holds, in five ways",
        promises: WITHIN_5_S,
        plan: redis_data_loss::plan,
    },
    Entry { name: "redis_failover", shows: "a replica that lags is promoted", promises: WITHIN_5_S, plan: redis_failover::plan },
    Entry { name: "mysql_stall", shows: "no commit comes through, then no byte", promises: WITHIN_5_S, plan: mysql_stall::plan },
    Entry {
        name: "mysql_restart",
        shows: "MySQL is killed and recovers from its log",
        promises: WITHIN_5_S,
        plan: mysql_restart::plan,
    },
    Entry {
        name: "mysql_lock_wait",
        shows: "a stranger holds the lock of the hot item",
        promises: WITHIN_5_S,
        plan: mysql_lock_wait::plan,
    },
    Entry { name: "slow_network", shows: "both stores are behind a slow link", promises: WITHIN_5_S, plan: slow_network::plan },
    Entry {
        name: "connection_resets",
        shows: "connections to the stores are reset again and again",
        promises: WITHIN_5_S,
        plan: connection_resets::plan,
    },
    Entry {
        name: "two_reconcilers",
        shows: "two workers audit without a pause while somebody edits the counter",
        promises: WITHIN_5_S,
        plan: two_reconcilers::plan,
    },
    Entry {
        name: "reconcile_under_load",
        shows: "every item is audited many times a second under load",
        promises: ALWAYS,
        plan: reconcile_under_load::plan,
    },
    Entry {
        name: "overload",
        shows: "far more requests than the machine can serve, for three seconds",
        promises: "what is over is refused without effect; the budget is kept before and behind the rush",
        plan: overload::plan,
    },
    Entry {
        name: "everything",
        shows: "five faults drawn from those that flash-sale knows by name, under a load with everything in it",
        promises: WITHIN_5_S,
        plan: everything::plan,
    },
];

/// Further scenarios: narrower faults and loads, most of them made for one kind of mistake.
pub const FURTHER: &[Entry] = &[
    Entry {
        name: "two_stores",
        shows: "every sku is sold in two stores, and carts ask for it in both",
        promises: ALWAYS,
        plan: two_stores::plan,
    },
    Entry { name: "user_limit", shows: "greedy users against a limit per user", promises: ALWAYS, plan: user_limit::plan },
    Entry {
        name: "order_crash",
        shows: "an api process dies at each step of an order",
        promises: WITHIN_5_S,
        plan: order_crash::plan,
    },
    Entry {
        name: "delta_reply_lost",
        shows: "units of cancelled orders are added and the reply is lost",
        promises: WITHIN_5_S,
        plan: delta_reply_lost::plan,
    },
    Entry {
        name: "worker_redis_slow",
        shows: "Redis is late for the workers alone",
        promises: "every request answered within the budget, also meanwhile; backlog and locks back in the band of the baseline 5 s after the last heal",
        plan: worker_redis_slow::plan,
    },
    Entry {
        name: "redis_partition_one",
        shows: "one of two api processes loses Redis while the last units are sold",
        promises: WITHIN_5_S,
        plan: redis_partition_one::plan,
    },
    Entry { name: "redis_full", shows: "Redis has no memory left", promises: WITHIN_5_S, plan: redis_full::plan },
    Entry { name: "redis_evicts", shows: "Redis was made a cache and evicts keys", promises: WITHIN_5_S, plan: redis_evicts::plan },
    Entry {
        name: "mysql_refuses",
        shows: "MySQL refuses writes, then connections",
        promises: WITHIN_5_S,
        plan: mysql_refuses::plan,
    },
    Entry {
        name: "mysql_refuse_one",
        shows: "MySQL refuses one of two api processes while orders are sent to both at once",
        promises: WITHIN_5_S,
        plan: mysql_refuse_one::plan,
    },
    Entry {
        name: "bad_message",
        shows: "a message in the outbox that nobody can settle",
        promises: WITHIN_5_S,
        plan: bad_message::plan,
    },
    Entry {
        name: "forgotten_session",
        shows: "MySQL keeps the locks of a session whose client is gone, and Redis is emptied",
        promises: "answers, latency, backlog and locks back in the band of the baseline 15 s after the last heal",
        plan: forgotten_session::plan,
    },
    Entry {
        name: "forgotten_deduct",
        shows: "MySQL keeps the locks of a worker whose deducts were forgotten on the way to their COMMIT",
        promises: "answers, latency, backlog and locks back in the band of the baseline 15 s after MySQL ended that session",
        plan: forgotten_deduct::plan,
    },
    Entry {
        name: "ledger_behind",
        shows: "an empty Redis, a restart and cuts while the ledger is a thousand orders behind",
        promises: WITHIN_5_S,
        plan: ledger_behind::plan,
    },
    Entry {
        name: "slow_rebuilds",
        shows: "Redis is emptied three times while every reply of MySQL is late",
        promises: WITHIN_5_S,
        plan: slow_rebuilds::plan,
    },
    Entry {
        name: "split_admission",
        shows: "one of two api processes loses Redis and sells by MySQL, until sold out",
        promises: WITHIN_5_S,
        plan: split_admission::plan,
    },
    Entry {
        name: "degrade_behind",
        shows: "MySQL takes over from Redis while the ledger is behind, until sold out",
        promises: WITHIN_5_S,
        plan: degrade_behind::plan,
    },
    Entry {
        name: "restock_refused",
        shows: "sold out and restocked again and again while MySQL refuses writes",
        promises: WITHIN_5_S,
        plan: restock_refused::plan,
    },
];

/// The whole catalog, in the order in which it is run.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    CORE.iter().chain(FURTHER)
}

/// The entry called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_valid_scenario_with_its_own_name() {
        for entry in all() {
            let scenario = (entry.plan)(Seed(1));
            assert_eq!(scenario.check(), Ok(()), "{}", entry.name);
            assert_eq!(scenario.name, entry.name);
            assert_eq!(find(entry.name).map(|found| found.shows), Some(entry.shows));
        }
    }
}
