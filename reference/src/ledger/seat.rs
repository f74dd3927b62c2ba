//! Seats: the bound on orders under way, had before any stock is taken, so that whoever is refused one left no trace.
//!
//! In: the items of an order. Out: a seat, or `QueueFull`. An order of an item that is known to be locked needs a place aside as well, of which
//! there are few: what is locked must not leave the others without a seat.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::LedgerError;
use super::order_aside::Detour;
use crate::domain::Item;

/// A place for one order, from before it takes stock until it is answered. Clones share the place.
#[derive(Clone)]
pub struct Seat {
    _permit: Arc<OwnedSemaphorePermit>,
    aside: Option<Arc<OwnedSemaphorePermit>>,
}

impl Seat {
    /// Whether its order may wait aside: it has a place there, or gets one of `places` now.
    pub(super) fn move_aside(&mut self, places: &Arc<Semaphore>) -> bool {
        if self.aside.is_none() {
            self.aside = Arc::clone(places).try_acquire_owned().ok().map(Arc::new);
        }
        self.aside.is_some()
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seat")
    }
}

/// The seats of a ledger.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    count: usize,
    detour: Arc<Detour>,
}

impl Seats {
    /// So many seats, and the places aside of `detour`.
    pub(super) fn new(count: usize, detour: Arc<Detour>) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), count, detour }
    }

    /// A seat for an order of these items. Never waits.
    ///
    /// # Errors
    /// `QueueFull`: none is free, or none aside for an item that is locked.
    pub(super) fn take(&self, items: impl IntoIterator<Item = Item>) -> Result<Seat, LedgerError> {
        let full = |capacity| LedgerError::QueueFull { capacity };
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| full(self.count))?;
        let mut seat = Seat { _permit: Arc::new(permit), aside: None };
        if self.detour.takes(items) && !seat.move_aside(self.detour.places()) {
            return Err(full(self.detour.capacity()));
        }
        Ok(seat)
    }
}
