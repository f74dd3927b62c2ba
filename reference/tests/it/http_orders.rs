//! Orders by HTTP: statuses, codes and bodies of `docs/http-api.md`.

use reference::ledger::{Ledger, Mode, Rebuilt};
use serde_json::json;

use crate::http_bench::{Service, line, none, order};
use crate::ledger_bench::{connect, fresh_url, rebuild_request, settings};
use crate::lossy_relay::LossyRelay;
use crate::stock_fixture::until;
use crate::support::{fresh_item, stores};

#[tokio::test]
async fn an_order_is_created_once_and_its_repeat_is_answered_with_200() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let created = service.create(&order("o", item, 3)).await;
    assert_eq!(created.status, 201, "{created:?}");
    let body = created.json();
    let mut expected = line(item, 3);
    expected["token"] = json!("1:1");
    expected["epoch"] = json!(1);
    expected["version"] = json!(1);
    let mut with_stock = expected.clone();
    with_stock["stock_after"] = json!(7);
    assert_eq!(body, json!({ "order_id": "o", "status": "CREATED", "user_id": 7, "items": [with_stock] }));
    let stands = json!({ "order_id": "o", "status": "CREATED", "user_id": 7, "items": [expected] });
    let mut marked = order("o", item, 3);
    marked["retry"] = json!(true);
    for repeat in [order("o", item, 3), marked] {
        let again = service.create(&repeat).await;
        assert_eq!((again.status, again.json()), (200, stands.clone()));
    }
    let read = service.get("/orders/o").await;
    assert_eq!((read.status, read.json()), (200, stands));
    assert_eq!(service.left(item).await, 7);
}

#[tokio::test]
async fn a_crowd_that_looks_keeps_nobody_from_paying_and_cancelling() {
    let url = fresh_url().await;
    let relay = LossyRelay::before(&url).await;
    let service = Service::on(stores().await.redis_url(), relay.url(&url), &["--role=api"]).await;
    let item = service.item(10).await;
    for id in ["paid", "cancelled"] {
        assert_eq!(service.create(&order(id, item, 1)).await.status, 201);
    }
    // Looks that MySQL is slow to answer, more than there are connections.
    relay.hold("SELECT i.current_stock");
    let stock = format!("/stock/{}/{}/{}", item.store, item.product, item.sku);
    let looks = (0..60).map(|_| service.get(&stock));
    let acts = async {
        until("the crowd is in", async || relay.holds() >= 8).await;
        assert_eq!(service.post("/orders/paid/pay").await.status, 200);
        assert_eq!(service.post("/orders/cancelled/cancel").await.status, 200);
        assert_eq!(service.create(&order("new", item, 1)).await.status, 201);
    };
    let (looked, ()) = tokio::join!(futures_util::future::join_all(looks), acts);
    for look in looked {
        assert!(look.status == 200 || look.error() == none(503, "not_admitted"), "{look:?}");
    }
}

#[tokio::test]
async fn an_order_that_mysql_admits_is_answered_with_the_epoch_that_its_row_says() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let ledger = Ledger::open(settings(&service.mysql_url)).await.unwrap();
    assert!(matches!(ledger.rebuild(rebuild_request(item, 1, Some(Mode::Db))).await, Ok(Rebuilt::Committed { .. })));
    until("mysql admits", async || service.create(&order("o", item, 1)).await.status < 300).await;
    let created = service.create(&order("p", item, 1)).await;
    assert_eq!((created.status, created.json()["items"][0]["epoch"].clone()), (201, json!(2)), "{created:?}");
    assert_eq!(service.get("/orders/p").await.json()["items"], created.json()["items"]);
}

#[tokio::test]
async fn a_cart_merges_lines_of_one_item_and_does_not_mind_their_order() {
    let service = Service::start().await;
    let (one, two) = (service.item(10).await, service.item(10).await);
    let body = |lines| json!({ "order_id": "cart", "user_id": 7, "items": lines });
    let created = service.create(&body(json!([line(two, 1), line(one, 1), line(two, 2)]))).await;
    assert_eq!(created.status, 201, "{created:?}");
    let items = created.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 2);
    assert_eq!((&items[0]["quantity"], &items[1]["quantity"]), (&json!(1), &json!(3)));
    assert_eq!(service.create(&body(json!([line(one, 1), line(two, 3)]))).await.status, 200);
    assert_eq!((service.left(one).await, service.left(two).await), (9, 7));
}

