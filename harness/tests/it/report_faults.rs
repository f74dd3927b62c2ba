//! What the forms of the report say of faults, kill points and readings; the list of runs and the comparison of two.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use harness::invariants::{Evidence, Finding, Verdict, judge};
use harness::measure::measure;
use harness::report::compare::{Weight, compare};
use harness::report::compare_page;
use harness::report::index::{self, RunSummary};
use harness::report::{OutcomeClass, Report, RunFolder, assemble, console, html, markdown, write_report};
use harness::scenario::faults::PointAction;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::{report_broken as broken, report_synthetic as synthetic};

fn report_of(evidence: &Evidence, findings: Vec<Finding>) -> Report {
    assemble(evidence, &synthetic::identity(), findings, measure(&evidence.plan, &evidence.history))
}

fn broken_report() -> Report {
    static REPORT: LazyLock<Report> = LazyLock::new(|| report_of(broken::shared(), judge(broken::shared())));
    REPORT.clone()
}

fn unknown_because<'a>(report: &'a Report, claim: &str) -> &'a str {
    let finding = report.findings.iter().find(|finding| finding.invariant == claim).unwrap();
    let Verdict::Unknown { why } = &finding.verdict else { panic!("{finding:#?}") };
    why
}

#[test]
fn a_report_holds_every_fault_with_its_span_its_figures_and_its_recovery() {
    let report = broken_report();
    let [kill, _, blunt] = report.measurements.faults.as_slice() else { panic!("{:#?}", report.measurements.faults) };
    assert_eq!((kill.span.kind.as_str(), kill.toothless.as_ref()), ("kill", None));
    assert!(kill.during.other > 2_000 && kill.before.other < 50, "{kill:#?}");
    let (part, took_ms) = kill.recovery.as_ref().unwrap().worst().unwrap();
    assert!((1_000.0..=1_500.0).contains(&took_ms), "{part:?}");
    assert!(blunt.toothless.as_ref().unwrap().contains("nothing proves"));
    assert!(unknown_because(&report, "faults_bit").contains("redis_partition on worker-1"));
    assert!(report.warnings.iter().any(|warning| warning.contains("did not bite")));
}

