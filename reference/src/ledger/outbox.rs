//! The outbox apart from deducts: increases to be carried to Redis, backlog, requeue, purge (`docs/protocol.md` 5.6, 7).

use std::time::Duration;

use sqlx::mysql::MySqlRow;

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{DeadMessage, DeltaEvent, Ledger, LedgerError, OutboxDepth, rows, sql};

impl Ledger {
    /// Takes at most `limit` increases that are due, for `lease`: nobody else gets them before it ends. One that cannot be read becomes DEAD; the
    /// next rebuild of its item contains it.
    ///
    /// # Errors
    /// `Failed` or `Unknown`: at worst they are leased and come again later.
    pub async fn claim_deltas(&self, limit: u32, lease: Duration) -> Result<Vec<DeltaEvent>, LedgerError> {
        self.work(ClaimDeltas { limit, lease }).await
    }

    /// Marks increases as done: applied, or contained in a newer base. Returns how many were not done before.
    ///
    /// # Errors
    /// `Failed` or `Unknown`: call again, or leave it to the next delivery.
    pub async fn finish_deltas(&self, ids: &[i64]) -> Result<u64, LedgerError> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.work(FinishDeltas { ids: ids.to_vec() }).await
    }

    /// Backlog of the outbox.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn outbox_depth(&self) -> Result<OutboxDepth, LedgerError> {
        self.work(ReadDepth).await
    }

    /// At most `limit` messages that were given up, oldest first.
    ///
    /// # Errors
    /// `Failed`: they could not be read.
    pub async fn dead_messages(&self, limit: u32) -> Result<Vec<DeadMessage>, LedgerError> {
        self.request(ReadDead { limit }).await
    }

    /// DEAD → NEW, with its attempts counted from 0 again. False if it is not DEAD.
    ///
    /// # Errors
    /// `Failed`: certainly not changed. `Unknown`: look at the row.
    pub async fn requeue(&self, outbox_id: i64) -> Result<bool, LedgerError> {
        self.work(Requeue { outbox_id }).await
    }

    /// Deletes at most `limit` rows that were done and due longer than `older_than` ago. Returns how many.
    ///
    /// # Errors
    /// `Failed` or `Unknown`: call again.
    pub async fn purge_outbox(&self, older_than: Duration, limit: u32) -> Result<u64, LedgerError> {
        self.work(Purge { older_than, limit }).await
    }
}

struct ClaimDeltas {
    limit: u32,
    lease: Duration,
}

impl Unit for ClaimDeltas {
    const ACT: &'static str = "claim increases";
    const REPEATABLE: bool = true;
    type Output = Vec<DeltaEvent>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<DeltaEvent>, Failure> {
        let due = format!(
            "SELECT id, event_id, store_id, product_id, sku_id, quantity, epoch, attempts, \
             CAST(GREATEST(TIMESTAMPDIFF(MICROSECOND, created_at, NOW(3)), 0) DIV 1000 AS SIGNED) AS age_ms FROM outbox \
             WHERE status = 'NEW' AND event_type = 'APPLY_DELTA' AND available_at <= NOW(3) \
             ORDER BY available_at, id LIMIT {} FOR UPDATE SKIP LOCKED",
            self.limit
        );
        let reply = connection.begin(&due).await?;
        let (mut events, mut steps) = (Vec::new(), Vec::new());
        for row in reply.rows(0) {
            match delta_event(row) {
                Ok(event) => events.push(event),
                // One broken row must not hold up the others.
                Err(failure) => steps.push(give_up(rows::int(row, "id")?, failure.why())),
            }
        }
        if !events.is_empty() {
            let (ids, lease) = (sql::list(events.iter().map(|event| event.id)), sql::interval(self.lease));
            steps.push(format!("UPDATE outbox SET available_at = NOW(3) + {lease}, attempts = attempts + 1 WHERE id IN ({ids})"));
        }
        if steps.is_empty() {
            connection.rollback().await?;
            return Ok(events);
        }
        connection.query(steps.join("; ")).await?;
        connection.commit().await?;
        Ok(events)
    }
}

/// Ends an increase that no repeat can deliver.
fn give_up(id: i64, why: &str) -> String {
    tracing::error!(outbox_id = id, why, "an increase that nothing can deliver is DEAD");
    format!("UPDATE outbox SET status = 'DEAD', last_error = {} WHERE id = {id}", sql::text(why, 255))
}

fn delta_event(row: &MySqlRow) -> Result<DeltaEvent, Failure> {
    let earlier = u32::try_from(rows::count(row, "attempts")?).unwrap_or(u32::MAX);
    Ok(DeltaEvent {
        id: rows::int(row, "id")?,
        event_id: rows::text(row, "event_id")?,
        item: rows::item(row)?,
        quantity: rows::count(row, "quantity")?,
        epoch: rows::epoch(row)?,
        attempts: earlier.saturating_add(1),
        age_ms: rows::count(row, "age_ms")?,
    })
}

