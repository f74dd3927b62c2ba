//! How long the machine itself stood still: a thread that sleeps 4 ms again and again and notes how late it wakes.
//!
//! A stall that ends before a wake was due leaves no mark, and one that began before shows by less than it lasted, at most by a nap. Shorter naps
//! would show more and cost what is measured: at 1 ms the wakes took some 2 % of a core from the sale.
//!
//! In: a recorder. Out: `stall_ms` samples: every wake that was more than [`OVER_MS`] late, and of the others the latest of each 100 ms.
//! Time that a hypervisor gave to somebody else shows here, and so does a machine with too few cores. Pictures and figures only, never
//! a verdict.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Offset;
use crate::history::record::{Record, Sample};
use crate::history::recorder::Recorder;
use crate::measure::stalls::{OVER_MS, STALL_SAMPLE};

/// What the thread asks for each time.
const NAP: Duration = Duration::from_millis(4);
/// Of wakes that were hardly late one is kept for each of these.
const WINDOW: Duration = Duration::from_millis(100);

/// The thread. Dropped, it ends within a nap, and has recorded nothing after that.
#[derive(Debug)]
pub(super) struct StallMeter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StallMeter {
    /// Begins to measure.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(recorder: &Recorder) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (recorder, told) = (recorder.clone(), Arc::clone(&stop));
        let body = move || {
            let record = |at, value| {
                let sample = Sample { name: STALL_SAMPLE.to_owned(), of: String::new(), value };
                runtime.block_on(recorder.record_at(at, Record::Sample(sample))).is_ok()
            };
            watch(|| recorder.clock().now(), record, &told);
        };
        let thread = std::thread::Builder::new().name("stalls".to_owned()).spawn(body)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for StallMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has measured nothing more; the run is none the worse.
            let _panicked = thread.join();
        }
    }
}

/// Sleeps and records until it is told to stop, or the recorder takes no more.
fn watch(now: impl Fn() -> Offset, record: impl Fn(Offset, f64) -> bool, stop: &AtomicBool) {
    let mut window = Window { began: now(), latest: None };
    while !stop.load(Ordering::Relaxed) {
        let slept = now();
        std::thread::sleep(NAP);
        let woke = now();
        let late_ms = woke.since(slept).saturating_sub(NAP).as_secs_f64() * 1e3;
        if !window.take(woke, late_ms).into_iter().flatten().all(|(at, value)| record(at, value)) {
            return;
        }
    }
}

/// What is still to be told of the wakes that were hardly late.
struct Window {
    began: Offset,
    latest: Option<(Offset, f64)>,
}

impl Window {
    /// Takes one wake; gives back what is to be recorded now.
    fn take(&mut self, at: Offset, late_ms: f64) -> [Option<(Offset, f64)>; 2] {
        let stalled = late_ms > OVER_MS;
        if !stalled && self.latest.is_none_or(|(_, latest)| late_ms > latest) {
            self.latest = Some((at, late_ms));
        }
        let over = at.since(self.began) >= WINDOW;
        if over {
            self.began = at;
        }
        [if over { self.latest.take() } else { None }, stalled.then_some((at, late_ms))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stall_is_told_and_of_the_rest_the_latest_of_each_tenth_of_a_second() {
        let mut window = Window { began: Offset::ZERO, latest: None };
        let wakes = [(1, 0.1), (50, 0.7), (60, 9.0), (70, 0.2), (101, 0.3), (150, 5.0), (202, 12.0)];
        let told: Vec<(u64, f64)> = wakes
            .into_iter()
            .flat_map(|(ms, late)| window.take(Offset::from_millis(ms), late))
            .flatten()
            .map(|(at, late)| (at.nanos() / 1_000_000, late))
            .collect();
        assert_eq!(told, [(60, 9.0), (50, 0.7), (150, 5.0), (202, 12.0)]);
    }

    #[tokio::test]
    async fn a_running_meter_leaves_samples_in_the_history() {
        let folder = std::env::temp_dir().join(format!("holdfast-stalls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("history.jsonl.zst");
        let (recorder, history) = Recorder::create(&path, crate::clock::RunClock::start()).unwrap();
        let meter = StallMeter::start(&recorder).unwrap();
        tokio::time::timeout(Duration::from_secs(30), async {
            while !crate::history::pairing::read_history(&path).is_ok_and(|read| read.samples.len() >= 3) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        drop(meter);
        history.finish("finished").await.unwrap();
        let read = crate::history::pairing::read_history(&path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(read.samples.iter().all(|sample| sample.what.name == STALL_SAMPLE && sample.what.value >= 0.0));
    }
}