#[test]
fn the_matrix_tells_hit_empty_and_unreachable_cells_apart() {
    let report = broken_report();
    let cells: Vec<_> = report
        .coverage
        .iter()
        .map(|cell| (cell.cell.point.as_str(), cell.cell.action, cell.cell.hits, cell.cell.orders.len()))
        .collect();
    assert_eq!(
        cells,
        [
            ("commit_held", PointAction::Kill, 1, 3),
            ("confirm_reply_held", PointAction::DropReply, 0, 0),
            ("order_inserted", PointAction::Kill, 0, 0)
        ]
    );
    assert_eq!(report.coverage[0].fates.values().sum::<u64>(), 3);
    assert!(
        unknown_because(&report, "kill_points_covered")
            .contains("1 of 2 required cells are empty: confirm_reply_held × drop_reply")
    );
    let page = html::render(&report, broken::shared()).unwrap();
    for expected in [">1 hit<", ">empty<", ">n/a<", "travel in one packet"] {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn the_page_draws_bands_readings_heat_and_the_timeline_of_an_order() {
    let mut report = broken_report();
    let durable = report.findings.iter_mut().find(|finding| finding.invariant == "acknowledged_is_durable").unwrap();
    durable.verdict = broken::violated_near_the_kill();
    let page = html::render(&report, broken::shared()).unwrap();
    for expected in [
        "waitpid says signal 9",
        "did not bite: nothing proves that it had an effect",
        "<b>pid 4117</b>",
        r#"data-reading="backlog""#,
        r#"data-reading="memory""#,
        "plot-heat",
        "Errors by cause",
        "info, connection lost",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    for kind in [r#""kind":"fault""#, r#""kind":"recovery""#, r#""title":"Age of the oldest lock""#] {
        assert!(page.contains(kind), "{kind}");
    }
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn kinds_of_harm_that_were_not_done_are_not_tested() {
    let absent = broken_report().not_tested.join("\n");
    assert!(absent.contains("a process that stands still") && absent.contains("a Redis that loses or refuses data"), "{absent}");
    assert!(!absent.contains("that is killed") && !absent.contains("none was injected"), "{absent}");
}

#[test]
fn errors_say_how_many_a_fault_explains() {
    let report = broken_report();
    let lost = report.measurements.errors.iter().find(|cause| cause.why == "connection_lost").unwrap();
    assert!(lost.count > 2_000 && lost.disturbed == lost.count, "{lost:?}");
    assert!(report.measurements.errors.iter().all(|cause| cause.why != "sold_out"));
}

#[test]
fn the_heat_map_loses_no_order_and_readings_keep_their_largest() {
    let evidence = broken::shared();
    let measured = measure(&evidence.plan, &evidence.history);
    let creates = evidence.history.operations.iter().filter(|op| op.function.name() == "create_order").count() as u64;
    assert_eq!(measured.heat.cells.iter().map(|cell| cell.2).sum::<u64>(), creates);
    assert!(measured.heat.cells.iter().all(|cell| cell.0 < 240 && (cell.1 as usize) < measured.heat.rows_ms.len()));
    let backlog = measured.readings.iter().find(|curve| curve.name == "outbox_new").unwrap();
    assert_eq!((backlog.max, backlog.points.iter().map(|point| point.1).fold(0.0, f64::max)), (900.0, 900.0));
}

#[test]
fn markdown_and_console_tell_of_faults_too() {
    let report = broken_report();
    let page = markdown::render(&report);
    assert!(
        page.contains("## Faults") && page.contains("| 0 kill on api-1 | 1.0 s |") && page.contains("| `commit_held` | 1 hit, "),
        "{page}"
    );
    let text = console::render(&report, Path::new("x"));
    assert!(text.contains("faults      3 injected, 2 bit, slowest recovery "), "{text}");
    let calm = console::render(&report_of(&synthetic::evidence(100), synthetic::all_held()), Path::new("x"));
    assert!(!calm.contains("faults  "), "{calm}");
}

fn reports(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report_faults").join(test);
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    path
}

#[test]
fn the_index_lists_runs_and_keeps_rig_failures_and_unreadable_reports_apart() {
    let reports = reports("index");
    let mut evidence = synthetic::evidence(2_000);
    for damaged in [false, true] {
        let mut identity = synthetic::identity();
        let folder = RunFolder::create(&reports, "flash_sale", 7, identity.wall_start_ms).unwrap();
        identity.run_id = folder.run_id();
        evidence.damage = if damaged { vec!["history <broken>".to_owned()] } else { Vec::new() };
        let measurements = measure(&evidence.plan, &evidence.history);
        write_report(&folder, &evidence, &identity, synthetic::all_held(), measurements).unwrap();
        folder.mark_latest().unwrap();
    }
    let cut = RunFolder::create(&reports, "steady", 1, 0).unwrap();
    std::fs::write(cut.file("report.json"), "{").unwrap();
    let (runs, unreadable) = index::summaries(&reports).unwrap();
    let classes: Vec<_> = runs.iter().map(|run| run.class).collect();
    assert_eq!((classes, unreadable.len()), (vec![OutcomeClass::RigFailed, OutcomeClass::Held], 1));
    let page = std::fs::read_to_string(index::write(&reports).unwrap()).unwrap();
    let (verdicts, rig) = page.split_once("Rig failures").unwrap();
    assert!(
        verdicts.contains(r#"href="flash_sale/20261122T153614Z-7/report.html""#) && rig.contains("history &#60;broken&#62;"),
        "{page}"
    );
    assert!(!page.contains("src=\"http") && page.contains("Reports that cannot be read"));
}

#[test]
fn an_index_of_nothing_is_a_page() {
    let page = index::render(&[], &[], &[]).unwrap();
    assert!(page.contains("No run here has a verdict") && !page.contains("<script"));
}

#[test]
fn a_difference_counts_only_against_the_spread_of_other_runs() {
    let evidence = synthetic::evidence(20_000);
    let before = report_of(&evidence, synthetic::all_held());
    let mut after = before.clone();
    after.run.run_id = "other".to_owned();
    after.findings[1].verdict = synthetic::violated("2 units over");
    let slower = after.measurements.latency.iter_mut().find(|row| row.outcome == "ok" && row.phase == "baseline").unwrap();
    slower.response.p99_ms *= 2.0;
    let peer = RunSummary::of(&before);
    let spread = |by: f64| RunSummary { p99_ok_ms: peer.p99_ok_ms.map(|p99| p99 * by), ..peer.clone() };
    let weigh = |peers: &[RunSummary]| compare(&before, &after, peers).figures[0].weight;
    assert_eq!(weigh(&[]), Weight::Unknown);
    assert_eq!(weigh(&[spread(1.0), spread(1.1), spread(0.9)]), Weight::BeyondNoise);
    assert_eq!(weigh(&[spread(1.0), spread(2.5), spread(0.9)]), Weight::WithinNoise);
    let foreign = RunSummary { scenario: "steady".to_owned(), ..spread(1.0) };
    assert_eq!(weigh(&[foreign.clone(), foreign.clone(), foreign]), Weight::Unknown);
    let compared = compare(&before, &after, &[]);
    assert_eq!(compared.verdicts, [("no_oversell".to_owned(), "held", "violated")]);
    assert!((compared.figures[0].change_percent.unwrap() - 100.0).abs() < 0.01);
    let text = compared.to_text();
    assert!(text.contains("+100.0 %") && text.contains("held → violated") && text.contains("3 runs of the kind of A"), "{text}");
}

#[test]
fn runs_of_different_machines_or_scenarios_are_compared_with_a_warning() {
    let evidence = synthetic::evidence(100);
    let before = report_of(&evidence, synthetic::all_held());
    let mut after = before.clone();
    after.run.machine.insert("cores".to_owned(), "64".to_owned());
    after.run.scenario = "steady".to_owned();
    let caveats = compare(&before, &after, &[]).caveats;
    assert!(caveats.len() == 2 && caveats[1].contains("cores 64"), "{caveats:?}");
}

#[test]
fn a_comparison_is_a_page_that_says_what_each_difference_weighs_and_needs_nothing_else() {
    let before = report_of(&synthetic::evidence(20_000), synthetic::all_held());
    let mut after = report_of(&synthetic::evidence(10_000), synthetic::all_held());
    after.run.run_id = "other".to_owned();
    after.outcome.sentence = "<script>alert(1)</script>".to_owned();
    after.findings[1].verdict = synthetic::violated("2 units over");
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compare-{}", std::process::id()));
    let peer = RunSummary::of(&before);
    let known = vec![peer.clone(), peer.clone(), peer];
    let page = |peers: &[RunSummary]| {
        let written = compare_page::write(&compare(&before, &after, peers), [&before, &after], &folder).unwrap();
        std::fs::read_to_string(written).unwrap()
    };
    let (unknown, known) = (page(&[]), page(&known));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(unknown.contains("not known") && unknown.contains("whether the figures differ by more than noise is not known"));
    assert!(known.contains("beyond noise") && known.contains("of 3 runs") && known.contains("no_oversell"));
    assert!(!known.contains("<script>alert") && !known.contains("report.html"), "a run that is kept elsewhere has no link");
    assert!(!known.contains("src=") && !known.contains("@import") && known.len() < 500_000, "{} bytes", known.len());
}
