//! The operator's tools: what holds an order's units, a new epoch, another mode, and one pass of everything that mends by itself. Each may be
//! repeated: the second time there is nothing left to do.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::audit::AuditReport;
use super::resolve::{Held, owns};
use super::{Flow, Refusal};
use crate::domain::{Epoch, Item, Member, OrderId};
use crate::ledger::{Audited, EpochState, Mode, StoredOrder};

/// Items looked at at once.
const AT_ONCE: usize = 16;
/// Items in a page of a search.
const PAGE: u32 = 500;
/// Locks of one item looked at.
const LOCKS_MAX: u32 = 20_000;
/// A repair leaves younger locks to the requests that hold them.
const REPAIR_GRACE: Duration = Duration::from_secs(10);
/// Old locks of one item that one repair settles.
const SETTLED_AT_ONCE: u32 = 500;

/// What becomes of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFate {
    /// The ledger owns its units: the lock goes, the counter stays.
    Confirm,
    /// Its token can never get a ledger row: its units go back.
    RollBack,
    /// No order has this id: it is spent by a tombstone first, then the units go back.
    FenceAndRollBack,
}

/// A lock that an order holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLock {
    /// The item.
    pub item: Item,
    /// Its token and units.
    pub member: Member,
    /// What becomes of it.
    pub fate: LockFate,
}

/// An order and what it holds in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Its row; `None` if there is none.
    pub stored: Option<StoredOrder>,
    /// Its locks.
    pub locks: Vec<OrderLock>,
    /// Whether the locks were settled now.
    pub done: bool,
}

/// What a repair of one item did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Locks older than the grace.
    pub old_locks: u64,
    /// Why its counter could not be used, before.
    pub unready: Option<String>,
    /// The audit afterwards.
    pub report: AuditReport,
}

impl Flow {
    /// Finds what an order holds in Redis, and settles it unless `dry_run`. Looks at every item: for operators, not for requests.
    ///
    /// # Errors
    /// A store gave no answer, or an item has more than 20,000 locks. [`Refusal::Unknown`] once something may have been settled: a repeat settles the rest.
    pub async fn resolve_order(&self, order: &OrderId, dry_run: bool) -> Result<Resolution, Refusal> {
        let mut stored = self.ledger.order(order).await?;
        let held = self.locks_of(order).await?;
        let fate = |held: &Held| match &stored {
            None => LockFate::FenceAndRollBack,
            Some(stored) if owns(stored, held.item, held.member.token) => LockFate::Confirm,
            Some(_) => LockFate::RollBack,
        };
        let locks = held.iter().map(|held| OrderLock { item: held.item, member: held.member.clone(), fate: fate(held) }).collect();
        let done = !dry_run && !held.is_empty();
        if done {
            // Whatever failed, the id may be spent.
            stored = Some(self.resolve(order, &held).await.map_err(|error| Refusal::from(error).in_doubt())?);
        }
        Ok(Resolution { stored, locks, done })
    }

