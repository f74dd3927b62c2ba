//! The run folder: made once, read back in whatever state it is.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::fs;
use std::path::PathBuf;

use harness::clock::Offset;
use harness::history::journal::JournalWriter;
use harness::history::record::{Complete, Function, Invoke, ItemQuantity, Line, OpId, Outcome, PhaseMark, Record, Tail};
use harness::invariants::Evidence;
use harness::report::folder::{HISTORY, LATEST, PLAN, RUN, SNAPSHOT};
use harness::report::{ReportError, RunFolder, RunIdentity, load_evidence};
use harness::scenario::Phase;

use crate::report_synthetic as synthetic;

/// A fresh folder for the reports of one test.
fn reports(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report_folder").join(test);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    path
}

fn records() -> Vec<Record> {
    let head = synthetic::evidence(1).history.head.unwrap();
    let item = ItemQuantity { item: synthetic::ITEM, qty: 1 };
    let invoke = Invoke {
        op: OpId(0),
        proc: 0,
        f: Function::CreateOrder,
        order: "s7-0".to_owned(),
        user: 1,
        items: vec![item],
        due: Offset(2),
        instance: 0,
        conn: 0,
        closed_loop: false,
    };
    let complete = Complete { op: OpId(0), outcome: Outcome::Ok, http: Some(201), witness: vec![], status: None, short: None };
    vec![
        Record::Head(Box::new(head)),
        Record::Phase(PhaseMark { name: Phase::Baseline, stretch: "spike".to_owned() }),
        Record::Invoke(invoke),
        Record::Complete(complete),
        Record::Tail(Tail { records: 4, ops: 1, why: "finished".to_owned() }),
    ]
}

/// Writes the history of one order, as far as `kept` records.
fn write_history(folder: &RunFolder, kept: usize) {
    let mut journal = JournalWriter::create(&folder.file(HISTORY)).unwrap();
    for (n, record) in (0..).zip(records().iter().take(kept)) {
        journal.line(&Line { n, t: Offset(n + 1), record }).unwrap();
    }
    journal.sync().unwrap();
}

/// A folder as a whole run leaves it.
fn finished_run(test: &str) -> (RunFolder, RunIdentity) {
    let folder = RunFolder::create(&reports(test), "flash_sale", 7, 1_795_361_774_000).unwrap();
    let evidence = synthetic::evidence(1);
    folder.write_plan(&evidence.plan).unwrap();
    write_history(&folder, 5);
    folder.write_stops(&evidence.stops).unwrap();
    let mut identity = synthetic::identity();
    identity.files = folder.hash_evidence().unwrap();
    folder.write_identity(&identity).unwrap();
    (folder, identity)
}

fn loaded(folder: &RunFolder) -> Evidence {
    load_evidence(folder).unwrap().1
}

#[test]
fn a_folder_is_named_for_time_and_seed_and_never_reused() {
    let reports = reports("unique");
    let create = || RunFolder::create(&reports, "flash_sale", 7, 1_795_361_774_000).unwrap();
    let (first, second, third) = (create(), create(), create());
    assert_eq!(first.path(), reports.join("flash_sale/20261122T153614Z-7"));
    assert_eq!((second.run_id(), third.run_id()), ("20261122T153614Z-7-2".to_owned(), "20261122T153614Z-7-3".to_owned()));
    assert!(first.file("logs").is_dir());
}

#[test]
fn latest_moves_on_and_opens_like_the_folder_itself() {
    let reports = reports("latest");
    let latest = reports.join("flash_sale").join(LATEST);
    for wall_ms in [1_000, 2_000] {
        let folder = RunFolder::create(&reports, "flash_sale", 7, wall_ms).unwrap();
        folder.mark_latest().unwrap();
        assert_eq!(fs::read_link(&latest).unwrap(), PathBuf::from(folder.run_id()));
        assert_eq!(RunFolder::open(&latest).unwrap().run_id(), folder.run_id());
    }
    assert!(RunFolder::open(&reports.join("nowhere")).is_err());
}

