//! The rules as a file for Prometheus.

use std::fmt::Write as _;

use super::{Measure, RULES, Rule, Selector};

/// Section of the operator's manual that an alert leads to.
const MANUAL: &str = "docs/operations.md#when-it-pages";

/// The rules file, in YAML.
#[must_use]
pub fn rules_file() -> String {
    let mut text = String::from(
        "# Alert rules of the reservation service, written from the table that the service itself evaluates (reference/src/alerts/rules.rs).\n\
         # Do not edit: change the table, then `HOLDFAST_WRITE_ALERTS=1 cargo test -p reference alert_rules` writes this file.\n\
         groups:\n  - name: holdfast\n    rules:\n",
    );
    for rule in RULES {
        // Writing to a string cannot fail.
        let _infallible = write_rule(&mut text, rule);
    }
    text
}

/// Annotations of a rule, by name.
#[must_use]
pub const fn alert_annotations(rule: &Rule) -> [(&'static str, &'static str); 3] {
    [("summary", rule.summary), ("action", rule.action), ("manual", MANUAL)]
}

fn write_rule(text: &mut String, rule: &Rule) -> std::fmt::Result {
    writeln!(text, "      - alert: {}", rule.name)?;
    writeln!(text, "        expr: {} > {}", expression(&rule.measure), rule.above)?;
    if rule.for_seconds > 0 {
        writeln!(text, "        for: {}s", rule.for_seconds)?;
    }
    writeln!(text, "        labels:\n          severity: {}\n        annotations:", rule.severity.name())?;
    for (name, value) in alert_annotations(rule) {
        writeln!(text, "          {name}: {value:?}")?;
    }
    Ok(())
}

fn expression(measure: &Measure) -> String {
    match measure {
        Measure::Highest(of) => format!("max({})", selector(of)),
        Measure::Rise(of, window) => format!("sum(increase({}[{window}s]))", selector(of)),
        Measure::HighestRise(of, window) => format!("max by (item) (increase({}[{window}s]))", selector(of)),
        Measure::Share(part, whole, window) => {
            format!("sum(rate({}[{window}s])) / sum(rate({}[{window}s]))", selector(part), selector(whole))
        }
    }
}

fn selector(selector: &Selector) -> String {
    let label = |(name, values): &(&str, &[&str])| match values {
        [one] => format!("{name}=\"{one}\""),
        several => format!("{name}=~\"{}\"", several.join("|")),
    };
    let labels: Vec<String> = selector.labels.iter().map(label).collect();
    if labels.is_empty() { selector.metric.to_owned() } else { format!("{}{{{}}}", selector.metric, labels.join(",")) }
}
