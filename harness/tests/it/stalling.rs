//! A server that stalls for a second in every ten, and what its clients must measure, computed by hand from the schedule.
//!
//! In: how long a request takes, when requests are due. Out: an address; for each request the response time that the schedule owes it, and
//! after the run the one that the server really gave it. A thread a connection: a sleeping thread is exact to a tenth of a millisecond.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::history::pairing::read_history;
use harness::history::record::{Head, Outcome, Record, SCHEMA};
use harness::history::recorder::Recorder;
use harness::load::open_loop::run_load;
use harness::load::progress::Progress;
use harness::measure::{Latency, measure};
use harness::scenario::plan::{Action, Arrival, Plan, PlannedOrder};
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;
use harness::stack::Endpoints;
use tokio_util::sync::CancellationToken;

/// The first stall begins here, and every further one ten seconds later.
const STALL_FROM: Duration = Duration::from_secs(4);
const STALL: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(10);

/// What to send to the stalling server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Time between two requests.
    pub(crate) gap: Duration,
    /// Requests.
    pub(crate) requests: u32,
    /// How long the server takes for a request when it does not stall.
    pub(crate) service: Duration,
}

/// Percentiles of response times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// Three ways to know the same times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truth {
    /// What the schedule owes.
    pub(crate) owed: Percentiles,
    /// What the server gave: a busy machine makes it later than it wants to be.
    pub(crate) given: Percentiles,
    /// What the harness reports.
    pub(crate) measured: Percentiles,
}

impl Schedule {
    fn due(&self, request: u32) -> Duration {
        self.gap * request
    }

    /// A request that arrives in a stall waits for its end before its service begins.
    fn answered(&self, arrived: Duration) -> Duration {
        let in_period = Duration::from_nanos((arrived.as_nanos() % EVERY.as_nanos()).try_into().unwrap());
        let waits =
            if (STALL_FROM..STALL_FROM + STALL).contains(&in_period) { STALL_FROM + STALL - in_period } else { Duration::ZERO };
        arrived + waits + self.service
    }

    fn owed(&self) -> Percentiles {
        Percentiles::of((0..self.requests).map(|request| self.answered(self.due(request)) - self.due(request)).collect())
    }
}

impl Percentiles {
    /// By nearest rank.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3;
        Self { p50: at(50), p99: at(99), max: at(100) }
    }

    /// Largest error of the three, as a share of what it should be.
    pub(crate) fn error_to(self, truth: Self) -> f64 {
        let pairs = [(self.p50, truth.p50), (self.p99, truth.p99), (self.max, truth.max)];
        pairs.into_iter().map(|(is, should)| (is / should - 1.0).abs()).fold(0.0, f64::max)
    }
}

impl From<&Latency> for Percentiles {
    fn from(latency: &Latency) -> Self {
        Self { p50: latency.p50_ms, p99: latency.p99_ms, max: latency.max_ms }
    }
}

/// The server: its first request dates the schedule.
struct Server {
    schedule: Schedule,
    clock: RunClock,
    start: OnceLock<Offset>,
    /// Order and instant of each answer.
    answers: Mutex<Vec<(u32, Offset)>>,
}

impl Server {
    fn listen(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, server) = (listener.local_addr().unwrap(), Arc::clone(self));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                // The end of the connection is the end of its thread.
                std::thread::spawn(move || drop(server.serve(&stream)));
            }
        });
        address
    }

    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let order = read_order(&mut reader)?;
            let now = self.clock.now();
            let start = *self.start.get_or_init(|| now);
            let answered = start.plus(self.schedule.answered(now.since(start)));
            std::thread::sleep(answered.since(self.clock.now()));
            let body = format!(r#"{{"order_id":"{order}","status":"CREATED","items":[]}}"#);
            let reply = format!("HTTP/1.1 201 x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            self.answers.lock().unwrap().push((order.rsplit('-').next().unwrap().parse().unwrap(), self.clock.now()));
            stream.write_all(reply.as_bytes())?;
        }
    }
}

fn read_order(reader: &mut impl BufRead) -> std::io::Result<String> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        length = line.strip_prefix("content-length: ").map_or(length, |digits| digits.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(body["order_id"].as_str().unwrap().to_owned())
}

/// Runs a schedule, with its history in the file `path`, which must not exist yet.
pub(crate) async fn run(schedule: Schedule, path: &std::path::Path) -> Truth {
    let clock = RunClock::start();
    let server = Arc::new(Server { schedule, clock, start: OnceLock::new(), answers: Mutex::default() });
    let endpoints = Endpoints {
        api: vec![server.listen()],
        admin: vec![],
        admin_token: String::new(),
        redis_url: String::new(),
        mysql_url: String::new(),
    };
    let plan = plan(&schedule);
    let (recorder, guard) = Recorder::create(path, clock).unwrap();
    recorder.record(head()).await.unwrap();
    let progress = Arc::new(Progress::default());
    let summary = run_load(&plan, &endpoints, &recorder, &progress, &CancellationToken::new()).await.unwrap();
    guard.finish("finished").await.unwrap();
    let history = read_history(path).unwrap();
    assert_eq!(history.problems, Vec::<String>::new());
    assert!(history.operations.iter().all(|it| it.outcome == Outcome::Ok), "{:?}", summary.counts);
    let answers = server.answers.lock().unwrap();
    assert_eq!(answers.len(), schedule.requests as usize);
    let given = answers.iter().map(|(order, at)| at.since(summary.start.plus(schedule.due(*order)))).collect();
    let measured = measure(&plan, &history);
    let row = measured.latency.iter().find(|row| (&*row.outcome, &*row.phase) == ("ok", "baseline")).unwrap();
    Truth { owed: schedule.owed(), given: Percentiles::of(given), measured: (&row.response).into() }
}

fn plan(schedule: &Schedule) -> Plan {
    let item = ItemId { store: 1, product: 1, sku: 1 };
    let duration_ms = u64::try_from(schedule.due(schedule.requests).as_millis()).unwrap();
    let stretch = LoadStretch { name: "steady".into(), phase: Phase::Baseline, duration_ms, rate_per_s: 1.0 };
    let arrival = |order| Arrival { due: Offset::ZERO.plus(schedule.due(order)), action: Action::Create, order, instance: 0 };
    Plan {
        journeys: Vec::new(),
        scenario: Scenario {
            name: "stalling".into(),
            seed: Seed(1),
            items: vec![SaleItem { item, opening: 1, weight: 1 }],
            stretches: vec![stretch],
            mix: Mix::default(),
            processes: Processes { api: 1, worker: 1 },
            limits: Limits { request_timeout_ms: 20_000, ..Limits::default() },
            promises: Promises::default(),
            faults: Vec::new(),
        },
        run_tag: "t".into(),
        orders: (0..schedule.requests).map(|_| PlannedOrder::of_one(0, 1, 1)).collect(),
        changes: Vec::new(),
        arrivals: (0..schedule.requests).map(arrival).collect(),
    }
}

fn head() -> Record {
    Record::Head(Box::new(Head {
        schema: SCHEMA,
        run_id: "stalling".into(),
        scenario: "stalling".into(),
        seed: Seed(1),
        argv: Vec::new(),
        commit: String::new(),
        build_id: String::new(),
        wall_start_ms: 0,
    }))
}
