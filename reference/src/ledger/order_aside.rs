//! Orders of an item that somebody has locked: they wait in a queue and with a writer of their own, so that no other item waits with them.
//!
//! In: jobs of an order writer. Out: those that it may go on with. That an item is locked is believed for a bounded time; then one batch
//! finds out again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use super::order_writer::{Job, failed};
use crate::clock::now;
use crate::domain::Item;

/// Orders of an item that was locked go aside for this long.
const STUCK_FOR: Duration = Duration::from_secs(5);

/// The way aside, its places, and the items whose orders take it. All writers of a process share it.
pub(super) struct Detour {
    queue: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
    capacity: usize,
    stuck: Mutex<HashMap<Item, Instant>>,
}

impl Detour {
    /// A way into this queue; nothing is stuck yet. Every order in it has one of as many places as the queue holds.
    pub(super) fn to(queue: mpsc::Sender<Job>) -> Self {
        let capacity = queue.max_capacity();
        Self { queue, places: Arc::new(Semaphore::new(capacity)), capacity, stuck: Mutex::default() }
    }

    /// Its places.
    pub(super) const fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }

    /// Number of its places.
    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether an order of these items goes aside, as far as is known.
    pub(super) fn takes(&self, items: impl IntoIterator<Item = Item>) -> bool {
        let stuck = self.stuck();
        !stuck.is_empty() && items.into_iter().any(|item| stuck.contains_key(&item))
    }

    /// Sends the orders of items that are stuck away and returns the others.
    pub(super) fn divert(&self, jobs: Vec<Job>) -> Vec<Job> {
        let (stuck, free) = jobs.into_iter().partition(|job| self.takes(items(job)));
        self.send(stuck);
        free
    }

    /// Believes from now on that `item` is locked.
    pub(super) fn mark(&self, item: Item) {
        tracing::warn!(%item, "an item is locked: its orders wait apart");
        self.stuck().insert(item, now());
    }

    /// Orders that took stock before their item was known to be locked may be more than there are places: those may be sent again.
    fn send(&self, jobs: Vec<Job>) {
        for mut job in jobs {
            if !job.seat.move_aside(&self.places) {
                job.fail(failed("too many orders of an item that is locked wait already"));
            } else if let Err(mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) =
                self.queue.try_send(job)
            {
                // Never full, because every order in it has a place.
                job.fail(failed("the ledger is closed"));
            }
        }
    }

    fn stuck(&self) -> MutexGuard<'_, HashMap<Item, Instant>> {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if !stuck.is_empty() {
            let now = now();
            stuck.retain(|_, since| now.duration_since(*since) < STUCK_FOR);
        }
        stuck
    }
}

/// The orders without `item`, and those with it.
pub(super) fn apart(jobs: Vec<Job>, item: Item) -> (Vec<Job>, Vec<Job>) {
    jobs.into_iter().partition(|job| items(job).all(|of| of != item))
}

fn items(job: &Job) -> impl Iterator<Item = Item> {
    job.order.admissions.iter().map(|admission| admission.line.item)
}
