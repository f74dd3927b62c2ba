//! The admin listener: its token, opening an item, metrics, and health while a store is away.

use futures_util::future::join_all;
use serde_json::json;

use crate::flow_gate::Gate;
use crate::http_bench::{Service, TOKEN, exchange, get, none, order, request};
use crate::ledger_bench::{connect, execute, fresh_url};
use crate::lossy_relay::LossyRelay;
use crate::stock_fixture::{OwnRedis, until};
use crate::support::{fresh_item, stores};

#[tokio::test]
async fn admin_routes_need_the_token_and_health_does_not() {
    let service = Service::start().await;
    let wrong = [
        None,
        Some("Bearer wrong".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {TOKEN}x")),
        Some(format!("bearer{TOKEN}")),
        Some(format!("Basic {TOKEN}")),
        Some(TOKEN.to_owned()),
    ];
    for given in &wrong {
        let mut head = vec!["Content-Type: application/json".to_owned()];
        head.extend(given.iter().map(|given| format!("Authorization: {given}")));
        for (method, path, body) in [("GET", "/metrics", ""), ("PUT", "/admin/sales/1/1/1", r#"{"opening_stock":1}"#)] {
            let reply = exchange(service.admin, &request(method, path, &head, body)).await;
            assert_eq!(reply.error(), none(401, "unauthorized"), "{given:?} {path}");
        }
    }
    assert_eq!(service.get("/stock/1/1/1").await.error(), none(404, "unknown_sku"), "nothing was opened");
    for path in ["/health/live", "/health/ready"] {
        assert_eq!((get(service.admin, path).await.status, service.get(path).await.status), (200, 200));
    }
    assert_eq!(get(service.admin, "/orders/o").await.error(), none(404, "not_found"), "public routes are not here");
}

#[tokio::test]
async fn an_item_opens_once_with_its_stock() {
    let service = Service::start().await;
    let item = fresh_item();
    let opened = service.open(item, &json!({ "opening_stock": 10 })).await;
    assert_eq!(
        (opened.status, opened.json()),
        (201, json!({ "item": item.to_string(), "opening_stock": 10, "limit_per_user": 0 }))
    );
    assert_eq!(service.open(item, &json!({ "opening_stock": 10 })).await.status, 200);
    assert_eq!(service.open(item, &json!({ "opening_stock": 11 })).await.error(), none(409, "conflict"));
    for wrong in [json!(0), json!(-1), json!(1_000_000_000_001_u64), json!(1.5), json!("1"), json!(null)] {
        assert_eq!(service.open(fresh_item(), &json!({ "opening_stock": wrong })).await.error(), none(422, "invalid"), "{wrong}");
    }
    assert_eq!(service.open(fresh_item(), &json!({ "opening_stock": 1, "price": 1 })).await.error(), none(422, "invalid"));
    assert_eq!(service.left(item).await, 10);
    assert_eq!(service.open(fresh_item(), &json!({ "opening_stock": 1_000_000_000_000_u64 })).await.status, 201);
}

#[tokio::test]
async fn an_item_that_was_opened_and_whose_limit_cannot_be_read_is_not_said_to_be_unopened() {
    let url = fresh_url().await;
    let relay = LossyRelay::before(&url).await;
    let service = Service::on(stores().await.redis_url(), relay.url(&url), &["--role=api"]).await;
    relay.hide("SELECT user_limit");
    let item = fresh_item();
    let opened = service.open(item, &json!({ "opening_stock": 10 })).await;
    assert_eq!(service.left(item).await, 10, "it stands");
    assert_eq!((opened.status, &opened.json()["limit_per_user"]), (201, &json!(0)), "{opened:?}");
}

#[tokio::test]
async fn metrics_are_text_that_tells_what_happened() {
    let service = Service::start().await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
    let head = [format!("Authorization: Bearer {TOKEN}")];
    let metrics = exchange(service.admin, &request("GET", "/metrics", &head, "")).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("content-type: text/plain"), "{}", metrics.head);
    for part in [r#"holdfast_steps_total{step="create",result="created"} 1"#, "holdfast_step_seconds_bucket", "# EOF"] {
        assert!(metrics.body.contains(part), "{part}: {}", metrics.body);
    }
}

#[tokio::test]
async fn without_redis_it_lives_but_is_not_ready_and_admits_nothing() {
    let mut redis = OwnRedis::start(&[]).await;
    let service = Service::on(redis.url(), fresh_url().await, &[]).await;
    let item = service.item(10).await;
    redis.kill();
    until("it is not ready", async || get(service.admin, "/health/ready").await.status == 503).await;
    assert_eq!((service.get("/health/ready").await.status, service.get("/health/live").await.status), (503, 200));
    let refused = service.create(&order("o", item, 1)).await;
    assert_eq!(refused.error(), none(503, "not_admitted"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(service.get("/orders/o").await.error(), none(404, "unknown_order"));
    let path = format!("/stock/{}/{}/{}", item.store, item.product, item.sku);
    assert_eq!(service.get(&path).await.json()["source"], "ledger");
    redis.restart().await;
    until("it is ready again", async || get(service.admin, "/health/ready").await.status == 200).await;
    until("it sells again", async || matches!(service.create(&order("o", item, 1)).await.status, 200 | 201)).await;
    assert_eq!(service.left(item).await, 9);
}

#[tokio::test]
async fn without_mysql_it_lives_but_is_not_ready_and_orders_nothing() {
    let url = fresh_url().await;
    let mut gate = Gate::before(&url).await;
    let service = Service::on(stores().await.redis_url(), gate.url(&url), &[]).await;
    let item = service.item(10).await;
    gate.shut().await;
    until("it is not ready", async || get(service.admin, "/health/ready").await.status == 503).await;
    assert_eq!(service.get("/health/live").await.status, 200);
    assert_eq!(service.create(&order("o", item, 1)).await.error(), none(503, "not_admitted"));
    assert_eq!(service.get("/orders/o").await.error(), none(503, "not_admitted"));
    assert_eq!(service.post("/orders/o/cancel").await.error(), none(503, "not_admitted"));
    gate.open().await;
    until("it is ready again", async || get(service.admin, "/health/ready").await.status == 200).await;
    assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
}

#[tokio::test]
async fn an_order_whose_fate_nobody_can_tell_is_500_and_the_one_row_without_a_promise() {
    let url = fresh_url().await;
    let mut gate = Gate::before(&url).await;
    let further = ["--role=api"];
    let service = Service::on(stores().await.redis_url(), gate.url(&url), &further).await;
    let item = service.item(10).await;
    gate.shut_at_commit();
    let unknown = service.create(&order("o", item, 1)).await;
    assert_eq!(unknown.error(), (500, "unknown".to_owned(), "unknown".to_owned()));
    gate.shut().await;
    gate.open().await;
    let repeat = async || {
        let reply = service.create(&order("o", item, 1)).await;
        println!("{reply:?}");
        reply.status == 200
    };
    until("the repeat tells", repeat).await;
    assert_eq!(service.left(item).await, 9);
}

#[tokio::test]
async fn beyond_its_queue_it_throttles_and_keeps_no_stock() {
    // A resolver that comes too late to help: who is throttled must not have taken anything.
    let service = Service::with(&["--writer-queue=16", "--batch-max=1", "--resolver-grace-ms=600000"]).await;
    let item = service.item(100).await;
    // The fence of the item is held, so that orders wait in the queue.
    let mut holder = connect(&service.mysql_url).await;
    execute(&mut holder, "BEGIN; SELECT epoch FROM inventory_epoch FOR UPDATE").await;
    let bodies: Vec<_> = (0..40).map(|at| order(&format!("o-{at}"), item, 1)).collect();
    let (sent, ()) = tokio::join!(join_all(bodies.iter().map(|body| service.create(body))), async {
        let head = [format!("Authorization: Bearer {TOKEN}")];
        let metrics = request("GET", "/metrics", &head, "");
        let throttled = r#"step="create",result="throttled""#;
        until("orders are throttled", async || exchange(service.admin, &metrics).await.body.contains(throttled)).await;
        execute(&mut holder, "ROLLBACK").await;
    });
    let created = sent.iter().filter(|reply| reply.status == 201).count();
    let throttled: Vec<_> = sent.iter().filter(|reply| reply.status != 201).collect();
    assert!(created >= 16 && !throttled.is_empty(), "{created} created");
    for reply in throttled {
        assert_eq!(reply.error(), none(429, "throttled"));
        assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    }
    let created = i64::try_from(created).unwrap();
    until("what is left is what nobody ordered", async || service.left(item).await == 100 - created).await;
}
