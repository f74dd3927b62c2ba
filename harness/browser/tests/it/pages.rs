//! Every kind of run: the page opens from disk, complains about nothing, fits a phone, prints, and says in its first lines what it is.

use fantoccini::wd::PrintConfiguration;
use serde_json::json;

use crate::browser::{DESK, NIGHT, PHONE, open, report};

/// Kinds of runs, and what the page of each must say.
const KINDS: [(&str, &str, &str); 8] = [
    ("held", "held", "What was recorded can be believed"),
    ("violated", "violated", "15,002 units are out of a supply of 15,000"),
    ("faulty", "violated", "waitpid says signal 9"),
    ("journeys", "held", "closed-loop users are in none of these figures"),
    ("cut_off", "inconclusive", "The run was cut off: its history has no end."),
    ("empty", "inconclusive", "The history holds no operation"),
    ("one", "held", "The history holds 1 operation in all"),
    ("million", "held", "1,000,000"),
];

#[tokio::test]
async fn every_page_opens_from_disk_without_a_network_and_without_a_complaint() {
    for (kind, verdict, told) in KINDS {
        let browser = open(&report(kind), DESK).await;
        let seen = browser
            .run(
                "return [document.querySelector('h1 .class').textContent, document.body.innerText,
                    performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith('data:'))]",
            )
            .await;
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{kind}");
        assert_eq!(seen[0], json!(verdict), "{kind}");
        assert!(seen[1].as_str().unwrap().contains(told), "{kind} does not say {told:?}");
        assert_eq!(seen[2], json!([]), "{kind} asks for something beyond itself");
        browser.picture(&format!("{kind}-light")).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn a_page_fits_a_phone_and_none_is_wider_than_the_window() {
    for (kind, ..) in KINDS {
        let browser = open(&report(kind), PHONE).await;
        let widths = browser.run("return [document.documentElement.scrollWidth, innerWidth]").await;
        assert_eq!(widths[0], widths[1], "{kind} must be scrolled sideways");
        let small = "return [...document.querySelectorAll('p, td, dd, li, figcaption')].filter((element) => parseFloat(getComputedStyle(element).fontSize) < 12).length";
        assert_eq!(browser.run(small).await, json!(0), "{kind} has text too small to read");
        browser.picture(&format!("{kind}-phone")).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn in_the_dark_the_page_is_dark_and_so_are_its_plots() {
    for kind in ["held", "violated", "faulty"] {
        let browser = open(&report(kind), NIGHT).await;
        let light =
            "const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return (r + g + b) / 3";
        assert!(browser.run(light).await.as_f64().unwrap() < 60.0, "{kind}");
        // Read from a copy that is made to be read: the browser complains of a plot that is read again and again.
        let ink = "const copy = Object.assign(document.createElement('canvas'), { width: 60, height: 200 });
            const pen = copy.getContext('2d', { willReadFrequently: true });
            pen.drawImage(document.querySelector('.plot canvas'), 0, 0);
            const { data } = pen.getImageData(0, 0, 60, 200);
            let sum = 0, count = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) { sum += (data[i] + data[i + 1] + data[i + 2]) / 3; count++; }
            return sum / count";
        assert!(browser.run(ink).await.as_f64().unwrap() > 100.0, "{kind}: dark ink on a dark page");
        // A reader who turns the light on while the page is open gets it light.
        browser.wear(DESK).await;
        browser.until("the plots are light again", &format!("const ink = (() => {{ {ink} }})(); return ink < 160")).await;
        browser.wear(NIGHT).await;
        browser.picture(&format!("{kind}-dark")).await;
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{kind}");
        browser.close().await;
    }
}

#[tokio::test]
async fn a_page_prints_light_and_whole() {
    for kind in ["violated", "faulty", "empty"] {
        let browser = open(&report(kind), NIGHT).await;
        let print = PrintConfiguration::builder().background(true).build().unwrap();
        let pdf = browser.client.print(print).await.unwrap();
        assert!(pdf.starts_with(b"%PDF") && pdf.len() > 10_000, "{kind}: {} bytes", pdf.len());
        std::fs::write(crate::browser::pages().join("pictures").join(format!("{kind}.pdf")), &pdf).unwrap();
        browser.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await.unwrap();
        let light = "return getComputedStyle(document.body).backgroundColor";
        assert_eq!(browser.run(light).await, json!("rgb(255, 255, 255)"), "{kind}");
        browser.close().await;
    }
}

#[test]
fn a_page_of_a_million_operations_is_smaller_than_two_megabytes() {
    let size = report("million").metadata().unwrap().len();
    assert!(size < 2_000_000, "{size} bytes");
}
