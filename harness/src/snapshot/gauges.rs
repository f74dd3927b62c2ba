//! Readings while a run goes on: how far Redis and the ledger are apart, and how old the oldest lock is.
//!
//! In: direct connections. Out: [`Gauges`]. Two stores cannot be read at one instant, so the ledger is read before and behind Redis and a
//! difference counts only as far as no order of events in between explains it. For curves and recovery times, never for a verdict on stock.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::mysql::MySqlConnection;

use super::SnapshotError;
use super::ledger_state::{Columns, read_rows};
use super::reader::{StoreReader, within};
use crate::scenario::ItemId;
use crate::target::keys::Key;
use crate::target::ledger;

/// Longest wait for all of it.
const DEADLINE: Duration = Duration::from_secs(5);

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Units by which Redis and the ledger differ beyond what locks and increases on their way explain; all items added up.
    pub drift: u64,
    /// Age of the oldest lock, ms by the clock of Redis; 0 without locks.
    pub oldest_lock_ms: u64,
    /// The same over items whose units Redis gives out. The rebuild that took an item from Redis voided its locks: nobody settles them, and
    /// nobody need be told.
    pub oldest_open_lock_ms: u64,
}

/// What the ledger says of an item.
#[derive(Debug, Clone, Copy)]
struct Ledger {
    item: ItemId,
    /// Units that no committed order holds.
    available: i64,
    /// Increases that are committed and maybe not yet in Redis.
    on_their_way: i64,
    /// Whether Redis has no part in its sale: MySQL sells it, or nobody does.
    is_beside_redis: bool,
}

/// What Redis says of an item.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    stock: i64,
    /// Units of all locks, whether their order is committed or not.
    locked: i64,
    oldest_ms: Option<u64>,
}

impl StoreReader {
    /// Reads both gauges. Cancel safe.
    ///
    /// # Errors
    /// A store that refuses or does not answer within 5 s.
    pub async fn gauges(&self) -> Result<Gauges, SnapshotError> {
        within("read drift and locks", DEADLINE, async {
            let mut mysql = self.lend_mysql().await?;
            let mut redis = self.lend_redis().await?;
            let before = ledger_of(&mut mysql).await?;
            let (counters, now_ms) = counters_of(&mut redis, before.values()).await?;
            let after = ledger_of(&mut mysql).await?;
            self.keep_mysql(mysql);
            self.keep_redis(redis);
            let apart = before.iter().filter_map(|(item, before)| Some(distance(before, after.get(item)?, counters.get(item)?)));
            let age = |since_ms: Option<u64>| since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
            let (oldest, oldest_open) = oldest_locks(&before, &counters);
            Ok(Gauges { drift: apart.sum(), oldest_lock_ms: age(oldest), oldest_open_lock_ms: age(oldest_open) })
        })
        .await
    }
}

/// Units by which the stock lies outside of what the ledger allows: `available − increases on their way − locks` to `available`.
fn distance(before: &Ledger, after: &Ledger, counter: &Counter) -> u64 {
    let least = before.available.min(after.available) - before.on_their_way.max(after.on_their_way) - counter.locked;
    let most = before.available.max(after.available);
    let outside = (least - counter.stock).max(counter.stock - most).max(0);
    outside.unsigned_abs()
}

/// Since when the oldest lock is held: of all items, and of those that Redis sells.
fn oldest_locks(ledgers: &BTreeMap<ItemId, Ledger>, counters: &BTreeMap<ItemId, Counter>) -> (Option<u64>, Option<u64>) {
    let is_open = |item: &ItemId| ledgers.get(item).is_some_and(|ledger| !ledger.is_beside_redis);
    let open = counters.iter().filter(|(item, _)| is_open(item));
    (counters.values().filter_map(|counter| counter.oldest_ms).min(), open.filter_map(|(_, counter)| counter.oldest_ms).min())
}

async fn ledger_of(mysql: &mut MySqlConnection) -> Result<BTreeMap<ItemId, Ledger>, SnapshotError> {
    let row = |row: &Columns<'_>| {
        let beside_redis: i64 = row.get("beside_redis")?;
        Ok(Ledger {
            item: row.item()?,
            available: row.get("available")?,
            on_their_way: row.get("on_their_way")?,
            is_beside_redis: beside_redis != 0,
        })
    };
    let rows: Vec<Ledger> = read_rows(mysql, ledger::GAUGES, row).await?;
    Ok(rows.into_iter().map(|row| (row.item, row)).collect())
}

