//! The exact comparison of one item under traffic, and the check of its balance against its rows (`docs/protocol.md` 9).
//!
//! While the epoch row is locked exclusively, nothing changes what MySQL holds available, and every step of Redis keeps
//! `counter + units of tokens without a sale + increases on their way`. So one look at Redis inside the lock decides. The look is
//! handed in by the caller: this side knows nothing of Redis.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::connection::Connection;
use super::failure::Failure;
use super::rebuild::read_base;
use super::unit::Unit;
use super::{EpochState, Ledger, LedgerError, Mode, rows, sql};
use crate::domain::{Epoch, Item, Member, OrderId, Token};
use crate::metrics::Finding;

/// Increases on their way beyond which an item is too busy to be audited: each is a key of one look at Redis.
const INCREASES_MAX: usize = 5_000;
/// Orders of one statement.
const ORDERS_AT_ONCE: usize = 1_000;

/// What Redis showed of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Why the counter cannot be used; `None` if it can.
    pub unready: Option<String>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Units in the counter.
    pub stock: i64,
    /// Unresolved locks.
    pub locks: Vec<Member>,
    /// Members of the lock set that no reservation wrote.
    pub foreign: u64,
    /// For each increase asked about: whether it was applied.
    pub applied: Vec<bool>,
}

/// Looks at Redis, asking about these increases; bounded in time, because a lock is held meanwhile. `Err` says why nothing was seen.
pub type Look = Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<Sight, String>> + Send + Sync>;

/// An audit that is wanted.
#[derive(Clone)]
pub struct AuditRequest {
    /// The item.
    pub item: Item,
    /// The look at Redis.
    pub look: Look,
    /// Incarnation of the process that the look goes to; empty if none was reached.
    pub incarnation: String,
    /// Whether a difference is recorded and a new epoch opened in the same transaction.
    pub correct: bool,
}

/// An increase that was committed in the epoch and is not marked as done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increase {
    /// Its event.
    pub event_id: String,
    /// Units.
    pub units: i64,
    /// Whether Redis has it already.
    pub applied: bool,
}

/// Both sides of an item at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Epoch and mode.
    pub state: EpochState,
    /// What MySQL holds available.
    pub available: i64,
    /// What Redis showed.
    pub stock: i64,
    /// Locks whose token has a sale in the ledger: to be confirmed.
    pub owned: Vec<Member>,
    /// Locks whose token has none: their units are held in Redis.
    pub unowned: Vec<Member>,
    /// Increases not yet marked as done.
    pub increases: Vec<Increase>,
    /// Members of the lock set that no reservation wrote.
    pub foreign: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The epoch that was opened to correct it. Its counter is to be installed, once, with what is available.
    pub opened: Option<EpochState>,
}

impl Comparison {
    /// Units held in Redis by tokens without a sale (P).
    #[must_use]
    pub fn held(&self) -> i64 {
        self.unowned.iter().map(|member| i64::from(member.quantity.get())).sum()
    }

    /// Units of increases that Redis does not have yet (D).
    #[must_use]
    pub fn on_their_way(&self) -> i64 {
        self.increases.iter().filter(|increase| !increase.applied).map(|increase| increase.units).sum()
    }

    /// Redis less ledger: above 0 Redis promises too much, below 0 units are lost.
    #[must_use]
    pub fn drift(&self) -> i64 {
        self.stock + self.held() + self.on_their_way() - self.available
    }
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audited {
    /// No such item.
    UnknownItem,
    /// Redis has no part in the item now.
    NoPart {
        /// Epoch and mode.
        state: EpochState,
    },
    /// Nothing to compare: Redis does not answer, its counter is not of this epoch, or too much is on its way.
    NotComparable {
        /// Epoch and mode.
        state: EpochState,
        /// Why.
        why: String,
    },
    /// Both sides.
    Compared(Box<Comparison>),
}

/// Balance of an item beside the sum of its rows, of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerCheck {
    /// Units owned, by the balance.
    pub current: i64,
    /// Units held back.
    pub locked: i64,
    /// Units in less units out, by the rows.
    pub booked: i64,
    /// Units of committed orders whose deduct is still to come.
    pub open: i64,
}

impl LedgerCheck {
    /// Balance less rows; 0 if the ledger is sound.
    #[must_use]
    pub const fn difference(&self) -> i64 {
        self.current - self.booked
    }

    /// Whether I4 holds and no more is promised than there is.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.difference() == 0 && self.locked >= 0 && self.current - self.locked - self.open >= 0
    }
}

