//! The list of all runs: it filters, draws its trends, and leads to the runs.

use serde_json::json;

use crate::browser::{DESK, PHONE, open, pages};

#[tokio::test]
async fn the_list_filters_by_outcome_draws_trends_and_leads_to_a_run() {
    let browser = open(&pages().join("all/index.html"), DESK).await;
    let rows =
        "return [...document.querySelectorAll('.runs tbody tr')].filter((row) => !row.hidden).map((row) => row.dataset.class)";
    assert!(browser.run(rows).await.as_array().unwrap().len() >= 3);
    assert_eq!(browser.run("return document.querySelectorAll('.plot canvas').length").await, json!(3));
    browser.find("select[name=class]").await.select_by_label("violated").await.unwrap();
    browser
        .until(
            "only violated runs are listed",
            &format!("const rows = (() => {{ {rows} }})(); return rows.length > 0 && rows.every((row) => row === 'violated')"),
        )
        .await;
    browser.picture("index-light").await;
    browser.find(".runs tbody tr:not([hidden]) a").await.click().await.unwrap();
    browser.until("the report of the run is open", "return document.querySelector('h1 .class')?.textContent === 'violated'").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    let browser = open(&pages().join("all/index.html"), PHONE).await;
    assert_eq!(browser.run("return document.documentElement.scrollWidth - innerWidth").await, json!(0));
    browser.picture("index-phone").await;
    browser.close().await;
}