    async fn locks_of(&self, order: &OrderId) -> Result<Vec<Held>, Refusal> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.ledger.items(after, PAGE).await?;
            let decided_by_redis =
                |(item, state): &(Item, EpochState)| matches!(state.mode, Mode::Redis | Mode::Strict).then_some(*item);
            let by_redis: Vec<Item> = page.iter().filter_map(decided_by_redis).collect();
            let looks = stream::iter(by_redis).map(|item| async move { self.locks_on(item, order).await });
            let held: Vec<Vec<Held>> = looks.buffer_unordered(AT_ONCE).try_collect().await?;
            found.extend(held.into_iter().flatten());
            match page.last() {
                Some((last, _)) if page.len() == PAGE as usize => after = Some(*last),
                _ => break,
            }
        }
        found.sort_by_key(|held| (held.item, held.member.token));
        Ok(found)
    }

    async fn locks_on(&self, item: Item, order: &OrderId) -> Result<Vec<Held>, Refusal> {
        let probe = self.stock.probe(item, Duration::ZERO, Some(LOCKS_MAX), &[]).await?;
        if probe.unready.is_some() {
            // Its locks are void with the rebuild that it needs.
            return Ok(Vec::new());
        }
        if probe.lock_count > u64::from(LOCKS_MAX) {
            // Not looked through, so "it holds nothing" would be a guess.
            let why = format!("item {item} has {} locks, and at most {LOCKS_MAX} are looked through", probe.lock_count);
            return Err(Refusal::NotAdmitted(why));
        }
        let of_order = probe.locks.into_iter().map(|lock| lock.member).filter(|member| member.order == *order);
        Ok(of_order.map(|member| Held { item, member }).collect())
    }

    /// Opens a new epoch of an item, in its mode; with `seen` only if the item is still of that epoch. Returns what stands, and whether
    /// this call opened it.
    ///
    /// # Errors
    /// As [`Flow::rebuild`].
    pub async fn rebuild_from(&self, item: Item, seen: Option<Epoch>) -> Result<(EpochState, bool), Refusal> {
        let state = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        if seen.is_some_and(|seen| seen != state.epoch) {
            return Ok((state, false));
        }
        Ok((self.rebuild(item, None, "operator").await?, true))
    }

    /// Brings an item into `mode`. Returns what stands, and whether this call changed it.
    ///
    /// # Errors
    /// The item is closed and its ledger does not add up; or as [`Flow::rebuild`].
    pub async fn change_mode(&self, item: Item, mode: Mode) -> Result<(EpochState, bool), Refusal> {
        let state = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        // Who asks for mode DB wants it to stay: a degraded item, which would leave it by itself, is not in it yet.
        if state.mode == mode && (mode != Mode::Db || self.ledger.returns_to(item).await?.is_none()) {
            return Ok((state, false));
        }
        if state.mode == Mode::Closed {
            let reopened = self.reopen(item, mode).await?;
            if reopened.mode == mode {
                return Ok((reopened, true));
            }
        }
        Ok((self.rebuild(item, Some(mode), "operator").await?, true))
    }

    /// Settles old locks of an item, brings its counter up, audits it and corrects what Redis has wrong; `dry_run` only looks.
    ///
    /// # Errors
    /// No such item, or a store gave no answer. [`Refusal::Unknown`] once something may have been done: a repeat does the rest.
    pub async fn repair(&self, item: Item, dry_run: bool) -> Result<Repaired, Refusal> {
        let state = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        let (mut old_locks, mut unready) = (0, None);
        let in_doubt = |refusal: Refusal| if dry_run { refusal } else { refusal.in_doubt() };
        if matches!(state.mode, Mode::Redis | Mode::Strict) {
            let probe = self.stock.probe(item, REPAIR_GRACE, Some(SETTLED_AT_ONCE), &[]).await?;
            old_locks = probe.locks.len() as u64;
            unready = probe.unready.map(|why| format!("{why:?}"));
            if unready.is_none() && probe.epoch != state.epoch {
                unready = Some(format!("of epoch {}, not {}", probe.epoch, state.epoch));
            }
            match &unready {
                _ if dry_run => {}
                Some(_) => self.ensure_ready(item, "repair").await.map_err(in_doubt)?,
                None => {
                    self.settle(item, probe.epoch, &probe.locks).await.map_err(|error| in_doubt(error.into()))?;
                }
            }
        }
        Ok(Repaired { old_locks, unready, report: self.audit(item, !dry_run).await.map_err(in_doubt)? })
    }
}

impl Repaired {
    /// Whether there was nothing to mend.
    #[must_use]
    pub fn was_sound(&self) -> bool {
        let in_balance = match &self.report.audited {
            Audited::NoPart { .. } => true,
            Audited::Compared(comparison) => comparison.findings.is_empty(),
            Audited::UnknownItem | Audited::NotComparable { .. } => false,
        };
        in_balance && self.old_locks == 0 && self.unready.is_none() && self.report.ledger.is_some_and(|check| check.is_sound())
    }
}
