//! The one writer of a history.
//!
//! In: records from every part of a run, through cheap handles. Out: a journal on disk, numbered in order of arrival. A record becomes its
//! line where it is made, in the page that all handles share; a thread of its own puts full pages on disk. To hand over the records
//! themselves cost the load more than their lines do: a queue slot of the size of the largest record, and memory that one thread takes
//! and another gives back.
//!
//! The page is bounded: when it is full the sender waits and the history says so; nothing is dropped. If the writer fails, every later
//! record fails too, because what happens without evidence cannot be judged.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use super::HistoryError;
use super::journal::JournalWriter;
use super::page::{Page, Taken};
use super::standing::Standing;
use crate::clock::{Offset, RunClock};
use crate::history::record::{OpId, Record, Tail};

/// Handle for recording; clones feed the same history.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Handle>,
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

/// What the handles share with the writer.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: RunClock,
    next_op: AtomicU64,
    page: Mutex<Page>,
    /// Rung when the writer may have something to do.
    work: Condvar,
    /// Rung when the page was taken or closed.
    room: Notify,
    failure: OnceLock<HistoryError>,
    standing: Mutex<Standing>,
}

/// What the handles share with each other: with the last of them the page is closed.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.page().close();
        self.0.work.notify_one();
    }
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
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            clock,
            next_op: AtomicU64::new(0),
            page: Mutex::default(),
            work: Condvar::new(),
            room: Notify::new(),
            failure: OnceLock::new(),
            standing: Mutex::default(),
        });
        let writer = Writer { journal, shared: Arc::clone(&shared) };
        let writer = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| HistoryError::file("start the writer of", path, &error))?;
        let recorder = Self { shared: Arc::new(Handle(shared)) };
        Ok((recorder.clone(), RecorderGuard { recorder, writer }))
    }

    /// Records what happens now and returns when that was. The time is taken once there is room for the record, so that a full page shows
    /// as lag and not as a request that took long.
    ///
    /// Cancel safe: a call dropped before it is ready has recorded nothing.
    ///
    /// # Errors
    /// The writer has failed or ended.
    pub async fn record(&self, record: Record) -> Result<Offset, HistoryError> {
        self.add(None, &record).await
    }

    /// Records what happened at `at`.
    ///
    /// Cancel safe: a call dropped before it is ready has recorded nothing.
    ///
    /// # Errors
    /// The writer has failed or ended.
    pub async fn record_at(&self, at: Offset, record: Record) -> Result<(), HistoryError> {
        self.add(Some(at), &record).await.map(|_| ())
    }

    /// Waits until everything recorded before is on disk. Phase marks and fault steps do so by themselves, without a wait.
    ///
    /// # Errors
    /// The writer has failed or ended.
    pub async fn sync(&self) -> Result<(), HistoryError> {
        let (done, synced) = oneshot::channel();
        self.inner().page_open()?.sync(done);
        self.inner().work.notify_one();
        synced.await.map_err(|_| self.inner().lost())
    }

    /// The next number for an operation: dense over all clients that record here.
    #[must_use]
    pub fn next_op(&self) -> OpId {
        OpId(self.inner().next_op.fetch_add(1, Ordering::Relaxed))
    }

    /// The clock of the run.
    #[must_use]
    pub fn clock(&self) -> RunClock {
        self.inner().clock
    }

    /// Why the writer failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<HistoryError> {
        self.inner().failure.get().cloned()
    }

    /// Where the run stands by what is recorded so far.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.inner().standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn add(&self, at: Option<Offset>, record: &Record) -> Result<Offset, HistoryError> {
        let shared = self.inner();
        let mut waits_since = None;
        loop {
            // Made before the page is looked at, so that no ring is missed.
            let room = shared.room.notified();
            if let Some(at) = shared.add(at, record, waits_since)? {
                return Ok(at);
            }
            waits_since.get_or_insert_with(|| shared.clock.now());
            room.await;
        }
    }

    fn inner(&self) -> &Shared {
        &self.shared.0
    }
}

impl RecorderGuard {
    /// Writes the tail behind everything recorded so far, waits until the disk has it, and ends the writer: whoever may still
    /// record must have ended before. `why` is `finished` or `interrupted`.
    ///
    /// # Errors
    /// Any failure of the writer since it was started.
    pub async fn finish(self, why: &str) -> Result<Tail, HistoryError> {
        let shared = self.recorder.inner();
        let (done, finished) = oneshot::channel();
        let tail = {
            let mut page = shared.page_open()?;
            page.sync(done);
            page.finish(shared.clock.now(), why.to_owned()).map_err(|error| shared.write_error(&error))?
        };
        shared.work.notify_one();
        finished.await.map_err(|_| shared.lost())?;
        // The writer returns right after its answer, so this does not block.
        self.writer.join().map_err(|_| HistoryError::Lost { why: "the writer panicked".to_owned() })?;
        Ok(tail)
    }
}