impl Ledger {
    /// Compares an item with what `look` sees, behind its exclusive lock. Orders, cancels and restocks of the item wait meanwhile.
    ///
    /// # Errors
    /// `Failed`: nothing was changed. `Unknown`, only if it was to correct: install nothing and look again.
    pub async fn audit(&self, request: AuditRequest) -> Result<Audited, LedgerError> {
        self.request(Audit(request)).await
    }

    /// Balance and rows of an item; `None` if there is no such item. Reads every row of the item: for audits, not for requests.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn check_item(&self, item: Item) -> Result<Option<LedgerCheck>, LedgerError> {
        self.work(CheckItem { item }).await
    }
}

struct Audit(AuditRequest);

impl Unit for Audit {
    const ACT: &'static str = "audit an item";
    // An epoch is installed at most once: whoever cannot say whether it was committed takes another one.
    const REPEATABLE: bool = false;
    type Output = Audited;

    async fn run(&self, connection: &mut Connection) -> Result<Audited, Failure> {
        let found = self.compare(connection).await?;
        let Audited::Compared(mut comparison) = found else {
            connection.rollback().await?;
            return Ok(found);
        };
        if !self.0.correct || comparison.findings.is_empty() {
            connection.rollback().await?;
            return Ok(Audited::Compared(comparison));
        }
        connection.query(record(self.0.item, &comparison)).await?;
        comparison.opened = Some(self.open_next(connection, &comparison).await?);
        connection.commit().await?;
        Ok(Audited::Compared(comparison))
    }
}

impl Audit {
    async fn compare(&self, connection: &mut Connection) -> Result<Audited, Failure> {
        let AuditRequest { item, look, incarnation, .. } = &self.0;
        let lock =
            format!("SELECT epoch, mode, incarnation FROM inventory_epoch WHERE {} ORDER BY shard FOR UPDATE", sql::item_is(*item));
        let reply = connection.begin(&lock).await?;
        let Some(row) = reply.rows(0).first() else {
            return Ok(Audited::UnknownItem);
        };
        let (state, installed_in) = (rows::epoch_state(row)?, rows::text(row, "incarnation")?);
        if matches!(state.mode, Mode::Db | Mode::Closed) {
            return Ok(Audited::NoPart { state });
        }
        let mut increases = increases(connection, *item, state.epoch).await?;
        if increases.len() > INCREASES_MAX {
            return Ok(Audited::NotComparable { state, why: format!("more than {INCREASES_MAX} increases are on their way") });
        }
        let sight = match look(increases.iter().map(|increase| increase.event_id.clone()).collect()).await {
            Ok(sight) => sight,
            Err(why) => return Ok(Audited::NotComparable { state, why }),
        };
        if let Some(why) = incomparable(&sight, state.epoch) {
            return Ok(Audited::NotComparable { state, why });
        }
        for (increase, applied) in increases.iter_mut().zip(&sight.applied) {
            increase.applied = *applied;
        }
        let sales = sales(connection, *item, &sight.locks).await?;
        let (owned, unowned) = sight.locks.into_iter().partition(|member| sales.contains(&(member.order.clone(), member.token)));
        let available = read_base(connection, *item).await?;
        let (stock, foreign) = (sight.stock, sight.foreign);
        let findings = Vec::new();
        let mut comparison = Comparison { state, available, stock, owned, unowned, increases, foreign, findings, opened: None };
        let wrong = [
            (comparison.drift() != 0, Finding::Drift),
            (foreign > 0, Finding::ForeignLock),
            (installed_in != *incarnation, Finding::TwoProcesses),
            (available < 0, Finding::NegativeBase),
        ];
        comparison.findings = wrong.into_iter().filter(|(is, _)| *is).map(|(_, finding)| finding).collect();
        Ok(Audited::Compared(Box::new(comparison)))
    }
}

impl Audit {
    /// The next epoch with what is available behind the lock; less than nothing closes the item.
    async fn open_next(&self, connection: &mut Connection, comparison: &Comparison) -> Result<EpochState, Failure> {
        let base = comparison.available;
        let mode = if base < 0 { Mode::Closed } else { comparison.state.mode };
        let epoch = Epoch(comparison.state.epoch.0 + 1);
        let (item, word, incarnation) = (sql::item_is(self.0.item), mode.name(), sql::text(&self.0.incarnation, 96));
        let update = format!(
            "UPDATE inventory_epoch SET epoch = {epoch}, mode = '{word}', base = {base}, incarnation = {incarnation}, \
             reason = 'audit' WHERE {item}"
        );
        connection.query(update).await?;
        Ok(EpochState { epoch, mode })
    }
}

