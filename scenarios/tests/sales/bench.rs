//! `chaos bench`: figures from judged runs, on a page and as data. How large they are is no question for a debug build.

use harness::report::OutcomeClass;
use harness::report::bench::{BenchReport, Goal, HTML, JSON};
use harness::report::files::read_json;

use crate::programs::{chaos, run};
use crate::workplace::{REPORTS, Workplace, turn};

#[test]
fn a_figure_has_a_value_for_every_round_and_a_judged_run_behind_each() {
    let _turn = turn();
    let place = Workplace::new("bench");
    let arguments = ["bench", "--quick", "--rounds", "1", "--only", "hot_64,sold_out", "--seed", "5", "--reports", REPORTS];
    let done = run(&place, chaos(&arguments));
    let report: BenchReport = read_json(&place.reports().join(JSON)).unwrap();
    // A goal may be missed, and nothing else.
    done.expect_code(i32::from(report.class().exit_code())).expect_said("benchmark    ");
    assert!(matches!(report.class(), OutcomeClass::Held | OutcomeClass::BudgetMissed), "{}", done.stdout);
    let [hot, sold_out] = report.figures.as_slice() else { panic!("two figures: {:?}", report.figures) };
    assert_eq!(hot.goal, Goal::RatioAtLeast { least: 3.0 });
    for figure in [hot, sold_out] {
        assert_eq!((figure.ours.len(), figure.theirs.len(), figure.missing.len()), (1, 1, 0), "{figure:?}");
        assert!(figure.ours.iter().chain(&figure.theirs).all(|value| *value > 0.0), "{figure:?}");
    }
    assert!(hot.beside["orders in a transaction"].iter().all(|batch| *batch > 1.0), "{hot:?}");
    let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["bench_service_64_1_1", "bench_single_64_1_1", "bench_sold_out"]);
    for judged in &report.runs {
        assert!(place.reports().join(&judged.folder).join("report.html").is_file(), "{}", judged.folder);
    }
    assert_eq!(report.servers.settings["innodb_flush_log_at_trx_commit"], "1");
    assert!(report.machine.contains_key("cores") && report.build_id.len() == 64);
    let page = std::fs::read_to_string(place.reports().join(HTML)).unwrap();
    for text in ["Accepted orders per second, one hot item, 64 clients", "innodb_flush_log_at_trx_commit", "bench_single_64_1_1"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn the_figures_are_listed_and_one_that_is_none_is_refused() {
    let place = Workplace::new("bench_names");
    let listed = run(&place, chaos(&["bench", "--only", "help"]));
    listed.expect_code(0).expect_said("p99_6000").expect_said("by_orders");
    let refused = run(&place, chaos(&["bench", "--only", "fast", "--reports", REPORTS]));
    refused.expect_code(2).expect_complaint("there is no figure \"fast\"");
    assert!(!place.reports().exists());
}
