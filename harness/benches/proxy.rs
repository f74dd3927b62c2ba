//! What an empty proxy costs: the round trip that it adds, and the bytes that it moves, next to a direct connection in the same run.
//!
//! Criterion times each case; the ratios are printed at the end from interleaved rounds of our own, because two figures that were
//! taken minutes apart on a busy machine do not compare.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::clock::RunClock;
use harness::proxy::{Proxies, ProxySpec};
use harness::seed::Seed;

/// Bytes of one round of the throughput, sent in one direction.
const BULK: usize = 256 << 20;

const CHUNK: usize = 256 << 10;

/// Rounds of which the medians are printed.
const ROUNDS: usize = 9;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

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

/// The median time of each of the two, measured in turns.
fn in_turns(clock: RunClock, runs: usize, mut pair: [&mut dyn FnMut() -> io::Result<()>; 2]) -> Outcome<[Duration; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (one, times) in pair.iter_mut().zip(&mut times) {
            let start = clock.now();
            one()?;
            times.push(clock.now().since(start));
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    }))
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

    let [direct, proxied] = in_turns(clock, 20_000, [&mut || round_trip(&mut direct), &mut || round_trip(&mut proxied)])?;
    report(&format!(
        "round trip: direct {direct:?}, proxied {proxied:?}, added {:?}, ratio {:.2}",
        proxied.saturating_sub(direct),
        proxied.as_secs_f64() / direct.as_secs_f64()
    ));
    let [direct, proxied] = in_turns(clock, ROUNDS, [&mut || bulk(&mut direct_bulk), &mut || bulk(&mut proxied_bulk)])?;
    let rate = |time: Duration| BULK as f64 / 1e9 / time.as_secs_f64();
    report(&format!(
        "throughput: direct {:.2} GB/s, proxied {:.2} GB/s, ratio {:.2}",
        rate(direct),
        rate(proxied),
        direct.as_secs_f64() / proxied.as_secs_f64()
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what the bench is for")]
fn report(line: &str) {
    println!("{line}");
}

fn proxy(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        panic!("the bench could not run: {error}");
    }
}

criterion_group!(benches, proxy);
criterion_main!(benches);
