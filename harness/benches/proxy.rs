//! What an empty proxy costs: the round trip that it adds, and the bytes that it moves, next to a direct connection in the same run.
//!
//! Criterion times each case; the figures at the end are from interleaved rounds of our own, because two that were taken minutes apart on
//! a busy machine do not compare.
//!
//! A goal holds for one core pair: the client on one core, the server on another, the proxy beside the server. Both trips cross between the
//! cores twice then, so the difference is the proxy. Left to the scheduler, the direct pair shares a core (some 6 µs a trip) and the three do
//! not, and what is measured is how long a halted core of a virtual machine takes to wake: that figure is told too, without a goal.

mod figures;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::clock::RunClock;
use harness::proxy::{Proxies, ProxySpec};
use harness::seed::Seed;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

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

/// Connections to an echo and to a sink, direct and through the proxy.
struct Ways {
    direct: [TcpStream; 2],
    proxied: [TcpStream; 2],
    /// Serve as long as they are held.
    _proxies: Proxies,
}

impl Ways {
    /// Servers and proxies on threads of their own, which run where this one does.
    fn start(clock: RunClock) -> Outcome<Self> {
        let proxies = Proxies::start(Seed(1), clock)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (echo, sink) = (server(echo)?, server(sink)?);
        let echo_proxy = runtime.block_on(proxies.create(ProxySpec::plain("echo", echo.to_string())))?;
        let sink_proxy = runtime.block_on(proxies.create(ProxySpec::plain("sink", sink.to_string())))?;
        let direct = [connect(echo)?, connect(sink)?];
        Ok(Self { direct, proxied: [connect(echo_proxy)?, connect(sink_proxy)?], _proxies: proxies })
    }

    /// Median round trips of each round, µs, without and with the proxy.
    fn trips(&mut self, clock: RunClock) -> Outcome<[Vec<f64>; 2]> {
        let (direct, proxied) = (&mut self.direct[0], &mut self.proxied[0]);
        let mut medians = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let trips = in_turns(clock, TRIPS, [&mut || round_trip(direct), &mut || round_trip(proxied)])?;
            for (times, medians) in trips.iter().zip(&mut medians) {
                medians.push(median(times) * 1e6);
            }
        }
        Ok(medians)
    }

    /// GB/s of each round, without and with the proxy.
    fn rates(&mut self, clock: RunClock) -> Outcome<[Vec<f64>; 2]> {
        let (direct, proxied) = (&mut self.direct[1], &mut self.proxied[1]);
        let times = in_turns(clock, ROUNDS, [&mut || bulk(direct), &mut || bulk(proxied)])?;
        Ok(times.map(|times| times.iter().map(|time| BULK as f64 / 1e9 / time).collect()))
    }
}

/// The cores that this process may run on.
fn cores() -> Outcome<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false)).collect())
}

/// Keeps this thread, and those that it starts from now on, on these cores.
fn stay_on(cores: &[usize]) -> Outcome<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

fn trip_figure(name: &str, goal: Goal, [without, with]: [Vec<f64>; 2]) -> Figure {
    Figure {
        name: format!("empty fault proxy, time added to a round trip, {name}"),
        against: "a direct connection".to_owned(),
        unit: "us",
        value: median(&with) - median(&without),
        goal,
        rounds_in: "us",
        ours: with,
        theirs: without,
    }
}

fn measure(criterion: &mut Criterion) -> Outcome<()> {
    let (clock, cores) = (RunClock::start(), cores()?);
    let [first, second, ..] = cores[..] else { return Err("a core pair is needed".into()) };
    let mut anywhere = Ways::start(clock)?;
    let placed = trip_figure("where the scheduler puts them", Goal::None, anywhere.trips(clock)?);
    drop(anywhere);

    stay_on(&[second])?;
    let mut pair = Ways::start(clock)?;
    stay_on(&[first])?;
    let (direct, proxied) = (&mut pair.direct, &mut pair.proxied);
    let mut group = criterion.benchmark_group("round_trip");
    group.bench_function("direct", |bencher| bencher.iter(|| round_trip(&mut direct[0])));
    group.bench_function("proxied", |bencher| bencher.iter(|| round_trip(&mut proxied[0])));
    group.finish();
    let mut group = criterion.benchmark_group("throughput");
    group.sample_size(10).throughput(Throughput::Bytes(BULK as u64));
    group.bench_function("direct", |bencher| bencher.iter(|| bulk(&mut direct[1])));
    group.bench_function("proxied", |bencher| bencher.iter(|| bulk(&mut proxied[1])));
    group.finish();

    let trips = trip_figure("on one core pair", Goal::AtMost(50.0), pair.trips(clock)?);
    let [without, with] = pair.rates(clock)?;
    stay_on(&cores)?;
    publish(
        "proxy",
        &[
            trips,
            placed,
            Figure {
                name: "empty fault proxy, bytes in one direction, on one core pair".to_owned(),
                against: "a direct connection".to_owned(),
                unit: "GB/s",
                value: median(&with),
                goal: Goal::AtLeast(1.0),
                rounds_in: "GB/s",
                ours: with,
                theirs: without,
            },
        ],
    )
}

fn proxy(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        panic!("the bench could not run: {error}");
    }
}

criterion_group!(benches, proxy);
criterion_main!(benches);
