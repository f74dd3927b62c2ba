//! Stores that somebody else runs: used, judged, refused once they hold a sale, never stopped, and their password kept.

use std::process::Command;

use harness::stack::stores::{Stores, StoresSpec};

use crate::programs::{Done, flash_sale, run};
use crate::workplace::{Workplace, entries, turn};

const TINY: [&str; 12] =
    ["--stock", "50", "--skus", "1", "--sku-stock", "10", "--rate", "100", "--duration", "1", "--p99", "10000"];

#[test]
fn external_stores_are_used_once_then_only_with_wipe_and_stay_up() {
    let _turn = turn();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stores = runtime.block_on(Stores::start(StoresSpec::default())).expect("tests need both servers: run scripts/setup");
    let (redis, mysql) = (stores.redis_url(), stores.mysql_url("shop"));
    let place = Workplace::new("external");
    let sale = |further: &[&str]| flash_sale(&[&TINY, ["--redis-url", &redis, "--mysql-url", &mysql].as_slice(), further].concat());

    run(&place, sale(&[])).expect_code(0).expect_said("HELD");
    let refused = run(&place, sale(&[]));
    refused.expect_code(2).expect_complaint("usage: use the given Redis: it holds keys inventory:*");
    refused.expect_complaint("give --wipe");
    assert_eq!(place.runs().len(), 1, "a refused run leaves no folder");
    let wiped = run(&place, by_environment(flash_sale(&[&TINY, ["--wipe"].as_slice()].concat()), &redis, &mysql, &place));
    wiped.expect_code(0).expect_said("HELD");

    assert_eq!(place.runs().len(), 2);
    expect_secret(&place, &[&refused, &wiped], password(&mysql));
    runtime.block_on(stores.stop()).expect("both stores still run, and end when asked to");
}

/// The same stores, named by environment variables.
fn by_environment(command: Command, redis: &str, mysql: &str, place: &Workplace) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"export HOLDFAST_REDIS_URL=$1 HOLDFAST_MYSQL_URL=$2; shift 2; exec "$@""#, "sh", redis, mysql]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(place.path());
    shell
}

fn password(url: &str) -> &str {
    url.split_once('@').and_then(|(user, _)| user.rsplit_once(':')).map(|(_, password)| password).expect("a password")
}

/// No file of a run and nothing printed may hold the password.
fn expect_secret(place: &Workplace, printed: &[&Done], password: &str) {
    assert!(printed.iter().all(|done| !done.stdout.contains(password) && !done.stderr.contains(password)), "printed");
    let folders = place.runs().into_iter().flat_map(|run| [run.join("logs"), run]);
    for file in folders.flat_map(|folder| entries(&folder)).filter(|path| path.is_file()) {
        let content = std::fs::read(&file).unwrap();
        let holds = content.windows(password.len()).any(|window| window == password.as_bytes());
        assert!(!holds, "{} holds the password", file.display());
    }
}
