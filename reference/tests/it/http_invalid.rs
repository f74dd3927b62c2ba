//! Requests that nobody should send: each is refused with its code, has no effect, and the service goes on.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http_bench::{Service, exchange, line, none, order, post, read_reply, request};

/// The service still answers, and no unit was taken.
async fn assert_unharmed(service: &Service, item: reference::domain::Item, after: &str) {
    let live = service.get("/health/live").await;
    assert_eq!((live.status, live.body.as_str()), (200, "live\n"), "after {after}");
    assert_eq!(service.left(item).await, 10, "after {after}");
}

/// The body of an order with one field replaced.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    body
}

#[tokio::test]
async fn values_out_of_range_are_invalid() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let body = || order("o", item, 1);
    let mut wrong = Vec::new();
    for quantity in
        [json!(0), json!(-1), json!(1.5), json!(1.0), json!("1"), json!(1_000_001), json!(u64::MAX), json!(null), json!([1])]
    {
        wrong.push(with(body(), "/items/0/quantity", quantity));
    }
    let long = "x".repeat(65);
    for id in [json!(""), json!("a b"), json!("a.b"), json!("é"), json!("a|b"), json!("a\u{0}"), json!(long), json!(7), json!(null)]
    {
        wrong.push(with(body(), "/order_id", id));
    }
    for user in [json!(-1), json!("7"), json!(u64::MAX), json!(1.5), json!(null)] {
        wrong.push(with(body(), "/user_id", user));
    }
    for field in ["/items/0/store_id", "/items/0/product_id", "/items/0/sku_id"] {
        wrong.extend([json!(0), json!(-1), json!("1"), json!(u64::MAX)].map(|number| with(body(), field, number)));
    }
    for items in [
        json!([]),
        json!({}),
        json!(null),
        json!([null]),
        json!(vec![line(item, 1); 51]),
        json!([line(item, 600_000), line(item, 600_000)]),
    ] {
        wrong.push(with(body(), "/items", items));
    }
    for retry in [json!(1), json!("true"), json!(null)] {
        let mut marked = body();
        marked["retry"] = retry;
        wrong.push(marked);
    }
    wrong.extend([json!([]), json!(null), json!("o"), json!(7), json!({})]);
    for body in &wrong {
        let reply = service.create(body).await;
        assert_eq!(reply.error(), none(422, "invalid"), "{body}: {reply:?}");
    }
    assert_unharmed(&service, item, "values out of range").await;
    assert_eq!(service.get("/orders/o").await.error(), none(404, "unknown_order"));
    let most = with(body(), "/items", json!(vec![line(item, 1); 50]));
    assert_eq!(service.create(&most).await.error(), none(409, "sold_out"), "50 lines are not too many");
}

