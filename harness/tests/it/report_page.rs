//! The page: whole, self-contained and safe for runs of any size and state.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use harness::clock::Offset;
use harness::history::operation::Timed;
use harness::history::record::{FaultMark, FaultStep};
use harness::invariants::{Evidence, Finding, judge};
use harness::measure::measure;
use harness::report::formulas::formula;
use harness::report::{assemble, html, live};

use crate::report_synthetic as synthetic;

fn page_of(evidence: &Evidence, findings: Vec<Finding>) -> String {
    let measurements = measure(&evidence.plan, &evidence.history);
    let report = assemble(evidence, &synthetic::identity(), findings, measurements);
    html::render(&report, evidence).unwrap()
}

fn page(evidence: &Evidence) -> String {
    page_of(evidence, synthetic::all_held())
}

/// The data of the plots, parsed as a browser would.
fn charts(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="charts">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_run_without_operations_says_so_and_draws_no_plots() {
    let page = page(&synthetic::evidence(0));
    assert!(page.contains("The history holds no operation.") && page.contains("None: no operation was sent"));
    assert!(!page.contains("<script"));
}

#[test]
fn a_run_of_one_operation_has_a_whole_page() {
    let page = page(&synthetic::evidence(1));
    assert!(page.contains("flash-sale --seed 7") && page.contains("no_oversell"));
    assert!(page.contains("The history holds 1 operation in all"));
    assert_eq!(charts(&page)["rates"]["offered"].as_array().unwrap().iter().filter_map(|rate| rate.as_f64()).sum::<f64>(), 10.0);
}

#[test]
fn a_run_of_ten_thousand_operations_plots_every_bucket() {
    let evidence = synthetic::evidence(10_000);
    let page = page(&evidence);
    let charts = charts(&page);
    let buckets = measure(&evidence.plan, &evidence.history).buckets.len();
    for column in [&charts["at"], &charts["rates"]["ok"], &charts["latency"]["ok_p99"], &charts["latency"]["fail_p99"]] {
        assert_eq!(column.as_array().unwrap().len(), buckets);
    }
    assert_eq!(charts["spans"].as_array().unwrap().len(), 4);
    assert_eq!(charts["spectra"].as_array().unwrap().len(), 6);
}

#[test]
fn a_run_that_was_cut_off_says_so_at_the_top() {
    let page = page(&synthetic::cut_off(2_000));
    let warnings = page.find("The run was cut off: its history has no end. 40 operations are without a recorded answer.").unwrap();
    assert!(page.contains("There is no snapshot"));
    assert!(warnings < page.find("<h2>Claims").unwrap());
    assert!(page.contains(r#"<span class="class">inconclusive</span>"#));
}

#[test]
fn violations_are_told_and_only_the_first_of_a_claim_is_open() {
    let mut findings = synthetic::all_held();
    findings[1].verdict = synthetic::violated("15,002 units are out of a supply of 15,000");
    let page = page_of(&synthetic::evidence(100), findings);
    assert!(page.contains("<summary>15,002 units are out of a supply of 15,000</summary>"));
    assert!(page.contains("pre_deduct leaves -1") && page.contains("exit code 1"));
    assert_eq!(page.matches("-0\" open>").count(), 1);
    assert_eq!(page.matches("<details id=").count(), 2);
}

#[test]
fn a_violated_claim_stands_first_and_leads_to_its_story_from_table_and_plot() {
    let mut findings = synthetic::all_held();
    findings[4].verdict = synthetic::violated("Redis holds -2, the ledger 0");
    let page = page_of(&synthetic::evidence(2_000), findings);
    let first = page.split_once("<tbody>").unwrap().1.split_once("</tr>").unwrap().0;
    assert!(first.contains(r##"href="#violated-redis_equals_ledger""##), "{first}");
    assert!(page.contains(r#"<article class="trial" id="violated-redis_equals_ledger">"#));
    assert!(page.contains(formula("redis_equals_ledger").unwrap()));
    let flag = &charts(&page)["flags"][0];
    assert_eq!((flag["at"].as_f64(), flag["story"].as_str()), (Some(4.31), Some("story-redis_equals_ledger-0")));
    assert!(page.contains(r#"<details id="story-redis_equals_ledger-0" open>"#));
}

#[test]
fn every_claim_that_can_be_violated_has_its_formula() {
    let never_violated = ["faults_bit", "kill_points_covered", "generator_kept_up"];
    let names = judge(&synthetic::evidence(1)).into_iter().map(|finding| finding.invariant);
    let without: Vec<_> = names.filter(|name| formula(name).is_none() && !never_violated.contains(&name.as_str())).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_page_of_a_run_that_goes_on_has_figures_and_no_verdict() {
    let mut evidence = synthetic::cut_off(10_000);
    evidence.history.samples.push(Timed {
        at: Offset::from_millis(2_900),
        what: harness::history::record::Sample { name: "outbox_new".to_owned(), of: String::new(), value: 12.0 },
    });
    let page = live::page(&evidence.plan, evidence.history, "x").unwrap();
    assert!(page.contains("data-live") && page.contains(r#"<span class="class">running</span>"#));
    assert!(
        page.contains("Phase baseline at ")
            && page.contains("10,000 of 10,000 arrivals were due. In force: no fault. Backlog: 12.0.")
    );
    for word in ["<h2>Claims", "<h2>Not tested", "exit code", "was cut off"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(!charts(&page)["at"].as_array().unwrap().is_empty());
    let nothing = live::page(&synthetic::evidence(0).plan, harness::history::operation::History::default(), "x").unwrap();
    assert!(nothing.contains("Phase start at 0.000 s.") && charts(&nothing)["at"].as_array().unwrap().is_empty());
}

#[test]
fn changed_evidence_is_a_warning_that_names_the_file() {
    let mut evidence = synthetic::evidence(10);
    evidence.edited.push("snapshot.json.zst was changed after the run".to_owned());
    assert!(page(&evidence).contains("Changed evidence: snapshot.json.zst was changed after the run."));
}

#[test]
fn text_of_the_run_can_neither_end_a_script_nor_add_markup() {
    let hostile = "</script><img src=x onerror=alert(1)>&amp;";
    let mut evidence = synthetic::evidence(100);
    let mark = FaultMark {
        id: 1,
        kind: hostile.to_owned(),
        target: hostile.to_owned(),
        step: FaultStep::Injected,
        generation: 0,
        proof: String::new(),
    };
    evidence.history.faults.push(Timed { at: Offset::from_millis(1_600), what: mark });
    let mut findings = synthetic::all_held();
    findings[1].verdict = synthetic::violated(hostile);
    findings[2].looked_at = hostile.to_owned();
    let page = page_of(&evidence, findings);
    assert_eq!(page.matches("</script>").count(), 3);
    assert!(!page.contains("<img"));
    let names: Vec<_> =
        charts(&page)["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap().to_owned()).collect();
    assert!(names.iter().any(|name| name == hostile));
}

#[test]
fn the_page_reaches_for_nothing_outside_itself() {
    let page = page(&synthetic::evidence(1_000));
    for remote in ["src=\"http", "href=\"http", "src='http", "url(http", "@import", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!page.contains(remote), "{remote}");
    }
}

#[test]
fn a_million_operations_make_a_page_of_less_than_two_megabytes() {
    let mut evidence = synthetic::evidence(20_000);
    // The same buckets as a run of a million operations: 170 s of 100 ms, each with all its figures.
    for (index, op) in (0_u64..).zip(evidence.history.operations.iter_mut()) {
        let shift = std::time::Duration::from_micros(index * 8_500);
        (op.due, op.sent, op.answered) = (op.due.plus(shift), op.sent.plus(shift), op.answered.map(|at| at.plus(shift)));
    }
    let page = page(&evidence);
    assert!(charts(&page)["at"].as_array().unwrap().len() > 1_700);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}
