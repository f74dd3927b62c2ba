//! Reads a history back and pairs the start of each operation with its end.
//!
//! In: the path of a history. Out: a [`History`], with every broken rule of the file itself in [`History::problems`]. Judges
//! nothing about the service. Takes the lines one at a time; what it keeps is the history, never its text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use serde_json::json;

use super::HistoryError;
use super::journal::{End, read_lines};
use super::line::{Content, ReadLine, parse};
use crate::clock::Offset;
use crate::history::operation::{History, Operation, Timed};
use crate::history::record::{Complete, Function, InfoCause, Invoke, OpId, Outcome, PhaseMark, Record, SCHEMA, Tail};
use crate::scenario::Phase;

/// Problems kept in words; more are only counted.
const PROBLEMS_KEPT: usize = 100;

/// Reads and pairs the history at `path`. A file that is damaged, cut or empty is read as far as it can be trusted; what is
/// wrong is among the problems.
///
/// # Errors
/// The file cannot be opened or read.
pub fn read_history(path: &Path) -> Result<History, HistoryError> {
    let mut pairing = Pairing::default();
    let end = read_lines(path, |line| match parse(line) {
        Ok(line) => pairing.take(line),
        Err(error) => pairing.unreadable(&error),
    })?;
    Ok(pairing.finish(&end))
}

/// Pairs records, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairing {
    history: History,
    /// Number that the next record must have.
    next: u64,
    /// Place of each operation in the history.
    places: HashMap<OpId, usize>,
    /// What each logical process is doing.
    processes: HashMap<u64, Activity>,
    unknown: HashMap<String, u64>,
    latest: Offset,
    unkept: u64,
}

#[derive(Debug, Clone, Copy)]
enum Activity {
    Idle,
    Open(OpId),
    Retired(OpId),
}

impl Pairing {
    pub(super) fn take(&mut self, line: ReadLine) {
        self.check_order(&line);
        self.history.records += 1;
        self.latest = self.latest.max(line.t);
        let at = line.t;
        let record = match line.content {
            Content::Known(record) => record,
            Content::Unknown(kind) => return *self.unknown.entry(kind).or_default() += 1,
        };
        match record {
            Record::Head(head) => {
                if head.schema != SCHEMA {
                    self.problem(format!("the history is of schema {}, this reader knows {SCHEMA}", head.schema));
                }
                self.history.head = Some(*head);
            }
            Record::Invoke(invoke) => self.invoke(at, invoke),
            Record::Complete(complete) => self.complete(at, complete),
            Record::Phase(what) => self.history.phases.push(Timed { at, what }),
            Record::Shed(what) => self.history.sheds.push(Timed { at, what }),
            Record::Fault(what) => self.history.faults.push(Timed { at, what }),
            Record::Point(what) => self.history.points.push(Timed { at, what }),
            Record::Proc(what) => self.history.processes.push(Timed { at, what }),
            Record::Sample(what) => self.history.samples.push(Timed { at, what }),
            Record::Note { what, detail } => self.history.notes.push(Timed { at, what: (what, detail) }),
            Record::Tail(tail) => self.tail(line.n, tail),
        }
    }

    fn check_order(&mut self, line: &ReadLine) {
        if line.n != self.next {
            self.problem(format!("record {} stands where record {} should", line.n, self.next));
        }
        if self.history.tail.is_some() {
            self.problem(format!("record {} stands behind the tail", line.n));
        }
        if line.n == 0 && !matches!(line.content, Content::Known(Record::Head(_))) {
            self.problem("the first record is not the head".to_owned());
        }
        self.next = line.n.saturating_add(1);
    }

    pub(super) fn unreadable(&mut self, error: &serde_json::Error) {
        self.problem(format!("the record behind number {} cannot be read: {error}", self.next.saturating_sub(1)));
        self.history.records += 1;
        self.next += 1;
    }

