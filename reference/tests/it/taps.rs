//! The harness reads along on the service's own connections: every step and every kill point of the protocol shows in a real conversation, under its name
//! and with its orders. What the taps know of the service is written down a second time in the harness, so this is also where the two are compared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use harness::proxy::tap::{Point, Process, mysql_taps, redis_taps};
use harness::proxy::{Direction, DissectorFactory, Frame};
use harness::target::dialect::holdfast;
use reference::domain::Item;
use reference::flow::{Created, Flow};
use reference::stock::PreDeduct;

use crate::flow_bench::{FlowBench, Workers, request};
use crate::ledger_bench::{id, restock};
use crate::stock_fixture::{quantity, until};
use crate::tap_relay::{Conversation, Relay, Seen, address_of};
use crate::tap_splits::expect_the_same_in_all_cuts;

/// One process of the service, with a tap in each of its connections.
struct Tapped {
    flow: Flow,
    redis: Relay,
    mysql: Relay,
}

impl Tapped {
    async fn new(bench: &FlowBench) -> Self {
        let (redis_taps, mysql_taps) = taps();
        let redis = Relay::start(address_of(&bench.redis_url), redis_taps).await;
        let mysql = Relay::start(address_of(&bench.sql.url), mysql_taps).await;
        let flow = bench.through(&redis.url(&bench.redis_url), &mysql.url(&bench.sql.url)).await;
        Self { flow, redis, mysql }
    }

    fn frames(&self) -> Vec<Seen> {
        let (mut all, mysql) = (self.redis.frames(), self.mysql.frames());
        all.extend(mysql);
        all
    }

    fn conversations(&self) -> [Vec<Conversation>; 2] {
        [self.redis.conversations(), self.mysql.conversations()]
    }

    async fn ordered(&self, order: &str, lines: &[(Item, i64)]) {
        let created = self.flow.create(request(order, lines), false).await;
        assert!(matches!(created, Ok(Created::Now(_))), "{created:?}");
    }
}

/// Taps of a process that has done nothing yet.
fn taps() -> (DissectorFactory, DissectorFactory) {
    let (dialect, process) = (Arc::new(holdfast()), Arc::new(Process::default()));
    (redis_taps(Arc::clone(&dialect), Arc::clone(&process)), mysql_taps(dialect, process))
}

/// How often each step passed, requests as `> name` and replies as `< name`, and each point.
fn tally(frames: &[Seen]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for (direction, frame) in frames {
        let arrow = if *direction == Direction::Upstream { '>' } else { '<' };
        *tally.entry(format!("{arrow} {}", frame.step)).or_default() += 1;
        for point in &frame.points {
            *tally.entry((*point).to_owned()).or_default() += 1;
        }
    }
    tally
}

/// Every step that a real run goes through.
const STEPS: [&str; 21] = [
    "pre_deduct",
    "confirm",
    "rollback",
    "apply_delta",
    "install",
    "probe",
    "begin",
    "order_rows",
    "order_messages",
    "outbox_claim",
    "ledger_update",
    "epoch_update",
    "commit_order",
    "commit_deduct",
    "commit_end",
    "commit_rebuild",
    "commit_restock",
    "commit_tombstone",
    "commit_claim",
    "commit_finish",
    "commit_pay",
];

/// Frames of this step or point that are about `order`, without their numbers.
fn about<'a>(frames: &'a [Seen], name: &str, order: &str) -> Vec<&'a Frame> {
    let wanted =
        |frame: &Frame| (frame.step == name || frame.points.contains(&name)) && frame.orders.iter().any(|found| found == order);
    frames.iter().map(|(_, frame)| frame).filter(|frame| wanted(frame)).collect()
}

/// Lets the workers of a process run until nothing is left to do for the item.
async fn settle(bench: &FlowBench, process: &Tapped, item: Item) {
    let workers = Workers::start(&process.flow, Duration::ZERO);
    until("the workers have nothing left to do", async || {
        let (probe, depth) = (bench.probe(item).await, bench.sql.ledger.outbox_depth().await.unwrap());
        probe.unready.is_none() && probe.lock_count + depth.deducts + depth.deltas == 0
    })
    .await;
    workers.stop().await;
}

/// Redis forgets the counter of an item.
async fn lose(bench: &FlowBench, item: Item) {
    let redis = bench.redis.of(item);
    let keys = [redis.key("stock"), redis.key("meta"), redis.key("lock")];
    redis.words::<()>(&["DEL", &keys[0], &keys[1], &keys[2]]).await.unwrap();
}

