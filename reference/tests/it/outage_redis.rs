//! Redis away: refused at once or sold by MySQL, by setting; never both at once, and back when Redis has been well for a while.

use std::time::Duration;

use futures_util::future::join_all;
use reference::flow::{Created, RedisDown, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, Workers, request};
use crate::flow_gate::Gate;
use crate::http_bench::{Service, none, order};
use crate::ledger_bench::fresh_url;
use crate::outage_bench::{AT_ONCE, Buyers, process, state, when_redis_is_down};
use crate::outage_program::Program;
use crate::stock_fixture::until;
use crate::support::stores;

const SOON: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn while_redis_is_away_orders_are_refused_at_once_and_admitted_again_when_it_is_back() {
    let bench = FlowBench::new().await;
    let item = bench.item(1_000_000).await;
    let mut gate = Gate::before(&bench.redis_url).await;
    let flow = process(&gate.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(RedisDown::FailFast)).await;
    let buyers = Buyers::start(&flow, item, "o", 8);
    until("orders are admitted", async || buyers.sold() > 20).await;
    let before = state(&bench, item).await;
    gate.shut().await;
    until("the breaker refuses", async || flow.metrics().counted("redis_down", "refused") > 20).await;
    let asked = flow.metrics().counted("pre_deduct", "not_executed");
    until("many more are refused", async || flow.metrics().counted("redis_down", "refused") > 500).await;
    let tries = flow.metrics().counted("pre_deduct", "not_executed") - asked;
    let refused = flow.create(request("p", &[(item, 1)]), false).await;
    // Refused by the breaker, or the one call that tries: both are definite.
    assert!(matches!(&refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
    let away = |text: &str| {
        text.lines().any(|line| line.starts_with("holdfast_store_away_seconds{store=\"redis\"}") && !line.ends_with(" 0.0"))
    };
    assert!(away(&flow.exposition()), "{}", flow.exposition());
    assert!(tries < 100, "{tries} calls went to a store that is known to be away");
    let sold = buyers.sold();
    gate.open().await;
    until("orders are admitted again", async || buyers.sold() > sold + 20).await;
    buyers.stop().await;
    assert!(!away(&flow.exposition()), "{}", flow.exposition());
    assert_eq!(state(&bench, item).await, before, "nothing was rebuilt: {}", flow.exposition());
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await + bench.live(item).await, 1_000_000);
}

#[tokio::test]
async fn mysql_sells_while_redis_is_away_and_a_worker_gives_the_item_back() {
    for (mode, supply) in [(Mode::Redis, 2_000), (Mode::Strict, 2_000)] {
        let bench = FlowBench::new().await;
        let item = bench.item(supply).await;
        if mode == Mode::Strict {
            bench.flow.rebuild(item, Some(Mode::Strict), "test").await.unwrap();
        }
        let mut gate = Gate::before(&bench.redis_url).await;
        let flow = process(&gate.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
        let crew = Workers::returning(&flow, SOON);
        let buyers = Buyers::start(&flow, item, "o", 6);
        until("orders are admitted by redis", async || buyers.sold() > 20).await;
        gate.shut().await;
        until("mysql admits", async || state(&bench, item).await.mode == Mode::Db).await;
        let sold = buyers.sold();
        until("orders are admitted by mysql", async || buyers.sold() > sold + 20).await;
        gate.open().await;
        until("the item is back", async || state(&bench, item).await.mode == mode).await;
        let sold = buyers.sold();
        until("orders are admitted by redis again", async || buyers.sold() > sold + 20).await;
        buyers.stop().await;
        crew.stop().await;
        bench.come_to_rest(item).await;
        let (left, live) = (bench.left(item).await, bench.live(item).await);
        assert_eq!(left + live, i64::try_from(supply).unwrap(), "{mode:?}");
    }
}

#[tokio::test]
async fn of_two_processes_of_which_one_reaches_redis_only_one_sells_the_last_unit() {
    let bench = FlowBench::new().await;
    let mut gate = Gate::before(&bench.redis_url).await;
    let cut_off = process(&gate.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
    let connected = process(&bench.redis_url, &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
    let mut items = Vec::new();
    for _ in 0..12 {
        items.push(bench.item(1).await);
    }
    let practice = bench.item(1_000_000).await;
    gate.shut().await;
    let buyers = Buyers::start(&cut_off, practice, "practice", 4);
    until("the process that is cut off sells by mysql", async || buyers.sold() > 5).await;
    for (at, item) in items.iter().enumerate() {
        let order = |flow: &reference::flow::Flow, who: &str, copy: usize| {
            let (flow, id) = (flow.clone(), format!("{who}-{at}-{copy}"));
            async move { flow.create(request(&id, &[(*item, 1)]), false).await }
        };
        let both = (0..3).flat_map(|copy| [(&cut_off, "cut", copy), (&connected, "connected", copy)]);
        let answers = join_all(both.map(|(flow, who, copy)| order(flow, who, copy))).await;
        let sold = answers.iter().filter(|answer| matches!(answer, Ok(Created::Now(_)))).count();
        assert!(sold <= 1, "{answers:?}");
        assert_eq!(bench.live(*item).await, i64::try_from(sold).unwrap(), "{answers:?}");
    }
    buyers.stop().await;
    gate.open().await;
    let crew = Workers::returning(&connected, SOON);
    for item in &items {
        until("the item is back", async || state(&bench, *item).await.mode == Mode::Redis).await;
    }
    crew.stop().await;
    for item in items {
        let left = connected.stock_level(item).await.unwrap().available;
        let again = connected.create(request(&format!("again-{}", item.sku), &[(item, 1)]), false).await;
        assert_eq!(matches!(again, Ok(Created::Now(_))), left == 1, "{again:?}");
        bench.come_to_rest(item).await;
        assert_eq!(bench.live(item).await, 1, "the unit is sold, once");
    }
}

#[tokio::test]
async fn two_processes_one_of_them_cut_off_share_a_sale_to_its_last_unit() {
    let bench = FlowBench::new().await;
    let (item, mut gate) = (bench.item(600).await, Gate::before(&bench.redis_url).await);
    let cut_off = process(&gate.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
    let connected = process(&bench.redis_url, &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
    // A worker that reaches Redis gives the item back again and again, under the hands of a process that does not.
    let crew = Workers::returning(&connected, Duration::from_millis(100));
    gate.shut().await;
    let here = Buyers::start(&cut_off, item, "cut", 4);
    until("the process that is cut off sells", async || here.sold() > 10).await;
    let there = Buyers::start(&connected, item, "connected", 4);
    until("everything is sold", async || bench.live(item).await == 600).await;
    let sold = here.stop().await + there.stop().await;
    assert!(bench.live(item).await == 600 && sold <= 600, "{sold}");
    gate.open().await;
    until("the item is back", async || state(&bench, item).await.mode == Mode::Redis).await;
    crew.stop().await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await), (600, 0));
    assert!(cut_off.metrics().counted("rebuild", "degrade") > 0);
}

#[tokio::test]
async fn several_workers_give_an_item_back_once_and_only_what_was_taken_by_the_outage() {
    let bench = FlowBench::new().await;
    let mut gate = Gate::before(&bench.redis_url).await;
    let flow = process(&gate.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
    let (taken, chosen, closed) = (bench.item(1_000_000).await, bench.item(5).await, bench.item(5).await);
    bench.flow.rebuild(chosen, Some(Mode::Db), "operator").await.unwrap();
    bench.flow.rebuild(closed, Some(Mode::Closed), "operator").await.unwrap();
    let before = (state(&bench, chosen).await, state(&bench, closed).await);
    gate.shut().await;
    let buyers = Buyers::start(&flow, taken, "o", 4);
    until("mysql admits", async || state(&bench, taken).await.mode == Mode::Db).await;
    for item in [chosen, closed] {
        let _sold_or_refused = flow.create(request(&format!("p-{}", item.sku), &[(item, 1)]), false).await;
    }
    buyers.stop().await;
    let degraded = state(&bench, taken).await;
    gate.open().await;
    let patient = Workers::returning(&flow, NEVER);
    until("the workers have looked", async || bench.sql.ledger.outbox_depth().await.unwrap().deducts == 0).await;
    patient.stop().await;
    assert_eq!(state(&bench, taken).await, degraded, "Redis must have been well for a while");
    let crews =
        [Workers::returning(&flow, SOON), Workers::returning(&bench.flow, SOON), Workers::returning(&bench.another().await, SOON)];
    until("the item is back", async || state(&bench, taken).await.mode == Mode::Redis).await;
    until("its counter stands", async || bench.probe(taken).await.epoch == state(&bench, taken).await.epoch).await;
    for crew in crews {
        crew.stop().await;
    }
    assert_eq!(state(&bench, taken).await.epoch.0, degraded.epoch.0 + 1, "one of the workers did it");
    assert_eq!((state(&bench, chosen).await, state(&bench, closed).await), before, "what an operator chose stays");
}

#[tokio::test]
async fn orders_that_mysql_admits_are_limited_for_its_sake() {
    let bench = FlowBench::new().await;
    let item = bench.item(1_000).await;
    bench.flow.rebuild(item, Some(Mode::Db), "operator").await.unwrap();
    let slow = reference::flow::FlowSettings { database_orders_per_second: 10, ..when_redis_is_down(AT_ONCE) };
    let flow = process(&bench.redis_url, &bench.sql.url, slow).await;
    // With the first it learns that MySQL admits, before it takes units that nobody counts any more.
    let first = flow.create(request("first", &[(item, 1)]), false).await;
    assert!(matches!(first, Ok(Created::Now(_))), "{first:?}");
    let all = join_all((0..200).map(|at| flow.create(request(&format!("o-{at}"), &[(item, 1)]), false))).await;
    let throttled = all.iter().filter(|answer| **answer == Err(Refusal::Throttled)).count();
    let sold = all.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(throttled + sold, 200, "{all:?}");
    assert!(throttled > 100, "{sold} sold, {throttled} throttled");
    assert_eq!(bench.live(item).await, 1 + i64::try_from(sold).unwrap());
}

#[tokio::test]
async fn the_service_refuses_and_says_when_to_come_back_or_sells_by_mysql_by_its_setting() {
    let redis_url = stores().await.redis_url();
    for (flags, sells) in [(&["--redis-down=fail-fast"][..], false), (&["--redis-down=database", "--degrade-after-ms=500"], true)] {
        let mut gate = Gate::before(&redis_url).await;
        let flags: Vec<&str> = flags.iter().copied().chain(["--return-after-ms=300"]).collect();
        let service = Service::on(gate.url(&redis_url), fresh_url().await, &flags).await;
        let item = service.item(10).await;
        gate.shut().await;
        let refused = service.create(&order("first", item, 1)).await;
        assert_eq!(refused.error(), none(503, "not_admitted"));
        assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
        let level = async || service.get(&format!("/stock/{}/{}/{}", item.store, item.product, item.sku)).await.json();
        if sells {
            until("mysql sells", async || service.create(&order("second", item, 1)).await.status < 300).await;
            assert_eq!((level().await["mode"].clone(), level().await["available"].clone()), ("DB".into(), 9.into()));
        }
        assert_eq!(service.get("/health/ready").await.status, if sells { 200 } else { 503 });
        gate.open().await;
        until("redis sells again", async || service.create(&order("third", item, 1)).await.status < 300).await;
        until("redis has the item", async || level().await["source"] == "redis").await;
        until("the item is whole", async || level().await["available"] == 9 - i64::from(sells)).await;
    }
}

#[tokio::test]
async fn a_process_that_may_sell_by_mysql_starts_without_redis() {
    let (url, redis_url) = (fresh_url().await, stores().await.redis_url());
    let before = Program::start(&redis_url, &url, &[]).await;
    let item = crate::support::fresh_item();
    assert_eq!(before.open(item, 10).await.status, 201);
    let mut gate = Gate::before(&redis_url).await;
    gate.shut().await;
    let flags = ["--redis-down=database", "--degrade-after-ms=500", "--return-after-ms=300"];
    let program = Program::start(&gate.url(&redis_url), &url, &flags).await;
    let sell = async |id: &str| {
        let request = crate::http_bench::post("/orders", &order(id, item, 1).to_string());
        crate::http_bench::exchange(program.public, &request).await.status
    };
    until("mysql sells", async || sell("o").await < 300).await;
    gate.open().await;
    let level =
        async || crate::http_bench::get(program.public, &format!("/stock/{}/{}/{}", item.store, item.product, item.sku)).await;
    until("redis has the item", async || level().await.json()["source"] == "redis").await;
    assert_eq!(sell("p").await, 201);
    assert_eq!(level().await.json()["available"], 8);
}