    fn invoke(&mut self, at: Offset, invoke: Invoke) {
        let Invoke { op, proc, f, order, user, mut items, due, instance, conn: _, closed_loop } = invoke;
        // Lists are read with room for four; of a million operations that room is most of the memory.
        items.shrink_to_fit();
        if due > at {
            self.problem(format!("operation {} was sent at {at}, before it was due at {due}", op.0));
        }
        let reads = matches!(f, Function::ReadOrder | Function::ReadStock);
        if !reads && (items.is_empty() || items.iter().any(|line| line.qty == 0)) {
            self.problem(format!("operation {} is a {} without its items", op.0, f.name()));
        }
        match self.processes.insert(proc, Activity::Open(op)) {
            Some(Activity::Open(other)) => self.problem(format!("process {proc} sent {} while {} was open", op.0, other.0)),
            Some(Activity::Retired(other)) => {
                self.problem(format!("process {proc} sent {} after {} left it in doubt", op.0, other.0))
            }
            Some(Activity::Idle) | None => {}
        }
        match self.places.entry(op) {
            Entry::Occupied(_) => return self.problem(format!("operation {} was invoked twice", op.0)),
            Entry::Vacant(place) => place.insert(self.history.operations.len()),
        };
        self.history.operations.push(Operation {
            id: op,
            proc,
            function: f,
            order: order.into_boxed_str(),
            user,
            items,
            due,
            sent: at,
            answered: None,
            outcome: Outcome::Info(InfoCause::RunEnded),
            http: None,
            witness: Vec::new(),
            status: None,
            short: None,
            phase: Phase::Warmup,
            instance,
            closed_loop,
        });
    }

    fn complete(&mut self, at: Offset, complete: Complete) {
        let Complete { op, outcome, http, mut witness, status, short } = complete;
        witness.shrink_to_fit();
        let Some(place) = self.places.get(&op) else {
            return self.problem(format!("operation {} was completed but never invoked", op.0));
        };
        let operation = &mut self.history.operations[*place];
        if operation.answered.is_some() {
            return self.problem(format!("operation {} was completed twice", op.0));
        }
        let (proc, sent) = (operation.proc, operation.sent);
        operation.answered = Some(at);
        operation.outcome = outcome;
        operation.http = http;
        operation.witness = witness;
        operation.status = status.map(String::into_boxed_str);
        operation.short = short;
        let next = if operation.is_info() { Activity::Retired(op) } else { Activity::Idle };
        self.processes.insert(proc, next);
        if at < sent {
            self.problem(format!("operation {} was answered at {at}, before it was sent at {sent}", op.0));
        }
    }

    fn tail(&mut self, n: u64, tail: Tail) {
        let operations = self.history.operations.len() as u64;
        if tail.records != n || tail.ops != operations {
            let Tail { records, ops, .. } = &tail;
            self.problem(format!("the tail counts {records} records and {ops} operations, there are {n} and {operations}"));
        }
        self.history.tail = Some(tail);
    }

    fn problem(&mut self, words: String) {
        if self.history.problems.len() < PROBLEMS_KEPT {
            self.history.problems.push(words);
        } else {
            self.unkept += 1;
        }
    }

    pub(super) fn finish(mut self, end: &End) -> History {
        match end {
            End::Whole => {}
            End::Unfinished { at, bytes } => self.note("unfinished_tail", json!({ "at": at, "bytes": bytes })),
            End::Damaged { at, why } => {
                self.problem(format!("the file is damaged at byte {at}, nothing behind it is trusted: {why}"))
            }
        }
        let unknown: std::collections::BTreeMap<_, _> = std::mem::take(&mut self.unknown).into_iter().collect();
        for (kind, count) in unknown {
            self.note("unknown_kind", json!({ "k": kind, "count": count }));
        }
        if self.history.records == 0 {
            self.problem("the history holds no record".to_owned());
        }
        if self.unkept > 0 {
            self.history.problems.push(format!("{} more", self.unkept));
        }
        let History { operations, phases, .. } = &mut self.history;
        operations.sort_by_key(|operation| operation.id);
        phases.sort_by_key(|mark| mark.at);
        operations.iter_mut().for_each(|operation| operation.phase = phase_at(phases, operation.due));
        self.history
    }

    /// A note of the reader itself, dated at the last record.
    fn note(&mut self, what: &str, detail: serde_json::Value) {
        self.history.notes.push(Timed { at: self.latest, what: (what.to_owned(), detail) });
    }
}

