//! `docs/report.schema.json` says what is in `report.json` and `run.json`: real reports fit it, and hold nothing that it does not name.
//!
//! The checker knows the words that the schema uses and fails on any other, so that no rule is skipped unseen.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::path::Path;

use harness::invariants::{Evidence, Finding, Verdict, judge};
use harness::measure::measure;
use harness::report::assemble;
use serde_json::{Map, Value, json};

use crate::{report_broken as broken, report_synthetic as synthetic};

/// Words that say nothing about a value.
const SILENT: [&str; 4] = ["$schema", "$defs", "title", "description"];

struct Checker {
    root: Value,
}

impl Checker {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
        Self { root: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() }
    }

    /// Everything in which `value`, which stands at `at`, breaks `schema`.
    fn broken(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let rules = schema.as_object().unwrap();
        let nested = |(word, rule): (&String, &Value)| match word.as_str() {
            "$ref" => self.broken(self.root.pointer(&rule.as_str().unwrap()[1..]).unwrap(), value, at),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.flat_map(|(place, item)| self.broken(rule, item, &format!("{at}/{place}"))).collect()
            }
            "properties" => self.members(rules, value, at),
            "additionalProperties" => {
                let members = value.as_object().into_iter().flatten();
                members.flat_map(|(name, member)| self.broken(rule, member, &format!("{at}/{name}"))).collect()
            }
            _ => self.own(word, rule, value).map(|why| format!("{at} {word}: {why}")).into_iter().collect(),
        };
        rules.iter().flat_map(nested).collect()
    }

    /// Why a value breaks a rule that looks at nothing inside it.
    fn own(&self, word: &str, rule: &Value, value: &Value) -> Option<String> {
        let fitting = || rule.as_array().unwrap().iter().filter(|one| self.broken(one, value, "").is_empty()).count();
        let (fits, why) = match word {
            silent if SILENT.contains(&silent) => return None,
            "type" => (is_a(rule.as_str().unwrap(), value), format!("{value} is no {rule}")),
            "const" => (rule == value, format!("{value} is not {rule}")),
            "enum" => (rule.as_array().unwrap().contains(value), format!("{value} is none of {rule}")),
            "minimum" => (value.as_f64() >= rule.as_f64(), format!("{value} is below {rule}")),
            "maximum" => (value.as_f64() <= rule.as_f64(), format!("{value} is above {rule}")),
            "minItems" => (length(value) >= rule.as_u64(), format!("fewer than {rule}")),
            "maxItems" => (length(value) <= rule.as_u64(), format!("more than {rule}")),
            "anyOf" => (fitting() > 0, format!("{value} fits none")),
            "oneOf" => (fitting() == 1, format!("{value} fits {}", fitting())),
            "required" => {
                let missing = rule.as_array().unwrap().iter().find(|name| value.get(name.as_str().unwrap()).is_none());
                (missing.is_none(), format!("{missing:?} is missing"))
            }
            other => panic!("the schema uses {other}, which this checker does not know"),
        };
        (!fits).then_some(why)
    }

    fn members(&self, rules: &Map<String, Value>, value: &Value, at: &str) -> Vec<String> {
        let broken = |(name, member): (&String, &Value)| match rules["properties"].get(name) {
            Some(schema) => self.broken(schema, member, &format!("{at}/{name}")),
            // The alternatives of a finding name only what they add.
            None if !rules.contains_key("type") => Vec::new(),
            None => vec![format!("{at}/{name} is not in the schema")],
        };
        value.as_object().into_iter().flatten().flat_map(broken).collect()
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the schema names the type {other}"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_array().map(|items| items.len() as u64)
}

fn report(evidence: &Evidence, findings: Vec<Finding>) -> Value {
    let report = assemble(evidence, &synthetic::identity(), findings, measure(&evidence.plan, &evidence.history));
    serde_json::to_value(report).unwrap()
}

fn faulty() -> Value {
    let evidence = broken::shared();
    let mut findings = judge(evidence);
    findings[1].verdict = synthetic::violated("2 units over");
    findings[2].verdict = Verdict::unknown("nobody looked");
    report(evidence, findings)
}

#[test]
fn reports_of_every_kind_fit_the_published_schema_and_hold_nothing_else() {
    let checker = Checker::new();
    let reports = [
        report(&synthetic::evidence(0), Vec::new()),
        report(&synthetic::evidence(1), synthetic::all_held()),
        report(&synthetic::cut_off(500), synthetic::all_held()),
        report(&synthetic::with_closed_loop(2_000), synthetic::all_held()),
        faulty(),
    ];
    for report in reports {
        assert_eq!(checker.broken(&checker.root, &report, ""), Vec::<String>::new());
    }
    let run = serde_json::to_value(synthetic::identity()).unwrap();
    assert_eq!(checker.broken(&checker.root["$defs"]["run"], &run, ""), Vec::<String>::new());
}

#[test]
fn a_report_with_one_thing_wrong_does_not_fit() {
    let checker = Checker::new();
    let whole = faulty();
    let spoil = |place: &str, value: Value| {
        let mut report = whole.clone();
        *report.pointer_mut(place).unwrap() = value;
        checker.broken(&checker.root, &report, "").join("\n")
    };
    for (place, value, named) in [
        ("/schema_version", json!(2), "/schema_version const"),
        ("/outcome/class", json!("fine"), "/outcome/class enum"),
        ("/run/seed", json!(-1), "/run/seed minimum"),
        ("/measurements/buckets/3/ok", json!("7"), "/measurements/buckets/3/ok type"),
        ("/findings/1/examined", json!(0), "/findings/1/examined minimum"),
        ("/coverage/0/action", json!("explode"), "/coverage/0/action enum"),
        ("/measurements/faults/0/recovery", json!({}), "/measurements/faults/0/recovery required"),
    ] {
        let broken = spoil(place, value);
        assert!(broken.contains(named), "{place}: {broken}");
    }
    let mut longer = whole.clone();
    longer["run"]["mood"] = json!("good");
    assert!(checker.broken(&checker.root, &longer, "").join("\n").contains("/run/mood is not in the schema"));
}
