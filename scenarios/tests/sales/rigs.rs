//! What a run may stand on: given stores, a Toxiproxy server; and what is refused there, before anything starts.

use harness::clock::RunClock;
use harness::history::pairing::read_history;
use harness::history::record::FaultStep;
use harness::proxy::Proxies;
use harness::report::{Report, RunFolder};
use harness::seed::Seed;
use harness::stack::stores::{Stores, StoresSpec};

use crate::programs::{Done, chaos, flash_sale, run};
use crate::workplace::{REPORTS, Workplace, turn};

/// Nobody listens there: what is refused must be refused before anybody is reached.
const GIVEN: [&str; 4] = ["--redis-url", "redis://127.0.0.1:1/", "--mysql-url", "mysql://u:p@127.0.0.1:1/"];
const TOXIPROXY: [&str; 2] = ["--toxiproxy", "http://127.0.0.1:1"];

/// Fails unless the program refused with one sentence that holds `why`, and made nothing.
#[track_caller]
fn expect_refused(place: &Workplace, done: &Done, why: &str) {
    done.expect_code(2).expect_complaint(why);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(!place.reports().exists() && !place.path().join("reports").exists(), "something was made");
}

#[test]
fn faults_that_need_own_stores_are_refused_on_given_ones() {
    let _turn = turn();
    let place = Workplace::new("given-refused");
    let sale = |faults: &str| run(&place, flash_sale(&[["--faults", faults].as_slice(), &GIVEN].concat()));
    expect_refused(
        &place,
        &sale("worker_kill,redis_flush"),
        "fault redis_flush on redis needs stores that the harness starts itself",
    );
    expect_refused(&place, &sale("mysql_kill"), "fault kill on mysql needs stores that the harness starts itself");
    let chaos = |words: &[&str]| run(&place, chaos(&[words, &GIVEN].concat()));
    let restart = chaos(&["run", "redis_restart"]);
    expect_refused(&place, &restart, "redis_restart: fault kill on redis needs stores that the harness starts itself");
    expect_refused(&place, &chaos(&["run", "steady", "worker_kill"]), "several runs on given stores need --wipe");
    expect_refused(&place, &chaos(&["nightly", "--minutes", "1"]), "several runs on given stores need --wipe");
}

#[test]
fn faults_that_need_own_proxies_are_refused_with_a_toxiproxy_server() {
    let _turn = turn();
    let place = Workplace::new("toxiproxy-refused");
    let sale = |faults: &str| run(&place, flash_sale(&[["--faults", faults].as_slice(), &TOXIPROXY].concat()));
    expect_refused(
        &place,
        &sale("redis_latency,redis_partition"),
        "fault redis_partition on services needs the proxies of this process",
    );
    expect_refused(&place, &sale("mysql_reset"), "fault mysql_reset on services needs the proxies of this process");
    let points = run(&place, chaos(&[["run", "deduct_worker_crash"].as_slice(), &TOXIPROXY].concat()));
    expect_refused(&place, &points, "a Toxiproxy server knows no protocol");
    let absent = sale("redis_latency");
    absent.expect_code(2).expect_complaint("use the Toxiproxy server http://127.0.0.1:1: GET /version");
    assert!(place.runs().is_empty() && place.left_over().is_empty(), "{:?} {:?}", place.runs(), place.left_over());
}

/// A sale of half a minute with a slow Redis in it.
const SLOW: [&str; 8] = ["--faults", "redis_latency", "--rate", "130", "--p99", "10000", "--service-arg", "--writer-connections=3"];

#[test]
fn given_stores_and_a_toxiproxy_server_carry_a_sale_and_its_replay() {
    let _turn = turn();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stores = runtime.block_on(Stores::start(StoresSpec::default())).expect("tests need both servers: run scripts/setup");
    let server = Proxies::start(Seed(5), RunClock::start()).unwrap();
    let api = format!("http://{}", runtime.block_on(server.serve_api("127.0.0.1:0", false)).unwrap());
    let place = Workplace::new("given-and-toxiproxy");
    let (redis, mysql) = (stores.redis_url(), stores.mysql_url("shop"));
    let given = ["--redis-url", &redis, "--mysql-url", &mysql];

    run(&place, flash_sale(&[&SLOW, given.as_slice(), &["--toxiproxy", &api]].concat()));
    assert!(server.list().is_empty(), "the proxies of the run are gone: {:?}", server.list());
    let first = expect_slowed(&place, &api);

    let again = |further: &[&str]| {
        let folder = place.reports().join("flash_sale").join(&first.run.run_id);
        run(&place, chaos(&[&["replay", folder.to_str().unwrap(), "--reports", REPORTS], further].concat()))
    };
    again(&["--times", "1"]).expect_code(2).expect_complaint("give --redis-url and --mysql-url");
    again(&given).expect_code(2).expect_complaint("several runs on given stores need --wipe");
    let replayed = again(&[&given, ["--wipe", "--times", "1"].as_slice()].concat());
    replayed.expect_said("the saved verdict (").expect_said("of 1 runs");
    let second = expect_slowed(&place, &api);
    assert_ne!(first.run.run_id, second.run.run_id);
    runtime.block_on(stores.stop()).expect("both stores still run, and end when asked to");
}

/// The newest run: its fault bit by way of the server, nothing went wrong beside it, and it says what it stood on. How soon a machine that tests beside
/// it has recovered is not the question.
fn expect_slowed(place: &Workplace, api: &str) -> Report {
    let folder = RunFolder::open(place.runs().last().unwrap()).unwrap();
    let report = folder.read_report().unwrap();
    assert_eq!((report.run.backend.as_str(), report.run.toxiproxy.as_deref()), ("external", Some(api)));
    assert_eq!(report.run.service_args, ["--writer-connections=3"]);
    let broken: Vec<_> = report.findings.iter().filter(|finding| finding.required && finding.verdict.is_violated()).collect();
    assert!(broken.iter().all(|finding| finding.invariant == "recovers_in_time"), "{broken:#?}");
    assert_eq!(report.run.rig_errors, Vec::<String>::new());
    let faults = read_history(&folder.file("history.jsonl.zst")).unwrap().faults;
    let steps: Vec<FaultStep> = faults.iter().map(|mark| mark.what.step).collect();
    let all = [FaultStep::Armed, FaultStep::Injected, FaultStep::Bit, FaultStep::Healing, FaultStep::Healed];
    assert_eq!(steps, all, "{faults:#?}");
    report
}
