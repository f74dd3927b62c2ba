//! The load against a small server that behaves as each test asks.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::history::operation::History;
use harness::history::pairing::read_history;
use harness::history::record::{FailCode, Function, InfoCause, Outcome, ShedCause};
use harness::history::recorder::{Recorder, RecorderGuard};
use harness::load::LoadError;
use harness::load::drain::{DrainSummary, drain};
use harness::load::open_loop::{LoadSummary, run_load};
use harness::load::progress::Progress;
use harness::scenario::plan::{Action, Arrival, Plan, PlannedLine, PlannedOrder};
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;
use harness::stack::Endpoints;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::history::{Folder, head};
use crate::peer::{Peer, Reaction, accepted, sold_out};

/// A plan of hand-written arrivals: action, order, due in ms. Every order is of user 5 for one unit of the one item.
fn plan(arrivals: &[(Action, u32, u64)]) -> Plan {
    let arrival = |(action, order, due): &(Action, u32, u64)| Arrival {
        due: Offset::from_millis(*due),
        action: *action,
        order: *order,
        instance: 0,
    };
    let orders = arrivals.iter().map(|(_, order, _)| order + 1).max().unwrap_or(0);
    Plan {
        scenario: scenario(1),
        run_tag: "t".into(),
        orders: (0..orders).map(|_| PlannedOrder::of_one(0, 1, 5)).collect(),
        changes: Vec::new(),
        arrivals: arrivals.iter().map(arrival).collect(),
        journeys: Vec::new(),
    }
}

fn scenario(items: u64) -> Scenario {
    Scenario {
        name: "test".into(),
        seed: Seed(1),
        items: (1..=items).map(|sku| SaleItem { item: ItemId { store: 1, product: 1, sku }, opening: 10, weight: 1 }).collect(),
        stretches: vec![LoadStretch { name: "spike".into(), phase: Phase::Baseline, duration_ms: 1_000, rate_per_s: 1.0 }],
        mix: Mix { users: 10, ..Mix::default() },
        processes: Processes { api: 1, worker: 1 },
        limits: Limits { request_timeout_ms: 300, ..Limits::default() },
        promises: Promises { staleness_ms: 50, ..Promises::default() },
        faults: Vec::new(),
    }
}

fn creates(dues: impl IntoIterator<Item = u64>) -> Plan {
    let arrivals: Vec<_> = (0..).zip(dues).map(|(order, due)| (Action::Create, order, due)).collect();
    plan(&arrivals)
}

fn endpoints(api: &[SocketAddr]) -> Endpoints {
    Endpoints { api: api.to_vec(), admin: vec![], admin_token: String::new(), redis_url: String::new(), mysql_url: String::new() }
}

/// A recorder and the folder of its history.
struct Bench {
    folder: Folder,
    recorder: Recorder,
    guard: RecorderGuard,
}

impl Bench {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let (recorder, guard) = Recorder::create(&folder.history(), RunClock::start()).unwrap();
        recorder.record(head()).await.unwrap();
        Self { folder, recorder, guard }
    }

    async fn load(self, plan: &Plan, api: &[SocketAddr]) -> (LoadSummary, History) {
        self.load_at(plan, &endpoints(api)).await
    }

    async fn load_at(self, plan: &Plan, endpoints: &Endpoints) -> (LoadSummary, History) {
        let progress = Arc::new(Progress::default());
        let summary = run_load(plan, endpoints, &self.recorder, &progress, &CancellationToken::new()).await.unwrap();
        (summary, self.history().await)
    }

    async fn drain(self, scenario: Scenario, api: &[SocketAddr], available: &[u64]) -> (DrainSummary, History) {
        let plan = Plan { scenario, ..plan(&[]) };
        let summary = drain(&plan, &endpoints(api), &self.recorder, available, &CancellationToken::new()).await.unwrap();
        (summary, self.history().await)
    }

    async fn history(self) -> History {
        self.guard.finish("finished").await.unwrap();
        let history = read_history(&self.folder.history()).unwrap();
        assert_eq!(history.problems, Vec::<String>::new());
        history
    }
}

