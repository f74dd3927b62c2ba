//! What the tests of the use cases share: both stores, flows that stand for processes, workers that hurry, and the claims of
//! PROTOCOL.md 8.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use reference::domain::{Epoch, Item, Line, OrderRequest, UserId};
use reference::flow::{Created, Flow, FlowSettings, Refusal};
use reference::ledger::{Balance, Ledger, Restocked};
use reference::metrics::Metrics;
use reference::stock::{Lock, Probe, Stock};
use reference::workers::{self, WorkerSettings};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ledger_bench::{Bench, id, settings};
use crate::stock_fixture::{Fixture, OwnRedis, patient, quantity, until};
use crate::support::{fresh_item, stores};

/// One process' worth of the service, and a look behind it.
pub(crate) struct FlowBench {
    pub(crate) flow: Flow,
    pub(crate) sql: Bench,
    pub(crate) redis: Fixture,
    pub(crate) redis_url: String,
    _own: Option<OwnRedis>,
}

/// Settings without a memory, so that every answer comes from the stores.
pub(crate) fn forgetful() -> FlowSettings {
    FlowSettings { sold_out_memory: Duration::ZERO, ..FlowSettings::default() }
}

impl FlowBench {
    /// On the Redis that all tests share, which must not be flushed.
    pub(crate) async fn new() -> Self {
        Self::with(forgetful()).await
    }

    pub(crate) async fn with(settings: FlowSettings) -> Self {
        Self::on(stores().await.redis_url(), None, settings).await
    }

    /// On a Redis of its own, which may be flushed.
    pub(crate) async fn on_own_redis() -> Self {
        let own = OwnRedis::start(&[]).await;
        Self::on(own.url(), Some(own), forgetful()).await
    }

    /// On a Redis that the test itself ends and starts.
    pub(crate) async fn beside(redis: &OwnRedis) -> Self {
        Self::on(redis.url(), None, forgetful()).await
    }

    async fn on(redis_url: String, own: Option<OwnRedis>, settings: FlowSettings) -> Self {
        let (sql, redis) = (Bench::new().await, Fixture::on(redis_url.clone()).await);
        let flow = Flow::new(redis.stock.clone(), sql.ledger.clone(), Metrics::default(), settings);
        Self { flow, sql, redis, redis_url, _own: own }
    }

    /// The flow of another process: its own connections to the same stores.
    pub(crate) async fn another(&self) -> Flow {
        self.through(&self.redis_url, &self.sql.url).await
    }

    /// The flow of a process that reaches the stores by these URLs.
    pub(crate) async fn through(&self, redis_url: &str, mysql_url: &str) -> Flow {
        let stock = Stock::open(patient(redis_url.to_owned())).await.unwrap();
        let ledger = Ledger::open(settings(mysql_url)).await.unwrap();
        Flow::new(stock, ledger, Metrics::default(), forgetful())
    }

    /// An item on sale.
    pub(crate) async fn item(&self, opening: u64) -> Item {
        let item = fresh_item();
        assert_eq!(self.flow.open_item(item, opening).await, Ok(Restocked::Now));
        item
    }

    /// An order by a request that is not marked as repeated.
    pub(crate) async fn create(&self, order: &str, lines: &[(Item, i64)]) -> Result<Created, Refusal> {
        self.flow.create(request(order, lines), false).await
    }

    /// An order that must come into being now.
    pub(crate) async fn ordered(&self, order: &str, lines: &[(Item, i64)]) {
        let created = self.create(order, lines).await;
        assert!(matches!(created, Ok(Created::Now(_))), "{created:?}");
    }

    /// Units in the counter.
    pub(crate) async fn left(&self, item: Item) -> i64 {
        self.redis.of(item).units().await
    }

    pub(crate) async fn probe(&self, item: Item) -> Probe {
        self.redis.stock.probe(item, Duration::ZERO, None, &[]).await.unwrap()
    }

    pub(crate) async fn balance(&self, item: Item) -> Balance {
        self.sql.balance(item).await
    }

