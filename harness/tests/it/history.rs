//! A history on disk: what was written is read back, also after the writer was killed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::clock::{Offset, RunClock};
use harness::history::HistoryError;
use harness::history::follow::Follower;
use harness::history::journal::{End, read_lines};
use harness::history::line::{Content, parse};
use harness::history::pairing::read_history;
use harness::history::record::*;
use harness::history::recorder::Recorder;
use harness::scenario::faults::PointAction;
use harness::scenario::{ItemId, Phase};
use harness::seed::Seed;
use proptest::prelude::*;
use serde_json::json;

/// A folder of one test, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holdfast-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.0.join("history.jsonl.zst")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn head() -> Record {
    Record::Head(Box::new(Head {
        schema: SCHEMA,
        run_id: "test".into(),
        scenario: "test".into(),
        seed: Seed(1),
        argv: vec![],
        commit: String::new(),
        build_id: String::new(),
        wall_start_ms: 0,
    }))
}

fn note(number: usize) -> Record {
    Record::Note { what: "numbered".into(), detail: json!(number) }
}

#[tokio::test]
async fn a_finished_history_ends_with_its_counts() {
    let folder = Folder::new("finished");
    let (recorder, guard) = Recorder::create(&folder.history(), RunClock::start()).unwrap();
    recorder.record(head()).await.unwrap();
    let before = recorder.record(note(1)).await.unwrap();
    recorder.record_at(Offset(7), note(2)).await.unwrap();
    let tail = guard.finish("finished").await.unwrap();
    assert_eq!(tail, Tail { records: 3, ops: 0, why: "finished".into() });
    let history = read_history(&folder.history()).unwrap();
    assert_eq!((history.problems.as_slice(), history.tail), (&[] as &[String], Some(tail)));
    let times: Vec<_> = history.notes.iter().map(|note| note.at).collect();
    assert_eq!(times, [before, Offset(7)]);
    assert!(matches!(recorder.record(note(3)).await, Err(HistoryError::Lost { .. })));
    assert!(matches!(recorder.sync().await, Err(HistoryError::Lost { .. })));
}

#[tokio::test]
async fn a_history_is_followed_while_it_is_written_and_half_a_frame_waits_for_its_rest() {
    let folder = Folder::new("followed");
    let (recorder, guard) = Recorder::create(&folder.history(), RunClock::start()).unwrap();
    let mut follower = Follower::new(&folder.history());
    for (number, expected) in [(1, 1), (2, 2)] {
        if number == 1 {
            recorder.record(head()).await.unwrap();
        }
        recorder.record(note(number)).await.unwrap();
        recorder.sync().await.unwrap();
        let so_far = follower.history().unwrap();
        assert_eq!((so_far.notes.len(), so_far.problems, so_far.tail), (expected, vec![], None));
    }
    recorder.record(note(3)).await.unwrap();
    guard.finish("finished").await.unwrap();
    let whole = std::fs::read(folder.history()).unwrap();
    std::fs::write(folder.history(), &whole[..whole.len() - 5]).unwrap();
    let cut = follower.history().unwrap();
    assert_eq!((cut.notes.len(), cut.tail), (2, None));
    std::fs::write(folder.history(), &whole).unwrap();
    let finished = follower.history().unwrap();
    assert_eq!((finished.notes.len(), finished.problems.as_slice(), finished.tail.is_some()), (3, &[] as &[String], true));
    assert_eq!(finished, read_history(&folder.history()).unwrap());
}

#[tokio::test]
async fn a_second_history_does_not_overwrite_the_first() {
    let folder = Folder::new("twice");
    let (_recorder, guard) = Recorder::create(&folder.history(), RunClock::start()).unwrap();
    assert!(matches!(Recorder::create(&folder.history(), RunClock::start()), Err(HistoryError::File { act: "create", .. })));
    guard.finish("finished").await.unwrap();
}

