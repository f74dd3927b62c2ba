//! MySQL slow, locked, stopped or away: a bound on what waits, definite answers, and no unit that nobody resolves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use harness::stack::stores::{Stores, StoresSpec};
use reference::flow::{Created, Flow, Refusal};
use reference::ledger::{Ledger, LedgerSettings};
use reference::metrics::Metrics;

use crate::flow_bench::{FlowBench, Workers, forgetful, request};
use crate::flow_gate::Gate;
use crate::ledger_bench::{connect, execute, hold_epoch, settings};
use crate::outage_bench::Buyers;
use crate::stock_fixture::{Fixture, until};
use crate::support::fresh_database;

const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_item_that_somebody_locked_does_not_keep_the_others_from_selling() {
    let bench = FlowBench::new().await;
    let (locked, free, third) = (bench.item(100_000).await, bench.item(100_000).await, bench.item(100_000).await);
    let mut holder = connect(&bench.sql.url).await;
    let at_locked = Buyers::start(&bench.flow, locked, "locked", 4);
    let [at_free, at_third] = [(free, "free"), (third, "third")].map(|(item, name)| Buyers::start(&bench.flow, item, name, 4));
    until("all items sell", async || at_locked.sold().min(at_free.sold()).min(at_third.sold()) > 20).await;
    hold_epoch(&mut holder, locked, "FOR UPDATE").await;
    let [before, free_before, third_before] = [at_locked.sold(), at_free.sold(), at_third.sold()];
    until("the others sell many", async || at_free.sold() > free_before + 500 && at_third.sold() > third_before + 500).await;
    // One batch may have been at COMMIT when the lock was granted.
    assert!(at_locked.sold() <= before + 4, "the item is locked");
    execute(&mut holder, "ROLLBACK").await;
    let sold = at_locked.sold();
    until("the item sells again", async || at_locked.sold() > sold + 50).await;
    for buyers in [at_locked, at_free, at_third] {
        buyers.stop().await;
    }
    for item in [locked, free, third] {
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await + bench.live(item).await, 100_000);
    }
}

#[tokio::test]
async fn while_mysql_is_away_no_stock_is_taken_and_what_was_taken_comes_back() {
    let bench = FlowBench::new().await;
    let item = bench.item(20_000).await;
    let mut gate = Gate::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &gate.url(&bench.sql.url)).await;
    let crew = Workers::returning(&bench.flow, SOON);
    gate.shut().await;
    let buyers = Buyers::start(&flow, item, "o", 8);
    until("the breaker refuses", async || flow.metrics().counted("create", "not_admitted") > 1_500).await;
    let (taken, refused) = (flow.metrics().counted("pre_deduct", "taken"), buyers.refused());
    until("many more are refused", async || buyers.refused() > refused + 1_000).await;
    let taken = flow.metrics().counted("pre_deduct", "taken") - taken;
    assert!(taken < 100, "{taken} reservations were made for a ledger that is known to be away");
    until("the resolver has given back what was taken", async || bench.left(item).await >= 19_990).await;
    gate.open().await;
    until("orders are admitted", async || buyers.sold() > 20).await;
    buyers.stop().await;
    crew.stop().await;
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await + bench.live(item).await, 20_000);
}

#[tokio::test]
async fn orders_of_an_item_that_is_sold_out_find_out_that_mysql_is_back() {
    let bench = FlowBench::new().await;
    let (item, sold_out) = (bench.item(1_000).await, bench.item(1).await);
    bench.ordered("last", &[(sold_out, 1)]).await;
    let mut gate = Gate::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &gate.url(&bench.sql.url)).await;
    gate.shut().await;
    let away = |flow: &Flow| {
        let text = flow.exposition();
        text.lines().any(|line| line.starts_with("holdfast_store_away_seconds{store=\"mysql\"}") && !line.ends_with(" 0.0"))
    };
    let buyers = Buyers::start(&flow, item, "o", 4);
    until("the breaker refuses", async || away(&flow)).await;
    buyers.stop().await;
    gate.open().await;
    let late = async || flow.create(request("late", &[(sold_out, 1)]), false).await;
    until("the item is sold out again", async || late().await == Err(Refusal::SoldOut { item: sold_out })).await;
    assert!(!away(&flow), "{}", flow.exposition());
}

/// Ledger settings with few seats.
fn small(url: &str) -> LedgerSettings {
    LedgerSettings { writer_queue: 64, ..settings(url) }
}

