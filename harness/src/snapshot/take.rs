//! Takes a snapshot: both stores, read so that they are of one moment, and what the api processes say then.
//!
//! In: direct connections, public listeners, a sample of order ids. Out: a [`Snapshot`]. Two stores cannot be read atomically, so the reads
//! stand between two fingerprints; while those differ, something moved, and everything is read again.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::final_reads::read_orders;
use super::ledger_state::LedgerState;
use super::quiesce::quiesce;
use super::reader::StoreReader;
use super::redis_state::RedisState;
use super::{RedisItem, Servers, Snapshot, SnapshotError, Stop};
use crate::clock::{Offset, RunClock};
use crate::scenario::{ItemId, Scenario};
use crate::stack::Endpoints;
use crate::target::keys::Key;

/// Attempts before a snapshot is kept although something moved.
const ATTEMPTS_MAX: u32 = 5;

/// What a stop of the run works with.
#[derive(Debug, Clone, Copy)]
pub struct StopContext<'run> {
    /// Direct connections.
    pub stores: &'run StoreReader,
    /// Listeners of the processes.
    pub endpoints: &'run Endpoints,
    /// Bounds and promises.
    pub scenario: &'run Scenario,
    /// The clock of the run.
    pub clock: &'run RunClock,
    /// Cancelled when the run is interrupted: the wait ends then, the snapshot is still taken.
    pub stop: &'run CancellationToken,
}

/// Waits for rest, then takes a snapshot, whatever the wait ended in. `after` is `load` or `drain`; `sample` are the ids for the final
/// reads, at most some 2,000.
///
/// # Errors
/// As [`quiesce`] and [`take`].
pub async fn stop_point(
    after: &str,
    context: StopContext<'_>,
    open_operations: impl Fn() -> u64,
    sample: &[String],
) -> Result<Stop, SnapshotError> {
    let StopContext { stores, endpoints, scenario, clock, stop } = context;
    let quiescence = quiesce(stores, open_operations, scenario, clock, stop).await?;
    let snapshot = take(stores, endpoints, sample, clock).await?;
    Ok(Stop { after: after.to_owned(), quiescence, snapshot })
}

/// Reads both stores, at most five times, until nothing moved meanwhile; then the orders of `sample` through every api process.
/// A snapshot with `consistent == false` is of no one moment. Cancel safe.
///
/// # Errors
/// A store that refuses, breaks off or does not answer in time. An api process that does not answer is recorded, not an error.
pub async fn take(
    stores: &StoreReader,
    endpoints: &Endpoints,
    sample: &[String],
    clock: &RunClock,
) -> Result<Snapshot, SnapshotError> {
    let mut snapshot = both_stores(stores).await?;
    snapshot.servers = Servers::read(stores).await?;
    snapshot.reads = read_orders(&endpoints.api, sample).await;
    snapshot.taken_at = clock.now();
    Ok(snapshot)
}

async fn both_stores(stores: &StoreReader) -> Result<Snapshot, SnapshotError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let before = stores.fingerprint().await?;
        let ledger = LedgerState::read(stores).await?;
        let redis = RedisState::read(stores).await?;
        let consistent = before == stores.fingerprint().await?;
        if consistent || attempts >= ATTEMPTS_MAX {
            return Ok(assemble(ledger, redis, consistent, attempts));
        }
    }
}

fn assemble(ledger: LedgerState, redis: RedisState, consistent: bool, attempts: u32) -> Snapshot {
    let known: BTreeSet<ItemId> = ledger.inventory.iter().map(|row| row.item).collect();
    let unknown = redis.items.iter().filter(|(item, _)| !known.contains(item));
    let mut stray_keys: Vec<String> = unknown.flat_map(|(item, held)| keys_of(*item, held)).chain(redis.stray_keys).collect();
    stray_keys.sort_unstable();
    let LedgerState { inventory, epochs, orders, ledger, outbox, quotas, audit_findings } = ledger;
    Snapshot {
        taken_at: Offset::ZERO,
        consistent,
        attempts,
        inventory,
        epochs,
        orders,
        ledger,
        outbox,
        quotas,
        audit_findings,
        redis: redis.items,
        stray_keys,
        reads: Vec::new(),
        servers: Servers::default(),
    }
}

/// The keys that `held` was read from.
fn keys_of(item: ItemId, held: &RedisItem) -> Vec<String> {
    let stock = held.stock.iter().map(|_| Key::Stock(item));
    let meta = (!held.meta.is_empty()).then_some(Key::Meta(item));
    let locks = (!held.locks.is_empty()).then_some(Key::Lock(item));
    let records = held.records.keys().map(|order| Key::Deduct(order.clone(), item));
    let markers = held.markers.keys().map(|event| Key::Delta(event.clone(), item));
    stock.chain(meta).chain(locks).chain(records).chain(markers).map(|key| key.to_string()).collect()
}
