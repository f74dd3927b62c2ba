//! A stack brings its processes up, tells what becomes of them, and leaves nothing behind.
//!
//! The process that stands where the service goes is this test binary itself: what is tested is how processes are started,
//! watched and ended, not what the service does.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::history::record::ProcStep;
use harness::scenario::Processes;
use harness::stack::services::Stack;
use harness::stack::stores::{Stores, StoresSpec};
use harness::stack::{Backend, ServiceCommand, StackError, StackSpec};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, Executor as _, MySqlConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Carries the arguments of the service to this binary, whose own arguments are those of a test.
const ARGUMENTS: &str = "HOLDFAST_TEST_ARGUMENTS";

/// A folder for logs that goes with the value.
pub(crate) struct Logs(PathBuf);

impl Logs {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("holdfast test {name} {}", std::process::id())))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    fn read(&self, role: &str) -> String {
        std::fs::read_to_string(self.0.join(format!("{role}.log"))).unwrap_or_default()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn spec(logs: &Logs, backend: Backend, flags: &[&str]) -> StackSpec {
    let script =
        format!("RUST_BACKTRACE=0 {ARGUMENTS}=\"$*\" exec \"$0\" --exact stack_services::the_process_of_a_service --nocapture");
    let binary = std::env::current_exe().expect("a test binary has a path");
    StackSpec {
        backend,
        processes: Processes { api: 2, worker: 1 },
        service: ServiceCommand {
            program: "/bin/sh".into(),
            leading: vec!["-c".into(), script, binary.display().to_string()],
            scripts: Vec::new(),
        },
        service_flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ready_ms: 30_000,
        redis_append_only: false,
        redis_replica: false,
        proxied: None,
        toxiproxy: None,
        fronted: false,
        logs: logs.0.clone(),
    }
}

/// Not a claim of its own: the body of a service process. Without the variable it has nothing to do.
#[tokio::test]
async fn the_process_of_a_service() {
    let Some(arguments) = std::env::var_os(ARGUMENTS).map(|text| text.into_string().unwrap()) else { return };
    println!("\nstarted with {arguments}");
    let value = |flag: &str| arguments.split(' ').skip_while(|word| *word != flag).nth(1).map(str::to_owned);
    let secret = |name: &str| std::env::var_os(name).expect("a secret is given").into_string().unwrap();
    assert_eq!(secret("HOLDFAST_ADMIN_TOKEN").len(), 32);
    redis::Client::open(secret("HOLDFAST_REDIS_URL")).unwrap().get_multiplexed_async_connection().await.unwrap();
    MySqlConnection::connect(&secret("HOLDFAST_MYSQL_URL")).await.unwrap().execute("SELECT 1").await.unwrap();
    assert!(value("--fail").is_none(), "told to fail at start");
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let listener = TcpListener::bind(value("--admin-listen").unwrap()).await.unwrap();
    loop {
        let (mut stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            _ = terminated.recv() => break,
        };
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        let ready = request[..length].starts_with(b"GET /health/ready ");
        stream.write_all(if ready { b"HTTP/1.1 200 OK\r\n\r\n" } else { b"HTTP/1.1 404 Not Found\r\n\r\n" }).await.unwrap();
    }
    assert!(value("--fail-at-end").is_none(), "told to fail at the end");
}

fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

pub(crate) fn signal(stack: &Stack, role: &str, signal: Signal) {
    let (_, pid) = stack.pids().into_iter().find(|(name, _)| name == role).expect("the role runs");
    kill(Pid::from_raw(pid.try_into().expect("a process id")), signal).expect("the process runs");
}

#[tokio::test]
async fn a_stack_comes_up_is_told_about_and_leaves_nothing_when_stopped() {
    let logs = Logs::new("whole");
    let mut stack = Stack::start(spec(&logs, Backend::Process, &["--grace-ms", "5"]), RunClock::start()).await.unwrap();
    let roles: Vec<String> = stack.pids().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["redis", "mysql", "api-1", "api-2", "worker-1"]);
    let endpoints = stack.endpoints().clone();
    assert_eq!((endpoints.api.len(), endpoints.admin.len()), (2, 3));
    assert!(endpoints.admin.iter().all(|(_, address)| listens(*address)));
    let usage = stack.usage();
    assert_eq!(usage.len(), 6, "the harness and five processes");
    assert!(usage.iter().all(|usage| usage.rss_mib > 0.5), "{usage:?}");
    assert!(logs.read("api-1").contains(&format!("--role api --listen {}", endpoints.api[0])));
    assert!(logs.read("worker-1").contains("--role worker --admin-listen") && logs.read("worker-1").contains("--grace-ms 5"));
    assert_eq!(stack.exited_unexpectedly(), Vec::<String>::new());
    assert_eq!(stack.stop().await, Vec::<String>::new());
    assert!(endpoints.admin.iter().all(|(_, address)| !listens(*address)));
    let steps = stack.take_steps();
    let of = |role: &str| steps.iter().filter(|step| step.what.role == role).map(|step| step.what.step).collect::<Vec<_>>();
    assert_eq!(of("api-2"), [ProcStep::Started, ProcStep::Ready, ProcStep::Signalled, ProcStep::Exited]);
    assert_eq!(of("redis"), [ProcStep::Ready, ProcStep::Signalled, ProcStep::Exited]);
    assert!(steps.is_sorted_by_key(|step| step.at));
}

