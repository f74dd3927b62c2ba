//! Changes of stock, limits and reopening by HTTP: statuses, codes and bodies of `docs/http-api.md`.

use reference::domain::Item;
use serde_json::{Value, json};

use crate::http_bench::{Reply, Service, TOKEN, exchange, none, order, request};
use crate::stock_fixture::until;
use crate::support::fresh_item;

async fn admin(service: &Service, method: &str, path: &str, body: &Value) -> Reply {
    let head = [format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json".into()];
    exchange(service.admin, &request(method, path, &head, &body.to_string())).await
}

fn path_of(item: Item) -> String {
    format!("{}/{}/{}", item.store, item.product, item.sku)
}

async fn change(service: &Service, item: Item, changes: &str, id: &str, body: &Value) -> Reply {
    admin(service, "PUT", &format!("/admin/stock/{}/{changes}/{id}", path_of(item)), body).await
}

#[tokio::test]
async fn a_change_is_booked_with_201_and_its_repeat_answered_with_200() {
    let service = Service::start().await;
    let item = service.item(10).await;
    for (changes, kind, quantity, left) in [("restocks", "RESTOCK", 5, 15), ("cuts", "CUT", 4, 11), ("holds", "HOLD", 6, 5)] {
        let body = json!({ "quantity": quantity, "reason": "a delivery of \"ten\"; né" });
        let expected = json!({
            "id": changes, "item": item.to_string(), "kind": kind, "quantity": quantity, "reason": body["reason"]
        });
        for status in [201, 200] {
            let booked = change(&service, item, changes, changes, &body).await;
            assert_eq!((booked.status, booked.json()), (status, expected.clone()));
        }
        let another = json!({ "quantity": quantity + 1, "reason": body["reason"] });
        assert_eq!(change(&service, item, changes, changes, &another).await.error(), none(422, "mismatch"));
        until("the counter has followed", async || service.left(item).await == left).await;
    }
    let release = json!({ "quantity": -6, "reason": "found sound" });
    assert_eq!(change(&service, item, "holds", "release", &release).await.status, 201);
    assert_eq!(service.left(item).await, 11);
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused_and_changes_nothing() {
    let service = Service::start().await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 4)).await.status, 201);
    let units = |quantity: i64| json!({ "quantity": quantity, "reason": "stocktaking" });
    assert_eq!(change(&service, item, "cuts", "c", &units(7)).await.error(), none(409, "conflict"));
    assert_eq!(change(&service, item, "holds", "h", &units(7)).await.error(), none(409, "conflict"));
    assert_eq!(change(&service, item, "holds", "h", &units(-1)).await.error(), none(409, "conflict"));
    let unknown = change(&service, fresh_item(), "restocks", "r", &units(1)).await;
    assert_eq!(unknown.error(), none(404, "unknown_sku"));
    for changes in ["restocks", "cuts", "holds"] {
        for wrong in [
            units(0),
            units(1_000_000_000_001),
            json!({ "quantity": 1.5, "reason": "x" }),
            json!({ "quantity": "1", "reason": "x" }),
            json!({ "quantity": 1 }),
            json!({ "quantity": 1, "reason": "" }),
            json!({ "quantity": 1, "reason": "x".repeat(201) }),
            json!({ "quantity": 1, "reason": "x", "by": "me" }),
            json!([1, "x"]),
        ] {
            assert_eq!(change(&service, item, changes, "w", &wrong).await.error(), none(422, "invalid"), "{changes} {wrong}");
        }
        for id in ["open", "a.b", "a%20b", &"x".repeat(65)] {
            assert_eq!(change(&service, item, changes, id, &units(1)).await.error(), none(422, "invalid"), "{changes} {id}");
        }
    }
    for changes in ["restocks", "cuts"] {
        assert_eq!(change(&service, item, changes, "w", &units(-1)).await.error(), none(422, "invalid"));
    }
    assert_eq!(service.left(item).await, 6);
    assert_eq!(change(&service, item, "cuts", "c", &units(6)).await.status, 201, "the refusals used no id up");
    assert_eq!(service.create(&order("p", item, 1)).await.error(), none(409, "sold_out"));
}