    /// Units of the orders that stand.
    pub(crate) async fn live(&self, item: Item) -> i64 {
        let Item { store, product, sku } = item;
        self.sql
            .int(&format!(
                "SELECT CAST(COALESCE(SUM(t.quantity), 0) AS SIGNED) FROM inventory_transactions t JOIN orders o USING (order_id) \
                 WHERE t.store_id = {store} AND t.product_id = {product} AND t.sku_id = {sku} \
                 AND t.kind = 'SALE' AND o.status IN ('CREATED', 'PAID')"
            ))
            .await
    }

    /// I5 of an item: each row of the quota is what the user's live orders hold, and without a limit there is none.
    pub(crate) async fn assert_quota(&self, item: Item) {
        let Item { store, product, sku } = item;
        let is = |of: &str| format!("{of}.store_id = {store} AND {of}.product_id = {product} AND {of}.sku_id = {sku}");
        let live = format!(
            "COALESCE((SELECT SUM(t.quantity) FROM inventory_transactions t JOIN orders o USING (order_id) \
             WHERE {} AND t.kind = 'SALE' AND o.status IN ('CREATED', 'PAID') AND o.user_id = q.user_id), 0)",
            is("t")
        );
        let wrong = format!("SELECT COUNT(*) FROM user_quota q WHERE {} AND q.quantity <> {live}", is("q"));
        assert_eq!(self.sql.int(&wrong).await, 0, "I5: a quota is not what the live orders hold");
        let held = format!("SELECT CAST(COALESCE(SUM(q.quantity), 0) AS SIGNED) FROM user_quota q WHERE {}", is("q"));
        let limit = self.sql.ledger.user_limit(item).await.unwrap().unwrap();
        let expected = if limit.is_none() { 0 } else { self.live(item).await };
        assert_eq!(self.sql.int(&held).await, expected, "I5: every live order is counted, if there is a limit");
    }

    /// Moves the end of the time to pay of an order to now.
    pub(crate) async fn let_expire(&self, order: &str) {
        self.sql.execute(&format!("UPDATE orders SET expire_at = NOW(3) WHERE order_id = '{order}'")).await;
    }

    /// Rows of this order: in `orders`, and SALE rows.
    pub(crate) async fn rows(&self, order: &str) -> (i64, i64) {
        let orders = self.sql.int(&format!("SELECT COUNT(*) FROM orders WHERE order_id = '{order}'")).await;
        let sales = format!("SELECT COUNT(*) FROM inventory_transactions WHERE order_id = '{order}' AND kind = 'SALE'");
        (orders, self.sql.int(&sales).await)
    }

    /// I1: counter + reservations without a sale + increases on their way = what MySQL holds available.
    pub(crate) async fn assert_in_balance(&self, item: Item, when: &str) {
        let (probe, balance) = (self.probe(item).await, self.balance(item).await);
        if probe.unready.is_some() || probe.epoch != balance.epoch.epoch {
            return;
        }
        let reserved = self.reserved(item, &probe.locks).await;
        let coming = self.coming(item, probe.epoch).await;
        let sum = probe.stock + reserved + coming;
        assert_eq!(sum, balance.available(), "I1 {when}: {} + {reserved} + {coming}, {balance:?}", probe.stock);
    }

    /// P: units of locks whose token has no sale.
    async fn reserved(&self, item: Item, locks: &[Lock]) -> i64 {
        let mut units = 0;
        for Lock { member, .. } in locks {
            let stored = self.sql.ledger.order(&member.order).await.unwrap();
            let owned = stored.is_some_and(|order| order.sales.iter().any(|s| s.item == item && s.token == Some(member.token)));
            units += if owned { 0 } else { i64::from(member.quantity.get()) };
        }
        units
    }