#[tokio::test]
async fn a_record_reaches_the_file_by_itself_soon() {
    let folder = Folder::new("flush");
    let (recorder, guard) = Recorder::create(&folder.history(), RunClock::start()).unwrap();
    recorder.record(head()).await.unwrap();
    let deadline = recorder.clock().now().plus(std::time::Duration::from_secs(10));
    while read_history(&folder.history()).unwrap().records == 0 {
        assert!(recorder.clock().now() < deadline, "waited 10 s for the first record to be flushed");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    guard.finish("finished").await.unwrap();
}

const CHILD: &str = "HOLDFAST_TEST_HISTORY";

/// Both roles of one test: the parent kills the child, the child records for ever and says how much of it it knows to be on disk.
#[test]
fn what_was_synced_before_a_kill_9_is_read_back() {
    match std::env::var_os(CHILD) {
        Some(path) => record_for_ever(Path::new(&path)),
        None => (1..=4).for_each(kill_and_read),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn record_for_ever(path: &Path) {
    let (recorder, _guard) = Recorder::create(path, RunClock::start()).unwrap();
    recorder.record(head()).await.unwrap();
    for number in 1.. {
        recorder.record(note(number)).await.unwrap();
        if number % 500 == 0 {
            recorder.sync().await.unwrap();
            println!("\nsynced {}", number + 1);
        }
    }
}

fn kill_and_read(round: usize) {
    let folder = Folder::new(&format!("kill-{round}"));
    let test = "history::what_was_synced_before_a_kill_9_is_read_back";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, folder.history())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let synced: Vec<u64> = lines.filter_map(|line| line.unwrap().strip_prefix("synced ")?.parse().ok()).take(round).collect();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let history = read_history(&folder.history()).unwrap();
    assert!(history.records >= synced[round - 1], "{} of {synced:?}", history.records);
    assert_eq!((history.problems, history.tail), (vec![], None));
}

fn item() -> impl Strategy<Value = ItemId> {
    (1..=u64::MAX, 1..100u64, 1..100u64).prop_map(|(store, product, sku)| ItemId { store, product, sku })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    use FailCode::*;
    use InfoCause::*;
    let fails = [
        SoldOut,
        Fenced,
        Cancelled,
        Conflict,
        Mismatch,
        Invalid,
        UnknownOrder,
        UnknownSku,
        QuotaExceeded,
        Throttled,
        NotAdmitted,
        NotSent,
    ];
    let doubts = [ConnectionLost, Timeout, BadReply, ServerError, Unrecognised, RunEnded];
    prop_oneof![
        Just(Outcome::Ok),
        proptest::sample::select(fails.to_vec()).prop_map(Outcome::Fail),
        proptest::sample::select(doubts.to_vec()).prop_map(Outcome::Info)
    ]
}

fn witness() -> impl Strategy<Value = Witness> {
    (item(), 1..1000u32, ".{0,8}", any::<u64>(), any::<u64>(), any::<Option<i64>>())
        .prop_map(|(item, qty, token, epoch, version, stock_after)| Witness { item, qty, token, epoch, version, stock_after })
}

fn invoke() -> impl Strategy<Value = Record> {
    let functions = [
        Function::CreateOrder,
        Function::PayOrder,
        Function::CancelOrder,
        Function::RefundOrder,
        Function::Restock,
        Function::CutStock,
        Function::HoldStock,
        Function::ReleaseStock,
        Function::ReadOrder,
        Function::ReadStock,
    ];
    let items = proptest::collection::vec((item(), any::<u32>()).prop_map(|(item, qty)| ItemQuantity { item, qty }), 0..3);
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u16>(), any::<u64>());
    (numbers, proptest::sample::select(functions.to_vec()), ".{0,12}", items).prop_map(|(numbers, f, order, items)| {
        let (op, proc, user, due, instance, conn) = numbers;
        Record::Invoke(Invoke { op: OpId(op), proc, f, order, user, items, due: Offset(due), instance, conn, closed_loop: false })
    })
}

fn complete() -> impl Strategy<Value = Record> {
    let witness = proptest::collection::vec(witness(), 0..3);
    let status = proptest::option::of(".{0,8}");
    (any::<u64>(), outcome(), any::<Option<u16>>(), witness, status, proptest::option::of(item())).prop_map(
        |(op, outcome, http, witness, status, short)| {
            Record::Complete(Complete { op: OpId(op), outcome, http, witness, status, short })
        },
    )
}

fn other() -> impl Strategy<Value = Record> {
    prop_oneof![
        ".{0,8}".prop_map(|stretch| Record::Phase(PhaseMark { name: Phase::Recovery, stretch })),
        (any::<u64>(), ".{0,8}").prop_map(|(due, order)| {
            Record::Shed(Shed { due: Offset(due), f: Function::PayOrder, order, why: ShedCause::OrderRefused })
        }),
        (any::<u32>(), any::<u64>(), ".{0,8}", ".{0,8}", ".{0,8}").prop_map(|(id, generation, kind, target, proof)| {
            Record::Fault(FaultMark { id, kind, target, step: FaultStep::Healing, generation, proof })
        }),
        (any::<u32>(), any::<u64>(), ".{0,8}", proptest::collection::vec(".{0,8}", 0..3)).prop_map(|(pid, nth, name, orders)| {
            let role = "api-1".to_owned();
            Record::Point(PointMark {
                name,
                fault: 1,
                orders,
                role,
                pid,
                conn: 3,
                nth,
                action: PointAction::DropReply,
                held_ns: nth,
            })
        }),
        (any::<u32>(), ".{0,8}", ".{0,8}")
            .prop_map(|(pid, role, detail)| { Record::Proc(ProcMark { role, pid, step: ProcStep::Signalled, detail }) }),
        (any::<i32>(), ".{0,8}", ".{0,8}").prop_map(|(value, name, of)| Record::Sample(Sample {
            name,
            of,
            value: f64::from(value) / 8.0
        })),
        (".{0,8}", any::<Option<u64>>()).prop_map(|(what, detail)| Record::Note { what, detail: json!(detail) }),
    ]
}

async fn write(path: &Path, records: &[(u64, Record)]) {
    let (recorder, guard) = Recorder::create(path, RunClock::start()).unwrap();
    for (at, record) in records {
        recorder.record_at(Offset(*at), record.clone()).await.unwrap();
    }
    guard.finish("finished").await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_recorded_is_read_back_equal_and_in_order(
        records in proptest::collection::vec((any::<u64>(), prop_oneof![invoke(), complete(), other()]), 0..40)
    ) {
        let folder = Folder::new("property");
        let path = folder.history();
        let _ = std::fs::remove_file(&path);
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(write(&path, &records));
        let mut read = Vec::new();
        let end = read_lines(&path, |line| read.push(parse(line).unwrap())).unwrap();
        prop_assert_eq!(end, End::Whole);
        prop_assert!(read.iter().map(|line| line.n).eq(0..=records.len() as u64));
        prop_assert!(matches!(&read[records.len()].content, Content::Known(Record::Tail(tail)) if tail.records == records.len() as u64));
        for (line, (at, record)) in read.iter().zip(&records) {
            prop_assert_eq!((line.t.nanos(), &line.content), (*at, &Content::Known(record.clone())));
        }
    }
}
