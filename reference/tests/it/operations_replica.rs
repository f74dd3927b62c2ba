//! A master that gets its first replica changes its incarnation while everybody is connected.

use reference::domain::Epoch;
use reference::flow::Created;

use crate::flow_bench::{FlowBench, request};
use crate::stock_fixture::{Fixture, OwnRedis, until};

#[tokio::test]
async fn a_first_replica_costs_a_rebuild_and_not_a_storm_of_them() {
    let master = OwnRedis::start(&[]).await;
    let mut bench = FlowBench::beside(&master).await;
    let item = bench.item(200).await;
    bench.ordered("before", &[(item, 1)]).await;
    let replica = OwnRedis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]).await;
    let info = async || -> String { bench.redis.raw("INFO replication").await };
    until("the replica is there", async || info().await.contains("connected_slaves:1")).await;
    // Its connections are new and lead to the new incarnation; those of the first process still say the old one.
    let fresh = bench.another().await;
    for at in 0..30 {
        for (name, flow) in [("fresh", &fresh), ("old", &bench.flow)] {
            let made = flow.create(request(&format!("{name}-{at}"), &[(item, 1)]), false).await;
            assert!(matches!(made, Ok(Created::Now(_))), "{made:?}");
        }
    }
    let epoch = bench.balance(item).await.epoch.epoch;
    assert!((Epoch(2)..=Epoch(3)).contains(&epoch), "{epoch:?}");
    assert_ne!(replica.port, master.port);
    bench.redis = Fixture::on(master.url()).await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.live(item).await, bench.left(item).await), (61, 139));
}