#[tokio::test]
async fn a_refusal_has_its_status_its_code_and_no_effect() {
    let service = Service::start().await;
    let item = service.item(3).await;
    assert_eq!(service.create(&order("o", item, 2)).await.status, 201);
    assert_eq!(service.create(&order("o", item, 1)).await.error(), none(422, "mismatch"));
    let mut other_user = order("o", item, 2);
    other_user["user_id"] = json!(8);
    assert_eq!(service.create(&other_user).await.error(), none(422, "mismatch"));
    let sold_out = service.create(&order("p", item, 2)).await;
    assert_eq!((sold_out.error(), &sold_out.json()["item"]), (none(409, "sold_out"), &json!(item.to_string())));
    assert_eq!(service.get("/orders/p").await.error(), none(404, "unknown_order"));
    let unknown = fresh_item();
    let refused = service.create(&order("q", unknown, 1)).await;
    assert_eq!((refused.error(), &refused.json()["item"]), (none(404, "unknown_sku"), &json!(unknown.to_string())));
    assert_eq!(service.left(item).await, 1);
}

#[tokio::test]
async fn pay_and_cancel_answer_by_the_state_of_the_order() {
    let service = Service::start().await;
    let item = service.item(10).await;
    for id in ["paid", "gone"] {
        assert_eq!(service.create(&order(id, item, 2)).await.status, 201);
    }
    for _ in 0..2 {
        let paid = service.post("/orders/paid/pay").await;
        assert_eq!((paid.status, paid.json()), (200, json!({ "order_id": "paid", "status": "PAID" })));
        let gone = service.post("/orders/gone/cancel").await;
        assert_eq!((gone.status, gone.json()), (200, json!({ "order_id": "gone", "status": "CANCELLED" })));
        let spent = service.post("/orders/never/cancel").await;
        assert_eq!((spent.status, spent.json()), (200, json!({ "order_id": "never", "status": "FENCED" })));
    }
    assert_eq!(service.post("/orders/paid/cancel").await.error(), none(409, "conflict"));
    assert_eq!(service.post("/orders/gone/pay").await.error(), none(409, "cancelled"));
    assert_eq!(service.post("/orders/never/pay").await.error(), none(409, "fenced"));
    assert_eq!(service.post("/orders/none/pay").await.error(), none(404, "unknown_order"));
    assert_eq!(service.create(&order("gone", item, 2)).await.error(), none(409, "cancelled"));
    assert_eq!(service.create(&order("never", item, 2)).await.error(), none(409, "fenced"));
    let tombstone = service.get("/orders/never").await;
    assert_eq!(tombstone.json(), json!({ "order_id": "never", "status": "FENCED", "user_id": 0, "items": [] }));
    until("the cancelled units are on sale again", async || service.left(item).await == 8).await;
}

#[tokio::test]
async fn an_unpaid_order_expires() {
    let service = Service::with(&["--order-ttl-ms=50"]).await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 4)).await.status, 201);
    until("it expires", async || service.get("/orders/o").await.json()["status"] == "EXPIRED").await;
    assert_eq!(service.post("/orders/o/pay").await.error(), none(409, "cancelled"));
    until("its units are on sale again", async || service.left(item).await == 10).await;
}

#[tokio::test]
async fn an_order_has_half_an_hour_to_be_paid_unless_told_otherwise() {
    for (flags, seconds) in [(&[][..], 1_800), (&["--order-ttl-ms=86400000"], 86_400)] {
        let service = Service::with(flags).await;
        let item = service.item(10).await;
        assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
        let mut sql = connect(&service.mysql_url).await;
        let look = "SELECT TIMESTAMPDIFF(SECOND, created_at, expire_at) FROM orders";
        let row = sqlx::raw_sql(look).fetch_one(&mut sql).await.unwrap();
        assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), seconds);
    }
}

#[tokio::test]
async fn stock_tells_who_counts_and_an_unknown_item_is_none() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let stock = service.get(&format!("/stock/{}/{}/{}", item.store, item.product, item.sku)).await;
    let expected = json!({ "item": item.to_string(), "available": 10, "epoch": 1, "mode": "REDIS", "source": "redis" });
    assert_eq!((stock.status, stock.json()), (200, expected));
    assert_eq!(service.get("/stock/9/9/999999").await.error(), none(404, "unknown_sku"));
}