fn incomparable(sight: &Sight, epoch: Epoch) -> Option<String> {
    match &sight.unready {
        Some(why) => Some(format!("the counter in Redis is not ready: {why}")),
        None if sight.epoch != epoch => Some(format!("Redis holds epoch {}, MySQL {epoch}", sight.epoch)),
        None => None,
    }
}

/// Increases of the epoch that are not marked as done. Nobody can commit another one while the epoch is locked.
async fn increases(connection: &mut Connection, item: Item, epoch: Epoch) -> Result<Vec<Increase>, Failure> {
    let item = sql::item_is(item);
    let limit = INCREASES_MAX + 1;
    let read = format!(
        "SELECT event_id, quantity FROM outbox FORCE INDEX (outbox_due) WHERE {item} AND status = 'NEW' AND event_type = 'APPLY_DELTA' \
         AND epoch = {epoch} ORDER BY id LIMIT {limit}"
    );
    let increase =
        |row| Ok(Increase { event_id: rows::text(row, "event_id")?, units: rows::int(row, "quantity")?, applied: false });
    connection.query(read).await?.rows(0).iter().map(increase).collect()
}

/// Which tokens of these locks have a sale.
async fn sales(connection: &mut Connection, item: Item, locks: &[Member]) -> Result<HashSet<(OrderId, Token)>, Failure> {
    let mut found = HashSet::new();
    for part in locks.chunks(ORDERS_AT_ONCE) {
        let named = sql::sales_are(part.iter().map(|member| (item, &member.order)));
        let read =
            format!("SELECT order_id, token FROM inventory_transactions FORCE INDEX (ledger_item) WHERE {named} AND token <> ''");
        for row in connection.query(read).await?.rows(0) {
            found.insert((rows::parsed(row, "order_id")?, rows::parsed(row, "token")?));
        }
    }
    Ok(found)
}

/// The row that outlives the correction.
fn record(item: Item, comparison: &Comparison) -> String {
    let (values, epoch, drift) = (sql::item_values(item), comparison.state.epoch, comparison.drift());
    let words: Vec<&str> = comparison.findings.iter().map(|finding| finding.name()).collect();
    let (stock, held, available) = (comparison.stock, comparison.held(), comparison.available);
    let on_their_way = comparison.on_their_way();
    let details = format!(
        "stock {stock}, held {held}, on their way {on_their_way}, available {available}, foreign locks {}",
        comparison.foreign
    );
    let (words, details) = (sql::text(&words.join(","), 64), sql::text(&details, 255));
    format!(
        "INSERT INTO audit_findings (store_id, product_id, sku_id, epoch, findings, drift, details) \
         VALUES ({values}, {epoch}, {words}, {drift}, {details})"
    )
}

struct CheckItem {
    item: Item,
}

impl Unit for CheckItem {
    const ACT: &'static str = "check the ledger of an item";
    const REPEATABLE: bool = true;
    type Output = Option<LedgerCheck>;

    async fn run(&self, connection: &mut Connection) -> Result<Option<LedgerCheck>, Failure> {
        let Item { store, product, sku } = self.item;
        let of_item = format!("t.store_id = {store} AND t.product_id = {product} AND t.sku_id = {sku}");
        let reply = connection
            .query(format!(
                "SELECT i.current_stock, i.locked_stock, s.booked, s.open_units FROM inventory i JOIN (SELECT \
                 CAST(COALESCE(SUM(IF(t.transaction_type = 'IN', t.quantity, IF(t.transaction_type = 'OUT', -t.quantity, 0))), 0) \
                 AS SIGNED) AS booked, CAST(COALESCE(SUM(IF(t.transaction_type = 'LOCK', t.quantity, 0)), 0) AS SIGNED) AS open_units \
                 FROM inventory_transactions t FORCE INDEX (ledger_open) WHERE {of_item}) s \
                 WHERE i.store_id = {store} AND i.product_id = {product} AND i.sku_id = {sku}"
            ))
            .await?;
        let check = |row| {
            Ok(LedgerCheck {
                current: rows::int(row, "current_stock")?,
                locked: rows::int(row, "locked_stock")?,
                booked: rows::int(row, "booked")?,
                open: rows::int(row, "open_units")?,
            })
        };
        reply.rows(0).first().map(check).transpose()
    }
}
