//! Several processes of each role, stopped, killed and replaced one by one while buyers order: no answer is wrong, and every unit is sold once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http_bench::{get, order, post};
use crate::ledger_bench::{connect, execute, fresh_url};
use crate::outage_program::{Program, nobody_listens};
use crate::stock_fixture::{OwnRedis, until};
use crate::support::{fresh_item, stores};

/// How one request ended.
enum Sent {
    /// With this status and body.
    Answered(u16, Value),
    /// Nobody listened: certainly without effect.
    Nowhere,
    /// The connection ended without a reply.
    Lost,
}

async fn send(address: SocketAddr, bytes: &str) -> Sent {
    let Ok(mut stream) = TcpStream::connect(address).await else { return Sent::Nowhere };
    let mut reply = Vec::new();
    let exchange = async {
        stream.write_all(bytes.as_bytes()).await?;
        stream.read_to_end(&mut reply).await
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("a request is answered within 20 s");
    let text = String::from_utf8(reply).unwrap();
    match (ended, text.split_once("\r\n\r\n")) {
        (Ok(_), Some((head, body))) => {
            Sent::Answered(head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
        }
        _ => Sent::Lost,
    }
}

/// What buyers were told.
#[derive(Default)]
struct Told {
    sold: AtomicU64,
    sold_out: AtomicU64,
    lost: AtomicU64,
    stop: AtomicBool,
}

/// Orders units one by one, each at the next process until it has an answer that is final.
async fn buy(apis: [SocketAddr; 2], item: reference::domain::Item, buyer: usize, told: Arc<Told>) {
    for at in 0_usize.. {
        if told.stop.load(Ordering::SeqCst) {
            return;
        }
        let id = format!("o-{buyer}-{at}");
        let (mut body, mut turn) = (order(&id, item, 1), buyer + at);
        loop {
            turn += 1;
            match send(apis[turn % 2], &post("/orders", &body.to_string())).await {
                Sent::Answered(200 | 201, reply) => {
                    assert_eq!((&reply["order_id"], &reply["status"]), (&id.clone().into(), &"CREATED".into()));
                    told.sold.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Sent::Answered(409, reply) if reply["code"] == "sold_out" => {
                    told.sold_out.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    break;
                }
                // A reservation of a process that was killed was given back, and the id with it.
                Sent::Answered(409, reply) if reply["code"] == "fenced" => break,
                Sent::Answered(429 | 503, reply) => assert_eq!(reply["effect"], "none", "{reply}"),
                Sent::Answered(500, reply) => {
                    assert_eq!(reply["effect"], "unknown", "{reply}");
                    body["retry"] = true.into();
                }
                Sent::Answered(status, reply) => panic!("{id}: {status} {reply}"),
                Sent::Nowhere => {}
                Sent::Lost => {
                    told.lost.fetch_add(1, Ordering::SeqCst);
                    body["retry"] = true.into();
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_are_upgraded_one_by_one_under_load_without_a_wrong_answer() {
    let (stores, url) = (stores().await, fresh_url().await);
    let redis = stores.redis_url();
    let settings = ["--resolver-grace-ms=300", "--drain-ms=8000"];
    let api = ["--role=api", settings[0], settings[1]];
    let worker = ["--role=worker", settings[0], settings[1]];
    let mut apis = [Program::start(&redis, &url, &api).await, Program::start(&redis, &url, &api).await];
    let mut workers = [Program::start(&redis, &url, &worker).await, Program::start(&redis, &url, &worker).await];
    let (item, supply) = (fresh_item(), 100_000);
    assert_eq!(apis[0].open(item, supply).await.status, 201);
    let (told, mut buyers) = (Arc::<Told>::default(), JoinSet::new());
    let addresses = [apis[0].public, apis[1].public];
    for buyer in 0..6 {
        buyers.spawn(buy(addresses, item, buyer, Arc::clone(&told)));
    }
    let more = async |units: u64| {
        let before = told.sold.load(Ordering::SeqCst);
        until("more is sold", async || told.sold.load(Ordering::SeqCst) >= before + units).await;
    };
    more(50).await;
    for program in apis.iter_mut().chain(&mut workers) {
        program.tell_to_stop();
        assert!(program.ended().await.success(), "it ends well");
        nobody_listens(program.admin).await;
        more(30).await;
        program.again().await;
        more(30).await;
    }
    // Between its last look at the backlog and the end of the listener somebody may still slip in; nobody else may be lost.
    let lost = told.lost.load(Ordering::SeqCst);
    assert!(lost <= 1, "{lost} requests were lost: a process that is told to stop answers all who reached it");
    for program in apis.iter_mut().chain(&mut workers) {
        program.kill();
        more(20).await;
        program.again().await;
        more(20).await;
    }
    told.stop.store(true, Ordering::SeqCst);
    while let Some(ended) = buyers.join_next().await {
        ended.unwrap();
    }
    let mut sql = connect(&url).await;
    let mut count = async |what: &str| -> i64 {
        let row = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT {what}"))).fetch_one(&mut sql).await.unwrap();
        sqlx::Row::get(&row, 0)
    };
    let mut at_rest = false;
    for _ in 0..1_000 {
        let waiting = count("(SELECT COUNT(*) FROM outbox WHERE status <> 'DONE') + (SELECT COUNT(*) FROM inventory_transactions WHERE transaction_type = 'LOCK')").await;
        let live = count("COUNT(*) FROM orders WHERE status = 'CREATED'").await;
        let path = format!("/stock/{}/{}/{}", item.store, item.product, item.sku);
        let level = get(apis[0].public, &path).await.json();
        at_rest = waiting == 0 && level["source"] == "redis" && level["available"] == supply - live;
        if at_rest {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(at_rest, "20 s after the end units are still on their way");
    let (sold, live) = (told.sold.load(Ordering::SeqCst), count("COUNT(*) FROM orders WHERE status = 'CREATED'").await);
    assert_eq!(sold, u64::try_from(live).unwrap(), "every order that stands was told, and every one told stands");
    assert_eq!(told.sold_out.load(Ordering::SeqCst), 0, "nobody was told sold out");
    execute(&mut sql, "SELECT 1").await;
    println!("{sold} orders; {} requests lost by kills", told.lost.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_server_that_cannot_carry_the_protocol_is_refused_at_start_and_named() {
    let url = fresh_url().await;
    let evicting = OwnRedis::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    // A master of its own: its first replica makes another incarnation of it, which costs every item on it a rebuild.
    let sound = OwnRedis::start(&[]).await;
    let replica = OwnRedis::start(&["--replicaof", "127.0.0.1", &sound.port.to_string()]).await;
    for (redis, named) in [(evicting.url(), "maxmemory-policy is allkeys-lru"), (replica.url(), "its role is slave")] {
        let said = Program::refused(&redis, &url).await;
        assert!(said.contains(named), "{named}: {said}");
    }
}
