//! What an empty proxy costs: the round trip that it adds, and the bytes that it moves, next to a direct connection in the same run.
//!
//! Criterion times each case; the figures at the end are from interleaved rounds of our own, because two that were taken minutes apart on
//! a busy machine do not compare.

mod figures;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::clock::RunClock;
use harness::proxy::{Proxies, ProxySpec};
use harness::seed::Seed;

use figures::{Figure, Goal, Outcome, median, publish};

/// Bytes of one round of the throughput, sent in one direction.
const BULK: usize = 256 << 20;

const CHUNK: usize = 256 << 10;

/// Rounds of which the medians are printed.
const ROUNDS: usize = 9;

/// Accepts for ever, one thread a connection.
fn server(serve: fn(TcpStream) -> io::Result<()>) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

/// Sends back what comes.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read])?;
    }
}

/// Swallows a bulk, then answers with one byte.
fn sink(mut stream: TcpStream) -> io::Result<()> {
    let (mut buffer, mut left) = (vec![0; CHUNK], BULK);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        left -= read;
        if left == 0 {
            left = BULK;
            stream.write_all(b"x")?;
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn round_trip(stream: &mut TcpStream) -> io::Result<()> {
    let mut back = [0; 64];
    stream.write_all(&[7; 64])?;
    stream.read_exact(&mut back)
}

fn bulk(stream: &mut TcpStream) -> io::Result<()> {
    let chunk = vec![7; CHUNK];
    for _ in 0..BULK / CHUNK {
        stream.write_all(&chunk)?;
    }
    stream.read_exact(&mut [0])
}

/// The times of each of the two in seconds, measured in turns.
fn in_turns(clock: RunClock, runs: usize, mut pair: [&mut dyn FnMut() -> io::Result<()>; 2]) -> Outcome<[Vec<f64>; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (one, times) in pair.iter_mut().zip(&mut times) {
            let start = clock.now();
            one()?;
            times.push(clock.now().since(start).as_secs_f64());
        }
    }
    Ok(times)
}

/// Medians of so many trips make one round of the round trips.
const TRIPS: usize = 4_000;

fn compare(direct: [&mut TcpStream; 2], proxied: [&mut TcpStream; 2]) -> Outcome<()> {
    let clock = RunClock::start();
    let ([direct, direct_bulk], [proxied, proxied_bulk]) = (direct, proxied);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let trips = in_turns(clock, TRIPS, [&mut || round_trip(direct), &mut || round_trip(proxied)])?;
        let [one, other] = trips.map(|times| median(&times) * 1e6);
        without.push(one);
        with.push(other);
    }
    let rates = in_turns(clock, ROUNDS, [&mut || bulk(direct_bulk), &mut || bulk(proxied_bulk)])?;
    let [rates_without, rates_with] = rates.map(|times| times.iter().map(|time| BULK as f64 / 1e9 / time).collect::<Vec<f64>>());
    let against = || "a direct connection".to_owned();
    publish(
        "proxy",
        &[
            Figure {
                name: "empty fault proxy, time added to a round trip".to_owned(),
                against: against(),
                unit: "us",
                value: median(&with) - median(&without),
                goal: Goal::AtMost(50.0),
                rounds_in: "us",
                ours: with,
                theirs: without,
            },
            Figure {
                name: "empty fault proxy, bytes in one direction".to_owned(),
                against: against(),
                unit: "GB/s",
                value: median(&rates_with),
                goal: Goal::AtLeast(1.0),
                rounds_in: "GB/s",
                ours: rates_with,
                theirs: rates_without,
            },
        ],
    )
}

fn measure(criterion: &mut Criterion) -> Outcome<()> {
    let clock = RunClock::start();
    let proxies = Proxies::start(Seed(1), clock)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (echo, sink) = (server(echo)?, server(sink)?);
    let echo_proxy = runtime.block_on(proxies.create(ProxySpec::plain("echo", echo.to_string())))?;
    let sink_proxy = runtime.block_on(proxies.create(ProxySpec::plain("sink", sink.to_string())))?;
    let (mut direct, mut proxied) = (connect(echo)?, connect(echo_proxy)?);
    let (mut direct_bulk, mut proxied_bulk) = (connect(sink)?, connect(sink_proxy)?);

    let mut group = criterion.benchmark_group("round_trip");
    group.bench_function("direct", |bencher| bencher.iter(|| round_trip(&mut direct)));
    group.bench_function("proxied", |bencher| bencher.iter(|| round_trip(&mut proxied)));
    group.finish();
    let mut group = criterion.benchmark_group("throughput");
    group.sample_size(10).throughput(Throughput::Bytes(BULK as u64));
    group.bench_function("direct", |bencher| bencher.iter(|| bulk(&mut direct_bulk)));
    group.bench_function("proxied", |bencher| bencher.iter(|| bulk(&mut proxied_bulk)));
    group.finish();

    compare([&mut direct, &mut direct_bulk], [&mut proxied, &mut proxied_bulk])
}

fn proxy(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        panic!("the bench could not run: {error}");
    }
}

criterion_group!(benches, proxy);
criterion_main!(benches);
