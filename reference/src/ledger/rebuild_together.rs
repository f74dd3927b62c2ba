//! Rebuilds of several items in one transaction: what Redis lost at once comes back with few round trips and one fsync for many items.
//!
//! In: requests that keep the mode REDIS. Out: the items whose epoch was opened; all of them are committed, or none. Each has the statements that
//! it has alone (`rebuild`), and its own fence: one that somebody else rebuilt, or has locked, is left out.

use super::connection::Connection;
use super::failure::Failure;
use super::rebuild::{base_of, lock_of, open_epoch, tell_closed};
use super::unit::Unit;
use super::{EpochState, Ledger, LedgerError, Mode, RebuildRequest, rows};
use crate::domain::{Epoch, Item};

/// An epoch that was opened, and what it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The item.
    pub item: Item,
    /// Its new epoch.
    pub epoch: Epoch,
    /// Units available.
    pub base: i64,
    /// REDIS, or CLOSED where `base` is below 0: then nothing is to be installed.
    pub mode: Mode,
}

impl Ledger {
    /// Opens a new epoch of each item behind the exclusive locks of all. One that somebody has locked is left out, so that the others do not wait
    /// for it, and so is one whose mode is not REDIS any more: what it needs beside is done alone.
    ///
    /// # Errors
    /// `Failed`: certainly nothing was done. `Unknown`: install nothing and start again with a fresh look.
    pub async fn rebuild_together(&self, mut requests: Vec<RebuildRequest>) -> Result<Vec<Opened>, LedgerError> {
        // The order of all who lock several.
        requests.sort_unstable_by_key(|request| request.item);
        // An item that is named twice would have its epoch installed twice.
        requests.dedup_by_key(|request| request.item);
        self.work(RebuildTogether { requests }).await.inspect_err(|error| {
            if let LedgerError::Unknown { why, .. } = error {
                tracing::warn!(why, "nobody can say whether a rebuild was committed");
            }
        })
    }
}

struct RebuildTogether {
    requests: Vec<RebuildRequest>,
}

impl Unit for RebuildTogether {
    const ACT: &'static str = "rebuild items together";
    // As for one item.
    const REPEATABLE: bool = false;
    type Output = Vec<Opened>;

    async fn run(&self, connection: &mut Connection) -> Result<Self::Output, Failure> {
        // An item has one row of it as long as it has one shard, so that one is locked or not.
        let free = |request: &RebuildRequest| format!("{} SKIP LOCKED", lock_of(request.item));
        let locked = connection.begin(&packet(self.requests.iter().map(free))).await?;
        let mut held = Vec::new();
        for (at, request) in self.requests.iter().enumerate() {
            let current = locked.rows(at).first().map(rows::epoch_state).transpose()?;
            if current == Some(EpochState { epoch: request.seen, mode: Mode::Redis }) {
                held.push(request);
            }
        }
        if held.is_empty() {
            connection.rollback().await?;
            return Ok(Vec::new());
        }
        let bases = connection.query(packet(held.iter().map(|request| base_of(request.item)))).await?;
        let (mut opened, mut updates) = (Vec::new(), Vec::new());
        for (at, request) in held.into_iter().enumerate() {
            // One without a balance fails alone, with its own words.
            let Some(row) = bases.rows(at).first() else { continue };
            let (item, epoch, base) = (request.item, request.next_epoch(), rows::int(row, "base")?);
            let mode = if base < 0 { Mode::Closed } else { Mode::Redis };
            if base < 0 {
                tell_closed(item, base);
            }
            updates.push(open_epoch(request, epoch, mode, base));
            opened.push(Opened { item, epoch, base, mode });
        }
        if opened.is_empty() {
            connection.rollback().await?;
            return Ok(opened);
        }
        connection.query(packet(updates.into_iter())).await?;
        connection.commit().await?;
        Ok(opened)
    }
}

fn packet(statements: impl Iterator<Item = String>) -> String {
    statements.collect::<Vec<_>>().join("; ")
}