#[tokio::test]
async fn orders_of_a_locked_item_do_not_take_all_the_seats() {
    let bench = FlowBench::new().await;
    let (locked, free) = (bench.item(100_000).await, bench.item(100_000).await);
    let ledger = Ledger::open(small(&bench.sql.url)).await.unwrap();
    let flow = Flow::new(bench.redis.stock.clone(), ledger, Metrics::default(), forgetful());
    let mut holder = connect(&bench.sql.url).await;
    hold_epoch(&mut holder, locked, "FOR UPDATE").await;
    let create = |at: usize| {
        let (flow, order) = (flow.clone(), request(&format!("locked-{at}"), &[(locked, 1)]));
        tokio::spawn(async move { flow.create(order, false).await })
    };
    let at_locked: Vec<_> = (0..100).map(create).collect();
    until("more orders of it came than there are seats", async || flow.metrics().counted("create", "throttled") > 0).await;
    let at_free = Buyers::start(&flow, free, "free", 4);
    until("the other item sells", async || at_free.sold() > 300).await;
    execute(&mut holder, "ROLLBACK").await;
    at_free.stop().await;
    join_all(at_locked).await;
    for item in [locked, free] {
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await + bench.live(item).await, 100_000);
    }
}

#[tokio::test]
async fn carts_of_many_items_with_a_locked_one_keep_no_other_item_waiting() {
    let bench = FlowBench::new().await;
    let (locked, free) = (bench.item(100_000).await, bench.item(100_000).await);
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(bench.item(100_000).await);
    }
    let mut holder = connect(&bench.sql.url).await;
    hold_epoch(&mut holder, locked, "FOR UPDATE").await;
    let carts: Vec<_> = others
        .iter()
        .map(|other| {
            let (flow, cart) = (bench.flow.clone(), request(&format!("cart-{}", other.sku), &[(locked, 1), (*other, 1)]));
            tokio::spawn(async move { flow.create(cart, false).await })
        })
        .collect();
    until("the carts wait", async || bench.sql.ledger.writer_queue_len() > 0 || carts.iter().any(|cart| cart.is_finished())).await;
    let at_free = [free, others[0]].map(|item| Buyers::start(&bench.flow, item, &format!("free-{}", item.sku), 4));
    until("the other items sell", async || at_free.iter().all(|buyers| buyers.sold() > 50)).await;
    execute(&mut holder, "ROLLBACK").await;
    for buyers in at_free {
        buyers.stop().await;
    }
    join_all(carts).await;
    for item in [locked, free, others[0]] {
        bench.come_to_rest(item).await;
        assert_eq!(bench.left(item).await + bench.live(item).await, 100_000);
    }
}

#[tokio::test]
async fn an_order_waits_for_a_rebuild_no_longer_than_it_may_and_the_rebuild_goes_on() {
    let bench = FlowBench::new().await;
    let item = crate::support::fresh_item();
    bench.sql.ledger.open_item(item, 10).await.unwrap();
    let mut holder = connect(&bench.sql.url).await;
    hold_epoch(&mut holder, item, "FOR UPDATE").await;
    let waiting = bench.flow.create(request("o", &[(item, 1)]), false);
    let refused = tokio::time::timeout(SOON * 30, waiting).await.expect("an answer although the item stays locked");
    assert!(matches!(&refused, Err(Refusal::NotAdmitted(why)) if why.contains("in time")), "{refused:?}");
    execute(&mut holder, "ROLLBACK").await;
    until("the rebuild is done", async || bench.probe(item).await.unready.is_none()).await;
    bench.ordered("p", &[(item, 1)]).await;
}

/// A stack of its own, whose servers may be stopped.
async fn own_stores() -> Stores {
    Stores::start(StoresSpec { ready_ms: 60_000, ..StoresSpec::default() }).await.unwrap()
}

