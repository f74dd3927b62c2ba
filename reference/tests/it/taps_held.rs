//! A process of the service is stopped at a kill point: the frame is held in the real proxy, and what stands in the stores meanwhile is the half state that
//! the point is named for. Afterwards the service keeps its promises all the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use harness::clock::RunClock;
use harness::proxy::tap::{Point, Process, http_taps, mysql_taps, redis_taps};
use harness::proxy::{Armed, Decision, Hit, OnHit, Proxies, ProxySpec, Trigger};
use harness::seed::Seed;
use harness::target::dialect::holdfast;
use reference::domain::{Item, OrderStatus};
use reference::flow::{Created, Flow, Refusal};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::flow_bench::{FlowBench, request};
use crate::http_bench::{Service, post};
use crate::stock_fixture::until;
use crate::tap_relay::address_of;

/// Longest time that a trigger stays armed.
const ARMED: Duration = Duration::from_secs(30);

/// A process of the service behind a proxy in front of each store.
struct Proxied {
    proxies: Proxies,
    flow: Flow,
}

impl Proxied {
    async fn new(bench: &FlowBench) -> Self {
        let proxies = Proxies::start(Seed(1), RunClock::start()).unwrap();
        let (dialect, process) = (Arc::new(holdfast()), Arc::new(Process::default()));
        let redis = redis_taps(Arc::clone(&dialect), Arc::clone(&process));
        let redis = ProxySpec::dissected("api-1-redis", address_of(&bench.redis_url), redis);
        let mysql = ProxySpec::dissected("api-1-mysql", address_of(&bench.sql.url), mysql_taps(dialect, process));
        let redis = proxies.create(redis).await.unwrap();
        let mysql = proxies.create(mysql).await.unwrap();
        let through = |url: &str, proxy: std::net::SocketAddr| url.replace(&address_of(url), &proxy.to_string());
        let flow = bench.through(&through(&bench.redis_url, redis), &through(&bench.sql.url, mysql)).await;
        Self { proxies, flow }
    }

    fn create(&self, order: &'static str, item: Item) -> JoinHandle<Result<Created, Refusal>> {
        let flow = self.flow.clone();
        tokio::spawn(async move { flow.create(request(order, &[(item, 3)]), false).await })
    }

    /// Holds the next frame at a point until the test decides.
    fn hold(&self, point: Point) -> Armed {
        self.proxies.arm(Trigger { hold_max: ARMED, ..Trigger::at(point.name(), ARMED) })
    }
}

/// The frame that is held; it is about this order.
async fn held(armed: &mut Armed, order: &str) -> Hit {
    let hit = tokio::time::timeout(ARMED, armed.next()).await.expect("the point is reached").expect("the trigger is armed");
    assert!(hit.orders.iter().any(|found| found == order), "{hit:?}");
    hit
}

#[tokio::test]
async fn a_process_held_with_the_units_taken_has_no_order_yet() {
    let bench = FlowBench::new().await;
    let (api, item) = (Proxied::new(&bench).await, bench.item(10).await);
    for (point, order) in [(Point::PreDeductReplyHeld, "first"), (Point::PreDeductDelivered, "second")] {
        let before = bench.left(item).await;
        let mut armed = api.hold(point);
        let creating = api.create(order, item);
        let hit = held(&mut armed, order).await;
        assert_eq!((bench.left(item).await, bench.rows(order).await), (before - 3, (0, 0)), "{point:?}");
        assert!(hit.decide(Decision::Pass));
        assert!(matches!(creating.await.unwrap(), Ok(Created::Now(_))));
        assert_eq!(bench.rows(order).await, (1, 1));
    }
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 4);
}

#[tokio::test]
async fn a_commit_that_is_cut_off_before_the_server_is_no_order_and_its_units_come_back() {
    let bench = FlowBench::new().await;
    let (api, item) = (Proxied::new(&bench).await, bench.item(10).await);
    let mut armed = api.hold(Point::CommitHeld);
    let creating = api.create("o", item);
    let hit = held(&mut armed, "o").await;
    assert_eq!((hit.step, bench.rows("o").await), ("commit_order", (0, 0)));
    assert!(hit.decide(Decision::CutBefore));
    assert_eq!(creating.await.unwrap(), Err(Refusal::Fenced));
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 10);
}

#[tokio::test]
async fn a_commit_whose_reply_is_kept_is_an_order_and_the_service_finds_it() {
    let bench = FlowBench::new().await;
    let (api, item) = (Proxied::new(&bench).await, bench.item(10).await);
    let mut armed = api.hold(Point::CommitForwardedReplyWithheld);
    let creating = api.create("o", item);
    let hit = held(&mut armed, "o").await;
    assert_eq!(bench.rows("o").await, (1, 1), "the server has committed");
    assert!(hit.decide(Decision::DropReply));
    let created = creating.await.unwrap();
    assert!(matches!(&created, Ok(Created::Before(stored)) if stored.status == OrderStatus::Created), "{created:?}");
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await, 7);
}

#[tokio::test]
async fn a_rebuild_held_before_its_install_leaves_redis_on_a_dead_epoch() {
    let bench = FlowBench::new().await;
    let (api, item) = (Proxied::new(&bench).await, bench.item(10).await);
    let before = bench.balance(item).await.epoch.epoch;
    let mut armed = api.hold(Point::EpochBumped);
    let flow = api.flow.clone();
    let rebuilding = tokio::spawn(async move { flow.rebuild(item, None, "test").await });
    let hit = tokio::time::timeout(ARMED, armed.next()).await.expect("the point is reached").unwrap();
    assert_eq!(hit.item, Some(item.to_string()));
    assert!(bench.balance(item).await.epoch.epoch > before, "MySQL is an epoch ahead");
    assert_eq!(bench.probe(item).await.epoch, before, "Redis is not");
    assert!(hit.decide(Decision::Pass));
    rebuilding.await.unwrap().unwrap();
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_client_that_never_hears_of_its_order_has_it_nevertheless() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let proxies = Proxies::start(Seed(1), RunClock::start()).unwrap();
    let taps = http_taps(Arc::new(holdfast()), Arc::default());
    let front = proxies.create(ProxySpec::dissected("api-1-front", service.public.to_string(), taps)).await.unwrap();
    let name = Point::CommittedReplyUnsent.name();
    let mut armed = proxies.arm(Trigger { on_hit: OnHit::Do(Decision::Reset), ..Trigger::at(name, ARMED) });
    let body = json!({ "order_id": "o", "user_id": 1, "items": [
        { "store_id": item.store, "product_id": item.product, "sku_id": item.sku, "quantity": 3 },
    ] });
    let mut client = tokio::net::TcpStream::connect(front).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, post("/orders", &body.to_string()).as_bytes()).await.unwrap();
    let heard = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut Vec::new()).await;
    assert!(heard.is_err(), "{heard:?}");
    let hit = held(&mut armed, "o").await;
    assert_eq!(hit.step, "create_order");
    until("the order stands", async || service.get("/orders/o").await.status == 200).await;
    assert_eq!(service.left(item).await, 7);
}
