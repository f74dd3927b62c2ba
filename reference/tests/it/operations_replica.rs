//! A master that gets its first replica changes its incarnation while everybody is connected.

use reference::domain::Epoch;
use reference::flow::Created;

use crate::flow_bench::FlowBench;
use crate::stock_fixture::{OwnRedis, until};

#[tokio::test]
async fn a_first_replica_costs_a_rebuild_and_not_a_storm_of_them() {
    let master = OwnRedis::start(&[]).await;
    let bench = FlowBench::beside(&master).await;
    let item = bench.item(200).await;
    bench.ordered("before", &[(item, 1)]).await;
    let replica = OwnRedis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await;
    let info = async || -> String { bench.redis.raw("INFO replication").await };
    until("the replica is there", async || info().await.contains("connected_slaves:1")).await;
    let mut sold = 1;
    for at in 0..60 {
        sold += i64::from(matches!(bench.create(&format!("o-{at}"), &[(item, 1)]).await, Ok(Created::Now(_))));
    }
    assert_eq!(sold, 61);
    let epoch = bench.balance(item).await.epoch.epoch;
    assert!((Epoch(2)..=Epoch(3)).contains(&epoch), "{epoch:?}");
    assert_ne!(replica.port, master.port);
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await), (61, 139));
}
