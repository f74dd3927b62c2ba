//! The client of a Toxiproxy server, against the API that is served here: it speaks to both alike.

use std::sync::Arc;
use std::time::Duration;

use harness::proxy::{Direction, Dissector, Outage, ProxySpec, RemoteError, Spread, ToxicKind, ToxicSpec, Toxiproxy};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy_rig::{Rig, connect, round_trip};

#[tokio::test]
async fn a_server_that_speaks_the_api_is_driven_like_the_own_proxies() {
    let rig = Rig::start().await;
    let api = rig.proxies.serve_api("127.0.0.1:0", false).await.unwrap();
    let server = Toxiproxy::at(&format!("http://{api}/"));
    assert_eq!(server.version().await.unwrap(), "2.12.0");
    let address = server.create(&ProxySpec::plain("far", rig.echo.address.to_string())).await.unwrap();
    round_trip(&mut connect(address).await, b"through").await;

    let toxic = ToxicSpec::new(Direction::Upstream, ToxicKind::latency(Duration::from_millis(80)));
    server.add_toxic("far", &toxic).await.unwrap();
    let start = rig.clock.now();
    round_trip(&mut connect(address).await, b"slow").await;
    assert!(rig.clock.now().since(start) >= Duration::from_millis(80));
    server.update_toxic("far", &toxic.name, ToxicKind::latency(Duration::from_millis(1)), 0.5).await.unwrap();
    let seen = &rig.proxies.view("far").unwrap().toxics[0];
    assert_eq!((seen.toxicity, seen.kind), (0.5, ToxicKind::latency(Duration::from_millis(1))));
    assert_eq!(server.toxics("far").await.unwrap(), ["latency_upstream"]);
    server.remove_toxic("far", &toxic.name).await.unwrap();

    server.begin("far", Outage::Disabled).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    server.end("far", Outage::Disabled).await.unwrap();
    server.add_toxic("far", &toxic).await.unwrap();
    server.reset().await.unwrap();
    assert!(server.toxics("far").await.unwrap().is_empty());
    server.delete("far").await.unwrap();
    let refused = server.delete("far").await;
    assert!(matches!(&refused, Err(RemoteError::Refused { status: 404, error, .. }) if error == "proxy not found"), "{refused:?}");
}

#[tokio::test]
async fn what_such_a_server_cannot_do_is_refused_before_it_is_asked() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = Toxiproxy::at(&nobody.to_string());
    let stalled = server.begin("p", Outage::Stall).await;
    let tail = ToxicKind::Latency { latency_ms: 1, jitter_ms: 1, spread: Spread::Exponential };
    let spread = server.add_toxic("p", &ToxicSpec::new(Direction::Upstream, tail)).await;
    let shared = ToxicKind::Bandwidth { rate_kb_s: 1, shared: true };
    let shared = server.update_toxic("p", "t", shared, 1.0).await;
    let factory = Arc::new(|_| -> Box<dyn Dissector> { unreachable!("nothing is dissected") });
    let dissected = server.create(&ProxySpec::dissected("p", "127.0.0.1:1", factory)).await.map(drop);
    for refused in [stalled, spread, shared, dissected] {
        assert!(matches!(refused, Err(RemoteError::NeedsOwnProxy(_))), "{refused:?}");
    }
    assert!(matches!(server.reset().await, Err(RemoteError::Transport { .. })));
}
