//! A look at the stack once a second, with faults five times, while a run goes on: processes that ended although nobody asked them to, and readings.
//! Of stores with thousands of items there are fewer.
//!
//! Readings (CPU and memory of each process, backlog of the stores) are pictures only, never a verdict. A process that ended is a rig
//! error; the run goes on without it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Offset;
use crate::history::record::{Record, Sample};
use crate::history::recorder::Recorder;
use crate::measure::rates::OLDEST_OPEN_LOCK;
use crate::snapshot::reader::StoreReader;
use crate::stack::services::Stack;
use crate::stack::usage::Usage;

const EVERY: Duration = Duration::from_secs(1);

/// With faults, whose recovery is timed by these readings.
const EVERY_WITH_FAULTS: Duration = Duration::from_millis(200);

/// Without faults the stores are left alone for so many times as long as the last look at them took. It reads every item: with thousands of
/// them one look a second would hold up more than one order in a hundred.
const REST: u32 = 200;

/// Whether faults go on meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calm {
    /// None do.
    Yes,
    /// Some do; drift and locks are read as well, which costs a few round trips for all items.
    No,
}

/// Writes readings into the history until `stop`; the unexpected ends by then, in words. The stack notes when it saw them. A store that
/// does not answer gives no reading.
pub(super) async fn sample(
    stack: &Stack,
    stores: &StoreReader,
    recorder: &Recorder,
    stop: &CancellationToken,
    calm: Calm,
) -> Vec<String> {
    let mut ends = Vec::new();
    let mut last: HashMap<String, (Offset, f64)> = HashMap::new();
    let mut tick = tokio::time::interval(if calm == Calm::Yes { EVERY } else { EVERY_WITH_FAULTS });
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rest_until = None;
    while !stop.is_cancelled() {
        tokio::select! { _ = tick.tick() => {}, () = stop.cancelled() => return ends }
        ends.extend(stack.exited_unexpectedly());
        let now = recorder.clock().now();
        let mut readings = Vec::new();
        for Usage { role, cpu_seconds, rss_mib } in stack.usage() {
            // A process that was restarted begins again at 0.
            if let Some((before, used)) = last.insert(role.clone(), (now, cpu_seconds))
                && cpu_seconds >= used
            {
                let percent = (cpu_seconds - used) / now.since(before).as_secs_f64().max(0.001) * 100.0;
                readings.push(("cpu_percent", role.clone(), percent));
            }
            readings.push(("memory_mib", role, rss_mib));
        }
        let mut readings: Vec<_> = readings.into_iter().map(|reading| (now, reading)).collect();
        // Stamped after the read: a store that answers late must not seem to have been well at the time of the question.
        if rest_until.is_none_or(|until| until <= now)
            && let Ok(backlog) = stores.backlog().await
        {
            let at = recorder.clock().now();
            readings.push((at, ("outbox_new", String::new(), units(backlog.outbox_new))));
            readings.push((at, ("locks", String::new(), units(backlog.locks))));
            rest_until = (calm == Calm::Yes).then(|| at.plus(at.since(now) * REST));
        }
        if calm == Calm::No
            && let Ok(gauges) = stores.gauges().await
        {
            let at = recorder.clock().now();
            readings.push((at, ("drift", String::new(), units(gauges.drift))));
            readings.push((at, ("oldest_lock_ms", String::new(), units(gauges.oldest_lock_ms))));
            readings.push((at, (OLDEST_OPEN_LOCK, String::new(), units(gauges.oldest_open_lock_ms))));
        }
        for (at, (name, of, value)) in readings {
            if recorder.record_at(at, Record::Sample(Sample { name: name.to_owned(), of, value })).await.is_err() {
                return ends;
            }
        }
    }
    ends
}

#[expect(clippy::cast_precision_loss, reason = "a reading for a picture")]
fn units(count: u64) -> f64 {
    count as f64
}