#[tokio::test]
async fn fields_that_are_unknown_missing_or_there_twice_are_invalid() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let good = order("o", item, 1).to_string();
    let cases = [
        good.replacen('{', r#"{"coupon":1,"#, 1),
        good.replacen(r#""quantity":1"#, r#""quantity":1,"price":0"#, 1),
        good.replacen('{', r#"{"order_id":"p","#, 1),
        good.replacen(r#""quantity":1"#, r#""quantity":1,"quantity":2"#, 1),
        good.replacen(r#""user_id":7"#, r#""user_id":7,"user_id":7"#, 1),
        good.replacen(r#","user_id":7"#, "", 1),
        good.replacen(r#""quantity":1"#, r#""quantity":100000000000000000000000000"#, 1),
        good.replacen("order_id", "orderId", 1),
        // Values of the right types in the right order, and no names.
        format!(r#"["o",7,[{}],false]"#, line(item, 1)),
        json!({ "order_id": "o", "user_id": 7, "items": [[item.store, item.product, item.sku, 1]] }).to_string(),
        "[".repeat(8_000),
    ];
    for body in cases {
        assert_ne!(body, good);
        let reply = service.create_text(&body).await;
        assert_eq!(reply.error(), none(422, "invalid"), "{body}: {reply:?}");
    }
    assert_unharmed(&service, item, "wrong fields").await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_invalid() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let good = order("o", item, 1).to_string();
    let cut = &good[..good.len() - 2];
    let trailing = format!("{good}{good}");
    let huge = good.replacen(r#""quantity":1"#, r#""quantity":1e999"#, 1);
    for body in ["", "{", "x", cut, &trailing, &huge, "{\"order_id\":\"\u{1}\"}", "NaN"] {
        let reply = service.create_text(body).await;
        assert_eq!(reply.error(), none(400, "invalid"), "{body}: {reply:?}");
    }
    assert_unharmed(&service, item, "no JSON").await;
}

#[tokio::test]
async fn a_body_of_another_type_or_of_none_is_unsupported() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let good = order("o", item, 1).to_string();
    for head in
        [vec![], vec!["Content-Type: text/plain".to_owned()], vec!["Content-Type: application/x-www-form-urlencoded".to_owned()]]
    {
        let reply = exchange(service.public, &request("POST", "/orders", &head, &good)).await;
        assert_eq!(reply.error(), none(415, "invalid"), "{head:?}");
    }
    assert_unharmed(&service, item, "another type").await;
    let charset = ["Content-Type: application/json; charset=utf-8".to_owned()];
    assert_eq!(exchange(service.public, &request("POST", "/orders", &charset, &good)).await.status, 201);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let good = order("o", item, 1).to_string();
    let fits = format!("{good}{}", " ".repeat(16 * 1024 - good.len()));
    let large = format!("{fits} ");
    assert_eq!(service.create_text(&large).await.error(), none(413, "invalid"));
    let chunked = "POST /orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{chunked}{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    assert_eq!(exchange(service.public, &chunks).await.error(), none(413, "invalid"));
    let announced = "POST /orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 4000000000\r\n\r\n";
    let mut stream = TcpStream::connect(service.public).await.unwrap();
    stream.write_all(format!("{announced}{large}").as_bytes()).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.error(), none(413, "invalid"), "without waiting for the rest");
    assert_unharmed(&service, item, "large bodies").await;
    assert_eq!(service.create_text(&fits).await.status, 201);
}

#[tokio::test]
async fn a_body_that_ends_early_is_invalid_and_a_connection_that_ends_early_is_forgotten() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let whole = post("/orders", &order("o", item, 1).to_string());
    for cut in [1, 20, whole.len() - 40, whole.len() - 1] {
        let mut stream = TcpStream::connect(service.public).await.unwrap();
        stream.write_all(&whole.as_bytes()[..cut]).await.unwrap();
        drop(stream);
        assert_unharmed(&service, item, "a connection that ended early").await;
    }
    let mut stream = TcpStream::connect(service.public).await.unwrap();
    stream.write_all(&whole.as_bytes()[..whole.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_reply(&mut stream).await.error(), none(400, "invalid"));
    assert_unharmed(&service, item, "a body that ended early").await;
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused() {
    let service = Service::start().await;
    let item = service.item(10).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000));
    for bytes in ["\r\n\r\nhello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", long.as_str()] {
        let reply = exchange(service.public, bytes).await;
        assert!((400..500).contains(&reply.status), "{reply:?}");
        assert_unharmed(&service, item, "no HTTP").await;
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_none_have_codes_of_their_own() {
    let service = Service::start().await;
    let item = service.item(10).await;
    for path in [
        "/",
        "/order",
        "/orders/",
        "/orders/o/return",
        "/orders/o/pay/now",
        "/stock",
        "/stock/1/2",
        "/metrics",
        "/admin/sales/1/1/1",
    ] {
        assert_eq!(service.get(path).await.error(), none(404, "not_found"), "{path}");
    }
    for (method, path) in [
        ("GET", "/orders"),
        ("DELETE", "/orders/o"),
        ("PUT", "/orders"),
        ("GET", "/orders/o/pay"),
        ("GET", "/orders/o/refund"),
        ("POST", "/stock/1/1/1"),
        ("POST", "/health/live"),
    ] {
        let reply = exchange(service.public, &request(method, path, &[], "")).await;
        assert_eq!(reply.error(), none(405, "not_allowed"), "{method} {path}");
    }
    for path in ["/orders/a.b", "/orders/a%20b", &format!("/orders/{}", "x".repeat(65)), "/stock/0/1/1", "/stock/-1/1/1"] {
        assert_eq!(service.get(path).await.error(), none(422, "invalid"), "{path}");
    }
    for path in ["/orders/%ff", "/stock/a/1/1", "/stock/1/1/9223372036854775808", "/stock/1.5/1/1"] {
        assert_eq!(service.get(path).await.error(), none(400, "invalid"), "{path}");
    }
    for path in ["/orders/a.b/pay", "/orders/a.b/cancel", "/orders/a.b/refund"] {
        assert_eq!(service.post(path).await.error(), none(422, "invalid"), "{path}");
    }
    assert_unharmed(&service, item, "wrong paths").await;
}