impl Shared {
    /// Adds a record, dated now unless it is said when; `None` if there is no room for it.
    fn add(&self, at: Option<Offset>, record: &Record, waits_since: Option<Offset>) -> Result<Option<Offset>, HistoryError> {
        let mut page = self.page_open()?;
        if page.is_full() {
            return Ok(None);
        }
        let now = self.clock.now();
        if let Some(since) = waits_since {
            page.note_stall(now.since(since));
        }
        let at = at.unwrap_or(now);
        let (was_empty, was_due) = (page.is_empty(), page.is_due());
        page.add(at, record).map_err(|error| self.write_error(&error))?;
        if was_empty || (page.is_due() && !was_due) {
            page.flush_at(now);
            self.work.notify_one();
        }
        drop(page);
        if matches!(record, Record::Fault(_) | Record::Sample(_)) {
            self.standing.lock().unwrap_or_else(PoisonError::into_inner).take(record);
        }
        Ok(Some(at))
    }

    /// Waits until the page is due, and takes it.
    fn take(&self, spare: Vec<u8>) -> std::io::Result<Taken> {
        let mut page = self.page();
        while !page.is_due() {
            let now = self.clock.now();
            page = match page.flush_at(now).map(|at| at.since(now)) {
                None => self.work.wait(page).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.work.wait_timeout(page, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        let taken = page.take(self.clock.now(), spare);
        drop(page);
        self.room.notify_waiters();
        taken
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page, if it still takes lines.
    fn page_open(&self) -> Result<MutexGuard<'_, Page>, HistoryError> {
        let page = self.page();
        if page.is_closed() { Err(self.lost()) } else { Ok(page) }
    }

    fn write_error(&self, error: &std::io::Error) -> HistoryError {
        HistoryError::file("write", &self.path, error)
    }

    fn lost(&self) -> HistoryError {
        let ended = || HistoryError::Lost { why: "it was finished, or panicked".to_owned() };
        self.failure.get().cloned().unwrap_or_else(ended)
    }
}

/// The state of the writing thread.
struct Writer {
    journal: JournalWriter,
    shared: Arc<Shared>,
}

impl Writer {
    /// Writes until the history is finished, no recorder is left, or the disk fails. Its end closes the page.
    fn run(mut self) {
        let mut spare = Vec::new();
        loop {
            let mut taken = match self.shared.take(spare) {
                Ok(taken) => taken,
                Err(error) => return self.fail(&error),
            };
            if let Err(error) = self.write(&taken) {
                // Those who wait go with what was taken, and must find the reason by then.
                return self.fail(&error);
            }
            for done in taken.waiting.drain(..) {
                // Who asked may have gone.
                let _ = done.send(());
            }
            if taken.last {
                return;
            }
            taken.lines.clear();
            spare = taken.lines;
        }
    }

    fn write(&mut self, taken: &Taken) -> std::io::Result<()> {
        self.journal.write(&taken.lines)?;
        if taken.sync || taken.last || !taken.waiting.is_empty() { self.journal.sync() } else { Ok(()) }
    }

    /// Says why first and closes the page then: nobody is to find it closed without a reason.
    fn fail(&self, error: &std::io::Error) {
        let _ = self.shared.failure.set(self.shared.write_error(error));
        self.shared.page().abandon();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.page().abandon();
        self.shared.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use futures_util::poll;

    use super::*;
    use crate::history::journal::read_lines;
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

    #[tokio::test]
    async fn a_full_page_makes_the_sender_wait_says_so_and_loses_nothing() {
        // A pipe that nobody reads stands for a disk that does not keep up. Random words, so that zstd does not make them small.
        let (mut reader, pipe) = std::io::pipe().unwrap();
        let journal = JournalWriter::append_to(OwnedFd::from(pipe).into()).unwrap();
        let (recorder, guard) = Recorder::start(journal, Path::new("pipe"), RunClock::start()).unwrap();
        let mut draws = crate::seed::Seed(1).stream("notes");
        let mut note = || {
            let word: String = (0..64).map(|_| format!("{:016x}", rand::RngExt::random::<u64>(&mut draws))).collect();
            Record::Note { what: word, detail: serde_json::Value::Null }
        };
        let mut sent = 0;
        let waited = loop {
            assert!(sent < 100_000, "the page never became full");
            sent += 1;
            let record = note();
            let mut recording = Box::pin(recorder.record(record));
            if poll!(&mut recording).is_pending() {
                break recording;
            }
        };
        let copy = std::env::temp_dir().join(format!("holdfast-recorder-{}", std::process::id()));
        let drained = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        waited.await.unwrap();
        // A pipe cannot be synced, so the history ends as on a broken disk, behind its last line.
        assert!(guard.finish("finished").await.is_err());
        std::fs::write(&copy, drained.join().unwrap().unwrap()).unwrap();
        let mut notes = Vec::new();
        read_lines(&copy, |line| notes.push(serde_json::from_slice::<serde_json::Value>(line).unwrap()["what"].to_string()))
            .unwrap();
        std::fs::remove_file(&copy).unwrap();
        // The records, one note of the wait among them, and the tail.
        assert_eq!(notes.len(), sent + 2);
        assert_eq!(notes.iter().filter(|what| *what == "\"recorder_stall\"").count(), 1);
    }
}