/// The phase in force at `due`. What is due before any phase counts as warm-up, which no latency verdict looks at.
fn phase_at(phases: &[Timed<PhaseMark>], due: Offset) -> Phase {
    let begun = phases.partition_point(|mark| mark.at <= due);
    begun.checked_sub(1).map_or(Phase::Warmup, |last| phases[last].what.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::FailCode;

    const HEAD: &str =
        r#""k":"head","schema":1,"run_id":"r","scenario":"s","seed":1,"argv":[],"commit":"c","build_id":"b","wall_start_ms":1"#;

    /// Pairs hand-written lines; each is `t, rest of the object`, numbered in order behind a head.
    fn pair(lines: &[(u64, &str)]) -> History {
        let mut pairing = Pairing::default();
        for (n, (t, rest)) in [(0, HEAD)].iter().chain(lines).enumerate() {
            let line = format!(r#"{{"n":{n},"t":{t},{rest}}}"#);
            pairing.take(parse(line.as_bytes()).unwrap());
        }
        pairing.finish(&End::Whole)
    }

    fn invoke(op: u64, proc: u64, due: u64) -> String {
        format!(
            r#""k":"invoke","op":{op},"proc":{proc},"f":"create_order","order":"o-{op}","items":[{{"item":"1:1:1","qty":1}}],"due":{due},"instance":0"#
        )
    }

    fn complete(op: u64, fate: &str) -> String {
        format!(r#""k":"complete","op":{op},{fate}"#)
    }

    const OK: &str = r#""out":"ok""#;
    const DOUBT: &str = r#""out":"info","why":"timeout""#;
    const SOLD_OUT: &str = r#""out":"fail","why":"sold_out","http":409,"short":"1:1:1""#;

    #[test]
    fn a_sound_history_is_paired_and_sorted_by_operation() {
        let history = pair(&[
            (10, &invoke(1, 1, 10)),
            (11, &invoke(0, 0, 9)),
            (20, &complete(1, SOLD_OUT)),
            (30, &complete(0, OK)),
            (31, r#""k":"tail","records":5,"ops":2,"why":"finished""#),
        ]);
        assert_eq!(history.problems, Vec::<String>::new());
        let [first, second] = &history.operations[..] else { panic!("{history:?}") };
        assert_eq!((first.id, first.due, first.sent, first.answered), (OpId(0), Offset(9), Offset(11), Some(Offset(30))));
        assert_eq!((first.outcome, second.outcome), (Outcome::Ok, Outcome::Fail(FailCode::SoldOut)));
        assert_eq!((second.http, second.short.map(|item| item.sku)), (Some(409), Some(1)));
        assert_eq!((history.records, history.tail.map(|tail| tail.ops)), (6, Some(2)));
    }

    #[test]
    fn an_operation_without_a_completion_is_in_doubt_and_a_missing_tail_is_no_problem() {
        let history = pair(&[(10, &invoke(0, 0, 10))]);
        assert_eq!(history.problems, Vec::<String>::new());
        assert_eq!(history.operations[0].outcome, Outcome::Info(InfoCause::RunEnded));
        assert_eq!((history.operations[0].answered, history.tail), (None, None));
    }

    #[test]
    fn an_operation_belongs_to_the_phase_in_which_it_was_due() {
        let history = pair(&[
            (100, r#""k":"phase","name":"baseline","stretch":"spike""#),
            (200, &invoke(0, 0, 99)),
            (200, &invoke(1, 1, 100)),
            (200, &invoke(2, 2, 199)),
            (200, &invoke(3, 3, 200)),
            (200, r#""k":"phase","name":"drain""#),
        ]);
        let phases: Vec<_> = history.operations.iter().map(|operation| operation.phase).collect();
        assert_eq!(phases, [Phase::Warmup, Phase::Baseline, Phase::Baseline, Phase::Drain]);
    }

    #[test]
    fn every_broken_rule_is_a_problem() {
        let first = invoke(0, 0, 10);
        let broken: [(&str, Vec<(u64, String)>); 10] = [
            ("never invoked", vec![(10, complete(0, OK))]),
            ("completed twice", vec![(10, first.clone()), (11, complete(0, OK)), (12, complete(0, OK))]),
            ("invoked twice", vec![(10, first.clone()), (11, complete(0, OK)), (12, first.clone())]),
            ("before it was due", vec![(9, first.clone())]),
            ("before it was sent", vec![(10, first.clone()), (9, complete(0, OK))]),
            ("while 0 was open", vec![(10, first.clone()), (11, invoke(1, 0, 11))]),
            ("left it in doubt", vec![(10, first.clone()), (11, complete(0, DOUBT)), (12, invoke(1, 0, 12))]),
            (
                "without its items",
                vec![(10, r#""k":"invoke","op":0,"proc":0,"f":"cancel_order","order":"o","due":1,"instance":0"#.into())],
            ),
            ("the tail counts", vec![(10, r#""k":"tail","records":1,"ops":1,"why":"finished""#.into())]),
            ("behind the tail", vec![(10, r#""k":"tail","records":1,"ops":0,"why":"finished""#.into()), (11, first.clone())]),
        ];
        for (expected, lines) in broken {
            let lines: Vec<_> = lines.iter().map(|(t, rest)| (*t, rest.as_str())).collect();
            let problems = pair(&lines).problems;
            assert!(matches!(&problems[..], [one] if one.contains(expected)), "{expected}: {problems:?}");
        }
    }

    #[test]
    fn a_process_may_go_on_after_an_answer_of_either_kind() {
        let history = pair(&[
            (10, &invoke(0, 7, 10)),
            (11, &complete(0, OK)),
            (12, &invoke(1, 7, 12)),
            (13, &complete(1, SOLD_OUT)),
            (14, &invoke(2, 7, 14)),
        ]);
        assert_eq!(history.problems, Vec::<String>::new());
    }

    #[test]
    fn a_gap_in_the_numbers_is_one_problem() {
        let mut pairing = Pairing::default();
        for (n, rest) in [
            (0, HEAD),
            (1, r#""k":"phase","name":"fault""#),
            (3, r#""k":"phase","name":"fault""#),
            (4, r#""k":"phase","name":"fault""#),
        ] {
            pairing.take(parse(format!(r#"{{"n":{n},"t":1,{rest}}}"#).as_bytes()).unwrap());
        }
        let problems = pairing.finish(&End::Whole).problems;
        assert_eq!(problems, ["record 3 stands where record 2 should"]);
    }

    #[test]
    fn a_missing_head_another_schema_and_nothing_at_all_are_problems() {
        let mut pairing = Pairing::default();
        pairing.take(parse(br#"{"n":0,"t":1,"k":"phase","name":"fault"}"#).unwrap());
        assert_eq!(pairing.finish(&End::Whole).problems, ["the first record is not the head"]);
        let mut pairing = Pairing::default();
        let head = HEAD.replace(r#""schema":1"#, r#""schema":2"#);
        pairing.take(parse(format!(r#"{{"n":0,"t":0,{head}}}"#).as_bytes()).unwrap());
        assert_eq!(pairing.finish(&End::Whole).problems, ["the history is of schema 2, this reader knows 1"]);
        assert_eq!(Pairing::default().finish(&End::Whole).problems, ["the history holds no record"]);
    }

    #[test]
    fn kinds_from_the_future_are_counted_in_a_note() {
        let history = pair(&[(5, r#""k":"comet","name":"a""#), (6, r#""k":"comet","name":"b""#)]);
        assert_eq!(history.problems, Vec::<String>::new());
        assert_eq!(history.notes, [Timed { at: Offset(6), what: ("unknown_kind".into(), json!({ "k": "comet", "count": 2 })) }]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_a_problem_and_counts_as_a_record() {
        let mut pairing = Pairing::default();
        pairing.take(parse(format!(r#"{{"n":0,"t":0,{HEAD}}}"#).as_bytes()).unwrap());
        pairing.unreadable(&parse(b"{").unwrap_err());
        pairing.take(parse(br#"{"n":2,"t":1,"k":"phase","name":"fault"}"#).unwrap());
        let history = pairing.finish(&End::Whole);
        assert!(matches!(&history.problems[..], [one] if one.contains("behind number 0 cannot be read")), "{:?}", history.problems);
        assert_eq!(history.records, 3);
    }

    #[test]
    fn damage_is_a_problem_and_a_cut_tail_is_a_note() {
        let damaged = Pairing { next: 1, ..Pairing::default() }.finish(&End::Damaged { at: 7, why: "x".into() });
        assert!(damaged.problems[0].contains("damaged at byte 7"), "{:?}", damaged.problems);
        let mut pairing = Pairing::default();
        pairing.take(parse(format!(r#"{{"n":0,"t":3,{HEAD}}}"#).as_bytes()).unwrap());
        let cut = pairing.finish(&End::Unfinished { at: 7, bytes: 2 });
        assert_eq!((cut.problems.len(), &*cut.notes[0].what.0), (0, "unfinished_tail"));
    }

    #[test]
    fn a_thousand_problems_are_a_hundred_and_a_count() {
        let mut pairing = Pairing::default();
        (0..1_000).for_each(|number| pairing.problem(number.to_string()));
        let problems = pairing.finish(&End::Whole).problems;
        assert_eq!((problems.len(), problems.last().map(String::as_str)), (101, Some("901 more")));
    }
}