async fn counters_of(
    redis: &mut MultiplexedConnection,
    items: impl Iterator<Item = &Ledger> + Clone,
) -> Result<(BTreeMap<ItemId, Counter>, u64), SnapshotError> {
    let mut questions = redis::pipe();
    for ledger in items.clone() {
        questions.cmd("GET").arg(Key::Stock(ledger.item).to_string());
        questions.cmd("ZRANGE").arg(Key::Lock(ledger.item).to_string()).arg(0).arg(-1).arg("WITHSCORES");
    }
    questions.cmd("TIME");
    let answers: Vec<redis::Value> = questions.query_async(redis).await.map_err(SnapshotError::redis("read stock and locks of"))?;
    let unreadable = |error: redis::ParsingError| SnapshotError::redis("read stock and locks of")(error.into());
    let (time, answers) = answers.split_last().map_or((None, &[][..]), |(time, rest)| (Some(time), rest));
    let (seconds, micros): (u64, u64) = redis::from_redis_value_ref(time.unwrap_or(&redis::Value::Nil)).map_err(unreadable)?;
    let mut counters = BTreeMap::new();
    for (ledger, answer) in items.zip(answers.chunks_exact(2)) {
        let stock: Option<i64> = redis::from_redis_value_ref(&answer[0]).map_err(unreadable)?;
        let locks: Vec<(String, f64)> = redis::from_redis_value_ref(&answer[1]).map_err(unreadable)?;
        counters.insert(ledger.item, counter(stock.unwrap_or(0), &locks));
    }
    Ok((counters, seconds * 1_000 + micros / 1_000))
}

/// Members are `order|token|quantity`, in order of age.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score is a time in ms, far below 2^53")]
fn counter(stock: i64, locks: &[(String, f64)]) -> Counter {
    let units = |member: &str| member.rsplit('|').next().and_then(|units| units.parse::<i64>().ok()).unwrap_or(0);
    let oldest_ms = locks.first().map(|(_, score)| score.max(0.0) as u64);
    Counter { stock, locked: locks.iter().map(|(member, _)| units(member)).sum(), oldest_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: ItemId = ItemId { store: 1, product: 1, sku: 1 };

    fn ledger(available: i64, on_their_way: i64) -> Ledger {
        Ledger { item: ITEM, available, on_their_way, is_beside_redis: false }
    }

    #[test]
    fn only_what_nothing_on_its_way_explains_is_drift() {
        let locks = [("o1|1:1|2".to_owned(), 1_000.0), ("o2|1:2|3".to_owned(), 2_000.0)];
        let apart = |stock| distance(&ledger(100, 4), &ledger(98, 4), &counter(stock, &locks));
        assert_eq!(apart(100), 0, "locks of orders that are committed already");
        assert_eq!(apart(89), 0, "two orders under way, an increase to come, and one order committed meanwhile");
        assert_eq!(apart(88), 1);
        assert_eq!(apart(1_100), 1_000, "a foreign hand");
        assert_eq!(distance(&ledger(100, 0), &ledger(100, 0), &counter(0, &[])), 100, "all is lost");
        assert_eq!(counter(0, &locks).oldest_ms, Some(1_000));
    }

    #[test]
    fn locks_of_an_item_that_redis_does_not_sell_are_not_among_the_open_ones() {
        let held = |since_ms: f64| counter(0, &[("o1|1:1|2".to_owned(), since_ms)]);
        let other = ItemId { sku: 2, ..ITEM };
        let counters = BTreeMap::from([(ITEM, held(1_000.0)), (other, held(2_000.0))]);
        let closed = |is_beside_redis| BTreeMap::from([(ITEM, Ledger { is_beside_redis, ..ledger(0, 0) }), (other, ledger(0, 0))]);
        assert_eq!(oldest_locks(&closed(false), &counters), (Some(1_000), Some(1_000)));
        assert_eq!(oldest_locks(&closed(true), &counters), (Some(1_000), Some(2_000)));
    }
}
