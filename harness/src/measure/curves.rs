//! Curves over time, in buckets of 100 ms: a flash sale lasts seconds, and coarser buckets hide it.
//!
//! In: a history. Out: one [`Bucket`] for each 100 ms from the first arrival to the last answer, quiet ones among them. Arrivals and
//! latencies stand where they were due, outcomes where they were answered.

use std::time::Duration;

use super::histogram::{micros, millis};
use super::{Bucket, elapsed, is_refusal};
use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::{Function, Outcome, ShedCause};

/// Length of a bucket, ms.
pub const BUCKET_MS: u64 = 100;

/// Most buckets of a run: a day. What lies beyond is counted in the last one.
const BUCKETS_MAX: u64 = 864_000;

/// Where a run's buckets begin and how many there are.
#[derive(Debug, Clone, Copy)]
struct Axis {
    first: u64,
    len: usize,
}

impl Axis {
    fn of(history: &History) -> Option<Self> {
        let operations = history.operations.iter().flat_map(|op| [Some(op.due), op.answered].into_iter().flatten());
        let numbers = || operations.clone().chain(shed(history)).map(number);
        let (first, last) = (numbers().min()?, numbers().max()?);
        let len = usize::try_from((last - first).saturating_add(1).min(BUCKETS_MAX)).ok()?;
        Some(Self { first, len })
    }

    fn index(self, at: Offset) -> usize {
        usize::try_from(number(at).saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.len - 1)
    }

    fn empty(self) -> Vec<Bucket> {
        (self.first..).take(self.len).map(|number| Bucket { at_ms: number * BUCKET_MS, ..Bucket::default() }).collect()
    }
}

const fn number(at: Offset) -> u64 {
    at.nanos() / (BUCKET_MS * 1_000_000)
}

/// When each arrival that found no slot was due.
fn shed(history: &History) -> impl Iterator<Item = Offset> + Clone {
    history.sheds.iter().filter(|shed| shed.what.why == ShedCause::NoSlot).map(|shed| shed.what.due)
}

/// The curves of a run; empty if nothing was due.
#[must_use]
pub fn buckets(history: &History, deadline: Duration) -> Vec<Bucket> {
    let Some(axis) = Axis::of(history) else { return Vec::new() };
    let mut buckets = axis.empty();
    for due in shed(history) {
        buckets[axis.index(due)].offered += 1;
        buckets[axis.index(due)].shed += 1;
    }
    for op in &history.operations {
        let ended = op.answered.map(|answered| axis.index(answered));
        if op.closed_loop {
            ended.into_iter().for_each(|ended| buckets[ended].closed_loop += 1);
            continue;
        }
        buckets[axis.index(op.due)].offered += 1;
        ended.into_iter().for_each(|ended| count(&mut buckets[ended], op.outcome));
    }
    let creates = || history.arrivals_of(Function::CreateOrder);
    for (index, sorted) in by_bucket(creates().filter(|op| op.is_ok()), axis, deadline) {
        buckets[index].ok_p50_ms = Some(nearest_rank(&sorted, 50));
        buckets[index].ok_p99_ms = Some(nearest_rank(&sorted, 99));
        buckets[index].ok_max_ms = Some(nearest_rank(&sorted, 100));
    }
    for (index, sorted) in by_bucket(creates().filter(|op| is_refusal(op.outcome)), axis, deadline) {
        buckets[index].fail_p99_ms = Some(nearest_rank(&sorted, 99));
    }
    buckets
}

fn count(bucket: &mut Bucket, outcome: Outcome) {
    match outcome {
        Outcome::Ok => bucket.ok += 1,
        Outcome::Fail(_) => bucket.fail += 1,
        Outcome::Info(_) => bucket.info += 1,
    }
}

/// Response times in µs, sorted, by the bucket in which the operations were due.
fn by_bucket<'a>(operations: impl Iterator<Item = &'a Operation>, axis: Axis, deadline: Duration) -> Vec<(usize, Vec<u64>)> {
    let mut times: Vec<(usize, u64)> = operations.map(|op| (axis.index(op.due), micros(elapsed(op, op.due, deadline)))).collect();
    times.sort_unstable();
    times.chunk_by(|a, b| a.0 == b.0).map(|chunk| (chunk[0].0, chunk.iter().map(|time| time.1).collect())).collect()
}

/// The exact percentile of sorted, non-empty values by nearest rank, ms.
fn nearest_rank(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    millis(sorted[rank - 1])
}
