//! What the user has to mend: exit code 2, one sentence that names it, no run folder.

use std::path::Path;

use crate::programs::{Done, chaos, flash_sale, run, small_sale};
use crate::workplace::{Workplace, turn};

/// Runs `flash-sale`, which must refuse; its complaint must name `what`, and nothing may be made.
#[track_caller]
fn expect_refused(place: &Workplace, arguments: &[&str], what: &str) {
    let done = run(place, flash_sale(arguments));
    done.expect_code(2).expect_complaint(what);
    assert!(!place.reports().exists(), "{arguments:?} made {}", place.reports().display());
}

#[test]
fn options_that_are_none_are_named() {
    let _turn = turn();
    let place = Workplace::new("options");
    expect_refused(&place, &["--nope"], "--nope");
    expect_refused(&place, &["--stock", "many"], "--stock");
    expect_refused(&place, &["--stock", "-1"], "--stock");
    expect_refused(&place, &["--rate", "nan"], "--rate");
    expect_refused(&place, &["--demand", "0"], "--demand");
    expect_refused(&place, &["--p99", "inf"], "--p99");
    expect_refused(&place, &["--skus", "4000000000"], "--skus");
    expect_refused(&place, &["--backend", "external"], "--redis-url");
    expect_refused(&place, &["--redis-url", "redis://127.0.0.1:1/"], "--mysql-url");
    expect_refused(&place, &["--duration", "1", "--demand", "2"], "--demand");
}

#[test]
fn plans_that_make_no_sale_are_refused_with_their_field() {
    let _turn = turn();
    let place = Workplace::new("plans");
    expect_refused(&place, &["--duplicates", "2"], "`mix.duplicates`: must be between 0 and 1");
    expect_refused(&place, &["--stock", "0", "--skus", "0"], "`items`: must hold 1 to 100000 items");
    expect_refused(&place, &["--api", "0"], "`processes.api`: must be 1 to 64");
    expect_refused(&place, &["--workers", "65"], "`processes.worker`: must be 1 to 64");
    expect_refused(&place, &["--sku-stock", "0"], "`items[1].opening`: must be 1 to ");
    expect_refused(&place, &["--cancels", "0.6", "--payments", "0.6"], "`mix.cancels + mix.payments + mix.refunds`");
    expect_refused(&place, &["--carts", "1.5"], "`mix.carts.share`: must be between 0 and 1");
    expect_refused(&place, &["--cart-skus", "1"], "`mix.carts.items_max`: must be 2 to 49");
    expect_refused(&place, &["--order-ttl", "0.5"], "`promises.order_ttl_ms`: must be at least 1000");
    expect_refused(&place, &["--cuts", "10001"], "`mix.operator.cuts`: must be at most 10000");
    expect_refused(&place, &["--change-units", "0"], "`mix.operator.units_max`: must be 1 to 1000000");
    expect_refused(&place, &["--duration", "1e9"], "duration_ms`: must be at most a day");
    expect_refused(&place, &["--journeys", "1001"], "`mix.journeys`: must be at most 1000");
}

#[cfg(not(feature = "goose"))]
#[test]
fn journeys_are_refused_by_a_build_without_them_which_says_how_to_get_one() {
    let _turn = turn();
    let place = Workplace::new("no-journeys");
    expect_refused(&place, &["--journeys", "5"], "build it with --features goose");
}

#[test]
fn urls_that_are_none_are_refused() {
    let _turn = turn();
    let place = Workplace::new("urls");
    let done = run(&place, flash_sale(&["--redis-url", "nonsense", "--mysql-url", "mysql://127.0.0.1:1/"]));
    done.expect_code(2).expect_complaint("usage: use the given Redis: ");
    assert!(place.runs().is_empty(), "{:?}", place.runs());
}

#[test]
fn names_that_are_none_are_refused() {
    let _turn = turn();
    let place = Workplace::new("names");
    let chaos = |arguments: &[&str]| run(&place, chaos(arguments));
    chaos(&["run", "nosuch"]).expect_code(2).expect_complaint("usage: there is no scenario \"nosuch\": see `chaos list`");
    chaos(&["run", "core", "steady"]).expect_code(2).expect_complaint("usage: \"core\" stands for several scenarios");
    chaos(&["verify", "nosuch"]).expect_code(2).expect_complaint("usage: there is no run folder nosuch");
    chaos(&["selftest", "--only", "nosuch"]).expect_code(2).expect_complaint("usage: there is no defect \"nosuch\"; there are ");
    chaos(&["selftest", "--only", "resolve_on_replica"]).expect_code(2).expect_complaint("needs a MySQL replica");
    chaos(&["selftest", "--quick", "--program", "nosuch"]).expect_code(2).expect_complaint("usage: use nosuch: ");
    chaos(&["selftest", "--program", "/bin/false"]).expect_code(2).expect_complaint("bin/false for its defects");
    chaos(&[]).expect_code(2).expect_complaint("Usage: chaos");
    chaos(&["dance"]).expect_code(2).expect_complaint("dance");
    assert!(!place.path().join("reports").exists());
}

/// Servers are also looked for in folders beyond PATH. Where both stand there, an empty PATH must not hinder the run.
#[test]
fn without_servers_the_complaint_names_what_to_install() {
    let _turn = turn();
    let place = Workplace::new("no-servers");
    let mut command = small_sale(&["--duration", "1"]);
    command.env("PATH", place.path().join("tmp"));
    let done = run(&place, command);
    match (beyond_path(["redis-server", "valkey-server"]), beyond_path(["mariadbd", "mysqld"])) {
        (false, _) => expect_missing(&place, &done, "no redis-server or valkey-server on PATH: install package redis-server"),
        (true, false) => expect_missing(&place, &done, "no mariadbd or mysqld on PATH: install package mariadb-server-core"),
        (true, true) => drop(done.expect_code(0)),
    }
}

/// Nothing is asked of a registry, and no engine is started: its absence is told at once.
#[test]
fn without_a_docker_engine_the_complaint_says_what_to_do() {
    let _turn = turn();
    let place = Workplace::new("no-engine");
    let mut command = small_sale(&["--duration", "1", "--backend", "containers"]);
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let done = run(&place, command);
    done.expect_code(2)
        .expect_complaint("usage: no Docker engine for --backend containers: ")
        .expect_complaint("name its socket in DOCKER_HOST");
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(place.left_over().is_empty(), "{:?}", place.left_over());
}

#[track_caller]
fn expect_missing(place: &Workplace, done: &Done, what: &str) {
    done.expect_code(2).expect_complaint(&format!("usage: {what} (scripts/setup does), or give --redis-url and --mysql-url\n"));
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(place.runs().is_empty() && place.left_over().is_empty(), "{:?} {:?}", place.runs(), place.left_over());
}

fn beyond_path(names: [&str; 2]) -> bool {
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin"];
    folders.iter().any(|folder| names.iter().any(|name| Path::new(folder).join(name).is_file()))
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = chaos(&["list"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}