#[test]
fn a_whole_run_reads_back_as_it_was() {
    let (folder, identity) = finished_run("whole");
    let (read, evidence) = load_evidence(&folder).unwrap();
    let written = synthetic::evidence(1);
    assert_eq!(read, identity);
    assert_eq!((evidence.plan, evidence.stops), (written.plan, written.stops));
    assert_eq!((evidence.damage, evidence.edited, evidence.history.problems), (vec![], vec![], vec![]));
    assert_eq!(evidence.history.operations.len(), 1);
    assert!(evidence.history.tail.is_some());
}

#[test]
fn a_snapshot_changed_by_hand_is_judged_as_it_stands_and_named() {
    let (folder, _) = finished_run("edited");
    let mut stops = folder.read_stops().unwrap();
    stops[0].snapshot.stray_keys.push("inventory:stranger".to_owned());
    folder.write_stops(&stops).unwrap();
    let evidence = loaded(&folder);
    assert_eq!((&evidence.stops, evidence.damage.len()), (&stops, 0));
    assert_eq!(evidence.edited.len(), 1);
    assert!(evidence.edited[0].contains(SNAPSHOT), "{:?}", evidence.edited);
}

#[test]
fn a_snapshot_that_was_removed_is_named_and_one_that_does_not_parse_is_damage() {
    let (folder, _) = finished_run("snapshot");
    fs::write(folder.file(SNAPSHOT), b"not zstd").unwrap();
    let evidence = loaded(&folder);
    assert!(evidence.damage[0].contains(SNAPSHOT) && evidence.stops.is_empty(), "{:?}", evidence.damage);
    fs::remove_file(folder.file(SNAPSHOT)).unwrap();
    let evidence = loaded(&folder);
    assert_eq!((evidence.damage.len(), evidence.stops.len()), (0, 0));
    assert!(evidence.edited[0].contains("removed"), "{:?}", evidence.edited);
}

#[test]
fn a_run_whose_harness_was_killed_gets_its_identity_from_its_history() {
    let (folder, _) = finished_run("killed");
    fs::remove_file(folder.file(RUN)).unwrap();
    fs::remove_file(folder.file(SNAPSHOT)).unwrap();
    fs::remove_file(folder.file(HISTORY)).unwrap();
    write_history(&folder, 3);
    let (identity, evidence) = load_evidence(&folder).unwrap();
    assert_eq!((identity.run_id.as_str(), identity.command.as_str()), ("20261122T153614Z-7", "flash-sale --seed 7"));
    assert_eq!((identity.seed, identity.interrupted), (7, false));
    assert_eq!((evidence.damage, evidence.edited, evidence.stops.len()), (vec![], vec![], 0));
    assert_eq!((evidence.history.tail, evidence.history.operations[0].answered), (None, None));
}

#[test]
fn a_history_that_is_missing_or_broken_is_told() {
    let (folder, _) = finished_run("history");
    let whole = fs::read(folder.file(HISTORY)).unwrap();
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 0x10;
    fs::write(folder.file(HISTORY), broken).unwrap();
    let evidence = loaded(&folder);
    assert!(!evidence.history.problems.is_empty() && !evidence.edited.is_empty());
    fs::remove_file(folder.file(HISTORY)).unwrap();
    assert!(loaded(&folder).damage[0].contains(HISTORY));
}

#[test]
fn a_damaged_identity_is_damage_and_a_damaged_plan_cannot_be_judged() {
    let (folder, _) = finished_run("plan");
    fs::write(folder.file(RUN), "{").unwrap();
    let (identity, evidence) = load_evidence(&folder).unwrap();
    assert_eq!(identity.run_id, "20261122T153614Z-7");
    assert!(evidence.damage[0].contains(RUN));
    fs::write(folder.file(PLAN), "{").unwrap();
    let error = load_evidence(&folder).unwrap_err();
    assert!(matches!(error, ReportError::Form { .. }) && error.to_string().contains(PLAN), "{error}");
}
