//! `latency.hlog`: response times as an HDR interval log, V2 with deflate, as the tools of HdrHistogram read it.
//!
//! In: a history. Out: one line for each 100 ms × kind × outcome, tagged `create_order-sold_out`; values in µs, by due time. The
//! maximum of a line, which is for people, is in ms.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::files::form_error;
use super::folder::LATENCY;
use super::{ReportError, RunIdentity};
use crate::history::operation::{History, Operation};
use crate::history::record::Outcome;
use crate::measure::curves::BUCKET_MS;
use crate::measure::histogram::{empty_counts, micros};
use crate::measure::kind::Kind;
use crate::measure::{elapsed, outcome_names};
use crate::scenario::plan::Plan;

/// Interval, kind, fate, response time in µs; doubts of all causes are one.
type Entry = (u64, Kind, Option<Outcome>, u64);

/// The whole log.
///
/// # Errors
/// A histogram that cannot be serialised.
pub fn render(history: &History, plan: &Plan, identity: &RunIdentity) -> Result<Vec<u8>, ReportError> {
    let failed = |error: &dyn std::fmt::Display| form_error("render", LATENCY.as_ref())(error.to_string());
    let start = UNIX_EPOCH + Duration::from_millis(identity.wall_start_ms);
    let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&format!("Response times in microseconds of run {}, by due time", identity.run_id))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(1_000.0)
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| failed(&error))?;
    let mut counts = empty_counts();
    for interval in sorted_entries(history, plan).chunk_by(|a, b| (a.0, a.1, a.2) == (b.0, b.1, b.2)) {
        counts.reset();
        interval.iter().for_each(|entry| counts.saturating_record(entry.3));
        let tag = tag(interval[0]);
        let length = Duration::from_millis(BUCKET_MS);
        let begins = Duration::from_millis(interval[0].0.saturating_mul(BUCKET_MS));
        writer.write_histogram(&counts, begins, length, Tag::new(&tag)).map_err(|error| failed(&error))?;
    }
    Ok(log)
}

fn sorted_entries(history: &History, plan: &Plan) -> Vec<Entry> {
    let deadline = Duration::from_millis(plan.scenario.limits.request_timeout_ms);
    let fate = |op: &Operation| (!op.is_info()).then_some(op.outcome);
    let interval = |op: &Operation| op.due.nanos() / (BUCKET_MS * 1_000_000);
    let entry = |op: &Operation| (interval(op), Kind::of(op), fate(op), micros(elapsed(op, op.due, deadline)));
    let mut entries: Vec<Entry> = history.operations.iter().map(entry).collect();
    entries.sort_unstable();
    entries
}

/// `create_order-ok`, `create_order-sold_out`, `create_order-info`.
fn tag((_, kind, fate, _): Entry) -> String {
    let fate = match fate {
        None => "info".to_owned(),
        Some(Outcome::Ok) => "ok".to_owned(),
        Some(outcome) => outcome_names(outcome).1,
    };
    format!("{}-{fate}", kind.name())
}