struct FinishDeltas {
    ids: Vec<i64>,
}

impl Unit for FinishDeltas {
    const ACT: &'static str = "finish increases";
    const REPEATABLE: bool = true;
    type Output = u64;

    async fn run(&self, connection: &mut Connection) -> Result<u64, Failure> {
        let ids = sql::list(&self.ids);
        let update =
            format!("UPDATE outbox SET status = 'DONE' WHERE id IN ({ids}) AND status = 'NEW' AND event_type = 'APPLY_DELTA'");
        Ok(connection.autocommit(update).await?.affected(0))
    }
}

struct ReadDepth;

impl Unit for ReadDepth {
    const ACT: &'static str = "read the depth of the outbox";
    const REPEATABLE: bool = true;
    type Output = OutboxDepth;

    async fn run(&self, connection: &mut Connection) -> Result<OutboxDepth, Failure> {
        let read = "SELECT status, event_type, COUNT(*) AS found, \
                    CAST(GREATEST(COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, created_at, NOW(3))), 0), 0) DIV 1000 AS SIGNED) \
                    AS oldest_ms FROM outbox WHERE status IN ('NEW', 'DEAD') GROUP BY status, event_type";
        let reply = connection.query(read.into()).await?;
        let mut depth = OutboxDepth::default();
        for row in reply.rows(0) {
            let (found, oldest) = (rows::count(row, "found")?, rows::count(row, "oldest_ms")?);
            match (rows::text(row, "status")?.as_str(), rows::text(row, "event_type")?.as_str()) {
                ("DEAD", "DEDUCT_STOCK_DB") => depth.dead = found,
                ("DEAD", _) => depth.dead_deltas = found,
                (_, "DEDUCT_STOCK_DB") => (depth.deducts, depth.oldest_deduct_ms) = (found, oldest),
                _ => (depth.deltas, depth.oldest_delta_ms) = (found, oldest),
            }
        }
        Ok(depth)
    }
}

struct ReadDead {
    limit: u32,
}

impl Unit for ReadDead {
    const ACT: &'static str = "read dead messages";
    const REPEATABLE: bool = true;
    type Output = Vec<DeadMessage>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<DeadMessage>, Failure> {
        let read = format!(
            "SELECT id, event_type, order_id, store_id, product_id, sku_id, quantity, attempts, last_error, \
             CAST(GREATEST(TIMESTAMPDIFF(MICROSECOND, created_at, NOW(3)), 0) DIV 1000 AS SIGNED) AS age_ms \
             FROM outbox WHERE status = 'DEAD' ORDER BY id LIMIT {}",
            self.limit
        );
        connection.query(read).await?.rows(0).iter().map(dead_message).collect()
    }
}

fn dead_message(row: &MySqlRow) -> Result<DeadMessage, Failure> {
    Ok(DeadMessage {
        id: rows::int(row, "id")?,
        event_type: rows::text(row, "event_type")?,
        order: rows::text(row, "order_id")?,
        item: (rows::int(row, "store_id")?, rows::int(row, "product_id")?, rows::int(row, "sku_id")?),
        quantity: rows::int(row, "quantity")?,
        attempts: rows::int(row, "attempts")?,
        why: rows::text(row, "last_error")?,
        age_ms: rows::count(row, "age_ms")?,
    })
}

struct Requeue {
    outbox_id: i64,
}

impl Unit for Requeue {
    const ACT: &'static str = "requeue a message";
    // A repeat would find the row in NEW and say that it was never DEAD.
    const REPEATABLE: bool = false;
    type Output = bool;

    async fn run(&self, connection: &mut Connection) -> Result<bool, Failure> {
        let update = format!(
            "UPDATE outbox SET status = 'NEW', attempts = 0, available_at = NOW(3) \
             WHERE id = {} AND status = 'DEAD'",
            self.outbox_id
        );
        let changed = connection.begin(&update).await?.affected(0) == 1;
        connection.commit().await?;
        Ok(changed)
    }
}

struct Purge {
    older_than: Duration,
    limit: u32,
}

impl Unit for Purge {
    const ACT: &'static str = "purge the outbox";
    const REPEATABLE: bool = true;
    type Output = u64;

    async fn run(&self, connection: &mut Connection) -> Result<u64, Failure> {
        // available_at, never before created_at, is what the index is sorted by.
        let old = sql::interval(self.older_than);
        let mut purged = 0;
        for event_type in ["DEDUCT_STOCK_DB", "APPLY_DELTA"] {
            let delete = format!(
                "DELETE FROM outbox WHERE status = 'DONE' AND event_type = '{event_type}' AND available_at <= NOW(3) - {old} \
                 ORDER BY available_at, id LIMIT {}",
                u64::from(self.limit).saturating_sub(purged)
            );
            purged += connection.autocommit(delete).await?.affected(0);
        }
        Ok(purged)
    }
}
