//! The one writer of a history.
//!
//! In: records from every part of a run, through cheap handles. Out: a journal on disk, numbered in order of arrival. The queue
//! is bounded: when it is full the sender waits and the history says so; nothing is dropped. If the writer fails, every later
//! record fails too, because what happens without evidence cannot be judged.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::HistoryError;
use super::journal::JournalWriter;
use super::standing::Standing;
use crate::clock::{Offset, RunClock};
use crate::history::record::{Line, OpId, Record, Tail};

/// Records that wait for the writer at most.
const QUEUE: usize = 16_384;

/// Longest stay of a record in memory while the writer is not busy.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// The writer wakes at most this often: a wake for each record would cost the load more than the record does.
const GATHER: Duration = Duration::from_millis(5);

/// Handle for recording; clones feed the same history.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    clock: RunClock,
}

/// Owns the writer; ends the history.
///
/// Dropped without [`RecorderGuard::finish`], the history ends without a tail, as if the harness had died: what was recorded is
/// still written once the last [`Recorder`] is gone.
#[derive(Debug)]
#[must_use = "a history that is not finished has no tail"]
pub struct RecorderGuard {
    recorder: Recorder,
    writer: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    next_op: AtomicU64,
    stalls: AtomicU64,
    longest_stall_ns: AtomicU64,
    failure: OnceLock<HistoryError>,
    standing: Mutex<Standing>,
}

enum Message {
    Record(Offset, Record),
    Sync(oneshot::Sender<()>),
    Finish(String, oneshot::Sender<Tail>),
}

impl Recorder {
    /// Makes the file, which must not exist yet, and starts the writer on its own thread.
    ///
    /// # Errors
    /// The file or the thread cannot be made.
    pub fn create(path: &Path, clock: RunClock) -> Result<(Self, RecorderGuard), HistoryError> {
        let journal = JournalWriter::create(path).map_err(|error| HistoryError::file("create", path, &error))?;
        Self::start(journal, path, clock)
    }

    fn start(journal: JournalWriter, path: &Path, clock: RunClock) -> Result<(Self, RecorderGuard), HistoryError> {
        let failed = |error| HistoryError::file("start the writer of", path, &error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let writer =
            Writer { journal, path: path.to_owned(), clock, shared: Arc::clone(&shared), records: 0, ops: 0, flush_at: None };
        let writer =
            std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.run(&runtime, inbox)).map_err(failed)?;
        let recorder = Self { queue, shared, clock };
        Ok((recorder.clone(), RecorderGuard { recorder, writer }))
    }

    /// Records what happens now and returns when that was. On return the record is in the queue of the writer; the time is
    /// taken once there is room in it, so that a full queue shows as lag and not as a request that took long.
    ///
    /// Cancel safe: a call dropped before it is ready has recorded nothing.
    ///
    /// # Errors
    /// The writer has failed or ended.
    pub async fn record(&self, record: Record) -> Result<Offset, HistoryError> {
        let room = self.room().await?;
        let at = self.clock.now();
        room.send(Message::Record(at, record));
        Ok(at)
    }

    /// Records what happened at `at`.
    ///
    /// Cancel safe: a call dropped before it is ready has recorded nothing.
    ///
    /// # Errors
    /// The writer has failed or ended.
    pub async fn record_at(&self, at: Offset, record: Record) -> Result<(), HistoryError> {
        self.room().await?.send(Message::Record(at, record));
        Ok(())
    }

    /// Waits until everything recorded before is on disk. Phase marks and fault steps do so by themselves, without a wait.
    ///
    /// # Errors
    /// The writer has failed or ended.
    pub async fn sync(&self) -> Result<(), HistoryError> {
        let (done, synced) = oneshot::channel();
        self.room().await?.send(Message::Sync(done));
        synced.await.map_err(|_| self.lost())
    }

    /// The next number for an operation: dense over all clients that record here.
    #[must_use]
    pub fn next_op(&self) -> OpId {
        OpId(self.shared.next_op.fetch_add(1, Ordering::Relaxed))
    }

    /// The clock of the run.
    #[must_use]
    pub const fn clock(&self) -> RunClock {
        self.clock
    }

    /// Why the writer failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<HistoryError> {
        self.shared.failure.get().cloned()
    }

    /// Where the run stands by what is written so far.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.shared.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn room(&self) -> Result<mpsc::Permit<'_, Message>, HistoryError> {
        if self.shared.failure.get().is_some() {
            return Err(self.lost());
        }
        match self.queue.try_reserve() {
            Ok(room) => Ok(room),
            Err(mpsc::error::TrySendError::Closed(())) => Err(self.lost()),
            Err(mpsc::error::TrySendError::Full(())) => {
                let began = self.clock.now();
                let room = self.queue.reserve().await.map_err(|_| self.lost())?;
                self.shared.note_stall(self.clock.now().since(began));
                Ok(room)
            }
        }
    }

    fn lost(&self) -> HistoryError {
        self.failure().unwrap_or_else(|| HistoryError::Lost { why: "it was finished, or panicked".to_owned() })
    }
}

impl RecorderGuard {
    /// Writes the tail behind everything recorded so far, waits until the disk has it, and ends the writer: whoever may still
    /// record must have ended before. `why` is `finished` or `interrupted`.
    ///
    /// # Errors
    /// Any failure of the writer since it was started.
    pub async fn finish(self, why: &str) -> Result<Tail, HistoryError> {
        let (done, finished) = oneshot::channel();
        self.recorder.room().await?.send(Message::Finish(why.to_owned(), done));
        let tail = finished.await.map_err(|_| self.recorder.lost())?;
        // The writer returns right after its answer, so this does not block.
        self.writer.join().map_err(|_| HistoryError::Lost { why: "the writer panicked".to_owned() })?;
        Ok(tail)
    }
}

