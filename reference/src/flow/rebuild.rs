//! REBUILD: a new epoch of an item. Behind an exclusive lock MySQL computes what is available; Redis gets that number once.
//!
//! Loss of Redis, restart, failover, split brain, FLUSHALL, a foreign write, change of mode: all are this one operation.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _};

use super::{Flow, Refusal};
use crate::clock::{self, Deadline};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item};
use crate::ledger::{EpochState, Mode, Opened, RebuildRequest, Rebuilt};
use crate::metrics::Finding;
use crate::stock::{Installed, Installer, Probe, StockError};

/// A rebuild that was overtaken waits this long for the winner's install.
const INSTALL_WAIT: Duration = Duration::from_millis(200);
const INSTALL_POLL: Duration = Duration::from_millis(5);
/// Attempts of one rebuild; each takes a new epoch.
const TRIES: u32 = 5;
/// Fewer items than these are rebuilt one by one.
const TOGETHER_MIN: usize = 8;
/// Most items that share a transaction: while it waits for the orders of one, those of the others wait too.
const TOGETHER_MAX: usize = 32;
/// Transactions for many items at once: a few, so that other work finds connections.
const GROUPS_AT_ONCE: usize = 3;

impl Flow {
    /// Sees to it that Redis can admit orders of `item`: looks, and rebuilds if it must. Concurrent callers share one rebuild;
    /// a caller that goes away does not end it.
    ///
    /// # Errors
    /// The item does not exist, or a store gave no answer in time. Never [`Refusal::Unknown`]: an epoch is no effect of an order.
    pub async fn ensure_ready(&self, item: Item, reason: &'static str) -> Result<(), Refusal> {
        let flow = self.clone();
        let rebuild =
            || async move { if flow.is_ready(item).await? { Ok(()) } else { flow.rebuild(item, None, reason).await.map(|_| ()) } };
        self.rebuilding.join(item, rebuild).await.map_err(|refusal| match refusal {
            Refusal::Unknown(why) => Refusal::NotAdmitted(why),
            other => other,
        })
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
    /// The item does not exist, or a store gave no answer; [`Refusal::Unknown`] if MySQL may have committed the new epoch, and with it the
    /// mode. MySQL may then be an epoch ahead of Redis: the old counter admits nothing any more, and the next touch rebuilds.
    pub async fn rebuild(&self, item: Item, mode: Option<Mode>, reason: &'static str) -> Result<EpochState, Refusal> {
        let started = clock::now();
        let mut last = Refusal::NotAdmitted("others rebuild the counter without end".to_owned());
        let mut in_doubt = false;
        for _ in 0..TRIES {
            match self.rebuild_once(item, mode, reason, &mut in_doubt).await {
                Ok(Some(state)) => {
                    tracing::info!(%item, epoch = %state.epoch, mode = state.mode.name(), reason, "a counter was rebuilt");
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
        tracing::warn!(%item, reason, %last, "a rebuild was given up");
        self.metrics.count("rebuild", "gave_up");
        Err(if in_doubt { last.in_doubt() } else { last })
    }

    /// Rebuilds what Redis lost of `items`, each with the state in which it was seen, many in one transaction. Returns those that are done. It is
    /// a shortcut: whatever stands in its way, or is not many, is left to [`Flow::ensure_ready`].
    ///
    /// It does not share a rebuild that is under way in this process: as with another process, the epoch of the row decides who is first.
    pub async fn rebuild_together(&self, items: &[(Item, EpochState)], reason: &'static str) -> HashSet<Item> {
        let kept: Vec<_> = items.iter().filter(|(_, state)| state.mode == Mode::Redis).copied().collect();
        if kept.len() < TOGETHER_MIN {
            return HashSet::new();
        }
        // Mistakes of the rebuild are planted where one item is rebuilt.
        #[cfg(feature = "defects")]
        if [Defect::BaseBeforeBarrier, Defect::InstallAfterUnknownCommit, Defect::SameEpochInstalledTwice].into_iter().any(planted)
        {
            return HashSet::new();
        }
        let groups: Vec<Vec<_>> = kept.chunks(TOGETHER_MAX).map(<[_]>::to_vec).collect();
        let groups = stream::iter(groups).map(|group| self.rebuild_group(group, reason));
        let done = groups.buffer_unordered(GROUPS_AT_ONCE).map(|done| {
            done.unwrap_or_else(|why| {
                tracing::info!(reason, %why, "items are rebuilt one by one");
                Vec::new()
            })
        });
        done.map(stream::iter).flatten().collect().await
    }

    async fn rebuild_group(&self, group: Vec<(Item, EpochState)>, reason: &'static str) -> Result<Vec<Item>, Refusal> {
        let started = clock::now();
        let installer = self.stock.installer().await?;
        // Looked at again over this connection: a counter that is there by now keeps its reservations.
        let probes = try_join_all(group.iter().map(|(item, _)| installer.look(*item, 0, &[]))).await?;
        let incarnation = installer.incarnation();
        let request = |((item, state), probe): ((Item, EpochState), Probe)| {
            let is_back = probe.unready.is_none() && probe.epoch == state.epoch;
            let incarnation = incarnation.to_owned();
            (!is_back).then_some(RebuildRequest { item, seen: state.epoch, in_redis: probe.epoch, mode: None, incarnation, reason })
        };
        let requests: Vec<RebuildRequest> = group.into_iter().zip(probes).filter_map(request).collect();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (mut closed, mut counters) = (Vec::new(), Vec::new());
        for Opened { item, epoch, base, mode } in self.ledger.rebuild_together(requests).await? {
            self.tell_base(base);
            if mode == Mode::Redis { counters.push((item, epoch, base)) } else { closed.push(item) }
        }
        let replies = installer.install_each(&counters).await;
        let installed =
            counters.into_iter().zip(replies).filter(|(_, reply)| self.was_installed(reply)).map(|((item, ..), _)| item);
        let done: Vec<Item> = closed.into_iter().chain(installed).collect();
        for item in &done {
            tracing::info!(%item, reason, "a counter was rebuilt, with others");
            self.metrics.count("rebuild", reason);
            self.metrics.time("rebuild", started);
            self.sold_out.forget(*item);
        }
        Ok(done)
    }

    /// One attempt; `None` asks for another one with a new epoch. Sets `in_doubt` if an epoch was, or may have been, committed.
    async fn rebuild_once(
        &self,
        item: Item,
        mode: Option<Mode>,
        reason: &'static str,
        in_doubt: &mut bool,
    ) -> Result<Option<EpochState>, Refusal> {
        let (request, installer) = self.prepare_rebuild(item, mode, reason).await?;
        #[cfg(feature = "defects")]
        if planted(Defect::SameEpochInstalledTwice)
            && request.in_redis == Epoch::default()
            && let Some((state, base)) = self.ledger.opened_with(item).await?
        {
            return self.install(item, installer, state, base).await;
        }
        match self.ledger.rebuild(request).await? {
            Rebuilt::Committed { epoch, base, mode } => {
                *in_doubt = true;
                self.tell_base(base);
                self.install(item, installer, EpochState { epoch, mode }, base).await
            }
            // Somebody else rebuilt, but not into the mode that is wanted here.
            Rebuilt::Superseded { current } if mode.is_some_and(|wanted| wanted != current.mode) => Ok(None),
            Rebuilt::Superseded { current } if matches!(current.mode, Mode::Db | Mode::Closed) => Ok(Some(current)),
            Rebuilt::Superseded { current } => Ok(self.await_install(item, current).await.then_some(current)),
            Rebuilt::Unknown => {
                *in_doubt = true;
                Ok(None)
            }
            Rebuilt::UnknownItem => Err(Refusal::UnknownSku { item }),
            // Only a rebuild that books a change, or reopens, can be stopped.
            Rebuilt::Stopped(_) | Rebuilt::NotReopened(_) => Err(Refusal::NotAdmitted("the rebuild was stopped".to_owned())),
        }
    }

    /// Counts a base below zero, which closed the item.
    pub(super) fn tell_base(&self, base: i64) {
        if base < 0 {
            self.metrics.found(Finding::NegativeBase);
        }
    }

    /// What a rebuild has to know of both stores before its transaction, and the connection that its counter will go to.
    pub(super) async fn prepare_rebuild(
        &self,
        item: Item,
        mode: Option<Mode>,
        reason: &'static str,
    ) -> Result<(RebuildRequest, Option<Installer>), Refusal> {
        let seen = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        let admits_by_redis = matches!(mode.unwrap_or(seen.mode), Mode::Redis | Mode::Strict);
        let installer = if admits_by_redis { Some(self.stock.installer().await?) } else { None };
        let in_redis = match &installer {
            Some(installer) => installer.probe_epoch(item).await?,
            None => Epoch::default(),
        };
        let incarnation = installer.as_ref().map(|installer| installer.incarnation().to_owned()).unwrap_or_default();
        Ok((RebuildRequest { item, seen: seen.epoch, in_redis, mode, incarnation, reason }, installer))
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
        Ok(self.was_installed(&reply).then_some(state))
    }

    fn was_installed(&self, reply: &Result<Installed, StockError>) -> bool {
        let word = match reply {
            Ok(Installed::Done) => "done",
            Ok(Installed::Stale(_)) => "stale",
            Err(_) => "lost",
        };
        self.metrics.count("install", word);
        matches!(reply, Ok(Installed::Done))
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
