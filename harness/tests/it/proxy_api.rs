//! Every row of Toxiproxy's HTTP API, asked by a client of plain sockets: statuses, bodies, defaults, refusals.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::SocketAddr;

use harness::proxy::Outage;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::proxy_rig::{LONG, Rig, SOON, connect, is_silent, read_to_end, round_trip};

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A refusal in its own form: JSON sent as plain text with a newline.
    fn refused(&self, status: u16, error: &str) {
        assert_eq!(
            (self.status, self.body.as_str()),
            (status, format!("{{\"error\":\"{error}\",\"status\":{status}}}\n").as_str())
        );
        assert!(self.head.contains("content-type: text/plain; charset=utf-8"), "{self:?}");
    }
}

struct Api {
    rig: Rig,
    address: SocketAddr,
}

impl Api {
    async fn start() -> Self {
        let rig = Rig::start().await;
        let address = rig.proxies.serve_api("127.0.0.1:0", true).await.unwrap();
        Self { rig, address }
    }

    async fn ask(&self, call: &str, body: &str) -> Answer {
        ask(self.address, call, "", body).await
    }

    async fn add(&self, toxic: Value) -> Answer {
        self.ask("POST /proxies/echo/toxics", &toxic.to_string()).await
    }

    fn upstream(&self) -> String {
        self.rig.echo.address.to_string()
    }
}

