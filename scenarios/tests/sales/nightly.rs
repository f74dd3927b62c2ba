//! `chaos nightly`: what it leaves behind, however it ends.

use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::programs::{Running, chaos};
use crate::workplace::{REPORTS, Workplace, turn};

#[test]
fn a_nightly_that_is_interrupted_has_written_its_summary_and_keeps_the_run() {
    let _turn = turn();
    let place = Workplace::new("nightly");
    let mut running = Running::start(&place, chaos(&["nightly", "--minutes", "60", "--seed", "7", "--reports", REPORTS]));
    running.until("its first sale goes on", |stdout| stdout.contains("\nselling\n"));
    running.signal(Signal::SIGINT);
    running.finish().expect_code(130).expect_said("scenario steady  seed 7").expect_said("summary ");
    let summary = std::fs::read_to_string(place.reports().join("nightly.md")).unwrap();
    assert!(summary.contains("# Chaos, 1 runs") && summary.contains("- **interrupted** steady seed 7: "), "{summary}");
    let folder = summary.split("Folder: `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    assert!(place.reports().join(folder).join("report.html").is_file(), "{folder}");
    assert!(summary.contains("Repeat: `cargo run --release --bin chaos -- run steady --seed 7`"), "{summary}");
    assert_eq!(place.left_over(), Vec::<PathBuf>::new());
}