/// Sends a signal to the MySQL server of `stores`.
fn signal(stores: &Stores, name: &str) {
    let (_, pid) = stores.pids().into_iter().find(|(role, _)| !role.contains("redis")).unwrap();
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn while_mysql_stands_still_a_bounded_number_waits_and_the_rest_is_refused_at_once() {
    let stores = own_stores().await;
    let url = stores.mysql_url(&fresh_database());
    let redis = Fixture::on(stores.redis_url()).await;
    let ledger = Ledger::open(small(&url)).await.unwrap();
    let flow = Flow::new(redis.stock.clone(), ledger, Metrics::default(), forgetful());
    let item = crate::support::fresh_item();
    flow.open_item(item, 100_000).await.unwrap();
    let order = |at: usize| flow.create(request(&format!("o-{at}"), &[(item, 1)]), false);
    assert!(matches!(order(0).await, Ok(Created::Now(_))));
    signal(&stores, "-STOP");
    let waiting: Vec<_> = (1..=500)
        .map(|at| {
            let (flow, request) = (flow.clone(), request(&format!("o-{at}"), &[(item, 1)]));
            tokio::spawn(async move { flow.create(request, false).await })
        })
        .collect();
    let answered = async || waiting.iter().filter(|order| order.is_finished()).count();
    until("those who cannot wait are answered", async || answered().await >= 500 - 64).await;
    assert_eq!(order(501).await, Err(Refusal::Throttled));
    signal(&stores, "-CONT");
    let answers: Vec<_> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
    let sold = answers.iter().filter(|answer| matches!(answer, Ok(Created::Now(_)))).count();
    let throttled = answers.iter().filter(|answer| **answer == Err(Refusal::Throttled)).count();
    assert_eq!((sold, throttled), (64, 436), "who had a seat is served, nobody else took stock");
    assert_eq!(redis.of(item).units().await, 100_000 - 65);
    drop(flow);
    stores.stop().await.unwrap();
}

/// A database of its own on this server, and the URL of a user who may do everything in it and nothing to the server.
async fn database_of_a_plain_user(stores: &Stores) -> String {
    let name = fresh_database();
    let root = stores.mysql_url("mysql");
    let (_, server) = root.rsplit_once('@').unwrap_or_else(|| root.split_once("//").unwrap());
    let address = server.split('/').next().unwrap();
    let create =
        format!("CREATE DATABASE `{name}`; CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'; GRANT ALL ON `{name}`.* TO '{name}'@'%'");
    execute(&mut connect(&root).await, &create).await;
    format!("mysql://{name}:pw@{address}/{name}")
}

#[tokio::test]
async fn while_mysql_takes_no_writes_orders_are_refused_definitely_and_nothing_is_lost() {
    let stores = own_stores().await;
    let url = database_of_a_plain_user(&stores).await;
    let redis = Fixture::on(stores.redis_url()).await;
    let flow = Flow::new(redis.stock.clone(), Ledger::open(settings(&url)).await.unwrap(), Metrics::default(), forgetful());
    let (item, supply) = (crate::support::fresh_item(), 100_000);
    flow.open_item(item, supply).await.unwrap();
    let crew = Workers::returning(&flow, SOON);
    let buyers = Buyers::start(&flow, item, "o", 6);
    until("orders are admitted", async || buyers.sold() > 20).await;
    let mut server = connect(&stores.mysql_url("mysql")).await;
    // What a failover does to the server that was the primary.
    execute(&mut server, "SET GLOBAL read_only = ON").await;
    until("the breaker refuses", async || flow.metrics().counted("create", "not_admitted") > 500).await;
    let (sold, refused) = (buyers.sold(), buyers.refused());
    let taken = flow.metrics().counted("pre_deduct", "taken");
    until("many more are refused", async || buyers.refused() > refused + 500).await;
    let taken = flow.metrics().counted("pre_deduct", "taken") - taken;
    assert!(taken < 100, "{taken} reservations were made for a ledger that takes none");
    let answer = flow.create(request("p", &[(item, 1)]), false).await;
    assert!(matches!(answer, Err(Refusal::NotAdmitted(_))), "certainly without effect: {answer:?}");
    assert_eq!(buyers.sold(), sold);
    assert!(flow.metrics().counted("order_write", "failed") > 0, "which is what pages");
    execute(&mut server, "SET GLOBAL read_only = OFF").await;
    until("orders are admitted again", async || buyers.sold() > sold + 20).await;
    let told = buyers.stop().await;
    let mut look = connect(&url).await;
    let mut live = async || -> u64 {
        let count = "SELECT COUNT(*) FROM orders WHERE status = 'CREATED'";
        let row = sqlx::raw_sql(count).fetch_one(&mut look).await.unwrap();
        u64::try_from(sqlx::Row::get::<i64, _>(&row, 0)).unwrap()
    };
    let live = live().await;
    assert!(told <= live, "{told} were told to stand and {live} do: a COMMIT under way at the change was perhaps refused");
    let left = async || u64::try_from(redis.of(item).units().await).unwrap();
    until("what was only reserved is back", async || left().await == supply - live).await;
    crew.stop().await;
    drop(flow);
    stores.stop().await.unwrap();
}