async fn ask(address: SocketAddr, call: &str, head: &str, body: &str) -> Answer {
    let mut stream = connect(address).await;
    let request =
        format!("{call} HTTP/1.1\r\nhost: proxies\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn version_index_and_show() {
    let api = Api::start().await;
    let version = api.ask("GET /version", "").await;
    assert_eq!((version.status, version.json()), (200, json!({ "version": "2.12.0" })));
    let echo = json!({
        "name": "echo", "listen": api.rig.address.to_string(), "upstream": api.upstream(), "enabled": true, "toxics": []
    });
    assert_eq!(api.ask("GET /proxies", "").await.json(), json!({ "echo": echo }));
    let shown = api.ask("GET /proxies/echo", "").await;
    assert_eq!((shown.status, shown.json()), (200, echo));
    assert!(shown.head.contains("content-type: application/json") && shown.head.contains("x-toxiproxy-request-id: "));
    api.ask("GET /proxies/other", "").await.refused(404, "proxy not found");
}

#[tokio::test]
async fn browsers_unknown_routes_and_wrong_methods_are_refused_in_plain_text() {
    let api = Api::start().await;
    assert_eq!(ask(api.address, "GET /version", "user-agent: Mozilla/5.0\r\n", "").await.status, 403);
    for (call, status) in [("GET /nowhere", 404), ("DELETE /proxies", 405), ("GET /reset", 405), ("PUT /proxies/echo/toxics", 405)]
    {
        let answer = api.ask(call, "").await;
        assert_eq!(answer.status, status, "{call}");
        assert!(answer.head.contains("text/plain") && answer.head.contains("x-toxiproxy-request-id: "), "{answer:?}");
    }
}

#[tokio::test]
async fn a_proxy_is_created_with_its_defaults() {
    let api = Api::start().await;
    let made = api.ask("POST /proxies", &json!({ "name": "p", "upstream": api.upstream() }).to_string()).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!((&made["enabled"], &made["toxics"]), (&json!(true), &json!([])));
    let listen: SocketAddr = made["listen"].as_str().unwrap().parse().unwrap();
    assert!(listen.port() > 0);
    round_trip(&mut connect(listen).await, b"through").await;

    let off = json!({ "name": "off", "upstream": "127.0.0.1:1", "listen": free_port().await.to_string(), "enabled": false });
    let off = api.ask("POST /proxies", &off.to_string()).await.json();
    assert_eq!(off["enabled"], json!(false));
    assert!(TcpStream::connect(off["listen"].as_str().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_proxy_is_not_created_from_what_it_cannot_be_created_from() {
    let api = Api::start().await;
    for body in ["", "{", "[]", "7", r#"{"name":7,"upstream":"a:1"}"#, r#"{"name":"x","upstream":"a:1","enabled":"yes"}"#] {
        let answer = api.ask("POST /proxies", body).await;
        assert_eq!((answer.status, &answer.json()["status"]), (400, &json!(400)), "{body}");
        assert!(answer.json()["error"].as_str().unwrap().starts_with("bad request body: "), "{answer:?}");
    }
    api.ask("POST /proxies", r#"{"upstream":"a:1"}"#).await.refused(400, "missing required field: name");
    api.ask("POST /proxies", r#"{"name":"x"}"#).await.refused(400, "missing required field: upstream");
    api.ask("POST /proxies", r#"{"name":"echo","upstream":"a:1"}"#).await.refused(409, "proxy already exists");
    let taken = json!({ "name": "x", "upstream": "a:1", "listen": api.rig.address.to_string() });
    let answer = api.ask("POST /proxies", &taken.to_string()).await;
    assert_eq!(answer.status, 500);
    assert!(answer.json()["error"].as_str().unwrap().contains(&api.rig.address.to_string()), "{answer:?}");
    api.ask("GET /proxies/x", "").await.refused(404, "proxy not found");
}

#[tokio::test]
async fn the_decoder_is_as_lenient_as_the_original() {
    let api = Api::start().await;
    let odd = format!(r#"{{"NAME":"odd","Upstream":"{}","unknown":[1],"enabled":null}} trailing {{"#, api.upstream());
    let made = api.ask("POST /proxies", &odd).await;
    assert_eq!((made.status, &made.json()["enabled"]), (201, &json!(true)));
    let toxic = api.ask("POST /proxies/odd/toxics", r#"{"Type":"latency","STREAM":"UpStream","Attributes":{"LATENCY":5}}"#).await;
    let expected = json!({
        "name": "latency_UpStream", "type": "latency", "stream": "UpStream", "toxicity": 1.0, "attributes": { "latency": 5, "jitter": 0 }
    });
    assert_eq!((toxic.status, toxic.json()), (200, expected));
}

#[tokio::test]
async fn a_proxy_is_updated_by_patch_and_by_post() {
    let api = Api::start().await;
    let mut client = api.rig.client().await;
    round_trip(&mut client, b"x").await;
    let off = api.ask("PATCH /proxies/echo", r#"{"enabled":false}"#).await;
    assert_eq!((off.status, &off.json()["enabled"]), (200, &json!(false)));
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()));
    assert!(TcpStream::connect(api.rig.address).await.is_err());
    let moved = free_port().await;
    let on = json!({ "enabled": true, "listen": moved.to_string(), "name": "ignored" });
    let on = api.ask("POST /proxies/echo", &on.to_string()).await.json();
    assert_eq!((&on["enabled"], &on["listen"], &on["name"]), (&json!(true), &json!(moved.to_string()), &json!("echo")));
    let mut client = connect(moved).await;
    round_trip(&mut client, b"x").await;
    let same = api.ask("POST /proxies/echo", &json!({ "listen": moved.to_string(), "upstream": api.upstream() }).to_string()).await;
    assert_eq!(same.status, 200);
    round_trip(&mut client, b"nothing changed").await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    api.ask("PATCH /proxies/echo", &json!({ "upstream": other.local_addr().unwrap().to_string() }).to_string()).await;
    assert_eq!(read_to_end(&mut client).await, Ok(Vec::new()), "its connections are dropped");
    drop(connect(moved).await);
    timeout(SOON, other.accept()).await.unwrap().unwrap();
    api.ask("PATCH /proxies/other", "{}").await.refused(404, "proxy not found");
    assert_eq!(api.ask("PATCH /proxies/echo", "[").await.status, 400);
}

#[tokio::test]
async fn a_failed_restart_leaves_a_proxy_disabled() {
    let api = Api::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = json!({ "listen": taken.local_addr().unwrap().to_string() });
    assert_eq!(api.ask("POST /proxies/echo", &listen.to_string()).await.status, 500);
    assert_eq!(api.ask("GET /proxies/echo", "").await.json()["enabled"], json!(false));
    assert_eq!(api.ask("POST /reset", "").await.status, 500);
    drop(taken);
    assert_eq!(api.ask("POST /reset", "").await.status, 204);
    assert_eq!(api.ask("GET /proxies/echo", "").await.json()["enabled"], json!(true));
}

#[tokio::test]
async fn a_proxy_is_deleted_once() {
    let api = Api::start().await;
    let gone = api.ask("DELETE /proxies/echo", "").await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    api.ask("DELETE /proxies/echo", "").await.refused(404, "proxy not found");
    assert!(TcpStream::connect(api.rig.address).await.is_err());
}

#[tokio::test]
async fn populate_keeps_what_is_the_same_and_replaces_what_is_not() {
    let api = Api::start().await;
    api.add(json!({ "type": "noop" })).await;
    api.ask("PATCH /proxies/echo", r#"{"enabled":false}"#).await;
    let (listen, upstream) = (api.rig.address.to_string(), api.upstream());
    let same = json!([{ "name": "echo", "listen": listen, "upstream": upstream }, { "name": "new", "upstream": upstream }]);
    let answer = api.ask("POST /populate", &same.to_string()).await;
    let proxies = answer.json()["proxies"].clone();
    assert_eq!((answer.status, proxies.as_array().unwrap().len()), (201, 2));
    assert_eq!((&proxies[0]["enabled"], &proxies[0]["toxics"][0]["name"]), (&json!(false), &json!("noop_downstream")));
    assert_eq!(proxies[1]["enabled"], json!(true));

    let other = json!([{ "name": "echo", "listen": listen, "upstream": "127.0.0.1:1", "enabled": true }]);
    let replaced = api.ask("POST /populate", &other.to_string()).await.json();
    assert_eq!((&replaced["proxies"][0]["toxics"], &replaced["proxies"][0]["enabled"]), (&json!([]), &json!(true)));
    assert_eq!(api.ask("POST /populate", "[]").await.json(), json!({ "proxies": [] }));
}

#[tokio::test]
async fn populate_checks_all_before_it_touches_one_and_keeps_the_ones_before_a_failure() {
    let api = Api::start().await;
    let missing = json!([{ "name": "a", "upstream": "a:1" }, { "upstream": "a:1" }]);
    let answer = api.ask("POST /populate", &missing.to_string()).await;
    let expected = json!({ "error": "missing required field: name at proxy 2", "status": 400, "proxies": [] });
    assert_eq!((answer.status, answer.json()), (400, expected));
    assert!(answer.head.contains("content-type: application/json"));
    api.ask("GET /proxies/a", "").await.refused(404, "proxy not found");
    assert_eq!(api.ask("POST /populate", "{}").await.status, 400);

    let taken =
        json!([{ "name": "a", "upstream": "a:1" }, { "name": "b", "upstream": "a:1", "listen": api.rig.address.to_string() }]);
    let answer = api.ask("POST /populate", &taken.to_string()).await;
    assert_eq!((answer.status, &answer.json()["proxies"][0]["name"]), (500, &json!("a")));
    assert_eq!(api.ask("GET /proxies/a", "").await.status, 200);
}

#[tokio::test]
async fn a_toxic_is_created_with_its_defaults_and_every_type_has_its_attributes() {
    let api = Api::start().await;
    let cases = [
        ("latency", json!({ "latency": 0, "jitter": 0 })),
        ("bandwidth", json!({ "rate": 0 })),
        ("slow_close", json!({ "delay": 0 })),
        ("timeout", json!({ "timeout": 0 })),
        ("reset_peer", json!({ "timeout": 0 })),
        ("slicer", json!({ "average_size": 0, "size_variation": 0, "delay": 0 })),
        ("limit_data", json!({ "bytes": 0 })),
        ("noop", json!({})),
    ];
    for (kind, attributes) in cases {
        let made = api.add(json!({ "type": kind })).await;
        let name = format!("{kind}_downstream");
        let expected = json!({ "name": name, "type": kind, "stream": "downstream", "toxicity": 1.0, "attributes": attributes });
        assert_eq!((made.status, made.json()), (200, expected.clone()));
        assert_eq!(api.ask(&format!("GET /proxies/echo/toxics/{name}"), "").await.json(), expected);
        assert_eq!(api.ask(&format!("DELETE /proxies/echo/toxics/{name}"), "").await.status, 204);
    }
    // A client that says `direction` means the stream.
    let aliased = api.add(json!({ "type": "noop", "direction": "upstream" })).await.json();
    assert_eq!((&aliased["stream"], &aliased["name"]), (&json!("upstream"), &json!("noop_upstream")));
}

#[tokio::test]
async fn toxics_are_listed_upstream_first_in_order_of_creation() {
    let api = Api::start().await;
    assert_eq!(api.ask("GET /proxies/echo/toxics", "").await.json(), json!([]));
    for (name, stream) in [("d1", "downstream"), ("u1", "upstream"), ("d2", "downstream"), ("u2", "upstream")] {
        api.add(json!({ "type": "noop", "name": name, "stream": stream })).await;
    }
    let listed = api.ask("GET /proxies/echo/toxics", "").await;
    let names: Vec<_> = listed.json().as_array().unwrap().iter().map(|toxic| toxic["name"].clone()).collect();
    assert_eq!((listed.status, names), (200, vec![json!("u1"), json!("u2"), json!("d1"), json!("d2")]));
    assert_eq!(api.ask("GET /proxies/echo", "").await.json()["toxics"], listed.json());
    api.ask("GET /proxies/other/toxics", "").await.refused(404, "proxy not found");
}

#[tokio::test]
async fn a_toxic_is_refused_in_the_order_of_the_checks() {
    let api = Api::start().await;
    api.add(json!({ "type": "latency", "name": "taken" })).await;
    let stream = "stream was invalid, can be either upstream or downstream";
    api.add(json!({ "type": "nonsense", "stream": "sideways", "name": "taken" })).await.refused(400, stream);
    api.add(json!({ "type": "nonsense", "name": "taken" })).await.refused(400, "invalid toxic type");
    api.add(json!({ "name": "x" })).await.refused(400, "invalid toxic type");
    let taken = json!({ "type": "latency", "name": "taken", "stream": "upstream", "attributes": { "latency": "x" } });
    api.add(taken).await.refused(409, "toxic already exists");
    for attributes in [json!({ "latency": 1.5 }), json!({ "latency": "1" }), json!({ "jitter": -1 }), json!([])] {
        let answer = api.add(json!({ "type": "latency", "attributes": attributes })).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["error"].as_str().unwrap().starts_with("bad request body: "));
    }
    assert_eq!(api.ask("POST /proxies/echo/toxics", "nonsense").await.status, 400);
    api.ask("POST /proxies/other/toxics", "{}").await.refused(404, "proxy not found");
    api.ask("GET /proxies/echo/toxics/x", "").await.refused(404, "toxic not found");
}

#[tokio::test]
async fn an_update_merges_attributes_and_ignores_the_rest() {
    let api = Api::start().await;
    api.add(json!({ "type": "latency", "attributes": { "latency": 10, "jitter": 3 } })).await;
    for (method, body, latency, toxicity) in [
        ("PATCH", json!({ "attributes": { "latency": 20 }, "name": "x", "type": "noop", "stream": "upstream" }), 20, 1.0),
        ("POST", json!({ "toxicity": 0.25 }), 20, 0.25),
        ("POST", json!({ "attributes": { "latency": 30 } }), 30, 0.25),
    ] {
        let updated = api.ask(&format!("{method} /proxies/echo/toxics/latency_downstream"), &body.to_string()).await;
        let attributes = json!({ "latency": latency, "jitter": 3 });
        let name = "latency_downstream";
        let expected =
            json!({ "name": name, "type": "latency", "stream": "downstream", "toxicity": toxicity, "attributes": attributes });
        assert_eq!((updated.status, updated.json()), (200, expected));
    }
    assert_eq!(api.ask("POST /proxies/echo/toxics/latency_downstream", r#"{"attributes":{"latency":0.5}}"#).await.status, 400);
    api.ask("PATCH /proxies/echo/toxics/x", "{}").await.refused(404, "toxic not found");
    api.ask("DELETE /proxies/echo/toxics/x", "").await.refused(404, "toxic not found");
}

#[tokio::test]
async fn reset_enables_every_proxy_and_removes_all_toxics() {
    let api = Api::start().await;
    api.add(json!({ "type": "timeout" })).await;
    api.ask("PATCH /proxies/echo", r#"{"enabled":false}"#).await;
    api.rig.proxies.begin("echo", Outage::Stall, LONG).await.unwrap();
    let reset = api.ask("POST /reset", "").await;
    assert_eq!((reset.status, reset.body.as_str()), (204, ""));
    let echo = api.ask("GET /proxies/echo", "").await.json();
    assert_eq!((&echo["enabled"], &echo["toxics"]), (&json!(true), &json!([])));
    round_trip(&mut api.rig.client().await, b"healed").await;
}

#[tokio::test]
async fn metrics_are_there_only_when_asked_for() {
    let api = Api::start().await;
    round_trip(&mut api.rig.client().await, b"12345").await;
    let metrics = api.ask("GET /metrics", "").await;
    let labels = format!("listener=\"{}\",proxy=\"echo\",upstream=\"{}\"", api.rig.address, api.upstream());
    for what in ["received", "sent"] {
        let line = format!("toxiproxy_proxy_{what}_bytes_total{{direction=\"upstream\",{labels}}} 5\n");
        assert!(metrics.body.contains(&line), "{}", metrics.body);
    }
    let without = api.rig.proxies.serve_api("127.0.0.1:0", false).await.unwrap();
    assert_eq!(ask(without, "GET /metrics", "", "").await.status, 404);
}

#[tokio::test]
async fn control_never_waits_for_connections_that_cannot_move() {
    let api = Api::start().await;
    api.add(json!({ "type": "bandwidth", "stream": "upstream" })).await;
    api.rig.proxies.begin("echo", Outage::StallDownstream, LONG).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = api.rig.client().await;
        client.write_all(&[9; 100_000]).await.unwrap();
        clients.push(client);
    }
    api.rig.until("held bytes", |counters| counters.upstream.waiting() == 2_000_000).await;
    assert_eq!(api.ask("POST /proxies/echo/toxics/bandwidth_upstream", r#"{"attributes":{"rate":1}}"#).await.status, 200);
    assert_eq!(api.ask("DELETE /proxies/echo/toxics/bandwidth_upstream", "").await.status, 204);
    assert!(is_silent(&mut clients[0], std::time::Duration::from_millis(50)).await);
    assert_eq!(api.ask("DELETE /proxies/echo", "").await.status, 204);
}

#[tokio::test]
async fn a_fault_set_with_a_time_ends_by_itself() {
    let api = Api::start().await;
    api.add(json!({ "type": "timeout", "max_ms": 150 })).await;
    api.ask("PATCH /proxies/echo", r#"{"enabled":false,"max_ms":150}"#).await;
    let healed = |view: harness::proxy::ProxyView| view.enabled && view.toxics.is_empty();
    api.rig.until("healing", |_| healed(api.rig.proxies.view("echo").unwrap())).await;
    round_trip(&mut api.rig.client().await, b"healed").await;
}
