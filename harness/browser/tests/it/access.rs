//! The pages for everybody: what axe-core finds, in the light and in the dark, and what a keyboard reaches.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::{Browser, DESK, NIGHT, PHONE, open, pages, report};

/// Broken rules with the first places of each.
pub(crate) async fn barriers(browser: &Browser) -> Value {
    browser.run(include_str!("../../axe/axe.min.js")).await;
    let look = "const done = arguments[arguments.length - 1];
        axe.run(document).then(
            ({ violations }) => done(violations.map(({ id, help, nodes }) => id + ' (' + help + '): ' + nodes.slice(0, 4).map(({ target, failureSummary }) => target.join(' ') + ' ' + failureSummary).join('; '))),
            (error) => done(['axe failed: ' + error]),
        )";
    browser.client.execute_async(look, Vec::new()).await.unwrap()
}

#[tokio::test]
async fn axe_finds_no_barrier_in_light_or_dark_or_on_a_phone() {
    for kind in ["held", "violated", "faulty", "cut_off", "empty"] {
        for look in [DESK, NIGHT, PHONE] {
            let browser = open(&report(kind), look).await;
            assert_eq!(barriers(&browser).await, json!([]), "{kind}, {look:?}");
            browser.close().await;
        }
    }
    for look in [DESK, NIGHT] {
        let browser = open(&pages().join("all/index.html"), look).await;
        assert_eq!(barriers(&browser).await, json!([]), "index, {look:?}");
        browser.close().await;
    }
}

#[tokio::test]
async fn a_keyboard_reaches_every_link_story_and_plot_and_shows_where_it_is() {
    let browser = open(&report("violated"), DESK).await;
    let wanted = "a[href], summary, .plot";
    browser.run("window.reached = new Set(); window.bare = []").await;
    for _ in 0..200 {
        browser.press(Key::Tab.into()).await;
        let over = browser
            .run(
                "const here = document.activeElement;
                 if (here === document.body || reached.has(here)) return true;
                 reached.add(here);
                 if (getComputedStyle(here).outlineStyle === 'none') bare.push(here.outerHTML.slice(0, 80));
                 return false",
            )
            .await;
        if over == json!(true) {
            break;
        }
    }
    let missed = browser.run(&format!("return [...document.querySelectorAll('{wanted}')].filter((element) => element.checkVisibility() && !reached.has(element)).map((element) => element.outerHTML.slice(0, 120))")).await;
    assert_eq!((missed, browser.run("return bare").await), (json!([]), json!([])));
    browser.close().await;
}