fn outcomes(history: &History) -> Vec<Outcome> {
    history.operations.iter().map(|operation| operation.outcome).collect()
}

#[tokio::test]
async fn every_reply_is_recorded_as_the_fate_that_it_promises() {
    let table = [
        (201, r#"{"order_id":"t-0","status":"CREATED","items":[]}"#, Outcome::Ok),
        (409, r#"{"code":"sold_out","item":"1:1:1"}"#, Outcome::Fail(FailCode::SoldOut)),
        (503, r#"{"code":"not_admitted"}"#, Outcome::Fail(FailCode::NotAdmitted)),
        (500, r#"{"code":"unknown"}"#, Outcome::Info(InfoCause::ServerError)),
        (418, "tea", Outcome::Info(InfoCause::Unrecognised)),
        (201, r#"{"order_id":"t-0","status":"CREATED"}"#, Outcome::Info(InfoCause::BadReply)),
    ];
    let bench = Bench::new("replies").await;
    let peer = Peer::start(bench.recorder.clock(), move |request| {
        let (status, body, _) = table[request.order().strip_prefix("t-").unwrap().parse::<usize>().unwrap()];
        Reaction::Reply(status, body.into())
    })
    .await;
    let (summary, history) = bench.load(&creates(0..6), &[peer.address]).await;
    assert_eq!(outcomes(&history), table.map(|row| row.2));
    assert_eq!(history.operations.iter().map(|operation| operation.http).collect::<Vec<_>>(), table.map(|row| Some(row.0)));
    assert_eq!((summary.planned, summary.counts.sent, summary.counts.in_flight()), (6, 6, 0));
    assert_eq!((summary.counts.ok, summary.counts.fail, summary.counts.info), (1, 2, 3));
    let surprises = history.notes.iter().filter(|note| note.what.0 == "unexpected_reply");
    assert_eq!(surprises.map(|note| note.what.1["text"].as_str().unwrap()).collect::<Vec<_>>(), [table[3].1, "tea", table[5].1]);
}

#[tokio::test]
async fn a_broken_connection_leaves_doubt_however_it_breaks() {
    let bench = Bench::new("broken").await;
    let peer = Peer::start(bench.recorder.clock(), |request| match request.order() {
        "t-0" => Reaction::Close,
        "t-1" => Reaction::Reset,
        _ => Reaction::CutBody(r#"{"order_id":"t-2","status":"CREATED"}"#.into()),
    })
    .await;
    let (_, history) = bench.load(&creates([0, 50, 100]), &[peer.address]).await;
    assert_eq!(outcomes(&history), [Outcome::Info(InfoCause::ConnectionLost); 3]);
    assert_eq!(history.operations[2].http, Some(201));
}

#[tokio::test]
async fn no_reply_within_the_deadline_is_doubt_at_the_deadline() {
    let bench = Bench::new("silence").await;
    let peer = Peer::start(bench.recorder.clock(), |_| Reaction::Silence).await;
    let (_, history) = bench.load(&creates([0, 10]), &[peer.address]).await;
    assert_eq!(outcomes(&history), [Outcome::Info(InfoCause::Timeout); 2]);
    for operation in &history.operations {
        let waited = operation.answered.unwrap().since(operation.sent);
        assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&waited), "{waited:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_sent() {
    let bench = Bench::new("refused").await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_, history) = bench.load(&creates([0, 1]), &[nobody]).await;
    assert_eq!(outcomes(&history), [Outcome::Fail(FailCode::NotSent); 2]);
    assert_eq!(history.notes[0].what.0, "dial_failed");
}

#[tokio::test]
async fn an_arrival_without_a_slot_is_shed_and_never_sent() {
    let bench = Bench::new("slots").await;
    let peer = Peer::start(bench.recorder.clock(), |request| match request.order() {
        "t-0" | "t-1" => Reaction::Silence,
        order => accepted(order),
    })
    .await;
    let mut plan = plan(&[
        (Action::Create, 0, 0),
        (Action::Create, 1, 0),
        (Action::Create, 2, 100),
        (Action::Cancel, 2, 150),
        (Action::Create, 3, 900),
    ]);
    plan.scenario.limits.in_flight_max = 2;
    let (summary, history) = bench.load(&plan, &[peer.address]).await;
    let sheds: Vec<_> = history.sheds.iter().map(|shed| (shed.what.order.as_str(), shed.what.f, shed.what.why)).collect();
    assert_eq!(sheds, [("t-2", Function::CreateOrder, ShedCause::NoSlot), ("t-2", Function::CancelOrder, ShedCause::NoSlot)]);
    assert_eq!((summary.counts.offered, summary.counts.sent, summary.counts.shed, summary.counts.skipped), (5, 3, 2, 0));
    let sent: Vec<_> = peer.arrived().iter().map(|request| request.order().to_owned()).collect();
    assert_eq!(sent, ["t-0", "t-1", "t-3"]);
}

#[tokio::test]
async fn nothing_that_was_not_sold_is_paid_or_cancelled() {
    let bench = Bench::new("follow-ups").await;
    let peer = Peer::start(bench.recorder.clock(), |request| match (request.call.as_str(), request.order()) {
        ("POST /orders", "t-0" | "t-3") => sold_out(),
        ("POST /orders", "t-1") => Reaction::Silence,
        (_, order) => accepted(order),
    })
    .await;
    let (summary, history) = bench
        .load(
            &plan(&[
                (Action::Create, 0, 0),
                (Action::Create, 1, 0),
                (Action::Create, 2, 0),
                (Action::Create, 3, 0),
                (Action::Cancel, 0, 200),
                (Action::Pay, 1, 200),
                (Action::Pay, 2, 200),
                (Action::Pay, 3, 200),
                (Action::Read, 0, 200),
            ]),
            &[peer.address],
        )
        .await;
    let sheds: Vec<_> = history.sheds.iter().map(|shed| (shed.what.order.as_str(), shed.what.f, shed.what.why)).collect();
    let refused = ShedCause::OrderRefused;
    assert_eq!(sheds, [("t-0", Function::CancelOrder, refused), ("t-3", Function::PayOrder, refused)]);
    assert_eq!((summary.counts.shed, summary.counts.skipped), (0, 2));
    let calls: Vec<_> = peer.arrived().into_iter().map(|request| request.call).filter(|call| call != "POST /orders").collect();
    let mut sorted = calls.clone();
    sorted.sort();
    assert_eq!(sorted, ["GET /orders/t-0", "POST /orders/t-1/pay", "POST /orders/t-2/pay"]);
    assert!(history.of(Function::PayOrder).all(|operation| operation.items.len() == 1));
}

#[tokio::test]
async fn a_repetition_is_the_same_order_and_says_so_unless_it_is_concurrent() {
    let bench = Bench::new("repeat").await;
    let peer = Peer::start(bench.recorder.clock(), |request| accepted(request.order())).await;
    let arrivals = [(Action::Create, 0, 0), (Action::Repeat, 0, 0), (Action::Create, 1, 0), (Action::Repeat, 1, 100)];
    let (_, history) = bench.load(&plan(&arrivals), &[peer.address]).await;
    let mut bodies: Vec<_> = peer.arrived().into_iter().map(|request| request.body).collect();
    bodies.sort_by_key(|body| body["order_id"].to_string());
    let line = serde_json::json!([{ "store_id": 1, "product_id": 1, "sku_id": 1, "quantity": 1 }]);
    let body = |order: &str, retry: bool| serde_json::json!({ "order_id": order, "user_id": 5, "items": line, "retry": retry });
    assert_eq!(bodies, [body("t-0", false), body("t-0", false), body("t-1", false), body("t-1", true)]);
    assert_eq!(outcomes(&history), [Outcome::Ok; 4]);
}

#[tokio::test]
async fn a_cart_is_sent_and_recorded_with_all_its_lines_and_a_refund_names_its_order() {
    let bench = Bench::new("cart").await;
    let peer = Peer::start(bench.recorder.clock(), |request| accepted(request.order())).await;
    let mut plan = plan(&[(Action::Create, 0, 0), (Action::Pay, 0, 100), (Action::Refund, 0, 200)]);
    plan.scenario.items = scenario(2).items;
    plan.orders[0].further = vec![PlannedLine { item: 1, quantity: 3 }, PlannedLine { item: 0, quantity: 2 }];
    let (_, history) = bench.load(&plan, &[peer.address]).await;
    let arrived = peer.arrived();
    let lines: Vec<_> =
        arrived[0].body["items"].as_array().unwrap().iter().map(|line| (&line["sku_id"], &line["quantity"])).collect();
    assert_eq!(lines, [(&json!(1), &json!(1)), (&json!(2), &json!(3)), (&json!(1), &json!(2))]);
    assert_eq!(
        arrived[1..].iter().map(|request| request.call.as_str()).collect::<Vec<_>>(),
        ["POST /orders/t-0/pay", "POST /orders/t-0/refund"]
    );
    let functions: Vec<_> = history.operations.iter().map(|operation| operation.function).collect();
    assert_eq!(functions, [Function::CreateOrder, Function::PayOrder, Function::RefundOrder]);
    assert!(history.operations.iter().all(|operation| operation.items.len() == 3), "every write carries its items");
}

#[tokio::test]
async fn the_operator_changes_stock_at_the_admin_listener_with_its_token() {
    let bench = Bench::new("operator").await;
    let clock = bench.recorder.clock();
    let public = Peer::start(clock, |request| accepted(request.order())).await;
    let admin = Peer::start(clock, |request| match request.call.rsplit('/').next().unwrap() {
        "t-s2" => Reaction::Reply(409, r#"{"code":"conflict"}"#.into()),
        id => Reaction::Reply(201, json!({ "id": id }).to_string()),
    })
    .await;
    let actions = [Action::Restock, Action::Cut, Action::Hold, Action::Release];
    let arrivals: Vec<_> = actions.into_iter().zip(0..).map(|(action, at)| (action, at, u64::from(at) * 50)).collect();
    let mut plan = Plan { orders: Vec::new(), ..plan(&arrivals) };
    plan.changes = (1..=4).map(|quantity| PlannedLine { item: 0, quantity }).collect();
    let endpoints = Endpoints {
        admin: vec![("worker-1".into(), public.address), ("api-1".into(), admin.address)],
        admin_token: "secret".into(),
        ..endpoints(&[public.address])
    };
    let (summary, history) = bench.load_at(&plan, &endpoints).await;
    let calls: Vec<_> =
        admin.arrived().into_iter().map(|request| (request.call, request.body["quantity"].as_i64().unwrap())).collect();
    let call = |kind: &str, at: u32| format!("PUT /admin/stock/1/1/1/{kind}/t-s{at}");
    assert_eq!(calls, [(call("restocks", 0), 1), (call("cuts", 1), 2), (call("holds", 2), 3), (call("holds", 3), -4)]);
    assert!(admin.arrived().iter().all(|request| request.authorization == "Bearer secret"));
    assert_eq!(outcomes(&history), [Outcome::Ok, Outcome::Ok, Outcome::Fail(FailCode::Conflict), Outcome::Ok]);
    assert!(history.operations.iter().zip(1..).all(|(operation, qty)| operation.items[0].qty == qty && operation.user == 0));
    assert_eq!((summary.counts.sent, public.arrived().len()), (4, 0));
}

#[tokio::test]
async fn a_change_in_doubt_is_sent_again_after_the_load_until_it_is_settled() {
    let bench = Bench::new("settle").await;
    let (clock, asked) = (bench.recorder.clock(), AtomicI64::new(0));
    let admin = Peer::start(clock, move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reaction::Close,
        1 => Reaction::Reply(500, "{}".into()),
        _ => Reaction::Reply(200, r#"{"id":"t-s0"}"#.into()),
    })
    .await;
    let mut plan = Plan { orders: Vec::new(), ..plan(&[(Action::Cut, 0, 0)]) };
    plan.changes = vec![PlannedLine { item: 0, quantity: 1 }];
    let endpoints = Endpoints { admin: vec![("api-1".into(), admin.address)], ..endpoints(&[admin.address]) };
    let (_, history) = bench.load_at(&plan, &endpoints).await;
    let lost = [Outcome::Info(InfoCause::ConnectionLost), Outcome::Info(InfoCause::ServerError), Outcome::Ok];
    assert_eq!(outcomes(&history), lost);
    assert!(history.operations.iter().all(|operation| &*operation.order == "t-s0" && operation.function == Function::CutStock));
}

#[tokio::test]
async fn the_drain_pays_what_it_buys_where_orders_expire_soon() {
    let bench = Bench::new("drain-pays").await;
    let (_, peers) = two_processes(bench.recorder.clock(), &[3]).await;
    let mut short = scenario(1);
    short.promises.order_ttl_ms = 5_000;
    let (summary, history) = bench.drain(short, &[peers[0].address, peers[1].address], &[3]).await;
    let orders = |function| {
        let mut of: Vec<_> = history.of(function).filter(|it| it.is_ok()).map(|it| it.order.clone()).collect();
        of.sort();
        of
    };
    assert_eq!((summary.sold, orders(Function::PayOrder)), (3, orders(Function::CreateOrder)));
}

#[tokio::test]
async fn every_invoke_is_recorded_before_its_request_arrives() {
    let bench = Bench::new("before").await;
    let peer = Peer::start(bench.recorder.clock(), |request| accepted(request.order())).await;
    let (_, history) = bench.load(&creates(0..500), &[peer.address]).await;
    let arrived = peer.arrived();
    assert_eq!((history.operations.len(), arrived.len()), (500, 500));
    for request in arrived {
        let operation = history.operations.iter().find(|operation| &*operation.order == request.order()).unwrap();
        assert!(operation.due <= operation.sent && operation.sent <= request.at, "{request:?} {operation:?}");
    }
}

#[tokio::test]
async fn free_connections_are_used_again_and_closed_ones_never() {
    let bench = Bench::new("reuse").await;
    let peer = Peer::start(bench.recorder.clock(), |request| {
        let body = format!(r#"{{"order_id":"{}","status":"CREATED"}}"#, request.order());
        match request.order() {
            "t-2" => Reaction::ReplyAndClose(201, body),
            "t-4" => Reaction::ReplyAndDrop(201, body),
            _ => Reaction::Reply(201, body),
        }
    })
    .await;
    let (_, history) = bench.load(&creates((0..7).map(|order| order * 100)), &[peer.address]).await;
    assert_eq!(outcomes(&history), [Outcome::Ok; 7]);
    let connections: Vec<_> = peer.arrived().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1, 1, 2, 2]);
}

#[tokio::test]
async fn a_stall_shows_in_full_because_response_times_count_from_when_a_request_was_due() {
    // 200 requests a second for 5 s; the server does nothing from 2.0 s to 2.5 s.
    const GAP_MS: u64 = 5;
    let bench = Bench::new("stalled").await;
    let origin = bench.recorder.clock().now();
    let at = move |millis: u64| origin.plus(Duration::from_millis(millis));
    let peer = Peer::start(bench.recorder.clock(), move |request| match accepted(request.order()) {
        Reaction::Reply(status, body) if (at(2_000)..at(2_500)).contains(&request.at) => Reaction::ReplyAt(at(2_500), status, body),
        reply => reply,
    })
    .await;
    let mut plan = creates((0..1_000).map(|order| order * GAP_MS));
    plan.scenario.limits.request_timeout_ms = 2_000;
    let (_, history) = bench.load(&plan, &[peer.address]).await;
    assert_eq!(outcomes(&history), vec![Outcome::Ok; 1_000]);
    // Due in the first half of the stall: answered more than 250 ms after. The schedule says how many that are.
    let slow = history.operations.iter().filter(|it| it.answered.unwrap().since(it.due) > Duration::from_millis(250)).count();
    assert!((40..=60).contains(&slow), "{slow} slow responses, the schedule has {}", 250 / GAP_MS);
    for operation in &history.operations {
        let response = operation.answered.unwrap().since(operation.due);
        let owed = at(2_500).since(operation.due);
        if (at(2_010)..at(2_500)).contains(&operation.due) {
            assert!(response >= owed && response < owed + Duration::from_millis(400), "{response:?} of {owed:?}");
        }
    }
}

#[tokio::test]
async fn a_generator_that_is_held_up_shows_it_as_lag_and_skips_nothing() {
    let bench = Bench::new("lag").await;
    let peer = Peer::start(bench.recorder.clock(), |request| accepted(request.order())).await;
    let clock = bench.recorder.clock();
    let blocked = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let from = clock.now();
        std::thread::sleep(Duration::from_millis(200));
        (from, clock.now())
    });
    let (summary, history) = bench.load(&creates((0..100).map(|order| order * 5)), &[peer.address]).await;
    let (from, to) = blocked.await.unwrap();
    assert_eq!((summary.counts.sent, outcomes(&history)), (100, vec![Outcome::Ok; 100]));
    let held_up: Vec<_> = history.operations.iter().filter(|it| (from..to).contains(&it.due)).collect();
    assert!(held_up.len() >= 35, "{}", held_up.len());
    assert!(held_up.iter().all(|operation| operation.sent >= to), "{held_up:?}");
    assert!(
        history.operations.iter().zip(0u64..).all(|(it, order)| it.due == summary.start.plus(Duration::from_millis(order * 5)))
    );
}

#[tokio::test]
async fn each_stretch_is_marked_when_it_begins_even_if_nothing_arrives_in_it() {
    let bench = Bench::new("stretches").await;
    let peer = Peer::start(bench.recorder.clock(), |request| accepted(request.order())).await;
    let mut plan = creates([0, 150]);
    let stretch = |name: &str, phase, duration_ms| LoadStretch { name: name.into(), phase, duration_ms, rate_per_s: 1.0 };
    plan.scenario.stretches =
        vec![stretch("warm-up", Phase::Warmup, 100), stretch("spike", Phase::Baseline, 100), stretch("tail", Phase::Recovery, 50)];
    let (summary, history) = bench.load(&plan, &[peer.address]).await;
    let marks: Vec<_> = history.phases.iter().map(|mark| (mark.at, mark.what.stretch.as_str())).collect();
    let at = |millis| summary.start.plus(Duration::from_millis(millis));
    assert_eq!(marks, [(at(0), "warm-up"), (at(100), "spike"), (at(200), "tail")]);
    assert_eq!(history.operations.iter().map(|operation| operation.phase).collect::<Vec<_>>(), [Phase::Warmup, Phase::Baseline]);
    assert_eq!(summary.counts.stretch, Some(2));
}

#[tokio::test]
async fn a_stopped_load_waits_for_what_is_open_and_sends_nothing_more() {
    let bench = Bench::new("stop").await;
    let peer = Peer::start(bench.recorder.clock(), |_| Reaction::Silence).await;
    let stop = CancellationToken::new();
    let (plan, progress) = (creates([0, 60_000]), Arc::new(Progress::default()));
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
    };
    let api = endpoints(&[peer.address]);
    let (summary, ()) = tokio::join!(run_load(&plan, &api, &bench.recorder, &progress, &stop), cancel);
    let summary = summary.unwrap();
    assert!(summary.interrupted);
    assert_eq!((summary.counts.offered, summary.counts.sent, summary.counts.info), (1, 1, 1));
    let history = bench.history().await;
    assert_eq!(outcomes(&history), [Outcome::Info(InfoCause::Timeout)]);
    assert_eq!(history.notes[0].what, ("load_interrupted".into(), serde_json::json!({ "never_due": 1 })));
}

#[tokio::test]
async fn a_load_whose_history_is_lost_is_aborted() {
    let bench = Bench::new("lost").await;
    let peer = Peer::start(bench.recorder.clock(), |request| accepted(request.order())).await;
    bench.guard.finish("interrupted").await.unwrap();
    let progress = Arc::new(Progress::default());
    let ended = run_load(&creates([0]), &endpoints(&[peer.address]), &bench.recorder, &progress, &CancellationToken::new()).await;
    assert!(matches!(ended, Err(LoadError::History(_))), "{ended:?}");
    assert!(peer.arrived().is_empty());
}

#[tokio::test]
async fn a_plan_for_more_processes_than_there_are_is_refused_before_anything_is_sent() {
    let bench = Bench::new("processes").await;
    let (plan, progress) = (creates([0]), Arc::new(Progress::default()));
    let ended = run_load(&plan, &endpoints(&[]), &bench.recorder, &progress, &CancellationToken::new()).await;
    assert!(matches!(ended, Err(LoadError::NoInstance { wanted: 0, there: 0 })), "{ended:?}");
    assert_eq!(bench.history().await.phases, []);
}

/// Two api processes that share the stock of each item.
async fn two_processes(clock: RunClock, stock: &[i64]) -> (Arc<Vec<AtomicI64>>, [Peer; 2]) {
    let stock: Arc<Vec<_>> = Arc::new(stock.iter().copied().map(AtomicI64::new).collect());
    let sell = |stock: Arc<Vec<AtomicI64>>| {
        move |request: &crate::peer::Arrived| {
            if request.call.ends_with("/pay") {
                return accepted(request.order());
            }
            let item = usize::try_from(request.body["items"][0]["sku_id"].as_u64().unwrap()).unwrap() - 1;
            if stock[item].fetch_sub(1, Ordering::SeqCst) > 0 {
                return accepted(request.order());
            }
            stock[item].fetch_add(1, Ordering::SeqCst);
            sold_out()
        }
    };
    let peers = [Peer::start(clock, sell(Arc::clone(&stock))).await, Peer::start(clock, sell(Arc::clone(&stock))).await];
    (stock, peers)
}

#[tokio::test]
async fn the_drain_sells_every_unit_and_then_is_refused_three_times_by_each_process() {
    let bench = Bench::new("drain").await;
    // Believed right, believed too many, believed too few, nothing.
    let (stock, peers) = two_processes(bench.recorder.clock(), &[200, 5, 20, 0]).await;
    let (summary, history) = bench.drain(scenario(4), &[peers[0].address, peers[1].address], &[200, 9, 12, 0]).await;
    assert!(stock.iter().all(|left| left.load(Ordering::SeqCst) == 0), "{stock:?}");
    assert_eq!((summary.sold, summary.unfinished.as_slice()), (225, &[] as &[u32]));
    assert_eq!(history.operations.len() as u64, summary.attempts);
    for item in 0..4 {
        for instance in 0..2 {
            let of = history.operations.iter().filter(|it| it.items[0].item.sku == item + 1 && it.instance == instance);
            let mut answers: Vec<_> = of.map(|it| (it.sent, it.outcome)).collect();
            answers.sort();
            let last: Vec<_> = answers.iter().rev().take(3).collect();
            assert!(last.iter().all(|answer| answer.1 == Outcome::Fail(FailCode::SoldOut)), "{last:?}");
            assert!(last.windows(2).all(|pair| pair[0].0.since(pair[1].0) >= Duration::from_millis(50)), "{last:?}");
        }
    }
    let ids: std::collections::HashSet<_> = history.operations.iter().map(|it| it.order.clone()).collect();
    let users: std::collections::HashSet<_> = history.operations.iter().map(|it| it.user).collect();
    assert_eq!((ids.len(), users.len()), (history.operations.len(), history.operations.len()));
    assert!(ids.contains("t-d3-0") && users.iter().all(|user| *user > 10));
    assert!(history.operations.iter().all(|it| it.phase == Phase::Drain));
}

#[tokio::test]
async fn the_drain_gives_up_on_an_item_that_never_ends_after_its_attempts() {
    let bench = Bench::new("endless").await;
    let (_, peers) = two_processes(bench.recorder.clock(), &[i64::MAX, 0]).await;
    let (summary, history) = bench.drain(scenario(2), &[peers[0].address, peers[1].address], &[7, 0]).await;
    assert_eq!((summary.unfinished.as_slice(), summary.sold), (&[0u32] as &[_], 107));
    assert_eq!(history.notes[0].what.0, "drain_unfinished");
}

#[tokio::test]
async fn a_process_that_does_not_answer_has_not_refused() {
    let bench = Bench::new("half").await;
    let (_, [peer, _]) = two_processes(bench.recorder.clock(), &[3]).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut short = scenario(1);
    short.limits.quiesce_cap_ms = 500;
    let (summary, _) = bench.drain(short, &[peer.address, nobody], &[3]).await;
    assert_eq!((summary.unfinished.as_slice(), summary.sold), (&[0u32] as &[_], 3));
}

#[tokio::test]
async fn two_thousand_items_share_each_wait() {
    let bench = Bench::new("many").await;
    let (_, peers) = two_processes(bench.recorder.clock(), &[0; 2_000]).await;
    let mut many = scenario(2_000);
    many.promises.staleness_ms = 500;
    let began = bench.recorder.clock().now();
    let clock = bench.recorder.clock();
    let (summary, history) = bench.drain(many, &[peers[0].address, peers[1].address], &[]).await;
    assert_eq!((summary.rounds, summary.attempts, summary.unfinished.len()), (3, 12_000, 0));
    assert_eq!(history.operations.len(), 12_000);
    let took = clock.now().since(began);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

/// A plan of `orders`, sent by clients that wait for each other's turn: a third of them in a warm-up.
fn closed(orders: u64, clients: u32) -> Plan {
    let mut plan = creates((0..orders).map(|order| order * 10));
    let stretch =
        |name: &str, phase, share| LoadStretch { name: name.into(), phase, duration_ms: orders * 10 * share / 3, rate_per_s: 1.0 };
    plan.scenario.stretches = vec![stretch("first", Phase::Warmup, 1), stretch("second", Phase::Baseline, 2)];
    plan.scenario.limits.clients = clients;
    plan
}

#[tokio::test]
async fn clients_of_a_closed_loop_send_the_next_order_once_the_last_was_answered() {
    let bench = Bench::new("closed").await;
    let clock = bench.recorder.clock();
    let peer = Peer::start(clock, move |request| {
        let body = format!(r#"{{"order_id":"{}","status":"CREATED","items":[]}}"#, request.order());
        Reaction::ReplyAt(request.at.plus(Duration::from_millis(20)), 201, body)
    })
    .await;
    let (summary, history) = bench.load(&closed(30, 3), &[peer.address]).await;
    assert_eq!((summary.planned, summary.counts.ok, summary.interrupted), (30, 30, false));
    let ids: std::collections::HashSet<_> = history.operations.iter().map(|it| it.order.clone()).collect();
    let connections: std::collections::HashSet<_> = peer.arrived().iter().map(|request| request.connection).collect();
    assert_eq!((ids.len(), connections.len()), (30, 3));
    for operation in &history.operations {
        let open = history.operations.iter().filter(|it| it.sent <= operation.sent && it.answered.unwrap() > operation.sent);
        assert!(open.count() <= 3, "more than three open at once");
        assert!(operation.due <= operation.sent, "an order is due when it is sent");
    }
    let phases: Vec<_> = history.phases.iter().map(|mark| mark.what.name).collect();
    assert_eq!(phases, [Phase::Warmup, Phase::Baseline]);
    assert_eq!(history.operations.iter().filter(|it| it.phase == Phase::Warmup).count(), 10);
}

#[tokio::test]
async fn a_closed_loop_that_is_stopped_says_what_it_did_not_send() {
    let bench = Bench::new("closed_stop").await;
    let stop = CancellationToken::new();
    let told = stop.clone();
    let peer = Peer::start(bench.recorder.clock(), move |request| {
        if request.order() == "t-4" {
            told.cancel();
        }
        accepted(request.order())
    })
    .await;
    let progress = Arc::new(Progress::default());
    let summary = run_load(&closed(1_000, 2), &endpoints(&[peer.address]), &bench.recorder, &progress, &stop).await.unwrap();
    let history = bench.history().await;
    let sent = history.operations.len();
    assert!(summary.interrupted && (5..1_000).contains(&sent), "{sent} sent");
    assert_eq!(history.notes[0].what.1["never_due"], json!(1_000 - sent));
    assert!(history.operations.iter().all(|it| it.answered.is_some()));
}
