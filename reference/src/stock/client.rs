//! The client: one method a script, over a few lanes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Client, Value};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::client;
use super::installer::Installer;
use super::keys::Key;
use super::lane::Lane;
use super::reply::Reply;
use super::script::{APPLY_DELTA, CONFIRM, Invocation, PRE_DEDUCT, PROBE, ROLLBACK, Script};
use super::{Applied, Lock, PreDeduct, Probe, StockError, StockSettings, Taken, Unready};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, Member, OrderId, Quantity};

#[cfg(feature = "defects")]
#[path = "../defects/stock.rs"]
mod wrong;

/// Members sent in one call; more are sent in several, one after the other.
const MEMBERS_PER_CALL: usize = 500;

/// Every lane's connection is asked this often which process it leads to.
const CHECK_PERIOD: Duration = Duration::from_secs(1);

/// The Redis side of the service. Clones share their connections, which close with the last clone.
#[derive(Clone)]
pub struct Stock {
    shared: Arc<Shared>,
}

struct Shared {
    settings: StockSettings,
    client: Client,
    lanes: Arc<[Lane]>,
    next: AtomicUsize,
    _watch: DropGuard,
}

impl Stock {
    /// Connects one lane, to learn whether the server can carry the protocol. The others connect when they are first used.
    ///
    /// # Errors
    /// `Unsuitable` for a replica, an eviction policy or a URL that is none; `NotExecuted` if nobody answers within
    /// [`StockSettings::connect_timeout`].
    pub async fn open(settings: StockSettings) -> Result<Self, StockError> {
        let stock = Self::unconnected(settings)?;
        if let Some(first) = stock.shared.lanes.first() {
            first.connection().await?;
        }
        Ok(stock)
    }

