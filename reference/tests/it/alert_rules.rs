//! One table of rules, two readers: the files of the tree are what the table says, and each case that promtool judges by them is judged the
//! same by the service. `HOLDFAST_WRITE_ALERTS=1` writes the files anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use reference::alerts::{Evaluation, RULES, Rule, STEP, State, alert_annotations, rules_file};

/// A course of series, in promtool's notation (`start+step x count`), and whether the alert is on at its end.
struct Case {
    alert: &'static str,
    about: &'static str,
    series: &'static [(&'static str, &'static str)],
    fires: bool,
}

const fn fires(alert: &'static str, about: &'static str, series: &'static [(&'static str, &'static str)]) -> Case {
    Case { alert, about, series, fires: true }
}

const fn quiet(alert: &'static str, about: &'static str, series: &'static [(&'static str, &'static str)]) -> Case {
    Case { fires: false, ..fires(alert, about, series) }
}

const CASES: &[Case] = &[
    fires("HoldfastDrift", "one difference", &[(r#"holdfast_findings_total{kind="drift"}"#, "0+0x20 1+0x20")]),
    fires("HoldfastDrift", "a foreign lock", &[(r#"holdfast_findings_total{kind="foreign_lock"}"#, "0+0x20 1+0x20")]),
    quiet("HoldfastDrift", "none", &[(r#"holdfast_findings_total{kind="drift"}"#, "0+0x40")]),
    quiet("HoldfastDrift", "one, long ago", &[(r#"holdfast_findings_total{kind="drift"}"#, "0+0x5 1+0x200")]),
    quiet("HoldfastDrift", "another breach", &[(r#"holdfast_findings_total{kind="guard_refused"}"#, "0+0x20 1+0x20")]),
    fires("HoldfastLedgerDifference", "one item", &[("holdfast_ledger_differences", "0+0x5 1+0x5")]),
    quiet("HoldfastLedgerDifference", "none", &[("holdfast_ledger_differences", "1+0x5 0+0x5")]),
    fires("HoldfastNegativeBase", "one", &[(r#"holdfast_findings_total{kind="negative_base"}"#, "0+0x5 1+0x5")]),
    quiet("HoldfastNegativeBase", "none", &[(r#"holdfast_findings_total{kind="negative_base"}"#, "0+0x10")]),
    fires("HoldfastGuardRefused", "one", &[(r#"holdfast_findings_total{kind="guard_refused"}"#, "0+0x5 1+0x5")]),
    quiet("HoldfastGuardRefused", "none", &[(r#"holdfast_findings_total{kind="guard_refused"}"#, "3+0x10")]),
    fires("HoldfastTwoProcesses", "one", &[(r#"holdfast_findings_total{kind="two_processes"}"#, "0+0x5 1+0x5")]),
    quiet("HoldfastTwoProcesses", "none", &[(r#"holdfast_findings_total{kind="two_processes"}"#, "0+0x10")]),
    fires(
        "HoldfastOutboxDead",
        "one",
        &[(r#"holdfast_outbox_messages{event_type="DEDUCT_STOCK_DB",status="DEAD"}"#, "0+0x5 1+0x5")],
    ),
    quiet(
        "HoldfastOutboxDead",
        "a backlog",
        &[(r#"holdfast_outbox_messages{event_type="DEDUCT_STOCK_DB",status="NEW"}"#, "5000+0x5")],
    ),
    fires("HoldfastClosed", "one item", &[(r#"holdfast_items{mode="CLOSED"}"#, "0+0x5 1+0x5")]),
    quiet("HoldfastClosed", "others", &[(r#"holdfast_items{mode="CLOSED"}"#, "0+0x5"), (r#"holdfast_items{mode="DB"}"#, "9+0x5")]),
    fires("HoldfastNotReady", "six seconds", &[("holdfast_not_ready_seconds", "0+0x3 6")]),
    quiet("HoldfastNotReady", "a rebuild", &[("holdfast_not_ready_seconds", "0+0x3 1 0+0x3")]),
    fires("HoldfastLocksVeryOld", "two minutes", &[("holdfast_lock_overdue_seconds", "0+5x25")]),
    quiet("HoldfastLocksVeryOld", "one minute", &[("holdfast_lock_overdue_seconds", "0+5x12")]),
    fires("HoldfastLocksOld", "one minute", &[("holdfast_lock_overdue_seconds", "0+5x12")]),
    quiet("HoldfastLocksOld", "settled", &[("holdfast_lock_overdue_seconds", "0+5x12 0+0x3")]),
    fires("HoldfastOutboxVeryOld", "increases", &[(r#"holdfast_outbox_oldest_seconds{event_type="APPLY_DELTA"}"#, "0+5x13")]),
    quiet("HoldfastOutboxVeryOld", "half a minute", &[(r#"holdfast_outbox_oldest_seconds{event_type="APPLY_DELTA"}"#, "0+5x6")]),
    fires("HoldfastOutboxOld", "half a minute", &[(r#"holdfast_outbox_oldest_seconds{event_type="DEDUCT_STOCK_DB"}"#, "0+5x6")]),
    quiet("HoldfastOutboxOld", "a second", &[(r#"holdfast_outbox_oldest_seconds{event_type="DEDUCT_STOCK_DB"}"#, "1+0x6")]),
    fires(
        "HoldfastPreDeductErrors",
        "one call in ten",
        &[
            (r#"holdfast_steps_total{step="pre_deduct",result="taken"}"#, "0+90x30"),
            (r#"holdfast_steps_total{step="pre_deduct",result="gave_up"}"#, "0+10x30"),
        ],
    ),
    quiet(
        "HoldfastPreDeductErrors",
        "a sell-out: nearly all are refused, none is an error",
        &[
            (r#"holdfast_steps_total{step="pre_deduct",result="taken"}"#, "0+1x30"),
            (r#"holdfast_steps_total{step="pre_deduct",result="sold_out"}"#, "0+999x30"),
            (r#"holdfast_steps_total{step="pre_deduct",result="gave_up"}"#, "0+0x30"),
        ],
    ),
    quiet(
        "HoldfastPreDeductErrors",
        "no calls",
        &[
            (r#"holdfast_steps_total{step="pre_deduct",result="taken"}"#, "7+0x30"),
            (r#"holdfast_steps_total{step="pre_deduct",result="gave_up"}"#, "7+0x30"),
        ],
    ),
    fires(
        "HoldfastOrderErrors",
        "one in ten",
        &[
            (r#"holdfast_steps_total{step="order_write",result="committed"}"#, "0+90x30"),
            (r#"holdfast_steps_total{step="order_write",result="failed"}"#, "0+8x30"),
            (r#"holdfast_steps_total{step="order_write",result="unknown"}"#, "0+2x30"),
        ],
    ),
    quiet(
        "HoldfastOrderErrors",
        "orders that stood already, or were over a limit",
        &[
            (r#"holdfast_steps_total{step="order_write",result="committed"}"#, "0+1x30"),
            (r#"holdfast_steps_total{step="order_write",result="exists"}"#, "0+50x30"),
            (r#"holdfast_steps_total{step="order_write",result="quota_exceeded"}"#, "0+50x30"),
            (r#"holdfast_steps_total{step="order_write",result="failed"}"#, "0+0x30"),
        ],
    ),
    fires(
        "HoldfastDeductErrors",
        "one in fifty",
        &[
            (r#"holdfast_steps_total{step="deduct_batch",result="committed"}"#, "0+49x30"),
            (r#"holdfast_steps_total{step="deduct_batch",result="failed"}"#, "0+1x30"),
        ],
    ),
    quiet(
        "HoldfastDeductErrors",
        "one in a thousand",
        &[
            (r#"holdfast_steps_total{step="deduct_batch",result="committed"}"#, "0+999x30"),
            (r#"holdfast_steps_total{step="deduct_batch",result="failed"}"#, "0+1x30"),
        ],
    ),
    fires(
        "HoldfastRebuildsOften",
        "one item, once in ten seconds",
        &[(r#"holdfast_item_epoch{item="1:1:1"}"#, "1+0x5 2 2 3 3 4 4 5 5 6 6 7 7")],
    ),
    quiet(
        "HoldfastRebuildsOften",
        "many items, once each",
        &[
            (r#"holdfast_item_epoch{item="1:1:1"}"#, "1+0x10 2+0x5"),
            (r#"holdfast_item_epoch{item="1:1:2"}"#, "1+0x10 2+0x5"),
            (r#"holdfast_item_epoch{item="1:1:3"}"#, "1+0x10 2+0x5"),
            (r#"holdfast_item_epoch{item="1:1:4"}"#, "1+0x10 2+0x5"),
            (r#"holdfast_item_epoch{item="1:1:5"}"#, "1+0x10 2+0x5"),
        ],
    ),
    fires("HoldfastModeNotRedis", "an outage", &[(r#"holdfast_items{mode="DB"}"#, "0+0x5 3+0x5")]),
    quiet(
        "HoldfastModeNotRedis",
        "all by Redis",
        &[(r#"holdfast_items{mode="REDIS"}"#, "9+0x5"), (r#"holdfast_items{mode="DB"}"#, "0+0x5")],
    ),
    fires("HoldfastWorkerErrors", "every second", &[(r#"holdfast_steps_total{step="resolver",result="error"}"#, "0+5x40")]),
    fires("HoldfastWorkerErrors", "no way back", &[(r#"holdfast_steps_total{step="return",result="error"}"#, "0+5x40")]),
    quiet("HoldfastWorkerErrors", "a hiccup", &[(r#"holdfast_steps_total{step="resolver",result="error"}"#, "0+0x20 8 8+0x30")]),
];

/// The values of a course.
fn values(course: &str) -> Vec<f64> {
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|error| panic!("{course}: {error}"));
    let mut values = Vec::new();
    for part in course.split(' ') {
        let Some((start, rest)) = part.split_once('+') else {
            values.push(number(part));
            continue;
        };
        let (step, count) = rest.split_once('x').unwrap();
        let count: u32 = count.parse().unwrap();
        values.extend((0..=count).map(|at| number(start) + number(step) * f64::from(at)));
    }
    values
}

fn length(case: &Case) -> usize {
    let lengths: Vec<usize> = case.series.iter().map(|(_, course)| values(course).len()).collect();
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{}: series of different length", case.about);
    lengths[0]
}

fn rule(name: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.name == name).unwrap_or_else(|| panic!("no rule {name}"))
}

/// The cases in promtool's form.
fn cases_file() -> String {
    let step = STEP.as_secs();
    let mut text = format!(
        "# Cases of the alert rules, written from reference/tests/it/alert_rules.rs, which also judges them by the service's own evaluation.\n\
         # Do not edit. `promtool test rules` reads this file.\n\
         rule_files:\n  - holdfast.rules.yml\nevaluation_interval: {step}s\ntests:\n"
    );
    for case in CASES {
        let name = format!("{}: {}", case.alert, case.about);
        writeln!(text, "  - name: {name:?}\n    interval: {step}s\n    input_series:").unwrap();
        for (series, course) in case.series {
            writeln!(text, "      - series: '{series}'\n        values: '{course}'").unwrap();
        }
        let at = (length(case) as u64 - 1) * step;
        writeln!(text, "    alert_rule_test:\n      - eval_time: {at}s\n        alertname: {}", case.alert).unwrap();
        if case.fires {
            let rule = rule(case.alert);
            let severity = rule.severity.name();
            writeln!(text, "        exp_alerts:\n          - exp_labels:\n              severity: {severity}").unwrap();
            if case.alert == "HoldfastRebuildsOften" {
                writeln!(text, "              item: \"1:1:1\"").unwrap();
            }
            writeln!(text, "            exp_annotations:").unwrap();
            for (name, value) in alert_annotations(rule) {
                writeln!(text, "              {name}: {value:?}").unwrap();
            }
        } else {
            writeln!(text, "        exp_alerts: []").unwrap();
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "asked for by whoever changes the table")]
fn to_be_written() -> bool {
    std::env::var("HOLDFAST_WRITE_ALERTS").is_ok()
}

fn same_as_file(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts").join(name);
    if to_be_written() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{name} is not what the table says: HOLDFAST_WRITE_ALERTS=1 cargo test -p reference alert_rules");
}

#[test]
fn alert_rules_in_the_tree_are_the_table_of_the_service() {
    same_as_file("holdfast.rules.yml", &rules_file());
    same_as_file("holdfast.rules.test.yml", &cases_file());
}

#[test]
fn alert_rules_are_judged_by_the_service_as_promtool_judges_them() {
    for case in CASES {
        let courses: Vec<(&str, Vec<f64>)> = case.series.iter().map(|(series, course)| (*series, values(course))).collect();
        let mut evaluation = Evaluation::default();
        let mut last = Vec::new();
        for at in 0..length(case) {
            let text: String = courses.iter().map(|(series, values)| format!("{series} {}\n", values[at])).collect();
            last = evaluation.step(STEP * u32::try_from(at).unwrap(), &text);
        }
        let alert = last.iter().find(|alert| alert.rule.name == case.alert).unwrap();
        assert_eq!(alert.state == State::Firing, case.fires, "{}: {}: {alert:?}", case.alert, case.about);
    }
}

#[test]
fn alert_rules_have_a_case_that_fires_and_one_that_does_not() {
    let mut seen: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for case in CASES {
        let (fires, quiet) = seen.entry(rule(case.alert).name).or_default();
        *(if case.fires { fires } else { quiet }) += 1;
    }
    let without: Vec<_> =
        RULES.iter().filter(|rule| !seen.get(rule.name).is_some_and(|(fires, quiet)| *fires > 0 && *quiet > 0)).collect();
    assert!(without.is_empty(), "{without:#?}");
}

#[test]
fn an_alert_waits_until_its_measure_has_lasted() {
    let series = r#"holdfast_steps_total{step="delta",result="error"}"#;
    let mut evaluation = Evaluation::default();
    let mut state = |at: u64, value: u64| {
        let alerts = evaluation.step(Duration::from_secs(at), &format!("{series} {value}\n"));
        alerts.iter().find(|alert| alert.rule.name == "HoldfastWorkerErrors").unwrap().state
    };
    assert_eq!(
        (state(0, 0), state(5, 9), state(20, 12), state(35, 15)),
        (State::Inactive, State::Pending, State::Pending, State::Firing)
    );
    assert_eq!(state(100, 15), State::Inactive);
}