#[tokio::test]
async fn a_service_that_ends_at_start_is_told_with_the_end_of_its_log() {
    let logs = Logs::new("early");
    let error = Stack::start(spec(&logs, Backend::Process, &["--fail", "now"]), RunClock::start()).await.unwrap_err().to_string();
    assert!(error.contains("is ready (GET /health/ready on 127.0.0.1:") && error.contains("told to fail at start"), "{error}");
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_told_by_its_name() {
    let logs = Logs::new("none");
    let mut spec = spec(&logs, Backend::Process, &[]);
    spec.service = ServiceCommand { program: "/nonexistent/service".into(), leading: Vec::new(), scripts: Vec::new() };
    let error = Stack::start(spec, RunClock::start()).await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/service"), "{error}");
}

#[tokio::test]
async fn unexpected_ends_are_told_once_and_bad_ends_when_stopped() {
    let logs = Logs::new("ends");
    let mut stack = Stack::start(spec(&logs, Backend::Process, &["--fail-at-end", "yes"]), RunClock::start()).await.unwrap();
    let admin = stack.endpoints().admin.clone();
    signal(&stack, "api-1", Signal::SIGKILL);
    signal(&stack, "api-2", Signal::SIGSTOP);
    let clock = RunClock::start();
    let told = loop {
        let told = stack.exited_unexpectedly();
        if !told.is_empty() {
            break told;
        }
        assert!(clock.now().since(Offset::ZERO) < Duration::from_secs(5), "the end of api-1 was not seen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(told.len() == 1 && told[0].starts_with("api-1 ended with signal 9"), "{told:?}");
    let problems = stack.stop().await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("api-2 did not end within 10000 ms of SIGTERM and was killed"), "{problems:?}");
    assert!(problems[1].starts_with("worker-1 ended with exit code 101"), "{problems:?}");
    assert!(admin.iter().all(|(_, address)| !listens(*address)));
    assert_eq!(stack.stop().await, Vec::<String>::new());
}

/// Starts a stack on stores that are not its own.
async fn start_on(stores: &Stores, logs: &Logs, may_wipe: bool) -> Result<Stack, StackError> {
    let backend = Backend::External { redis_url: stores.redis_url(), mysql_url: stores.mysql_url("shop"), may_wipe };
    Stack::start(spec(logs, backend, &[]), RunClock::start()).await
}

#[tokio::test]
async fn given_stores_are_used_when_empty_refused_with_data_and_wiped_only_on_demand() {
    let logs = Logs::new("given");
    let stores = Stores::start(StoresSpec::default()).await.unwrap();
    let mut stack = start_on(&stores, &logs, false).await.expect("empty stores are taken");
    assert_eq!(stack.endpoints().mysql_url, stores.mysql_url("shop"));
    assert_eq!(stack.stop().await, Vec::<String>::new());

    let mut mysql = MySqlConnection::connect(&stores.mysql_url("shop")).await.expect("the database was made, and is left");
    for table in ["orders", "diary"] {
        mysql.execute(sqlx::AssertSqlSafe(format!("CREATE TABLE {table} (id INT)"))).await.unwrap();
        mysql.execute(sqlx::AssertSqlSafe(format!("INSERT INTO {table} VALUES (1)"))).await.unwrap();
    }
    let refused = start_on(&stores, &logs, false).await.unwrap_err().to_string();
    assert!(refused.contains("shop.orders holds rows"), "{refused}");

    let mut redis = redis::Client::open(stores.redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    for key in ["inventory:stock:{1:1:1}", "session:1"] {
        redis::cmd("SET").arg(key).arg(1).exec_async(&mut redis).await.unwrap();
    }
    let refused = start_on(&stores, &logs, false).await.unwrap_err().to_string();
    assert!(refused.contains("inventory:stock:{1:1:1}"), "{refused}");

    let mut stack = start_on(&stores, &logs, true).await.expect("wiping was allowed");
    assert_eq!(stack.stop().await, Vec::<String>::new());
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    assert_eq!(keys, ["session:1"], "keys of others are left");
    let count = async |mysql: &mut MySqlConnection, query: &'static str| sqlx::query_scalar::<_, i64>(query).fetch_one(mysql).await;
    assert_eq!(count(&mut mysql, "SELECT COUNT(*) FROM orders").await.unwrap(), 0);
    assert_eq!(count(&mut mysql, "SELECT COUNT(*) FROM diary").await.unwrap(), 1, "tables of others are left");
    stores.stop().await.unwrap();
}

#[test]
fn logs_go_with_their_value() {
    let logs = Logs::new("gone");
    std::fs::create_dir_all(&logs.0).unwrap();
    let path: PathBuf = logs.0.clone();
    drop(logs);
    assert!(!Path::new(&path).exists());
}
