//! Mistakes of the deduct worker's transactions that are more than a line.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;
use rand::RngExt as _;

use super::{
    Connection, Deduct, DeductBatch, Deducted, Event, Events, Failure, Ledger, LedgerError, LockedSale, Poison, SaleState, Sales,
    Settled, Unit, lock_sales, read_events, rows, sql, take_from_balance,
};
use crate::defects::{Defect, planted};
use crate::domain::Item;
use crate::ledger::connection::Reply;

/// What is waited for before COMMIT.
pub(super) type Then = Arc<dyn Fn(Vec<Settled>) -> BoxFuture<'static, ()> + Send + Sync>;

/// Whether a message is done only once its locks are confirmed. Until then it is leased, so it comes again if its worker dies.
pub(super) fn acknowledges_last() -> bool {
    planted(Defect::DeductWithoutDedup) || planted(Defect::RedeliveryIsAnError)
}

/// [`Defect::DeductWithoutGuard`].
pub(super) fn without_guard(update: String) -> String {
    let guard = update.find(" AND current_stock - locked_stock >=").filter(|_| planted(Defect::DeductWithoutGuard));
    guard.map_or(update.clone(), |guard| update[..guard].to_owned())
}

/// The newest message that [`Defect::CursorPolling`] has seen.
static CURSOR: AtomicI64 = AtomicI64::new(0);

/// The statement that takes messages, if it is another one.
pub(super) fn take(events: &Events, columns: &str) -> Option<String> {
    match events {
        Events::Due(limit) if planted(Defect::CursorPolling) => Some(format!(
            "SELECT {columns} FROM outbox FORCE INDEX (PRIMARY) WHERE id > {} AND status = 'NEW' AND event_type = 'DEDUCT_STOCK_DB' \
             ORDER BY id LIMIT {limit} FOR UPDATE SKIP LOCKED",
            CURSOR.load(Ordering::Relaxed)
        )),
        Events::Of(ids) if planted(Defect::OutboxDoneBeforeDeduct) => Some(format!(
            "SELECT {columns} FROM outbox FORCE INDEX (PRIMARY) WHERE id IN ({}) AND event_type = 'DEDUCT_STOCK_DB' \
             ORDER BY id FOR UPDATE SKIP LOCKED",
            sql::list(ids)
        )),
        _ => None,
    }
}

/// [`Defect::RedeliveryIsAnError`]: only a sale that waits for its deduct fits its message.
pub(super) fn sorted<'e>(known: Vec<&'e Event>, unfit: Vec<&'e Event>, sales: &Sales) -> (Vec<&'e Event>, Vec<&'e Event>) {
    let waits = |event: &&Event| matches!(sales.get(&event.key()), Some(Ok(sale)) if sale.state == SaleState::Lock);
    if planted(Defect::RedeliveryIsAnError) {
        // The others stay NEW: their batch comes back to them.
        return (known.into_iter().filter(waits).collect(), unfit);
    }
    (known, unfit)
}

/// What happens with the messages in hand, before any balance moves.
pub(super) async fn before_the_balances(
    connection: &mut Connection,
    events: &Events,
    known: &[&Event],
    poison: &[Poison],
) -> Result<(), Failure> {
    if planted(Defect::CursorPolling) {
        let newest = known.iter().map(|event| event.id).max().unwrap_or_default();
        CURSOR.fetch_max(newest, Ordering::Relaxed);
    }
    if let (Some(bad), true) = (poison.first(), planted(Defect::NoDeadLetter)) {
        return Err(Failure::Broken { why: bad.why.clone() });
    }
    if let Events::DueAndThen(_, then) = events {
        let mut items: Vec<_> = known.iter().map(|event| event.item).collect();
        items.sort_unstable();
        items.dedup();
        let locks: Vec<String> =
            items.into_iter().map(|item| sql::share_epoch(item).replace("LOCK IN SHARE MODE", "FOR UPDATE")).collect();
        if !locks.is_empty() {
            connection.query(locks.join("; ")).await?;
        }
        then(known.iter().map(|event| event.settled()).collect()).await;
    }
    Ok(())
}

/// [`Defect::DeadlockRetryRepeatsHalf`]: balances in the order of nothing in particular, and a deadlock only repeats its statement: what had
/// been written before is gone.
pub(super) async fn settle_with_half_repeats(
    connection: &mut Connection,
    out: Option<String>,
    sums: &BTreeMap<Item, i64>,
    finish: Vec<String>,
) -> Result<Option<String>, Failure> {
    if let Some(out) = out {
        connection.query(out).await?;
    }
    for sum in sums.iter().collect::<HashMap<_, _>>() {
        while let Err(failure) = connection.query(take_from_balance(sum)).await {
            if !failure.is_transient() {
                return Err(failure);
            }
        }
    }
    if !finish.is_empty() {
        connection.query(finish.join("; ")).await?;
    }
    Ok(None)
}

impl Ledger {
    /// Messages that are claimed by a statement of their own: done already, or put off until nobody comes.
    pub(super) async fn claimed_before(&self, events: Events) -> Result<Events, LedgerError> {
        let Events::Due(limit) = events else { return Ok(events) };
        let claim = if planted(Defect::OutboxDoneBeforeDeduct) {
            "status = 'DONE'"
        } else if planted(Defect::ClaimSurvivesCrash) {
            "available_at = '9999-12-31'"
        } else {
            return Ok(events);
        };
        let ids = self.work(Claim { limit, claim }).await?;
        Ok(if ids.is_empty() { Events::Due(0) } else { Events::Of(ids) })
    }

