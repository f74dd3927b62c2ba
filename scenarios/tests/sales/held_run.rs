//! A run from start to report, and the same verdict from what it saved.

use harness::history::pairing::read_history;
use harness::history::record::ProcStep;
use harness::report::{OutcomeClass, RunFolder};

use crate::processes::still_there;
use crate::programs::{FAMILY, chaos, run, verify};
use crate::saved_run::{contents, saved_run};
use crate::workplace::{REPORTS, Workplace, entries, turn};

/// What every run folder holds beside `logs`.
const FILES: [&str; 10] = [
    "history.jsonl.zst",
    "junit.xml",
    "latency.hlog",
    "plan.json",
    "report.html",
    "report.json",
    "report.md",
    "report.prom",
    "run.json",
    "snapshot.json.zst",
];

#[test]
fn a_run_that_is_held_ends_with_0_and_says_where_its_report_is() {
    let _turn = turn();
    let saved = saved_run();
    saved.done.expect_code(0).expect_said("scenario flash_sale  seed 7  repeat with: cargo run --release --bin flash-sale -- ");
    saved.done.expect_said("flash_sale: HELD (exit code 0)");
    let report = saved.done.stdout.lines().find_map(|line| line.strip_prefix("report ")).expect("a line for the report");
    let report = saved.place.path().join(report.trim());
    assert!(report.starts_with(saved.place.reports().canonicalize().unwrap()) && report.is_file(), "{}", report.display());
    assert_eq!(saved.done.stderr, "");
}

#[test]
fn a_run_folder_holds_every_file_and_latest_leads_to_it() {
    let _turn = turn();
    let place = &saved_run().place;
    let [run] = place.runs().try_into().expect("one run");
    assert_eq!(place.latest().canonicalize().unwrap(), run.canonicalize().unwrap());
    let (files, folders): (Vec<_>, Vec<_>) = entries(&run).into_iter().partition(|path| path.is_file());
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, FILES);
    assert!(files.iter().all(|path| path.metadata().unwrap().len() > 0), "{files:?}");
    assert_eq!(folders, [run.join("logs")]);
    for log in ["api-1", "api-2", "mysql", "redis", "worker-1", "worker-2"] {
        assert!(run.join(format!("logs/{log}.log")).metadata().unwrap().len() > 0, "{log}");
    }
}

#[test]
fn a_run_leaves_no_process_and_no_temporary_file() {
    let _turn = turn();
    let saved = saved_run();
    assert!(saved.family.len() >= FAMILY, "{:?}", saved.family);
    assert_eq!(still_there(&saved.family), []);
    assert_eq!(saved.place.left_over(), Vec::<std::path::PathBuf>::new());
    let history = read_history(&saved.place.latest().join("history.jsonl.zst")).unwrap();
    for role in ["redis", "mysql", "api-1", "api-2", "worker-1", "worker-2"] {
        let steps: Vec<_> = history.processes.iter().filter(|mark| mark.what.role == role).collect();
        let last = steps.last().unwrap_or_else(|| panic!("{role} is not in the history"));
        assert_eq!((last.what.step, last.what.detail.as_str()), (ProcStep::Exited, "exit code 0"), "{role}");
    }
}

#[test]
fn a_saved_run_is_judged_again_to_the_same_verdict_and_nothing_is_written() {
    let _turn = turn();
    let saved = saved_run();
    let folder = saved.place.runs().remove(0);
    let before = contents(&folder);
    let place = Workplace::new("verify");
    for path in [&folder, &saved.place.latest()] {
        let done = verify(&place, path);
        done.expect_code(0).expect_said("same verdict as the saved report in all").expect_said("HELD (exit code 0)");
    }
    assert_eq!(contents(&folder), before);
}

#[test]
fn the_reports_say_the_same_and_name_no_folder_of_the_machine() {
    let _turn = turn();
    let folder = RunFolder::open(&saved_run().place.latest()).unwrap();
    let report = folder.read_report().unwrap();
    assert_eq!((report.outcome.class, report.outcome.exit), (OutcomeClass::Held, 0));
    let own = env!("CARGO_TARGET_TMPDIR");
    for name in FILES.into_iter().filter(|name| !name.ends_with(".zst")) {
        let text = std::fs::read_to_string(folder.file(name)).unwrap();
        assert!(!text.contains(own), "{name} names {own}");
    }
    for name in ["report.html", "report.md", "run.json", "report.json", "junit.xml"] {
        let text = std::fs::read_to_string(folder.file(name)).unwrap();
        assert!(text.contains(REPORTS) && text.contains("--seed 7"), "{name} does not hold the command that repeats the run");
    }
}

#[test]
fn the_catalog_is_listed() {
    let done = run(&Workplace::new("list"), chaos(&["list"]));
    done.expect_code(0).expect_said("flash_sale ");
}
