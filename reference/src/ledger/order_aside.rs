//! Orders of an item that somebody has locked: they wait in a queue and with a writer of their own, so that no other item waits with them.
//!
//! In: jobs of an order writer. Out: those that it may go on with. That an item is locked is believed for a bounded time; then one batch
//! finds out again.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::LedgerError;
use super::order_writer::Job;
use crate::clock::now;
use crate::domain::Item;

/// Orders of an item that was locked go aside for this long.
const STUCK_FOR: Duration = Duration::from_secs(5);

/// The way aside, and what is to take it.
pub(super) struct Aside {
    queue: mpsc::Sender<Job>,
    stuck: HashMap<Item, Instant>,
}

impl Aside {
    /// Nothing is stuck yet.
    pub(super) fn new(queue: mpsc::Sender<Job>) -> Self {
        Self { queue, stuck: HashMap::new() }
    }

    /// Sends the orders of items that are stuck away and returns the others.
    pub(super) fn divert(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let now = now();
        self.stuck.retain(|_, since| now.duration_since(*since) < STUCK_FOR);
        if self.stuck.is_empty() {
            return jobs;
        }
        let (stuck, free) = jobs.into_iter().partition(|job| items(job).iter().any(|item| self.stuck.contains_key(item)));
        self.send(stuck);
        free
    }

    /// Believes from now on that `item` is locked.
    pub(super) fn mark(&mut self, item: Item) {
        tracing::warn!(%item, "an item is locked: its orders wait apart");
        self.stuck.insert(item, now());
    }

    /// Takes orders of the same items, of which no lock that they need was granted.
    pub(super) fn take(&mut self, jobs: Vec<Job>) {
        // Of a cart nobody knows which item it was.
        if let Some([item]) = jobs.first().map(items).as_deref() {
            self.mark(*item);
        }
        self.send(jobs);
    }

    fn send(&self, jobs: Vec<Job>) {
        for job in jobs {
            if let Err(mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) = self.queue.try_send(job) {
                job.fail(LedgerError::QueueFull { capacity: self.queue.max_capacity() });
            }
        }
    }
}

/// The orders apart by the items that they are for.
pub(super) fn by_items(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut groups: BTreeMap<Vec<Item>, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        groups.entry(items(&job)).or_default().push(job);
    }
    groups.into_values().collect()
}

fn items(job: &Job) -> Vec<Item> {
    job.order.admissions.iter().map(|admission| admission.line.item).collect()
}
