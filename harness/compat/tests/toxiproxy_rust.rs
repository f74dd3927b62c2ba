//! An unmodified client written for Toxiproxy drives the proxies. It hides errors, so what came of its calls is asserted on the
//! proxies themselves. It is blocking and must stay off every async runtime, which the proxies do not need from their caller.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use harness::clock::RunClock;
use harness::proxy::{Direction, Proxies, Spread, ToxicKind};
use harness::seed::Seed;
use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::ProxyPack;

const SOON: Duration = Duration::from_secs(20);

/// Sends what it gets back, one thread a connection.
fn echo_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let mut writer = stream;
                // Ends with an error when a toxic breaks the connection.
                drop(std::io::copy(&mut reader, &mut writer));
                drop(writer.shutdown(Shutdown::Write));
            });
        }
    });
    address
}

fn round_trip(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(b"ping")?;
    let mut back = [0; 4];
    stream.read_exact(&mut back)?;
    assert_eq!(&back, b"ping");
    Ok(())
}

#[test]
fn an_unmodified_client_drives_the_proxies() {
    let clock = RunClock::start();
    let proxies = Proxies::start(Seed(3), clock).unwrap();
    let start = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = start.block_on(proxies.serve_api("127.0.0.1:0", false)).unwrap();
    drop(start);

    let client = Client::new(api);
    assert!(client.is_running());
    assert!(client.version().unwrap().contains("2.12.0"));
    let upstream = echo_server().to_string();
    let created = client.populate(vec![ProxyPack::new("one".into(), "127.0.0.1:0".into(), upstream.clone())]).unwrap();
    assert_eq!((created.len(), client.all().unwrap().len()), (1, 1));
    let address = proxies.view("one").unwrap().listen;
    round_trip(address).unwrap();

    let one = client.find_proxy("one").unwrap();
    one.with_latency("downstream".into(), 120, 0, 1.0)
        .with_bandwidth("upstream".into(), 500, 0.5)
        .with_slow_close("downstream".into(), 5, 1.0)
        .with_slicer("downstream".into(), 100, 10, 1, 1.0)
        .with_limit_data("upstream".into(), 1_000_000, 1.0);
    let toxics = proxies.view("one").unwrap().toxics;
    let seen: Vec<_> = toxics.iter().map(|toxic| (toxic.name.as_str(), toxic.direction, toxic.toxicity, toxic.kind)).collect();
    let (up, down) = (Direction::Upstream, Direction::Downstream);
    let expected = [
        ("bandwidth_upstream", up, 0.5, ToxicKind::Bandwidth { rate_kb_s: 500, shared: false }),
        ("limit_data_upstream", up, 1.0, ToxicKind::LimitData { bytes: 1_000_000 }),
        ("latency_downstream", down, 1.0, ToxicKind::Latency { latency_ms: 120, jitter_ms: 0, spread: Spread::Uniform }),
        ("slow_close_downstream", down, 1.0, ToxicKind::SlowClose { delay_ms: 5 }),
        ("slicer_downstream", down, 1.0, ToxicKind::Slicer { average_size: 100, size_variation: 10, delay_us: 1 }),
    ];
    assert_eq!(seen, expected);
    let begun = clock.now();
    round_trip(address).unwrap();
    assert!(clock.now().since(begun) >= Duration::from_millis(120));
    assert_eq!(one.toxics().unwrap().len(), 5);

    one.with_down(|| assert!(TcpStream::connect(address).is_err(), "a proxy that is down refuses")).unwrap();
    round_trip(address).unwrap();
    client.reset().unwrap();
    assert!(proxies.view("one").unwrap().toxics.is_empty());
    round_trip(address).unwrap();
    one.delete().unwrap();
    assert!(proxies.list().is_empty());
}
