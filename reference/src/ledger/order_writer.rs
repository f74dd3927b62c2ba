//! Group commit: orders that wait at the same time share one transaction.
//!
//! In: orders, through a bounded queue. Out: what became of each, after COMMIT was acknowledged. A few tasks, each with a
//! connection of its own, take what waits and write it; one bad order never fails its neighbours.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Dial};
use super::failure::Failure;
use super::order_aside::{Detour, apart};
use super::order_batch::{Stopped, Verdict, transact};
use super::order_repeats::{Ended, Repeats};
use super::quota::SeenLimits;
use super::seat::Seat;
use super::unit::jitter;
use super::{LedgerError, LedgerSettings, NewOrder, Written};
use crate::clock;
use crate::domain::Item;

const ACT: &str = "write order";
/// An idle writer speaks this often, so that the server does not close its session (`wait_timeout` is 10 s).
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// An order whose transaction has not begun by then is refused: its client has gone, and others wait behind it.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause before a writer that panicked is replaced.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

type Outcome = Result<Written, LedgerError>;

/// The queue and the tasks that empty it.
pub(super) struct OrderWriter {
    queue: mpsc::Sender<Job>,
    closing: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl OrderWriter {
    /// Starts the writers. Their connections are opened when the first order comes. Orders that would keep the others waiting go `aside`.
    pub(super) fn start(settings: &LedgerSettings, dial: &Dial, aside: Option<&Arc<Detour>>) -> Self {
        let (queue, receiver) = mpsc::channel(settings.writer_queue.max(1));
        let closing = CancellationToken::new();
        let inbox = Arc::new(Inbox { receiver: tokio::sync::Mutex::new(receiver), closing: closing.clone() });
        let batch_max = settings.batch_max.max(1);
        let writer = || {
            let (inbox, dial, aside) = (Arc::clone(&inbox), dial.clone(), aside.cloned());
            let make = move || {
                let (dial, limits, aside) = (dial.clone(), SeenLimits::default(), aside.clone());
                Writer { dial, connection: None, limits, batch_max, aside }.run(Arc::clone(&inbox))
            };
            tokio::spawn(supervise(make))
        };
        let tasks = (0..settings.writer_connections.max(1)).map(|_| writer()).collect();
        Self { queue, closing, tasks: Mutex::new(tasks) }
    }

    /// Queues an order and waits for what becomes of it. Dropping the future does not take the order back, and its seat stays taken until
    /// it is written.
    pub(super) async fn write(&self, order: NewOrder, seat: Seat) -> Outcome {
        let (sender, answer) = oneshot::channel();
        let job = Job { order, seat, queued: clock::now(), answer: Answer { sender: Some(sender), commit_sent: false } };
        self.queue.try_send(job).map_err(|error| match error {
            // Never full, because every order in it has a seat.
            mpsc::error::TrySendError::Full(job) => job.refuse(failed("too many orders wait for a writer")),
            mpsc::error::TrySendError::Closed(job) => job.refuse(failed("the ledger is closed")),
        })?;
        answer.await.unwrap_or(Ok(Written::Unknown))
    }

    /// The way into its queue.
    pub(super) fn queue(&self) -> mpsc::Sender<Job> {
        self.queue.clone()
    }

    /// Orders waiting.
    pub(super) fn len(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Takes no more orders and writes those that wait, at most for `limit`.
    pub(super) async fn close(&self, limit: Duration) {
        self.closing.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let drained = tokio::time::timeout(limit, futures_util::future::join_all(tasks)).await;
        if drained.is_err() {
            tracing::warn!(waiting = self.len(), "orders were still waiting when the ledger closed");
        }
    }
}

/// An order that was certainly not written.
pub(super) fn failed(why: &str) -> LedgerError {
    LedgerError::Failed { act: ACT, why: why.into() }
}

/// Runs writers one after another until one ends by itself: a panic ends a writer, not the writing.
async fn supervise<F>(make: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(make()).await {
        tracing::error!(%error, "an order writer died and is replaced");
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

pub(super) struct Job {
    pub(super) order: NewOrder,
    pub(super) seat: Seat,
    queued: Instant,
    answer: Answer,
}

impl Job {
    fn refuse(mut self, error: LedgerError) -> LedgerError {
        // Nobody waits for the answer yet.
        self.answer.sender = None;
        error
    }

    /// Answers with an error.
    pub(super) fn fail(self, error: LedgerError) {
        self.answer.give(Err(error));
    }
}

/// The way back to the caller. Dropped unanswered, by a panic, it says itself what is known.
struct Answer {
    sender: Option<oneshot::Sender<Outcome>>,
    commit_sent: bool,
}

impl Answer {
    fn give(mut self, outcome: Outcome) {
        if let Some(sender) = self.sender.take() {
            // A caller that has gone away has no use for it.
            let _ = sender.send(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let outcome = if self.commit_sent { Ok(Written::Unknown) } else { Err(failed("the writer died before COMMIT")) };
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(outcome);
        }
    }
}

struct Inbox {
    receiver: tokio::sync::Mutex<mpsc::Receiver<Job>>,
    closing: CancellationToken,
}

impl Inbox {
    /// At least one job and at most `most`; none once the queue is closed and empty. Cancel safe: a job is taken or stays.
    async fn take(&self, most: usize) -> Vec<Job> {
        let mut receiver = self.receiver.lock().await;
        let mut jobs = Vec::with_capacity(most);
        if !receiver.is_closed() {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => receiver.close(),
                _ = receiver.recv_many(&mut jobs, most) => return jobs,
            }
        }
        receiver.recv_many(&mut jobs, most).await;
        jobs
    }
}

struct Writer {
    dial: Dial,
    connection: Option<Connection>,
    limits: SeenLimits,
    batch_max: usize,
    /// Where orders go whose item somebody has locked; none for the writer that they go to.
    aside: Option<Arc<Detour>>,
}

impl Writer {
    async fn run(mut self, inbox: Arc<Inbox>) {
        loop {
            match tokio::time::timeout(KEEP_ALIVE, inbox.take(self.batch_max)).await {
                Err(_) => self.keep_alive().await,
                Ok(jobs) if jobs.is_empty() => break,
                Ok(jobs) => self.write(jobs).await,
            }
        }
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }

    async fn keep_alive(&mut self) {
        if let Some(connection) = &mut self.connection
            && connection.query("SELECT 1".into()).await.is_err()
        {
            self.connection = None;
        }
    }

    /// Orders of one id go one after another: the second must see what became of the first.
    async fn write(&mut self, mut jobs: Vec<Job>) {
        if let Some(aside) = &self.aside {
            jobs = aside.divert(jobs);
        }
        while !jobs.is_empty() {
            let mut ids = HashSet::new();
            let (batch, later) = jobs.into_iter().partition(|job| ids.insert(job.order.request.order().clone()));
            self.write_distinct(batch).await;
            jobs = later;
        }
    }

    async fn write_distinct(&mut self, jobs: Vec<Job>) {
        // Each time a batch comes back it is smaller, or its orders go aside.
        let mut batches = VecDeque::from([jobs]);
        while let Some(mut batch) = batches.pop_front() {
            batch = in_time(batch);
            // An earlier one may have found an item locked.
            if let Some(aside) = &self.aside {
                batch = aside.divert(batch);
            }
            if batch.is_empty() {
                continue;
            }
            batches.extend(self.write_together(batch).await);
        }
    }

    /// One transaction, repeated after conflicts. Answers what it settles and returns the orders that must go apart.
    async fn write_together(&mut self, mut jobs: Vec<Job>) -> Vec<Vec<Job>> {
        let mut repeats = Repeats::default();
        loop {
            match self.attempt(&mut jobs).await {
                Ok(verdicts) if repeats.in_doubt => return settle(jobs, verdicts.into_iter().map(Verdict::in_doubt).collect()),
                Ok(verdicts) => return settle(jobs, verdicts),
                Err(ended) if repeats.allow_in_doubt(&ended) => {}
                Err(ended) if repeats.in_doubt && ended.is_conflict() && repeats.allow(&ended) => {
                    tokio::time::sleep(jitter(repeats.conflicts)).await;
                }
                // Only a repeat that ended well tells what became of the attempt before it.
                Err(_) if repeats.in_doubt => return settle_unknown(jobs),
                Err(ended) if ended.failure.is_lock_wait() => {
                    let Parted { on, stuck } = self.part(jobs, ended.locked);
                    // One order, or orders of one item: nothing is left to be tried apart.
                    give_up(stuck, &ended.failure);
                    return on;
                }
                Err(ended) if repeats.allow(&ended) => tokio::time::sleep(jitter(repeats.conflicts)).await,
                Err(ended) => return give_up(jobs, &ended.failure),
            }
        }
    }

    /// After a lock that was not granted: what somebody has locked must not keep the others waiting for longer than it takes to find out.
    ///
    /// Orders of an item that is locked go aside, and from there they are refused. If no item is locked, it is the row of an id or of a user's
    /// limit: each order goes alone, and one that waited alone is refused. An order so held keeps its writer waiting twice.
    fn part(&self, jobs: Vec<Job>, locked: Option<Item>) -> Parted {
        match (locked, &self.aside) {
            (Some(item), Some(aside)) => {
                aside.mark(item);
                Parted { on: vec![jobs], stuck: Vec::new() }
            }
            (Some(item), None) => {
                let (others, stuck) = apart(jobs, item);
                Parted { on: vec![others], stuck }
            }
            (None, _) if jobs.len() > 1 => Parted { on: jobs.into_iter().map(|job| vec![job]).collect(), stuck: Vec::new() },
            (None, _) => Parted { on: Vec::new(), stuck: jobs },
        }
    }

    async fn attempt(&mut self, jobs: &mut [Job]) -> Result<Vec<Verdict>, Ended> {
        let mut connection = match self.connection.take() {
            Some(mut connection) => {
                connection.reuse();
                connection
            }
            None => self.dial.connect().await.map_err(|failure| Ended { failure, died_idle: false, locked: None })?,
        };
        let (orders, mut answers): (Vec<&NewOrder>, Vec<&mut Answer>) =
            jobs.iter_mut().map(|job| (&job.order, &mut job.answer)).unzip();
        let before_commit = |members: &[usize]| members.iter().for_each(|at| answers[*at].commit_sent = true);
        let outcome = transact(&mut connection, &orders, &mut self.limits, before_commit).await;
        let outcome = match outcome {
            Ok(verdicts) => Ok(verdicts),
            Err(Stopped { failure, locked }) => {
                connection.recover(&failure).await;
                Err(Ended { failure, died_idle: connection.died_idle(), locked })
            }
        };
        if connection.is_clean() {
            self.connection = Some(connection);
        }
        outcome
    }
}

/// What becomes of orders that were kept waiting by a lock.
struct Parted {
    /// They go on in these batches.
    on: Vec<Vec<Job>>,
    /// All that is known is that what they want is locked: they are refused.
    stuck: Vec<Job>,
}

/// The orders that have not waited for too long; the others are refused.
fn in_time(jobs: Vec<Job>) -> Vec<Job> {
    let now = clock::now();
    let (in_time, late): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| now.duration_since(job.queued) <= WAIT_MAX);
    late.into_iter().for_each(|job| job.fail(failed("it waited for a writer for too long")));
    in_time
}

fn settle(jobs: Vec<Job>, verdicts: Vec<Verdict>) -> Vec<Vec<Job>> {
    let mut alone = Vec::new();
    for (job, verdict) in jobs.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Is(written) => job.answer.give(Ok(written)),
            Verdict::Alone => alone.push(vec![job]),
        }
    }
    alone
}

/// Nobody can say what became of any of them.
fn settle_unknown(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    jobs.into_iter().for_each(|job| job.answer.give(Ok(Written::Unknown)));
    Vec::new()
}

/// A row that was refused may be any one of several: each gets a transaction of its own. Otherwise nothing was written.
fn give_up(jobs: Vec<Job>, failure: &Failure) -> Vec<Vec<Job>> {
    let of_a_row = matches!(failure, Failure::Broken { .. } | Failure::Refused { .. }) && !failure.is_transient();
    if of_a_row && jobs.len() > 1 {
        return jobs.into_iter().map(|job| vec![job]).collect();
    }
    for job in jobs {
        job.answer.give(Err(failure.clone().into_error(ACT)));
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_writer_that_dies_answers_what_it_knows() {
        for (commit_sent, known) in [(false, Err(failed("the writer died before COMMIT"))), (true, Ok(Written::Unknown))] {
            let (sender, receiver) = oneshot::channel();
            let answer = Answer { sender: Some(sender), commit_sent };
            let died = tokio::spawn(async move {
                let _held = answer;
                panic!("on purpose");
            });
            assert!(died.await.is_err());
            assert_eq!(receiver.await.unwrap(), known);
        }
    }

    #[tokio::test]
    async fn a_writer_that_dies_is_replaced_until_one_ends_by_itself() {
        let started = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&started);
        let make = move || {
            let turn = count.fetch_add(1, Ordering::Relaxed);
            async move { assert!(turn >= 2, "dies twice on purpose") }
        };
        supervise(make).await;
        assert_eq!(started.load(Ordering::Relaxed), 3);
    }
}