#[tokio::test]
async fn changes_need_the_token_and_are_not_public() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let body = json!({ "quantity": 1, "reason": "x" }).to_string();
    for path in ["stock/1/1/1/restocks/r", "stock/1/1/1/cuts/c", "stock/1/1/1/holds/h", "limits/1/1/1"] {
        let path = format!("/admin/{path}");
        let head = ["Content-Type: application/json".to_owned()];
        assert_eq!(
            exchange(service.admin, &request("PUT", &path, &head, &body)).await.error(),
            none(401, "unauthorized"),
            "{path}"
        );
        assert_eq!(exchange(service.public, &request("PUT", &path, &head, &body)).await.error(), none(404, "not_found"), "{path}");
    }
    let path = format!("/admin/sales/{}/reopen", path_of(item));
    assert_eq!(exchange(service.admin, &request("POST", &path, &[], "")).await.error(), none(401, "unauthorized"));
    assert_eq!(service.left(item).await, 10);
}

#[tokio::test]
async fn a_limit_is_set_with_the_sale_or_later_and_refuses_with_403() {
    let service = Service::start().await;
    let item = fresh_item();
    let opened = service.open(item, &json!({ "opening_stock": 10, "limit_per_user": 2 })).await;
    assert_eq!((opened.status, &opened.json()["limit_per_user"]), (201, &json!(2)));
    assert_eq!(service.open(item, &json!({ "opening_stock": 10 })).await.status, 200);
    assert_eq!(service.open(item, &json!({ "opening_stock": 10, "limit_per_user": 3 })).await.error(), none(409, "conflict"));
    let over = service.create(&order("o", item, 3)).await;
    assert_eq!((over.error(), &over.json()["item"]), (none(403, "quota_exceeded"), &json!(item.to_string())));
    assert_eq!(service.create(&order("o", item, 3)).await.error(), none(409, "fenced"), "the id is spent");
    let limits = format!("/admin/limits/{}", path_of(item));
    let set = admin(&service, "PUT", &limits, &json!({ "limit_per_user": 3 })).await;
    assert_eq!((set.status, set.json()), (200, json!({ "item": item.to_string(), "limit_per_user": 3 })));
    assert_eq!(service.create(&order("p", item, 3)).await.status, 201);
    assert_eq!(service.create(&order("q", item, 1)).await.error(), none(403, "quota_exceeded"));
    assert_eq!(service.post("/orders/p/cancel").await.status, 200);
    assert_eq!(service.create(&order("r", item, 1)).await.status, 201);
    for wrong in [json!(-1), json!(1.5), json!("1"), json!(1_000_000_000_001_i64)] {
        let body = json!({ "limit_per_user": wrong });
        assert_eq!(admin(&service, "PUT", &limits, &body).await.error(), none(422, "invalid"), "{wrong}");
    }
    let unknown = format!("/admin/limits/{}", path_of(fresh_item()));
    assert_eq!(admin(&service, "PUT", &unknown, &json!({ "limit_per_user": 1 })).await.error(), none(404, "unknown_sku"));
}

#[tokio::test]
async fn a_paid_order_is_refunded_and_its_units_are_on_sale_again() {
    let service = Service::start().await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 4)).await.status, 201);
    assert_eq!(service.post("/orders/o/refund").await.error(), none(409, "conflict"));
    assert_eq!(service.post("/orders/o/pay").await.status, 200);
    for _ in 0..2 {
        let refunded = service.post("/orders/o/refund").await;
        assert_eq!((refunded.status, refunded.json()), (200, json!({ "order_id": "o", "status": "REFUNDED" })));
    }
    assert_eq!(service.post("/orders/o/pay").await.error(), none(409, "cancelled"));
    assert_eq!(service.post("/orders/none/refund").await.error(), none(404, "unknown_order"));
    assert_eq!(service.post("/orders/gone/cancel").await.status, 200);
    assert_eq!(service.post("/orders/gone/refund").await.error(), none(409, "fenced"));
    until("the units are on sale again", async || service.left(item).await == 10).await;
}

#[tokio::test]
async fn an_item_that_sells_is_left_as_it_is_by_reopening() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let reopened = admin(&service, "POST", &format!("/admin/sales/{}/reopen", path_of(item)), &json!(null)).await;
    let expected = json!({ "item": item.to_string(), "mode": "REDIS", "epoch": 1 });
    assert_eq!((reopened.status, reopened.json()), (200, expected));
    let unknown = admin(&service, "POST", &format!("/admin/sales/{}/reopen", path_of(fresh_item())), &json!(null)).await;
    assert_eq!(unknown.error(), none(404, "unknown_sku"));
}
