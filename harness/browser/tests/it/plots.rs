//! The plots: drawn, read by mouse and keyboard, zoomed together, and leading to the stories of violations.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::{Browser, DESK, open, report};

/// Places of plots with the number of pixels that a curve or a cell left on them; -1 without a drawing.
const INK: &str = "return [...document.querySelectorAll('.plot')].map((place) => {
    const canvas = place.querySelector('canvas');
    if (!canvas) return [place.id || place.dataset.reading, -1];
    const { width, height } = canvas;
    const copy = Object.assign(document.createElement('canvas'), { width, height });
    const pen = copy.getContext('2d', { willReadFrequently: true });
    pen.drawImage(canvas, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height);
    let ink = 0;
    for (let i = 0; i < data.length; i += 4) {
        const [r, g, b, a] = data.slice(i, i + 4);
        if (a > 150 && Math.max(r, g, b) - Math.min(r, g, b) > 60) ink++;
    }
    return [place.id || place.dataset.reading, ink];
})";

/// What the legends of all plots over time say of the time that is pointed at, in seconds; null where they say nothing.
const TIMES: &str = "return [...document.querySelectorAll('.plot:not(#plot-spectrum)')].map((place) => {
    const said = place.querySelector('.u-value').textContent;
    return said.endsWith(' s') ? parseFloat(said) : null;
})";

pub(crate) async fn ink(browser: &Browser) -> Vec<(String, i64)> {
    let plots = browser.run(INK).await;
    plots.as_array().unwrap().iter().map(|plot| (plot[0].as_str().unwrap().to_owned(), plot[1].as_i64().unwrap())).collect()
}

fn seconds(times: &Value) -> Vec<f64> {
    times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap_or_else(|| panic!("a plot says nothing: {times}"))).collect()
}

#[tokio::test]
async fn every_plot_is_drawn() {
    let expected = [
        ("held", vec!["plot-latency", "plot-rates", "plot-heat", "cpu", "plot-spectrum"]),
        ("violated", vec!["plot-latency", "plot-rates", "plot-heat", "cpu", "plot-spectrum"]),
        (
            "faulty",
            vec![
                "plot-latency",
                "plot-rates",
                "plot-heat",
                "backlog",
                "drift",
                "oldest-lock",
                "cpu",
                "memory",
                "stalls",
                "plot-spectrum",
            ],
        ),
        ("cut_off", vec!["plot-latency", "plot-rates", "plot-heat", "plot-spectrum"]),
        ("one", vec!["plot-latency", "plot-rates", "plot-heat"]),
        ("million", vec!["plot-latency", "plot-rates", "plot-heat", "cpu", "plot-spectrum"]),
        ("empty", vec![]),
    ];
    for (kind, names) in expected {
        let browser = open(&report(kind), DESK).await;
        let plots = ink(&browser).await;
        for name in names {
            assert!(plots.iter().any(|(plot, _)| plot == name), "{kind} has no plot {name}: {plots:?}");
        }
        let blank: Vec<_> = plots.iter().filter(|(_, ink)| *ink < 5).collect();
        assert!(blank.is_empty(), "{kind}: nothing is drawn in {blank:?}");
        assert_eq!(kind == "empty", plots.is_empty(), "{kind}: {plots:?}");
        browser.close().await;
    }
}

#[tokio::test]
async fn hovering_over_one_plot_shows_the_values_of_that_instant_on_all() {
    let browser = open(&report("faulty"), DESK).await;
    let over = browser.find("#plot-latency .u-over").await;
    browser.hover(&over, -300.0, 0.0).await;
    let times = seconds(&browser.run(TIMES).await);
    assert!(times.len() >= 8, "{times:?}");
    // Readings are taken less often than buckets end.
    assert!(times.iter().all(|time| (time - times[0]).abs() < 1.1), "{times:?}");
    let said = browser.run("return document.querySelector('#plot-latency .u-legend').innerText").await;
    let said = said.as_str().unwrap();
    assert!(said.matches(" ms").count() >= 3, "{said}");
    let rates = browser.run("return document.querySelector('#plot-rates .u-legend').innerText").await;
    assert!(rates.as_str().unwrap().contains("/s"), "{rates}");
    browser.close().await;
}

