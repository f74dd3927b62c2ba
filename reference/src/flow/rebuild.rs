//! REBUILD: a new epoch of an item. Behind an exclusive lock MySQL computes what is available; Redis gets that number once.
//!
//! Loss of Redis, restart, failover, split brain, FLUSHALL, a foreign write, change of mode: all are this one operation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::{Flow, Refusal};
use crate::clock::{self, Deadline};
use crate::domain::{Epoch, Item};
use crate::ledger::{EpochState, Mode, RebuildRequest, Rebuilt};
use crate::metrics::Finding;
use crate::stock::{Installed, Installer};

type Flight = Shared<BoxFuture<'static, Result<(), Refusal>>>;

/// Rebuilds under way in this process, one for each item.
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

/// A rebuild that was overtaken waits this long for the winner's install.
const INSTALL_WAIT: Duration = Duration::from_millis(200);
const INSTALL_POLL: Duration = Duration::from_millis(5);
/// Attempts of one rebuild; each takes a new epoch.
const TRIES: u32 = 5;

impl Flow {
    /// Sees to it that Redis can admit orders of `item`: looks, and rebuilds if it must. Concurrent callers share one rebuild;
    /// a caller that goes away does not end it.
    ///
    /// # Errors
    /// The item does not exist, or a store gave no answer in time.
    pub async fn ensure_ready(&self, item: Item, reason: &'static str) -> Result<(), Refusal> {
        let flight = {
            let mut flights = self.rebuilding.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.entry(item).or_insert_with(|| self.clone().fly(item, reason)).clone()
        };
        flight.await
    }

    fn fly(self, item: Item, reason: &'static str) -> Flight {
        let task = tokio::spawn(async move {
            // Made inside: a runtime that shuts down drops the task at once, while our caller holds the list.
            let _landing = Landing { flights: Arc::clone(&self.rebuilding), item };
            match self.is_ready(item).await {
                Ok(true) => Ok(()),
                Ok(false) => self.rebuild(item, None, reason).await.map(|_| ()),
                Err(refusal) => Err(refusal),
            }
        });
        task.map(|joined| joined.unwrap_or_else(|error| Err(Refusal::NotAdmitted(format!("rebuild the counter: {error}")))))
            .boxed()
            .shared()
    }

    /// Whether the counter in Redis stands and is of the epoch in MySQL.
    async fn is_ready(&self, item: Item) -> Result<bool, Refusal> {
        let deadline = Deadline::after(INSTALL_WAIT);
        loop {
            let state = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
            let probe = self.stock.probe(item, Duration::ZERO, Some(0), &[]).await?;
            if probe.unready.is_some() || probe.epoch == state.epoch {
                return Ok(probe.unready.is_none());
            }
            // Two reads of two stores: the epoch may have moved between them, or its install may be on its way.
            if deadline.has_passed() {
                return Ok(false);
            }
            tokio::time::sleep(INSTALL_POLL).await;
        }
    }

    /// Opens a new epoch of `item` and installs its counter, in `mode` or in the present one.
    ///
    /// # Errors
    /// The item does not exist, or a store gave no answer. MySQL may then be an epoch ahead of Redis: the old counter admits
    /// nothing any more, and the next touch rebuilds.
    pub async fn rebuild(&self, item: Item, mode: Option<Mode>, reason: &'static str) -> Result<EpochState, Refusal> {
        let started = clock::now();
        let mut last = Refusal::NotAdmitted("others rebuild the counter without end".to_owned());
        for _ in 0..TRIES {
            match self.rebuild_once(item, mode, reason).await {
                Ok(Some(state)) => {
                    self.metrics.count("rebuild", reason);
                    self.metrics.time("rebuild", started);
                    self.sold_out.forget(item);
                    return Ok(state);
                }
                Ok(None) => {}
                Err(refusal @ Refusal::UnknownSku { .. }) => return Err(refusal),
                Err(refusal) => last = refusal,
            }
        }
        self.metrics.count("rebuild", "gave_up");
        Err(last)
    }

    /// One attempt; `None` asks for another one with a new epoch.
    async fn rebuild_once(&self, item: Item, mode: Option<Mode>, reason: &'static str) -> Result<Option<EpochState>, Refusal> {
        let seen = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        let admits_by_redis = matches!(mode.unwrap_or(seen.mode), Mode::Redis | Mode::Strict);
        let installer = if admits_by_redis { Some(self.stock.installer().await?) } else { None };
        let in_redis = match &installer {
            Some(installer) => installer.probe_epoch(item).await?,
            None => Epoch::default(),
        };
        let incarnation = installer.as_ref().map(|installer| installer.incarnation().to_owned()).unwrap_or_default();
        let request = RebuildRequest { item, seen: seen.epoch, in_redis, mode, incarnation, reason };
        match self.ledger.rebuild(request).await? {
            Rebuilt::Committed { epoch, base, mode } => {
                if base < 0 {
                    self.metrics.found(Finding::NegativeBase);
                }
                self.install(item, installer, EpochState { epoch, mode }, base).await
            }
            // Somebody else rebuilt, but not into the mode that is wanted here.
            Rebuilt::Superseded { current } if mode.is_some_and(|wanted| wanted != current.mode) => Ok(None),
            Rebuilt::Superseded { current } if matches!(current.mode, Mode::Db | Mode::Closed) => Ok(Some(current)),
            Rebuilt::Superseded { current } => Ok(self.await_install(item, current).await.then_some(current)),
            Rebuilt::Unknown => Ok(None),
            Rebuilt::UnknownItem => Err(Refusal::UnknownSku { item }),
        }
    }

    /// Installs the counter, once and never again. Anything but success asks for a new epoch.
    pub(super) async fn install(
        &self,
        item: Item,
        installer: Option<Installer>,
        state: EpochState,
        base: i64,
    ) -> Result<Option<EpochState>, Refusal> {
        let (Some(installer), Mode::Redis | Mode::Strict) = (installer, state.mode) else {
            return Ok(Some(state));
        };
        let reply = installer.install(item, state.epoch, base).await;
        let word = match reply {
            Ok(Installed::Done) => "done",
            Ok(Installed::Stale(_)) => "stale",
            Err(_) => "lost",
        };
        self.metrics.count("install", word);
        Ok(matches!(reply, Ok(Installed::Done)).then_some(state))
    }

    /// Waits until the counter of a rebuild that was faster stands.
    async fn await_install(&self, item: Item, current: EpochState) -> bool {
        let deadline = Deadline::after(INSTALL_WAIT);
        while !deadline.has_passed() {
            let probe = self.stock.probe(item, Duration::ZERO, Some(0), &[]).await;
            if probe.is_ok_and(|probe| probe.unready.is_none() && probe.epoch >= current.epoch) {
                return true;
            }
            tokio::time::sleep(INSTALL_POLL).await;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flight_that_panics_is_taken_off_the_list() {
        let (flights, item) = (Arc::<SingleFlight>::default(), Item::new(1, 1, 1).unwrap());
        flights.0.lock().unwrap().insert(item, std::future::pending().boxed().shared());
        let landing = Landing { flights: Arc::clone(&flights), item };
        let task = tokio::spawn(async move {
            let _landing = landing;
            panic!("the rebuild broke");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
