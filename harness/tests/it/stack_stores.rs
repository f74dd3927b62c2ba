//! Own stores start, answer, and leave nothing behind however their owner ends.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::stack::stores::{Stores, StoresSpec};
use sqlx::{Connection as _, MySqlConnection, Row as _};

/// Says to the test binary that it is the owner that will be killed.
const OWNER: &str = "HOLDFAST_TEST_OWNER";

async fn start() -> Stores {
    Stores::start(StoresSpec::default()).await.expect("tests need redis-server and mariadbd (or mysqld): run scripts/setup")
}

/// What must be gone at the end.
struct Traces {
    ports: Vec<u16>,
    pids: Vec<u32>,
    folder: PathBuf,
}

impl Traces {
    fn of(stores: &Stores) -> Self {
        let port = |url: String| url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
        Self {
            ports: vec![port(stores.redis_url()), port(stores.mysql_url(""))],
            pids: stores.pids().into_iter().map(|(_, pid)| pid).collect(),
            folder: stores.folder().to_path_buf(),
        }
    }

    /// What is still there, in words.
    fn left(&self) -> Vec<String> {
        let ports =
            self.ports.iter().filter(|port| TcpStream::connect(("127.0.0.1", **port)).is_ok()).map(|port| format!("port {port}"));
        let pids = self.pids.iter().filter(|pid| runs(**pid)).map(|pid| format!("process {pid}"));
        let folder = self.folder.exists().then(|| format!("folder {}", self.folder.display()));
        ports.chain(pids).chain(folder).collect()
    }
}

/// Whether a process runs; one that has ended and waits for its parent to look does not.
fn runs(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn both_stores_answer_and_are_set_up_for_the_protocol() {
    let stores = start().await;
    let mut redis = redis::Client::open(stores.redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let policy: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(&mut redis).await.unwrap();
    assert_eq!(policy[1], "noeviction");
    let mut mysql = MySqlConnection::connect(&stores.mysql_url("")).await.unwrap();
    sqlx::query("CREATE DATABASE shop").execute(&mut mysql).await.unwrap();
    let mut mysql = MySqlConnection::connect(&stores.mysql_url("shop")).await.unwrap();
    let settings = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), CAST(@@sync_binlog AS SIGNED), \
                    CAST(@@max_connections AS SIGNED), @@character_set_server";
    let row = sqlx::query(settings).fetch_one(&mut mysql).await.unwrap();
    let numbers = [row.get::<i64, _>(0), row.get::<i64, _>(1), row.get::<i64, _>(2)];
    assert_eq!((numbers, row.get::<String, _>(3)), ([1, 1, 500], "utf8mb4".into()));
    stores.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_gets_into_the_ledger_without_the_password() {
    let stores = start().await;
    let port = stores.mysql_url("").rsplit(':').next().unwrap().to_owned();
    for user in ["root", "holdfast", ""] {
        let url = format!("mysql://{user}@127.0.0.1:{port}");
        assert!(MySqlConnection::connect(&url).await.is_err(), "{user:?} got in without a password");
    }
    stores.stop().await.unwrap();
}

#[tokio::test]
async fn stopped_stores_leave_nothing() {
    let stores = start().await;
    let traces = Traces::of(&stores);
    assert_eq!(traces.left().len(), 5, "two ports, two processes and a folder while they run");
    stores.stop().await.unwrap();
    assert_eq!(traces.left(), Vec::<String>::new());
}

#[tokio::test]
async fn dropped_stores_leave_nothing() {
    let stores = start().await;
    let traces = Traces::of(&stores);
    drop(stores);
    assert_eq!(traces.left(), Vec::<String>::new());
}

#[test]
fn stores_outlive_the_runtime_that_started_them() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stores = std::thread::spawn(move || runtime().block_on(start())).join().unwrap();
    let connected = runtime().block_on(async { MySqlConnection::connect(&stores.mysql_url("")).await.map(drop) });
    connected.expect("the servers answer after the first runtime and its thread are gone");
    runtime().block_on(stores.stop()).unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_start_is_told_with_the_end_of_its_log() {
    let spec = StoresSpec { redis_args: vec!["--no-such-setting".into(), "1".into()], ..StoresSpec::default() };
    let error = Stores::start(spec).await.unwrap_err().to_string();
    assert!(error.contains("wait until the Redis server answers") && error.contains("no-such-setting"), "{error}");
    let spec = StoresSpec { mysql_args: vec!["--no-such-setting".into()], ..StoresSpec::default() };
    let error = Stores::start(spec).await.unwrap_err().to_string();
    assert!(error.contains("wait until the MySQL server answers") && error.contains("no-such-setting"), "{error}");
}

/// Not a claim of its own: the body of the owner that the next test kills. Without the variable it has nothing to do.
#[tokio::test]
async fn owner_that_waits_to_be_killed() {
    if std::env::var_os(OWNER).is_none() {
        return;
    }
    let stores = start().await;
    let traces = Traces::of(&stores);
    let numbers = traces.ports.iter().map(u16::to_string).chain(traces.pids.iter().map(u32::to_string));
    println!("\nOWNS {} {}", numbers.collect::<Vec<_>>().join(" "), traces.folder.display());
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_owner_leaves_nothing() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stack_stores::owner_that_waits_to_be_killed", "--nocapture"]).env(OWNER, "1");
    let mut owner = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let told = lines.find_map(|line| line.unwrap().strip_prefix("OWNS ").map(str::to_owned)).expect("the owner started its stores");
    let words: Vec<&str> = told.splitn(5, ' ').collect();
    let traces = Traces {
        ports: words[..2].iter().map(|word| word.parse().unwrap()).collect(),
        pids: words[2..4].iter().map(|word| word.parse().unwrap()).collect(),
        folder: Path::new(words[4]).to_path_buf(),
    };
    assert_eq!(traces.left().len(), 5);
    owner.kill().unwrap();
    owner.wait().unwrap();
    let clock = RunClock::start();
    while !traces.left().is_empty() {
        let waited = clock.now().since(Offset::ZERO);
        assert!(waited < Duration::from_secs(15), "still there {waited:?} after the kill of the owner: {:?}", traces.left());
        std::thread::sleep(Duration::from_millis(20));
    }
}