impl Shared {
    fn note_stall(&self, length: Duration) {
        self.longest_stall_ns.fetch_max(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }
}

/// The state of the writing thread.
struct Writer {
    journal: JournalWriter,
    path: PathBuf,
    clock: RunClock,
    shared: Arc<Shared>,
    records: u64,
    ops: u64,
    flush_at: Option<Offset>,
}

/// A write that failed; its reason is in [`Shared::failure`] before anybody can notice.
struct Failed;

impl Writer {
    /// Writes until the history is finished, no recorder is left, or the disk fails. Its end closes the queue.
    fn run(mut self, runtime: &Runtime, mut inbox: mpsc::Receiver<Message>) {
        let ended = runtime.block_on(self.drain(&mut inbox));
        if ended.is_ok() {
            let _ = self.attempt(|journal| journal.sync());
        }
    }

    async fn drain(&mut self, inbox: &mut mpsc::Receiver<Message>) -> Result<(), Failed> {
        let mut batch = Vec::new();
        while self.next_batch(inbox, &mut batch).await {
            self.note_stalls()?;
            for message in batch.drain(..) {
                match message {
                    Message::Record(at, record) => self.append(at, &record)?,
                    Message::Sync(done) => {
                        self.attempt(JournalWriter::sync)?;
                        let _ = done.send(());
                    }
                    Message::Finish(why, done) => {
                        let _ = done.send(self.finish(why)?);
                        return Ok(());
                    }
                }
            }
            self.flush_if_due()?;
            tokio::time::sleep(GATHER).await;
        }
        Ok(())
    }

    /// Fills `batch`, or leaves it empty when it is time to flush. False when no recorder is left.
    async fn next_batch(&self, inbox: &mut mpsc::Receiver<Message>, batch: &mut Vec<Message>) -> bool {
        let received = inbox.recv_many(batch, QUEUE);
        let Some(at) = self.flush_at else { return received.await > 0 };
        let at = tokio::time::Instant::from_std(self.clock.instant(at));
        !matches!(tokio::time::timeout_at(at, received).await, Ok(0))
    }

    fn append(&mut self, at: Offset, record: &Record) -> Result<(), Failed> {
        let line = Line { n: self.records, t: at, record };
        self.attempt(|journal| journal.line(&line))?;
        self.records += 1;
        self.ops += u64::from(matches!(record, Record::Invoke(_)));
        if matches!(record, Record::Fault(_) | Record::Sample(_)) {
            self.shared.standing.lock().unwrap_or_else(PoisonError::into_inner).take(record);
        }
        if matches!(record, Record::Phase(_) | Record::Fault(_)) {
            self.flush_at = None;
            self.attempt(JournalWriter::sync)
        } else if self.journal.is_full() {
            self.flush_at = None;
            self.attempt(JournalWriter::flush)
        } else {
            self.flush_at.get_or_insert_with(|| self.clock.now().plus(FLUSH_AFTER));
            Ok(())
        }
    }

    fn flush_if_due(&mut self) -> Result<(), Failed> {
        if self.flush_at.is_some_and(|at| at <= self.clock.now()) {
            self.flush_at = None;
            self.attempt(JournalWriter::flush)?;
        }
        Ok(())
    }

    /// One note for all senders that had to wait since the last one.
    fn note_stalls(&mut self) -> Result<(), Failed> {
        let senders = self.shared.stalls.swap(0, Ordering::Relaxed);
        if senders == 0 {
            return Ok(());
        }
        let longest_ns = self.shared.longest_stall_ns.swap(0, Ordering::Relaxed);
        let detail = json!({ "senders": senders, "longest_ns": longest_ns });
        self.append(self.clock.now(), &Record::Note { what: "recorder_stall".to_owned(), detail })
    }

    fn finish(&mut self, why: String) -> Result<Tail, Failed> {
        self.note_stalls()?;
        let tail = Tail { records: self.records, ops: self.ops, why };
        self.append(self.clock.now(), &Record::Tail(tail.clone()))?;
        self.attempt(JournalWriter::sync)?;
        Ok(tail)
    }

    fn attempt(&mut self, act: impl FnOnce(&mut JournalWriter) -> std::io::Result<()>) -> Result<(), Failed> {
        act(&mut self.journal).map_err(|error| {
            let _ = self.shared.failure.set(HistoryError::file("write", &self.path, &error));
            Failed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::PhaseMark;
    use crate::scenario::Phase;

    fn mark() -> Record {
        Record::Phase(PhaseMark { name: Phase::Fault, stretch: String::new() })
    }

    #[tokio::test]
    async fn a_full_disk_fails_every_later_record_and_the_end() {
        let path = Path::new("/dev/full");
        let journal = JournalWriter::append_to(std::fs::File::options().write(true).open(path).unwrap()).unwrap();
        let (recorder, guard) = Recorder::start(journal, path, RunClock::start()).unwrap();
        recorder.record(mark()).await.unwrap();
        let synced = recorder.sync().await.unwrap_err();
        assert!(synced.to_string().starts_with("write /dev/full: No space left"), "{synced}");
        assert_eq!(recorder.record(mark()).await, Err(synced.clone()));
        assert_eq!(recorder.failure(), Some(synced.clone()));
        assert_eq!(guard.finish("finished").await, Err(synced));
    }
}
