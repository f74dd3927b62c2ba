//! The documents say what is there: the tests that the protocol names exist, and metrics, alerts and log lines of the manual are the program's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reference::alerts::{RULES, samples};
use serde_json::json;

use crate::http_bench::{Service, TOKEN, exchange, order, request};
use crate::stock_fixture::until;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Every piece of the text between backticks, line by line.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The part of a document below this heading, up to the next one of its rank.
fn chapter<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, below) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no chapter {heading}"));
    below.split("\n## ").next().unwrap()
}

/// All sources below `folder`, in one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn every_test_that_the_protocol_names_is_there() {
    let protocol = document("protocol.md");
    let cases = chapter(&protocol, "14. What happens to the stock when ...");
    let named: Vec<&str> = quoted(cases).into_iter().filter(|word| word.contains("::")).collect();
    assert!(named.len() > 50, "{named:?}");
    for name in named {
        let (file, test) = name.split_once("::").unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(format!("{file}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // The matrix makes its tests from a list of names.
        let there = text.contains(&format!("fn {test}()")) || (file == "outage_matrix" && text.contains(&format!("    {test}: ")));
        assert!(there, "docs/protocol.md names {name}");
    }
    let rows = cases.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| **") && !line.starts_with("| when"));
    for row in rows {
        assert!(row.contains("::"), "an answer without a test: {row}");
    }
}

#[test]
fn the_manual_tells_what_to_do_at_every_alert_and_at_no_other() {
    let manual = document("operations.md");
    let pages = chapter(&manual, "When it pages");
    let told: BTreeSet<&str> = pages
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| word.starts_with("Holdfast") && word.len() > "Holdfast".len())
        .collect();
    assert_eq!(told, RULES.iter().map(|rule| rule.name).collect());
    let elsewhere = quoted(&manual).into_iter().filter(|word| word.starts_with("Holdfast")).collect::<BTreeSet<_>>();
    assert!(elsewhere.is_subset(&told), "{elsewhere:?}");
}

#[test]
fn every_log_line_of_the_manual_is_one_of_the_program() {
    let manual = document("operations.md");
    let cells = chapter(&manual, "Log").lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let messages: BTreeSet<&str> = cells.flat_map(quoted).collect();
    assert!(messages.len() > 20, "{messages:?}");
    let program = sources(&root().join("reference/src"));
    for line in messages {
        assert!(program.contains(&format!("\"{line}\"")), "no part of the program logs {line:?}");
    }
}

#[tokio::test]
async fn the_manual_lists_the_metrics_of_a_running_service_and_no_other() {
    let manual = document("operations.md");
    let listed = quoted(chapter(&manual, "Metrics"));
    let listed: BTreeSet<&str> =
        listed.into_iter().filter_map(|word| word.strip_prefix("holdfast_")).map(|word| word.split('{').next().unwrap()).collect();
    let service = Service::with(&["--audit-every-ms=10"]).await;
    let item = service.item(10).await;
    assert_eq!(service.create(&order("o", item, 1)).await.status, 201);
    // So that the one series is there that only a difference has.
    let mut sql = crate::ledger_bench::connect(&service.mysql_url).await;
    crate::ledger_bench::execute(&mut sql, "UPDATE inventory SET current_stock = current_stock + 1").await;
    let there = async || -> BTreeSet<String> {
        let head = [format!("Authorization: Bearer {TOKEN}")];
        let text = exchange(service.admin, &request("GET", "/metrics", &head, "")).await.body;
        let names = samples(&text).into_iter().map(|sample| sample.name.trim_start_matches("holdfast_").to_owned());
        let parts = ["_bucket", "_sum", "_count"];
        names.map(|name| parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name).to_owned()).collect()
    };
    until("every metric of the manual is there", async || {
        let there = there().await;
        listed.iter().all(|name| there.contains(*name))
    })
    .await;
    let unlisted: Vec<String> = there().await.into_iter().filter(|name| !listed.contains(name.as_str())).collect();
    assert_eq!(json!(unlisted), json!([]), "not in docs/operations.md");
}
