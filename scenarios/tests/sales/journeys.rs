//! Closed-loop users beside the arrivals: what they do is in the history, is judged, and is in no open-loop figure.

use std::path::PathBuf;

use harness::history::operation::Operation;
use harness::history::record::Function;
use harness::invariants::{Evidence, judge};
use harness::report::{Report, RunFolder, load_evidence};
use nix::sys::signal::Signal;

use crate::processes::still_there;
use crate::programs::{Running, flash_sale, run, small_sale};
use crate::workplace::{Workplace, turn};

/// A sale of which half is left over, so that everybody gets something.
const CALM: [&str; 12] =
    ["--stock", "900", "--skus", "4", "--sku-stock", "25", "--rate", "60", "--p99", "10000", "--demand", "0.5"];

fn closed(evidence: &Evidence, function: Function) -> Vec<&Operation> {
    evidence.history.of(function).filter(|op| op.closed_loop).collect()
}

/// Operations that the percentiles of a kind stand on, over all phases.
fn measured(report: &Report, kind: &str) -> u64 {
    let rows = report.measurements.latency.iter().filter(|row| row.function == kind && row.outcome == "all" && row.phase != "load");
    rows.map(|row| row.response.count).sum()
}

#[test]
fn closed_loop_users_are_judged_with_all_others_and_measured_apart() {
    let _turn = turn();
    let place = Workplace::new("journeys");
    let done = run(&place, flash_sale(&[CALM.as_slice(), &["--journeys", "30", "--seed", "21"]].concat()));
    done.expect_code(0).expect_said("HELD (exit code 0)").expect_said("closed loop 30 users sent ");
    done.expect_said("--features goose -- ");
    assert_eq!(done.stderr, "");
    assert!(!done.stdout.contains("[WARN]") && !done.stdout.contains("[INFO]"), "{}", done.stdout);

    let folder = RunFolder::open(&place.latest()).unwrap();
    let (_, mut evidence) = load_evidence(&folder).unwrap();
    let [looked, ordered, paid, cancelled, asked] =
        [Function::ReadStock, Function::CreateOrder, Function::PayOrder, Function::CancelOrder, Function::ReadOrder]
            .map(|function| closed(&evidence, function));
    assert!(ordered.len() >= 30 && looked.len() >= ordered.len(), "{} looked, {} ordered", looked.len(), ordered.len());
    assert!([&paid, &cancelled, &asked].iter().all(|steps| steps.iter().any(|op| op.is_ok())), "a step was never taken");
    assert!(ordered.iter().all(|op| op.user > evidence.scenario().mix.users && op.sent.since(op.due).as_millis() < 1_000));

    let report = folder.read_report().unwrap();
    let arrivals = evidence.history.arrivals_of(Function::CreateOrder).count() as u64;
    assert_eq!(measured(&report, "create_order"), arrivals);
    assert_eq!(measured(&report, "create_order_closed_loop"), ordered.len() as u64);
    let told = report.measurements.closed_loop.as_ref().expect("a figure for them");
    assert_eq!((told.users, told.operations), (30, evidence.history.operations.iter().filter(|op| op.closed_loop).count() as u64));
    let page = std::fs::read_to_string(folder.file("report.html")).unwrap();
    assert!(page.contains("closed-loop users are in none of these figures") && page.contains("create_order_closed_loop"));

    // Judged: the row of one of their orders is lost, and the claim that nothing acknowledged is lost names it.
    let lost = ordered.iter().find(|op| op.is_ok()).expect("an order").order.to_string();
    evidence.stops.iter_mut().for_each(|stop| stop.snapshot.orders.retain(|row| row.order_id != lost));
    let findings = judge(&evidence);
    let durable = findings.iter().find(|finding| finding.invariant == "acknowledged_is_durable").unwrap();
    assert!(durable.verdict.violations().iter().any(|violation| violation.orders.contains(&lost)), "{durable:?}");
}

#[test]
fn ctrl_c_ends_closed_loop_users_with_the_load() {
    let _turn = turn();
    let place = Workplace::new("journeys-ctrl-c");
    let mut running = Running::start(&place, small_sale(&["--duration", "60", "--journeys", "20"]));
    let family = running.until_selling(&place);
    running.signal(Signal::SIGINT);
    let done = running.finish();
    done.expect_code(130).expect_said("INTERRUPTED (exit code 130)").expect_complaint("interrupted: stopping the load");
    assert_eq!(still_there(&family), []);
    assert_eq!(place.left_over(), Vec::<PathBuf>::new());
    let report = RunFolder::open(&place.latest()).unwrap().read_report().unwrap();
    assert!(report.findings.iter().all(|finding| !finding.verdict.is_violated()), "{report:#?}");
}