#[tokio::test]
async fn every_step_and_every_point_of_the_protocol_shows_in_a_real_run() {
    let bench = FlowBench::on_own_redis().await;
    let (api, worker) = (Tapped::new(&bench).await, Tapped::new(&bench).await);
    let item = bench.item(50).await;
    let other = bench.item(50).await;

    api.ordered("plain", &[(item, 2)]).await;
    api.ordered("cart", &[(item, 1), (other, 1)]).await;
    api.ordered("undone", &[(item, 3)]).await;
    api.flow.cancel(&id("undone")).await.unwrap();
    api.flow.pay(&id("plain")).await.unwrap();
    api.flow.ledger().restock(restock("more", item, 5)).await.unwrap();
    // A reservation that stands already is contested: its order goes step by step.
    let taken = bench.redis.stock.pre_deduct(item, &id("contested"), quantity(1)).await.unwrap();
    assert!(matches!(taken, PreDeduct::Taken(_)), "{taken:?}");
    api.ordered("contested", &[(item, 1)]).await;
    // Nobody ever orders this one: only the resolver can give it back.
    let orphan = bench.redis.stock.pre_deduct(item, &id("orphan"), quantity(4)).await.unwrap();
    assert!(matches!(orphan, PreDeduct::Taken(_)), "{orphan:?}");
    settle(&bench, &worker, item).await;
    settle(&bench, &worker, other).await;
    // The counter of the first item is lost: whoever looks first rebuilds it.
    lose(&bench, item).await;
    settle(&bench, &worker, item).await;
    lose(&bench, item).await;
    api.ordered("after", &[(item, 1)]).await;

    let frames: Vec<Seen> = [api.frames(), worker.frames()].concat();
    let seen = tally(&frames);
    assert!(!seen.contains_key("> framing_lost") && !seen.contains_key("< framing_lost"), "{seen:#?}");
    for step in STEPS {
        assert!(seen.contains_key(&format!("> {step}")) && seen.contains_key(&format!("< {step}")), "{step} is not in {seen:#?}");
    }
    // Between the service and its clients there is no store: that point shows at a proxy in front of the public listener.
    let shown_here = Point::ALL.into_iter().filter(|point| *point != Point::CommittedReplyUnsent);
    let missing: Vec<&str> = shown_here.map(Point::name).filter(|name| !seen.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in {seen:#?}");

    assert_eq!(about(&api.frames(), "commit_held", "plain").len(), 1);
    assert_eq!(about(&api.frames(), "cart_between_items", "cart")[0].item, Some(other.to_string()));
    assert_eq!(about(&api.frames(), "order_inserted", "contested").len(), 1);
    assert_eq!(about(&api.frames(), "order_inserted", "plain").len(), 0, "the usual batch has its rows in one packet");
    assert_eq!(about(&api.frames(), "commit_end", "undone").len(), 2);
    // More than once, perhaps: a script that Redis does not know yet is asked for twice, and the resolver may come beside the deduct worker.
    for (point, order) in [
        ("tombstone_committed", "orphan"),
        ("rollback_reply_held", "orphan"),
        ("unlock_committed", "undone"),
        ("apply_delta_reply_held", "undone"),
        ("outbox_claimed", "plain"),
        ("deduct_commit_held", "plain"),
        ("between_db_commit_and_confirm", "plain"),
        ("confirm_reply_held", "plain"),
    ] {
        assert!(!about(&worker.frames(), point, order).is_empty(), "{point}");
    }

    for (conversations, factory) in api.conversations().into_iter().zip([taps().0, taps().1]) {
        for conversation in conversations {
            expect_the_same_in_all_cuts(&conversation, &factory);
        }
    }
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_asked_for_twice_and_answered_once() {
    let bench = FlowBench::on_own_redis().await;
    let (api, item) = (Tapped::new(&bench).await, bench.item(5).await);
    bench.redis.words::<()>(&["SCRIPT", "FLUSH"]).await.unwrap();
    api.ordered("o", &[(item, 1)]).await;
    let frames = api.redis.frames();
    let of_order = |step: &str| about(&frames, step, "o").len();
    assert_eq!(
        (of_order("pre_deduct_not_known"), of_order("pre_deduct")),
        (1, 3),
        "two requests, one with the text, and its reply"
    );
    assert_eq!(of_order("pre_deduct_reply_held"), 1);
}

#[tokio::test]
async fn orders_that_share_a_transaction_are_all_named_at_its_commit() {
    let bench = FlowBench::new().await;
    let (api, item) = (Tapped::new(&bench).await, bench.item(500).await);
    let orders = (0..100).map(|number| {
        let flow = api.flow.clone();
        async move { flow.create(request(&format!("o-{number}"), &[(item, 1)]), false).await.unwrap() }
    });
    futures_util::future::join_all(orders).await;
    let frames = api.mysql.frames();
    for number in 0..100 {
        let commits = about(&frames, "commit_order", &format!("o-{number}"));
        assert_eq!(commits.len(), 2, "a request and a reply: o-{number}");
        assert_eq!(commits[0].exchange, commits[1].exchange);
    }
    let largest = frames.iter().map(|(_, frame)| frame.orders.len()).max().unwrap();
    assert!(largest > 1, "no two of 100 orders at once shared a transaction");
}
