//! The other forms of the report: files for machines, markdown, console; and all of them on disk.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use harness::invariants::{Evidence, Finding, Verdict};
use harness::measure::measure;
use harness::report::{Report, RunFolder, assemble, console, folder, hlog, junit, markdown, prom, write_report};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use quick_xml::events::Event;

use crate::report_synthetic as synthetic;

fn report(evidence: &Evidence, findings: Vec<Finding>) -> Report {
    assemble(evidence, &synthetic::identity(), findings, measure(&evidence.plan, &evidence.history))
}

/// Findings with one of each kind of result.
fn mixed() -> Vec<Finding> {
    let mut findings = synthetic::all_held();
    findings[1].verdict = synthetic::violated("2 units over <supply> & more");
    findings[4].verdict = Verdict::unknown("the wait was interrupted");
    findings[6].verdict = synthetic::violated("p99 is 12 ms");
    findings
}

/// Test cases of a JUnit file: name, then element and type of what is inside.
fn cases(xml: &str) -> BTreeMap<String, Option<(String, String)>> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut cases, mut current) = (BTreeMap::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return cases,
            Event::Start(element) | Event::Empty(element) => {
                let value = |name: &str| {
                    let attribute = element.try_get_attribute(name).unwrap();
                    attribute.map(|found| String::from_utf8(found.value.into_owned()).unwrap()).unwrap_or_default()
                };
                match element.name().as_ref() {
                    b"testcase" => {
                        current = value("name");
                        cases.insert(current.clone(), None);
                    }
                    name @ (b"failure" | b"error" | b"skipped") => {
                        cases.insert(current.clone(), Some((String::from_utf8(name.to_vec()).unwrap(), value("type"))));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

#[test]
fn junit_has_a_case_for_each_claim_and_one_for_the_run() {
    let xml = junit::render(&report(&synthetic::evidence(100), mixed())).unwrap();
    let cases = cases(&xml);
    let of = |name: &str| cases[name].as_ref().map(|(element, kind)| (element.as_str(), kind.as_str()));
    assert_eq!(cases.len(), mixed().len() + 1);
    assert_eq!(of("evidence_is_sound"), None);
    assert_eq!(of("no_oversell"), Some(("failure", "violated")));
    assert_eq!(of("redis_equals_ledger"), Some(("error", "inconclusive")));
    assert_eq!(of("latency_within_budget"), Some(("failure", "budget")));
    assert_eq!(of("carts_are_whole"), Some(("skipped", "")));
    assert_eq!(of("run"), None);
    assert!(xml.contains("pre_deduct leaves -1"));
}

#[test]
fn junit_shows_a_failed_rig_as_an_error_of_its_own() {
    let mut evidence = synthetic::evidence(10);
    evidence.damage.push("history.jsonl.zst cannot be read".to_owned());
    let cases = cases(&junit::render(&report(&evidence, synthetic::all_held())).unwrap());
    assert_eq!(cases["run"], Some(("error".to_owned(), "rig".to_owned())));
}

#[test]
fn prometheus_text_has_one_head_a_family_and_no_line_twice() {
    let mut findings = mixed();
    findings[1].invariant = "odd \"name\"".to_owned();
    let text = prom::render(&report(&synthetic::evidence(20_000), findings));
    let (heads, lines): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
    let names: BTreeSet<&str> = lines.iter().map(|line| line.split('{').next().unwrap()).collect();
    assert_eq!(heads.iter().filter(|line| line.starts_with("# TYPE")).count(), names.len());
    let series: BTreeSet<&str> = lines.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(series.len(), lines.len());
    assert!(lines.iter().all(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok()), "{text}");
    for expected in [
        "holdfast_run_outcome{scenario=\"flash_sale\",class=\"violated\"} 1",
        "holdfast_run_outcome{scenario=\"flash_sale\",class=\"held\"} 0",
        "holdfast_run_counter_examples{scenario=\"flash_sale\",claim=\"odd \\\"name\\\"\"} 2",
        "operation=\"create_order\",outcome=\"ok\",time=\"response\",quantile=\"0.99\"} 0.0",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!prom::render(&report(&synthetic::evidence(0), synthetic::all_held())).contains("latency_seconds"));
}

#[test]
fn every_line_of_the_interval_log_decodes_and_nothing_is_lost() {
    let evidence = synthetic::evidence(3_000);
    let log = hlog::render(&evidence.history, &evidence.plan, &synthetic::identity()).unwrap();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut deserializer = Deserializer::new();
    let mut starts = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(line) = entry.unwrap() {
            let bytes = base64::engine::general_purpose::STANDARD.decode(line.encoded_histogram()).unwrap();
            let decoded: Histogram<u64> = deserializer.deserialize(&mut bytes.as_slice()).unwrap();
            assert_eq!(line.duration().as_millis(), 100);
            assert!((decoded.max() as f64 / 1e3 - line.max()).abs() <= 0.01 * line.max());
            *counts.entry(line.tag().unwrap().as_str().to_owned()).or_default() += decoded.len();
            starts.push(line.start_timestamp());
        }
    }
    let expected = measure(&evidence.plan, &evidence.history).outcomes;
    let of = |class: &str, why: &str| {
        expected.iter().find(|line| line.function == "create_order" && line.class == class && line.why == why).unwrap().count
    };
    assert_eq!((counts["create_order-ok"], counts["create_order-sold_out"]), (of("ok", ""), of("fail", "sold_out")));
    assert_eq!(counts.values().sum::<u64>(), 3_000);
    assert!(starts.is_sorted());
}

#[test]
fn an_interval_log_without_operations_is_still_one() {
    let evidence = synthetic::evidence(0);
    let log = hlog::render(&evidence.history, &evidence.plan, &synthetic::identity()).unwrap();
    assert!(IntervalLogIterator::new(&log).all(|entry| matches!(entry, Ok(LogEntry::StartTime(_) | LogEntry::BaseTime(_)))));
}

#[test]
fn markdown_tells_verdict_claims_and_story_and_keeps_its_tables_whole() {
    let mut findings = mixed();
    findings[2].looked_at = "a | b".to_owned();
    let page = markdown::render(&report(&synthetic::evidence(10_000), findings));
    assert!(page.starts_with("# flash_sale: violated (exit code 1)\n"));
    assert!(page.contains("flash-sale --seed 7") && page.contains("a \\| b") && page.contains("pre_deduct leaves -1"));
    assert!(page.contains("| accepted, response time |") && page.contains("## Not tested"));
    let claims = page.lines().filter(|line| line.starts_with("| ✓") || line.starts_with("| ✗")).count();
    assert_eq!(claims, 7 - 1);
}

#[test]
fn the_console_says_what_to_open_and_how_to_repeat() {
    let text = console::render(&report(&synthetic::evidence(10_000), mixed()), Path::new("reports/flash_sale/x"));
    for expected in [
        "VIOLATED (exit code 1)",
        "✗ no_oversell",
        "accepted, response",
        "sold out, service",
        "lag p99",
        "reports/flash_sale/x/report.html",
        "flash-sale --seed 7",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let mut evidence = synthetic::evidence(0);
    evidence.edited.push("plan.json was changed after the run".to_owned());
    let text = console::render(&report(&evidence, synthetic::all_held()), Path::new("x"));
    assert!(text.contains("WARNING: Changed evidence: plan.json") && text.contains("no order was answered"));
}

#[test]
fn a_report_of_every_size_and_state_is_written_whole() {
    let reports = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report_formats");
    for evidence in [synthetic::evidence(0), synthetic::evidence(1), synthetic::evidence(10_000), synthetic::cut_off(500)] {
        let run = RunFolder::create(&reports, "flash_sale", 7, 1_795_361_774_000).unwrap();
        let measurements = measure(&evidence.plan, &evidence.history);
        let written = write_report(&run, &evidence, &synthetic::identity(), mixed(), measurements).unwrap();
        let read = run.read_report().unwrap();
        assert_eq!((&read.outcome, &read.run, &read.findings), (&written.outcome, &written.run, &written.findings));
        assert_eq!((&read.warnings, &read.not_tested), (&written.warnings, &written.not_tested));
        assert_eq!(read.measurements.outcomes, written.measurements.outcomes);
        let names = std::fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let expected = [folder::JUNIT, folder::LATENCY, folder::LOGS, folder::HTML, folder::REPORT, folder::MARKDOWN, folder::PROM];
        assert_eq!(names.collect::<BTreeSet<_>>(), expected.map(str::to_owned).into());
    }
    std::fs::remove_dir_all(&reports).unwrap();
}

#[test]
fn what_was_not_tested_follows_from_the_evidence() {
    let absent = report(&synthetic::evidence(1_000), synthetic::all_held()).not_tested.join("\n");
    for expected in
        ["none was injected", "Power loss", "Oracle's MySQL", "Redis Cluster", "Restocks", "Carts of several items", "Expiry"]
    {
        assert!(absent.contains(expected), "{expected}\n{absent}");
    }
    for tested in ["Cancellations", "Payments", "The drain", "Several api processes", "Full durability"] {
        assert!(!absent.contains(tested), "{tested}\n{absent}");
    }
}