/// First and last instant that the plots over time show, each.
async fn shown(browser: &Browser) -> [Vec<f64>; 2] {
    let over = browser.find("#plot-rates .u-over").await;
    let (_, _, width, _) = over.rectangle().await.unwrap();
    let mut ends = [Vec::new(), Vec::new()];
    for (end, x) in ends.iter_mut().zip([-width / 2.0 + 1.0, width / 2.0 - 2.0]) {
        browser.hover(&over, x.round(), 0.0).await;
        *end = seconds(&browser.run(TIMES).await);
    }
    ends
}

#[tokio::test]
async fn a_brush_on_one_plot_zooms_all_over_time_and_a_double_click_undoes_it() {
    let browser = open(&report("faulty"), DESK).await;
    let over = browser.find("#plot-rates .u-over").await;
    let [from, to] = shown(&browser).await;
    let (first, last) = (from[1], to[1]);
    browser.drag(&over, -150.0, 50.0).await;
    let [zoomed_from, zoomed_to] = shown(&browser).await;
    let length = last - first;
    for (from, to) in zoomed_from.iter().zip(&zoomed_to) {
        assert!(from - first > length / 8.0 && last - to > length / 8.0, "{zoomed_from:?} to {zoomed_to:?} of {first} to {last}");
    }
    browser.picture("faulty-zoomed").await;
    // Two presses are a double click only within half a second, which a busy machine may miss.
    let mut again = [zoomed_from, zoomed_to];
    for _ in 0..10 {
        if again == [from.clone(), to.clone()] {
            break;
        }
        browser.double_click(&over).await;
        again = shown(&browser).await;
    }
    assert_eq!(again, [from, to]);
    browser.close().await;
}

#[tokio::test]
async fn keys_read_and_zoom_a_plot_as_the_mouse_does() {
    let browser = open(&report("faulty"), DESK).await;
    let [from, to] = shown(&browser).await;
    browser.run("document.querySelector('#plot-latency').focus()").await;
    browser.press(Key::Home.into()).await;
    let start = seconds(&browser.run(TIMES).await)[0];
    for _ in 0..3 {
        browser.press(Key::Right.into()).await;
    }
    let moved = seconds(&browser.run(TIMES).await);
    assert!((moved[0] - start - 0.3).abs() < 0.051, "{start} to {moved:?}");
    assert!(moved[1..].iter().all(|time| (time - moved[0]).abs() < 1.1), "{moved:?}");
    browser.press('+').await;
    browser.press('+').await;
    let [_, zoomed] = shown(&browser).await;
    assert!(zoomed.iter().zip(&to).all(|(zoomed, to)| to - zoomed > (to - from[0]) / 2.0), "{zoomed:?} of {to:?}");
    browser.run("document.querySelector('#plot-latency').focus()").await;
    browser.press(Key::Escape.into()).await;
    assert_eq!(shown(&browser).await, [from, to]);
    browser.close().await;
}

#[tokio::test]
async fn a_violation_on_a_plot_and_in_the_claims_leads_to_the_timeline_of_its_order() {
    let browser = open(&report("faulty"), DESK).await;
    let flag = browser.find("#plot-latency .flag").await;
    let story = flag.attr("href").await.unwrap().unwrap();
    assert!(story.starts_with("#story-acknowledged_is_durable-0"), "{story}");
    browser.run(&format!("document.querySelector('{story}').open = false")).await;
    flag.click().await.unwrap();
    let seen = format!(
        "const story = document.querySelector('{story}'), box = story.getBoundingClientRect();
         return story.open && box.top >= -1 && box.top < innerHeight && story.querySelectorAll('.lane').length > 3 && story.innerText.includes('pid 4117')"
    );
    browser.until("the story is open and in sight", &seen).await;
    browser.run("location.hash = ''; scrollTo(0, 0)").await;
    browser.find("a.chip.bad").await.click().await.unwrap();
    let trial =
        "const box = document.querySelector(location.hash).getBoundingClientRect(); return box.top >= -1 && box.top < innerHeight";
    browser.until("the claim's counter-examples are in sight", trial).await;
    let formula = browser.run("return document.querySelector(location.hash + ' .formula').innerText").await;
    assert_ne!(formula, json!(""));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}