    /// [`Defect::LeaseShorterThanWork`]: what is claimed, and what its sales were then, is worked off one message after another.
    pub(super) async fn deduct_one_by_one(&self, limit: u32) -> Result<DeductBatch, LedgerError> {
        let ids = self.work(Claim { limit, claim: "available_at = NOW(3) + INTERVAL 300000 MICROSECOND" }).await?;
        let mut batch = DeductBatch { events: ids.len(), ..DeductBatch::default() };
        if ids.is_empty() {
            return Ok(batch);
        }
        for (event, sale) in self.work(ReadClaimed { ids }).await? {
            batch.settled.push(event.settled());
            self.work(Book { event, sale }).await?;
        }
        Ok(batch)
    }

    /// [`Self::deduct_batch`] that waits for `then` before COMMIT.
    ///
    /// # Errors
    /// As there.
    pub async fn deduct_batch_and_then(&self, limit: u32, then: Then) -> Result<DeductBatch, LedgerError> {
        match self.work(Deduct { events: Events::DueAndThen(limit, then) }).await? {
            Deducted::Settled(batch) => Ok(batch),
            Deducted::Refused { taken, .. } => self.deduct_singly(DeductBatch::default(), taken).await,
        }
    }

    /// Marks the messages of these sales as done, if that was left for the end.
    ///
    /// # Errors
    /// They come again.
    pub async fn acknowledge(&self, settled: &[Settled]) -> Result<(), LedgerError> {
        if settled.is_empty() || !acknowledges_last() {
            return Ok(());
        }
        self.work(Acknowledge { settled: settled.to_vec() }).await
    }
}

/// Due messages, taken by writing `claim` into them.
struct Claim {
    limit: u32,
    claim: &'static str,
}

impl Unit for Claim {
    const ACT: &'static str = "claim deducts";
    const REPEATABLE: bool = true;
    type Output = Vec<i64>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<i64>, Failure> {
        let due = "status = 'NEW' AND event_type = 'DEDUCT_STOCK_DB' AND available_at <= NOW(3)";
        let read = |reply: &Reply| reply.rows(0).iter().map(|row| rows::int(row, "id")).collect::<Result<Vec<_>, _>>();
        let look = format!("SELECT id FROM outbox WHERE {due} ORDER BY available_at, id LIMIT {}", self.limit);
        let found = read(&connection.query(look).await?)?;
        if found.is_empty() {
            return Ok(found);
        }
        // Whoever else saw them loses: they are those that bear our name afterwards.
        let (ids, owner) = (sql::list(found), rand::rng().random::<u64>());
        let claim = format!("UPDATE outbox SET {}, last_error = '{owner}' WHERE id IN ({ids}) AND {due}", self.claim);
        connection.autocommit(claim).await?;
        let own = format!("SELECT id FROM outbox WHERE id IN ({ids}) AND last_error = '{owner}'");
        read(&connection.query(own).await?)
    }
}

/// Claimed messages with their sales as they are now.
struct ReadClaimed {
    ids: Vec<i64>,
}

impl Unit for ReadClaimed {
    const ACT: &'static str = "read claimed deducts";
    const REPEATABLE: bool = true;
    type Output = Vec<(Event, LockedSale)>;

    async fn run(&self, connection: &mut Connection) -> Result<Self::Output, Failure> {
        let columns = "id, order_id, store_id, product_id, sku_id, quantity, token";
        let read = format!("SELECT {columns} FROM outbox WHERE id IN ({}) ORDER BY id", sql::list(&self.ids));
        let (events, _) = read_events(connection.query(read).await?.rows(0))?;
        let mut sales = lock_sales(connection, &events).await?;
        let sale = |event: Event| Some((sales.remove(&event.key())?.ok()?, event)).map(|(sale, event)| (event, sale));
        Ok(events.into_iter().filter_map(sale).collect())
    }
}

/// The deduct of one message, by what its sale was when it was claimed.
struct Book {
    event: Event,
    sale: LockedSale,
}

impl Unit for Book {
    const ACT: &'static str = "deduct";
    const REPEATABLE: bool = true;
    type Output = ();

    async fn run(&self, connection: &mut Connection) -> Result<(), Failure> {
        let (id, item, units) = (self.sale.id, sql::item_is(self.event.item), self.sale.quantity);
        connection.begin(&format!("UPDATE outbox SET status = 'DONE' WHERE id = {}", self.event.id)).await?;
        if self.sale.state == SaleState::Lock {
            connection
                .query(format!(
                    "UPDATE inventory_transactions SET transaction_type = 'OUT' WHERE id = {id}; \
                     UPDATE inventory SET current_stock = current_stock - {units}, version = version + 1 \
                     WHERE {item} AND current_stock - locked_stock >= {units}"
                ))
                .await?;
        }
        connection.commit().await
    }
}

/// Messages that are done at last.
struct Acknowledge {
    settled: Vec<Settled>,
}

impl Unit for Acknowledge {
    const ACT: &'static str = "acknowledge deducts";
    const REPEATABLE: bool = true;
    type Output = ();

    async fn run(&self, connection: &mut Connection) -> Result<(), Failure> {
        let updates = self.settled.iter().map(|settled| {
            let (order, item) = (sql::id(&settled.order), sql::item_is(settled.item));
            format!("UPDATE outbox SET status = 'DONE' WHERE event_type = 'DEDUCT_STOCK_DB' AND event_id = {order} AND {item}")
        });
        connection.autocommit(updates.collect::<Vec<_>>().join("; ")).await.map(drop)
    }
}
