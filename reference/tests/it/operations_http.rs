//! The operator's routes: behind the token, looking before they change, and each the same when it is called again. The rules of the alerts
//! read series that are really there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use reference::alerts::{RULES, samples};
use serde_json::{Value, json};

use crate::http_bench::{Service, TOKEN, exchange, get, none, order, request};
use crate::ledger_bench::{connect, execute};
use crate::stock_fixture::until;
use crate::support::stores;

/// Every route of the operator, with a body that it takes.
const ROUTES: [(&str, &str, &str); 9] = [
    ("POST", "/admin/items/1/1/1/audit", "{}"),
    ("POST", "/admin/items/1/1/1/rebuild", "{}"),
    ("POST", "/admin/items/1/1/1/mode", r#"{"mode":"DB"}"#),
    ("POST", "/admin/repair", "{}"),
    ("POST", "/admin/orders/o/resolve", "{}"),
    ("GET", "/admin/outbox/dead", ""),
    ("POST", "/admin/outbox/1/requeue", ""),
    ("GET", "/admin/alerts", ""),
    ("GET", "/metrics", ""),
];

async fn ask(service: &Service, method: &str, path: &str, body: &str) -> crate::http_bench::Reply {
    let head = [format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json".into()];
    exchange(service.admin, &request(method, path, &head, body)).await
}

async fn tool(service: &Service, path: &str, body: &Value) -> Value {
    let reply = ask(service, "POST", path, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

#[tokio::test]
async fn operators_routes_need_the_token_and_are_not_public() {
    let service = Service::start().await;
    for (method, path, body) in ROUTES {
        let head = ["Content-Type: application/json".to_owned()];
        let without = exchange(service.admin, &request(method, path, &head, body)).await;
        assert_eq!(without.error(), none(401, "unauthorized"), "{path}");
        let public = exchange(service.public, &request(method, path, &head, body)).await;
        assert_eq!(public.error(), none(404, "not_found"), "{path}");
    }
    assert_eq!(ask(&service, "POST", "/admin/items/1/1/1/audit", "{}").await.error(), none(404, "unknown_sku"));
    for (path, body) in [
        ("/admin/items/1/1/1/mode", r#"{"mode":"FAST"}"#),
        ("/admin/repair", r#"{"limit":0}"#),
        ("/admin/repair", r#"{"after":"1:1"}"#),
        ("/admin/items/1/1/1/audit", r#"{"dry":false}"#),
        ("/admin/outbox/0/requeue", ""),
        ("/admin/items/1/1/1/rebuild", r#"{"seen_epoch":9223372036854775808}"#),
    ] {
        assert_eq!(ask(&service, "POST", path, body).await.error(), none(422, "invalid"), "{path} {body}");
    }
}

#[tokio::test]
async fn the_tools_look_first_and_do_nothing_the_second_time() {
    let service = Service::with(&["--audit-every-ms=3600000"]).await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 4)).await.status, 201);
    let of_item = format!("/admin/items/{}/{}/{}", item.store, item.product, item.sku);
    let found = tool(&service, &format!("{of_item}/audit"), &json!({})).await;
    assert_eq!((&found["result"], &found["redis_and_ledger"]["drift"]), (&json!("in_balance"), &json!(0)), "{found}");
    assert_eq!(found["ledger"]["sound"], json!(true), "{found}");

    let first = tool(&service, &format!("{of_item}/rebuild"), &json!({ "seen_epoch": 1 })).await;
    assert_eq!((&first["epoch"], &first["changed"]), (&json!(2), &json!(true)));
    let second = tool(&service, &format!("{of_item}/rebuild"), &json!({ "seen_epoch": 1 })).await;
    assert_eq!((&second["epoch"], &second["changed"]), (&json!(2), &json!(false)));
    let strict = tool(&service, &format!("{of_item}/mode"), &json!({ "mode": "STRICT" })).await;
    assert_eq!((&strict["mode"], &strict["changed"]), (&json!("STRICT"), &json!(true)));
    assert_eq!(tool(&service, &format!("{of_item}/mode"), &json!({ "mode": "STRICT" })).await["changed"], json!(false));
    assert_eq!(service.left(item).await, 6);

    let resolved = tool(&service, "/admin/orders/nobody/resolve", &json!({ "dry_run": false })).await;
    assert_eq!(resolved, json!({ "order_id": "nobody", "status": null, "locks": [], "done": false }));
    let repaired = tool(&service, "/admin/repair", &json!({ "dry_run": false })).await;
    assert_eq!((&repaired["looked_at"], &repaired["next"]), (&json!(1), &Value::Null), "{repaired}");
    let page = tool(&service, "/admin/repair", &json!({ "limit": 1 })).await;
    assert_eq!(page["next"], json!(item.to_string()));
}

#[tokio::test]
async fn in_strict_mode_the_balance_guards_every_order_and_the_way_back_loses_none() {
    let service = Service::with(&["--audit-every-ms=3600000", "--sold-out-memory-ms=0"]).await;
    let item = service.item(10).await;
    let of_item = format!("/admin/items/{}/{}/{}", item.store, item.product, item.sku);
    let mode = async |mode: &str| tool(&service, &format!("{of_item}/mode"), &json!({ "mode": mode })).await;
    let mut sql = connect(&service.mysql_url).await;
    let mut count = async |what: &str| -> i64 {
        let row = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT CAST({what} AS SIGNED)"))).fetch_one(&mut sql).await.unwrap();
        sqlx::Row::get(&row, 0)
    };
    let balance = format!("(SELECT current_stock FROM inventory WHERE sku_id = {})", item.sku);
    assert_eq!(service.create(&order("before", item, 1)).await.status, 201);
    assert_eq!((&mode("STRICT").await["mode"], count(&balance).await), (&json!("STRICT"), 9), "what was open is out");
    let made = service.create(&order("o", item, 4)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["items"][0]["epoch"], json!(2), "{made:?}");
    assert_eq!(count(&balance).await, 5, "its balance moved with it, and no message waits");
    assert_eq!(count("(SELECT COUNT(*) FROM outbox WHERE order_id = 'o')").await, 0);
    let level = service.get(&format!("/stock/{}/{}/{}", item.store, item.product, item.sku)).await.json();
    let told = [&level["mode"], &level["source"], &level["available"]];
    assert_eq!(told, [&json!("STRICT"), &json!("redis"), &json!(5)], "{level}");

    // Redis promises more than there is, in both its copies, so that no script notices; the balance does.
    let mut redis = redis::Client::open(stores().await.redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("INCRBY").arg(format!("inventory:stock:{{{item}}}")).arg(3).query_async(&mut redis).await.unwrap();
    let () =
        redis::cmd("HINCRBY").arg(format!("inventory:meta:{{{item}}}")).arg("avail").arg(3).query_async(&mut redis).await.unwrap();
    assert_eq!(service.left(item).await, 8);
    assert_eq!(service.create(&order("p", item, 6)).await.error(), none(409, "sold_out"));
    assert_eq!(count(&balance).await, 5);
    until("the audit that the guard asked for has corrected it", async || service.left(item).await == 5).await;

    assert_eq!(mode("REDIS").await["mode"], json!("REDIS"));
    assert_eq!(service.create(&order("q", item, 5)).await.status, 201);
    assert_eq!(service.create(&order("r", item, 1)).await.error(), none(409, "sold_out"));
    until("everything is out", async || service.left(item).await == 0).await;
    let live = "(SELECT SUM(quantity) FROM inventory_transactions JOIN orders USING (order_id) WHERE status = 'CREATED')";
    assert_eq!(count(live).await, 10);
}

#[tokio::test]
async fn a_dead_message_pages_and_is_listed_with_its_reason_until_it_is_requeued() {
    let service = Service::with(&["--worker-poll-min-ms=20", "--worker-poll-max-ms=20"]).await;
    let item = service.item(10).await;
    let mut sql = connect(&service.mysql_url).await;
    // The fence keeps the order waiting until its message can be broken in the same breath.
    execute(&mut sql, "CREATE TRIGGER broken BEFORE INSERT ON outbox FOR EACH ROW SET NEW.quantity = NEW.quantity + 1").await;
    assert_eq!(service.create(&order("o", item, 2)).await.status, 201);
    execute(&mut sql, "DROP TRIGGER broken").await;
    until("the message is dead", async || {
        let dead = ask(&service, "GET", "/admin/outbox/dead", "").await.json();
        dead["messages"][0]["reason"] == json!("the SALE row is of 2 units, the message of 3")
    })
    .await;
    until("it pages", async || alert(&service, "HoldfastOutboxDead").await["state"] == json!("firing")).await;
    let paged = alert(&service, "HoldfastOutboxDead").await;
    assert_eq!((&paged["severity"], &paged["value"]), (&json!("page"), &json!(1.0)), "{paged}");
    let row = ask(&service, "GET", "/admin/outbox/dead", "").await.json()["messages"][0]["row"].as_i64().unwrap();
    execute(&mut sql, &format!("UPDATE outbox SET quantity = 2 WHERE id = {row}")).await;
    let path = format!("/admin/outbox/{row}/requeue");
    assert_eq!(ask(&service, "POST", &path, "").await.json(), json!({ "row": row, "requeued": true }));
    assert_eq!(ask(&service, "POST", &path, "").await.json(), json!({ "row": row, "requeued": false }));
    until("the page is over", async || alert(&service, "HoldfastOutboxDead").await["state"] == json!("inactive")).await;
    assert_eq!(ask(&service, "GET", "/admin/outbox/dead", "").await.json(), json!({ "messages": [] }));
}

async fn alert(service: &Service, name: &str) -> Value {
    let told = ask(service, "GET", "/admin/alerts", "").await.json();
    let all = told["alerts"].as_array().unwrap();
    all.iter().find(|alert| alert["name"] == json!(name)).cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_rule_reads_series_that_a_running_service_has() {
    let service = Service::with(&["--audit-every-ms=10"]).await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
    let missing = async || {
        let text = ask(&service, "GET", "/metrics", "").await.body;
        let there = samples(&text);
        let selectors = RULES.iter().flat_map(|rule| rule.measure.selectors().into_iter().map(|selector| (rule.name, selector)));
        selectors.filter(|(_, selector)| !there.iter().any(|sample| selector.takes(sample))).collect::<Vec<_>>()
    };
    until("every selector finds a series", async || {
        let missing = missing().await;
        println!("{missing:?}");
        missing.is_empty()
    })
    .await;
}

#[tokio::test]
async fn without_any_worker_an_api_process_tells_that_messages_wait() {
    let service = Service::with(&["--role=api"]).await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
    let waits = async || {
        let there = samples(&ask(&service, "GET", "/metrics", "").await.body);
        let of = |name: &str, status: Option<&str>| {
            let deducts =
                there.iter().filter(|sample| sample.name == name && sample.label("event_type") == Some("DEDUCT_STOCK_DB"));
            deducts.filter(|sample| sample.label("status") == status).map(|sample| sample.value).sum::<f64>()
        };
        of("holdfast_outbox_messages", Some("NEW")) > 0.5 && of("holdfast_outbox_oldest_seconds", None) > 0.0
    };
    until("the message that waits is in the metrics", waits).await;
}

#[tokio::test]
async fn the_document_that_is_served_is_the_one_in_the_tree() {
    let service = Service::start().await;
    for address in [service.public, service.admin] {
        let served = get(address, "/openapi.json").await;
        assert!(served.head.contains("content-type: application/json"), "{}", served.head);
        assert_eq!(served.body, include_str!("../../openapi.json"));
    }
}

#[test]
fn the_document_has_every_route_of_the_sources_and_no_other() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut routes = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for part in text.split(".route(").skip(1) {
            let path = part.split('"').nth(1).unwrap().replace("{{", "{").replace("}}", "}");
            let path = path.replace("{ITEM}", "/admin/stock/{store_id}/{product_id}/{sku_id}");
            let call = part.split("\n").take(3).collect::<String>();
            let method = ["get(", "post(", "put(", "delete("].into_iter().find(|method| call.contains(method)).unwrap();
            routes.insert((path, method.trim_end_matches('(').to_owned()));
        }
    }
    let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let told =
        paths.iter().flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
    assert_eq!(told.collect::<std::collections::BTreeSet<_>>(), routes);
}
