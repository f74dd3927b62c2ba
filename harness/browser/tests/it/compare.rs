//! Two runs side by side: the page opens from disk, draws both over each other, says what a difference weighs, and leads to both reports.

use std::path::PathBuf;

use fantoccini::key::Key;
use serde_json::json;

use crate::access::barriers;
use crate::browser::{DESK, NIGHT, PHONE, open, pages};
use crate::plots::ink;

fn comparison() -> PathBuf {
    let files = std::fs::read_dir(pages().join("all")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("compare-"));
    found.next().expect("a comparison")
}

#[tokio::test]
async fn two_runs_are_drawn_over_each_other_and_their_differences_are_weighed() {
    let browser = open(&comparison(), DESK).await;
    let plots = ink(&browser).await;
    let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["compare-spectrum", "compare-rates", "compare-latency"]);
    assert!(plots.iter().all(|(_, ink)| *ink > 50), "{plots:?}");
    let curves = "return [...document.querySelectorAll('.plot')].map((place) => [...place.querySelectorAll('.u-label')].slice(1).map((label) => label.textContent.split(',')[0]))";
    for both in browser.run(curves).await.as_array().unwrap() {
        assert!(both.as_array().unwrap().contains(&json!("A")) && both.as_array().unwrap().contains(&json!("B")), "{both}");
    }
    let weights = browser.run("return [...document.querySelectorAll('.differences tbody .chip')].map((chip) => chip.textContent)").await;
    let weights: Vec<&str> = weights.as_array().unwrap().iter().map(|weight| weight.as_str().unwrap()).collect();
    assert_eq!(weights.len(), 5);
    assert!(weights.iter().all(|weight| ["beyond noise", "within noise", "unknown"].contains(weight)), "{weights:?}");
    assert!(weights[..4].iter().all(|weight| *weight != "unknown"), "the noise of four runs is known: {weights:?}");
    browser.run("document.querySelector('#compare-spectrum').focus()").await;
    for _ in 0..3 {
        browser.press(Key::Right.into()).await;
    }
    let read = browser.run("return document.querySelector('#compare-spectrum .u-legend').innerText").await;
    assert!(read.as_str().unwrap().contains(" ms"), "{read}");
    browser.picture("compare-light").await;
    browser.find(".sides a").await.click().await.unwrap();
    browser.until("the report of a run is open", "return document.querySelector('h1 .class')?.textContent.length > 0").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn a_comparison_is_for_everybody_and_for_a_phone() {
    for (look, name) in [(DESK, "desk"), (NIGHT, "dark"), (PHONE, "phone")] {
        let browser = open(&comparison(), look).await;
        assert_eq!(barriers(&browser).await, json!([]), "{look:?}");
        assert_eq!(browser.run("return document.documentElement.scrollWidth - innerWidth").await, json!(0), "{look:?}");
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{look:?}");
        browser.picture(&format!("compare-{name}")).await;
        browser.close().await;
    }
}