    /// A client that connects when it is first used. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Unsuitable` for a URL that is none.
    pub fn unconnected(settings: StockSettings) -> Result<Self, StockError> {
        let client = client(&settings.url)?;
        let lanes: Arc<[Lane]> = (0..settings.lanes.max(1)).map(|_| Lane::new(client.clone(), &settings)).collect();
        let stop = CancellationToken::new();
        tokio::spawn(watch(Arc::clone(&lanes), stop.clone()));
        let shared = Shared { settings, client, lanes, next: AtomicUsize::new(0), _watch: stop.drop_guard() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes units for an order; the same order, quantity and epoch again takes nothing and gets the same token.
    ///
    /// Cancel safe: a cancelled call may have run; repeat it, or leave it to the resolver.
    ///
    /// # Errors
    /// `NotExecuted`, or `Unknown`: repeat the call, or leave it to the resolver.
    pub async fn pre_deduct(&self, item: Item, order: &OrderId, quantity: Quantity) -> Result<PreDeduct, StockError> {
        #[cfg(feature = "defects")]
        if planted(Defect::CheckThenDecrement)
            && let Some(short) = self.look_before(item, quantity).await?
        {
            return Ok(short);
        }
        let keys = [Key::Stock(item), Key::Meta(item), Key::Lock(item), Key::Deduct(order.as_str(), item)];
        let ttl = seconds(self.shared.settings.record_ttl);
        let reply = self.call(&PRE_DEDUCT, &keys, &[order, &quantity, &ttl, &Quantity::MAX], &[]).await?;
        read_pre_deduct(&reply)
    }

    /// Removes locks whose units the ledger owns. [`Applied::Done`] counts the locks removed now.
    ///
    /// Cancel safe, and may be repeated.
    ///
    /// # Errors
    /// `NotExecuted`, or `Unknown`: the resolver repeats it.
    pub async fn confirm(&self, item: Item, epoch: Epoch, members: &[Member]) -> Result<Applied, StockError> {
        self.apply_to_members(&CONFIRM, &[Key::Meta(item), Key::Lock(item)], epoch, members).await
    }

    /// Gives units of locks back whose tokens can never get a ledger row, which the caller has proved (rule T).
    /// [`Applied::Done`] counts the units given back now; a lock that is gone gives none.
    ///
    /// Cancel safe, and may be repeated.
    ///
    /// # Errors
    /// `NotExecuted` (a member of another epoch among others), or `Unknown`: repeat it.
    pub async fn rollback(&self, item: Item, epoch: Epoch, members: &[Member]) -> Result<Applied, StockError> {
        self.apply_to_members(&ROLLBACK, &[Key::Stock(item), Key::Meta(item), Key::Lock(item)], epoch, members).await
    }

    /// The stock check of a `pre_deduct` that has none: what it saw may be gone when the units are taken.
    #[cfg(feature = "defects")]
    async fn look_before(&self, item: Item, quantity: Quantity) -> Result<Option<PreDeduct>, StockError> {
        let probe = self.probe(item, Duration::ZERO, Some(0), &[]).await?;
        let short = probe.unready.is_none() && probe.stock < i64::from(quantity.get());
        Ok(short.then_some(PreDeduct::Insufficient { left: probe.stock, version: 0, earlier_record: false }))
    }

    /// [`Stock::rollback`] of locks of one item into the counter of another one.
    #[cfg(feature = "defects")]
    pub(crate) async fn rollback_into(
        &self,
        counter: Item,
        item: Item,
        epoch: Epoch,
        members: &[Member],
    ) -> Result<Applied, StockError> {
        self.apply_to_members(&ROLLBACK, &[Key::Stock(counter), Key::Meta(counter), Key::Lock(item)], epoch, members).await
    }

    /// Adds an increase that was committed in `epoch`, once per `event_id` (at most 100 bytes, without braces).
    /// [`Applied::Done`] carries the units.
    ///
    /// Cancel safe, and may be repeated.
    ///
    /// # Errors
    /// `NotExecuted` (no units among others), or `Unknown`: repeat it.
    pub async fn apply_delta(&self, item: Item, epoch: Epoch, event_id: &str, units: u64) -> Result<Applied, StockError> {
        let keys = [Key::Stock(item), Key::Meta(item), Key::Delta(event_id, item)];
        let ttl = seconds(self.shared.settings.marker_ttl);
        let reply = self.call(&APPLY_DELTA, &keys, &[&epoch, &units, &ttl], &[]).await?;
        read_applied(&reply, |_| Ok(units))
    }

    /// How long Redis remembers that an increase was applied.
    #[must_use]
    pub fn marker_ttl(&self) -> Duration {
        self.shared.settings.marker_ttl
    }

    /// Looks at the counter, at locks of at least `min_age` (at most `limit`, oldest first; all if `None`), and at whether each
    /// increase of `events` was applied. Changes nothing.
    ///
    /// # Errors
    /// `NotExecuted` or `Unknown`; for a look, both mean "not seen".
    pub async fn probe(&self, item: Item, min_age: Duration, limit: Option<u32>, events: &[String]) -> Result<Probe, StockError> {
        let limit = limit.map_or(-1, i64::from);
        let reply = self.call(&PROBE, &probe_keys(item, events), &[&min_age.as_millis(), &limit], &[]).await?;
        read_probe(&reply)
    }

    /// A fresh connection for one rebuild. Connections that lead to another incarnation are given up: a master that gets its first replica
    /// becomes another one under open connections, and until they are renewed every call would ask for the next rebuild.
    ///
    /// # Errors
    /// As [`Stock::open`].
    pub async fn installer(&self) -> Result<Installer, StockError> {
        let Shared { client, settings, .. } = &*self.shared;
        let installer = Installer::connect(client, settings).await?;
        for lane in self.shared.lanes.iter() {
            lane.keep_only(installer.incarnation());
        }
        Ok(installer)
    }

    /// Whether some connection stands, as far as is known. After a loss it stays false until a call, or [`Stock::ping`], connects.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.shared.lanes.iter().any(Lane::is_connected)
    }

    /// Connects if need be, and waits for one reply.
    ///
    /// # Errors
    /// Why this process cannot use Redis now.
    pub async fn ping(&self) -> Result<(), StockError> {
        let lane = self.lane();
        lane.connection().await?;
        lane.check().await
    }

    async fn apply_to_members(
        &self,
        script: &Script,
        keys: &[Key<'_>],
        epoch: Epoch,
        members: &[Member],
    ) -> Result<Applied, StockError> {
        let mut done = 0;
        for (index, part) in members.chunks(MEMBERS_PER_CALL).enumerate() {
            let outcome = self.call(script, keys, &[&epoch], part).await;
            let reply = if index == 0 { outcome } else { outcome.map_err(after_a_part) }?;
            match read_applied(&reply, |reply| reply.parse(1))? {
                Applied::Done(count) => done += count,
                other => return Ok(other),
            }
        }
        Ok(Applied::Done(done))
    }

    async fn call(
        &self,
        script: &Script,
        keys: &[Key<'_>],
        arguments: &[&(dyn fmt::Display + Sync)],
        members: &[Member],
    ) -> Result<Reply, StockError> {
        self.lane().call(script, &Invocation { keys, arguments, members }).await
    }

    fn lane(&self) -> &Lane {
        let lanes = &self.shared.lanes;
        &lanes[self.shared.next.fetch_add(1, Ordering::Relaxed) % lanes.len()]
    }
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// Notices in an idle process that the server behind an open connection became another one, or that the link is dead.
async fn watch(lanes: Arc<[Lane]>, stop: CancellationToken) {
    let checks = async {
        let mut tick = interval(CHECK_PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // What is wrong was logged, and the lane is empty by now: its next caller gets the error or a new connection.
            join_all(lanes.iter().map(Lane::check)).await;
        }
    };
    stop.run_until_cancelled(checks).await;
}

fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(1)
}

/// Earlier parts of the batch ran, so the whole cannot be "not executed" any more.
fn after_a_part(error: StockError) -> StockError {
    match error {
        StockError::NotExecuted { act, why } => StockError::Unknown { act, why: format!("only part of the batch ran: {why}") },
        other => other,
    }
}

fn read_pre_deduct(reply: &Reply) -> Result<PreDeduct, StockError> {
    Ok(match reply.code()? {
        "OK" => PreDeduct::Taken(Taken { token: reply.parse(1)?, quantity: reply.parse(2)?, left: Some(reply.parse(3)?) }),
        "DUPLICATE" => PreDeduct::Taken(Taken { token: reply.parse(1)?, quantity: reply.parse(2)?, left: None }),
        "RESOLVED" => PreDeduct::Resolved,
        "MISMATCH" => PreDeduct::Mismatch { reserved: reply.parse(1)? },
        "INSUFFICIENT" => {
            let earlier_record = reply.parse::<u8>(3)? == 1;
            PreDeduct::Insufficient { left: reply.parse(1)?, version: reply.parse(2)?, earlier_record }
        }
        "NOT_READY" => PreDeduct::NotReady(reply.not_ready()?),
        _ => return Err(reply.refused()),
    })
}

fn read_applied(reply: &Reply, done: impl Fn(&Reply) -> Result<u64, StockError>) -> Result<Applied, StockError> {
    Ok(match reply.code()? {
        "OK" => Applied::Done(done(reply)?),
        "DUPLICATE" => Applied::Duplicate,
        "STALE" => Applied::Stale(reply.epoch(1)?),
        "NOT_READY" => Applied::NotReady(reply.not_ready()?),
        _ => return Err(reply.refused()),
    })
}

/// The keys of `probe`.
pub(super) fn probe_keys(item: Item, events: &[String]) -> Vec<Key<'_>> {
    let markers = events.iter().map(|event| Key::Delta(event, item));
    [Key::Stock(item), Key::Meta(item), Key::Lock(item)].into_iter().chain(markers).collect()
}

/// The reply of `probe`.
pub(super) fn read_probe(reply: &Reply) -> Result<Probe, StockError> {
    let unready = match reply.code()? {
        "READY" => None,
        "MISSING" => Some(Unready::Missing),
        "INCARNATION" => Some(Unready::Incarnation),
        "CORRUPT" => Some(Unready::Corrupt),
        _ => return Err(reply.refused()),
    };
    Ok(Probe {
        unready,
        epoch: reply.epoch(1)?,
        // A stranger's text is no number; the code says CORRUPT then.
        stock: reply.text(2)?.parse().unwrap_or_default(),
        lock_count: reply.parse(3)?,
        now_ms: reply.parse(4)?,
        locks: reply.list(5)?.chunks_exact(2).filter_map(read_lock).collect(),
        applied: reply.list(6)?.iter().map(|marker| *marker == Value::Int(1)).collect(),
    })
}

fn read_lock(pair: &[Value]) -> Option<Lock> {
    match pair {
        [Value::BulkString(member), Value::BulkString(since)] => Some(Lock {
            member: std::str::from_utf8(member).ok()?.parse().ok()?,
            since_ms: std::str::from_utf8(since).ok()?.parse().ok()?,
        }),
        _ => None,
    }
}
