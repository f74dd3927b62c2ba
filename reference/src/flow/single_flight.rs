//! One piece of work an item at a time in this process; whoever asks for it meanwhile waits for the same one.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::Refusal;
use crate::domain::Item;

type Flight = Shared<BoxFuture<'static, Result<(), Refusal>>>;

/// Work under way in this process, one for each item.
#[derive(Default)]
pub(super) struct SingleFlight(Mutex<HashMap<Item, Flight>>);

/// Takes a flight off the list when it is over, also if it panicked: callers who come later start a new one.
struct Landing {
    flights: Arc<SingleFlight>,
    item: Item,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.item);
    }
}

impl SingleFlight {
    /// Waits for the work on `item` that is under way, or starts `work`. A caller that goes away does not end it.
    ///
    /// # Errors
    /// Those of the work, or that it panicked.
    pub(super) async fn join<F>(self: &Arc<Self>, item: Item, work: impl FnOnce() -> F) -> Result<(), Refusal>
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.entry(item).or_insert_with(|| self.start(item, work())).clone()
        };
        flight.await
    }

    fn start(self: &Arc<Self>, item: Item, work: impl Future<Output = Result<(), Refusal>> + Send + 'static) -> Flight {
        let flights = Arc::clone(self);
        let task = tokio::spawn(async move {
            // Made inside: a runtime that shuts down drops the task at once, while our caller holds the list.
            let _landing = Landing { flights, item };
            work.await
        });
        task.map(|joined| joined.unwrap_or_else(|error| Err(Refusal::NotAdmitted(format!("rebuild the counter: {error}")))))
            .boxed()
            .shared()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_flight_that_panics_is_taken_off_the_list() {
        let (flights, item) = (Arc::<SingleFlight>::default(), Item::new(1, 1, 1).unwrap());
        let broken = flights.join(item, || async { panic!("the rebuild broke") }).await;
        assert!(matches!(broken, Err(Refusal::NotAdmitted(why)) if why.contains("the rebuild broke")));
        assert!(flights.0.lock().unwrap().is_empty());
        assert_eq!(flights.join(item, || async { Ok(()) }).await, Ok(()));
    }

    #[tokio::test]
    async fn callers_at_the_same_time_share_one() {
        let (flights, item) = (Arc::<SingleFlight>::default(), Item::new(1, 1, 1).unwrap());
        let started = Arc::new(AtomicU32::new(0));
        let work = || {
            let started = Arc::clone(&started);
            async move {
                started.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(())
            }
        };
        let (first, second) = tokio::join!(flights.join(item, work), flights.join(item, work));
        assert_eq!((first, second, started.load(Ordering::Relaxed)), (Ok(()), Ok(()), 1));
    }
}