    /// D: units of increases of the epoch that Redis does not hold yet.
    async fn coming(&self, item: Item, epoch: Epoch) -> i64 {
        let events = self.increases(item, epoch).await;
        let names: Vec<String> = events.iter().map(|(event, _)| event.clone()).collect();
        let probe = self.redis.stock.probe(item, Duration::ZERO, Some(0), &names).await.unwrap();
        events.iter().zip(probe.applied).filter(|(_, applied)| !applied).map(|((_, units), _)| units).sum()
    }

    async fn increases(&self, item: Item, epoch: Epoch) -> Vec<(String, i64)> {
        use sqlx::Row as _;
        let Item { store, product, sku } = item;
        let select = format!(
            "SELECT event_id, quantity FROM outbox WHERE event_type = 'APPLY_DELTA' AND epoch = {epoch} \
             AND store_id = {store} AND product_id = {product} AND sku_id = {sku}"
        );
        let mut connection = self.sql.connect().await;
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(select)).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Runs the workers until Q holds for the item, then stops them.
    pub(crate) async fn come_to_rest(&self, item: Item) {
        let workers = Workers::start(&self.flow, Duration::ZERO);
        until("no lock, open sale or message is left", async || self.is_at_rest(item).await).await;
        workers.stop().await;
        self.assert_at_rest(item).await;
    }

    async fn is_at_rest(&self, item: Item) -> bool {
        let (probe, depth) = (self.probe(item).await, self.sql.ledger.outbox_depth().await.unwrap());
        // An order whose time to pay is over will be ended, and brings an increase.
        let due = "SELECT COUNT(*) FROM orders WHERE status = 'CREATED' AND expire_at <= NOW(3)";
        let nothing_waits =
            depth.deducts + depth.deltas + depth.dead + depth.dead_deltas + probe.lock_count == 0 && self.sql.int(due).await == 0;
        nothing_waits && self.balance(item).await.open == 0
    }

    /// Q, and I4: the balance is what was booked.
    pub(crate) async fn assert_at_rest(&self, item: Item) {
        assert!(self.is_at_rest(item).await);
        let (probe, balance) = (self.probe(item).await, self.balance(item).await);
        if probe.unready.is_none() && probe.epoch == balance.epoch.epoch {
            assert_eq!(probe.stock, balance.current - balance.locked, "Q: {probe:?} {balance:?}");
        }
        assert_eq!(self.sql.booked(item).await, balance.current, "I4");
    }
}

/// Workers that poll every few milliseconds.
pub(crate) struct Workers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Workers of which the resolver leaves locks alone that are younger than `grace`.
    pub(crate) fn start(flow: &Flow, grace: Duration) -> Self {
        Self::with(flow, WorkerSettings { resolver_grace: grace, audit_every: Duration::from_millis(50), ..hurried() })
    }

    /// Workers that give items back to Redis after `return_after`.
    pub(crate) fn returning(flow: &Flow, return_after: Duration) -> Self {
        Self::with(flow, WorkerSettings { resolver_grace: Duration::from_millis(200), return_after, ..hurried() })
    }

    fn with(flow: &Flow, settings: WorkerSettings) -> Self {
        let stop = CancellationToken::new();
        Self { tasks: workers::start(flow, &settings, &stop), stop }
    }

    /// Ends them; none may have panicked.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn hurried() -> WorkerSettings {
    WorkerSettings {
        poll: (Duration::from_millis(5), Duration::from_millis(20)),
        resolver_pause: Duration::from_millis(20),
        delta_lease: Duration::from_millis(300),
        ..WorkerSettings::default()
    }
}

/// A request of user 7.
pub(crate) fn request(order: &str, lines: &[(Item, i64)]) -> Arc<OrderRequest> {
    request_of(7, order, lines)
}

pub(crate) fn request_of(user: i64, order: &str, lines: &[(Item, i64)]) -> Arc<OrderRequest> {
    let line = |(item, units): &(Item, i64)| Line { item: *item, quantity: quantity(*units) };
    let lines = lines.iter().map(line).collect();
    Arc::new(OrderRequest::new(id(order), UserId::new(user).unwrap(), lines).unwrap())
}
