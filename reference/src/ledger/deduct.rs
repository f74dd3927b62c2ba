//! The deduct worker's transactions: LOCK → OUT and the balance, many sales at once (docs/protocol.md 5.3, 7).
//!
//! One batch takes events that are due, locks their SALE rows by their keys, and moves each balance by one sum. If a balance refuses
//! its sum, the batch is rolled back and taken again item by item, so that one broken item never holds up the others.

use std::collections::{BTreeMap, HashMap};

use sqlx::mysql::MySqlRow;

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{DeductBatch, Ledger, LedgerError, Settled, rows, sql};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Item, OrderId, Quantity, SaleState, Token};

#[cfg(feature = "defects")]
#[path = "../defects/deduct.rs"]
mod wrong;

/// Refusals after which an event is DEAD.
const ATTEMPTS_MAX: u64 = 10;

impl Ledger {
    /// Settles at most `limit` deducts that are due. Any number of callers may do this at once.
    ///
    /// # Errors
    /// `Failed`: nothing was changed, or single items were put off. `Unknown`: the events come again if they are still due.
    pub async fn deduct_batch(&self, limit: u32) -> Result<DeductBatch, LedgerError> {
        #[cfg(feature = "defects")]
        if planted(Defect::LeaseShorterThanWork) {
            return self.deduct_one_by_one(limit).await;
        }
        let events = Events::Due(limit);
        #[cfg(feature = "defects")]
        let events = self.claimed_before(events).await?;
        let (batch, refusing) = match self.work(Deduct { events }).await? {
            Deducted::Settled(batch) => return Ok(batch),
            Deducted::Refused { taken, .. } => {
                (DeductBatch { events: taken.values().map(Vec::len).sum(), ..DeductBatch::default() }, taken)
            }
        };
        self.deduct_singly(batch, refusing).await
    }

    async fn deduct_singly(&self, mut batch: DeductBatch, items: Taken) -> Result<DeductBatch, LedgerError> {
        for (item, ids) in items {
            match self.work(Deduct { events: Events::Of(ids.clone()) }).await? {
                Deducted::Settled(of_item) => {
                    batch.settled.extend(of_item.settled);
                    batch.dead += of_item.dead;
                }
                Deducted::Refused { why, .. } => {
                    batch.dead += self.work(PutOff { ids, why }).await?;
                    batch.refused.push(item);
                }
            }
        }
        Ok(batch)
    }
}

/// Events by item.
type Taken = BTreeMap<Item, Vec<i64>>;

enum Deducted {
    Settled(DeductBatch),
    /// A balance refused; nothing was changed.
    Refused {
        taken: Taken,
        why: String,
    },
}

enum Events {
    /// At most so many that are due.
    Due(u32),
    /// These, unless somebody else has them.
    Of(Vec<i64>),
    /// At most so many that are due. Before COMMIT this is waited for.
    #[cfg(feature = "defects")]
    DueAndThen(u32, wrong::Then),
}

struct Deduct {
    events: Events,
}

impl Unit for Deduct {
    const ACT: &'static str = "deduct";
    const REPEATABLE: bool = true;
    type Output = Deducted;

    async fn run(&self, connection: &mut Connection) -> Result<Deducted, Failure> {
        let reply = connection.begin(&self.take()).await?;
        let taken = reply.rows(0).len();
        if taken == 0 {
            connection.rollback().await?;
            return Ok(Deducted::Settled(DeductBatch::default()));
        }
        let (events, mut poison) = read_events(reply.rows(0))?;
        let mut sales = lock_sales(connection, &events).await?;
        let (known, unfit): (Vec<&Event>, Vec<&Event>) = events.iter().partition(|event| event.fits(&sales).is_ok());
        #[cfg(feature = "defects")]
        let (known, unfit) = wrong::sorted(known, unfit, &sales);
        for event in unfit {
            let why = event.fits(&sales).err().unwrap_or_default();
            sales.remove(&event.key());
            poison.push(Poison { id: event.id, why });
        }
        #[cfg(feature = "defects")]
        wrong::before_the_balances(connection, &self.events, &known, &poison).await?;
        if let Some(why) = settle(connection, &sales, &known, &poison).await? {
            connection.rollback().await?;
            return Ok(Deducted::Refused { taken: by_item(&events), why });
        }
        for Poison { id, why } in &poison {
            // Never by the rules: event and sale are written together.
            tracing::error!(outbox_id = id, why, "a deduct that nothing can settle is DEAD");
        }
        connection.commit().await?;
        let settled = known.into_iter().map(Event::settled).collect();
        let dead = poison.len() as u64;
        Ok(Deducted::Settled(DeductBatch { events: taken, settled, refused: Vec::new(), dead }))
    }
}

impl Deduct {
    fn take(&self) -> String {
        let columns = "id, order_id, store_id, product_id, sku_id, quantity, token";
        let due = "status = 'NEW' AND event_type = 'DEDUCT_STOCK_DB'";
        #[cfg(feature = "defects")]
        if let Some(take) = wrong::take(&self.events, columns) {
            return take;
        }
        match &self.events {
            Events::Due(limit) => format!(
                "SELECT {columns} FROM outbox WHERE {due} AND available_at <= NOW(3) ORDER BY available_at, id LIMIT {limit} \
                 FOR UPDATE SKIP LOCKED"
            ),
            #[cfg(feature = "defects")]
            Events::DueAndThen(limit, _) => Self { events: Events::Due(*limit) }.take(),
            Events::Of(ids) => format!(
                "SELECT {columns} FROM outbox FORCE INDEX (PRIMARY) WHERE id IN ({}) AND {due} ORDER BY id FOR UPDATE SKIP LOCKED",
                sql::list(ids)
            ),
        }
    }
}

struct Event {
    id: i64,
    order: OrderId,
    item: Item,
    quantity: Quantity,
    token: Token,
}

/// What names a sale.
type SaleKey = (OrderId, Item);

impl Event {
    fn read(row: &MySqlRow) -> Result<Self, Failure> {
        Ok(Self {
            id: rows::int(row, "id")?,
            order: rows::parsed(row, "order_id")?,
            item: rows::item(row)?,
            quantity: rows::quantity(row)?,
            token: rows::parsed(row, "token")?,
        })
    }

    /// Whether it has the sale that it speaks of. `Err` says why not.
    fn fits(&self, sales: &Sales) -> Result<(), String> {
        match sales.get(&self.key()) {
            None => Err("no SALE row".to_owned()),
            Some(Err(why)) => Err(format!("the SALE row cannot be read: {why}")),
            Some(Ok(sale)) if sale.quantity != self.quantity => {
                Err(format!("the SALE row is of {} units, the message of {}", sale.quantity, self.quantity))
            }
            Some(Ok(_)) => Ok(()),
        }
    }

    fn key(&self) -> SaleKey {
        (self.order.clone(), self.item)
    }

    fn settled(&self) -> Settled {
        Settled { item: self.item, order: self.order.clone(), token: self.token, quantity: self.quantity }
    }
}

/// An event that no repeat can settle.
struct Poison {
    id: i64,
    why: String,
}

/// The events, and those that cannot be read: one broken row must not hold up the others.
fn read_events(found: &[MySqlRow]) -> Result<(Vec<Event>, Vec<Poison>), Failure> {
    let (mut events, mut poison) = (Vec::with_capacity(found.len()), Vec::new());
    for row in found {
        match Event::read(row) {
            Ok(event) => events.push(event),
            Err(failure) => poison.push(Poison { id: rows::int(row, "id")?, why: failure.why().to_owned() }),
        }
    }
    Ok((events, poison))
}

fn by_item(events: &[Event]) -> Taken {
    let mut taken = Taken::new();
    for event in events {
        taken.entry(event.item).or_default().push(event.id);
    }
    taken
}

struct LockedSale {
    id: i64,
    quantity: Quantity,
    state: SaleState,
}

impl LockedSale {
    fn read(row: &MySqlRow) -> Result<Self, Failure> {
        Ok(Self { id: rows::int(row, "id")?, quantity: rows::quantity(row)?, state: rows::parsed(row, "transaction_type")? })
    }
}

/// Sales by what names them; `Err` says why a row cannot be read.
type Sales = HashMap<SaleKey, Result<LockedSale, String>>;

/// The SALE rows of the events, locked in the order of their keys. A plain read to find them first would miss some: the claim, a locking
/// read, sees a transaction a moment earlier, while its rows are free of locks and not yet in new snapshots.
async fn lock_sales(connection: &mut Connection, events: &[Event]) -> Result<Sales, Failure> {
    if events.is_empty() {
        return Ok(Sales::new());
    }
    let named = sql::sales_are(events.iter().map(|event| (event.item, &event.order)));
    let lock = format!(
        "SELECT id, order_id, store_id, product_id, sku_id, quantity, transaction_type FROM inventory_transactions \
         FORCE INDEX (ledger_item) WHERE {named} FOR UPDATE"
    );
    let reply = connection.query(lock).await?;
    let sale = |row| {
        let key = (rows::parsed(row, "order_id")?, rows::item(row)?);
        Ok((key, LockedSale::read(row).map_err(|failure| failure.why().to_owned())))
    };
    reply.rows(0).iter().map(sale).collect()
}

/// LOCK → OUT, one update a balance, and the end of the events, in one packet. A sale that is OUT or UNLOCK already needs nothing. `Some` says
/// which balance refused; then all of it must be taken back.
async fn settle(
    connection: &mut Connection,
    sales: &Sales,
    known: &[&Event],
    poison: &[Poison],
) -> Result<Option<String>, Failure> {
    let mut sums: BTreeMap<Item, i64> = BTreeMap::new();
    let mut ids = Vec::new();
    let readable = sales.iter().filter_map(|((_, item), sale)| Some((item, sale.as_ref().ok()?)));
    let moves = |sale: &LockedSale| sale.state == SaleState::Lock;
    #[cfg(feature = "defects")]
    let moves = |sale: &LockedSale| moves(sale) || (sale.state == SaleState::Out && planted(Defect::DeductWithoutDedup));
    for (item, sale) in readable.filter(|(_, sale)| moves(sale)) {
        *sums.entry(*item).or_default() += i64::from(sale.quantity.get());
        ids.push(sale.id);
    }
    ids.sort_unstable();
    let out = (!ids.is_empty())
        .then(|| format!("UPDATE inventory_transactions SET transaction_type = 'OUT' WHERE id IN ({})", sql::list(&ids)));
    let first_balance = usize::from(out.is_some());
    #[cfg(feature = "defects")]
    if planted(Defect::DeadlockRetryRepeatsHalf) {
        return wrong::settle_with_half_repeats(connection, out, &sums, finish(known, poison)).await;
    }
    let steps = out.into_iter().chain(sums.iter().map(take_from_balance)).chain(finish(known, poison));
    let reply = connection.query(steps.collect::<Vec<_>>().join("; ")).await?;
    let refused = sums.iter().enumerate().find(|(at, _)| reply.affected(first_balance + at) == 0);
    Ok(refused.map(|(_, (item, units))| format!("the balance of {item} does not cover {units} units")))
}

fn take_from_balance((item, units): (&Item, &i64)) -> String {
    let item = sql::item_is(*item);
    let update = format!(
        "UPDATE inventory SET current_stock = current_stock - {units}, version = version + 1 \
         WHERE {item} AND current_stock - locked_stock >= {units}"
    );
    #[cfg(feature = "defects")]
    let update = wrong::without_guard(update);
    update
}

/// DONE, and DEAD with its reason.
fn finish(known: &[&Event], poison: &[Poison]) -> Vec<String> {
    let ids = sql::list(known.iter().map(|event| event.id));
    let done = "status = 'DONE'";
    #[cfg(feature = "defects")]
    let done = if wrong::acknowledges_last() { "available_at = NOW(3) + INTERVAL 1 SECOND" } else { done };
    let done = (!known.is_empty()).then(|| format!("UPDATE outbox SET {done} WHERE id IN ({ids})"));
    let dead = poison.iter().map(|Poison { id, why }| {
        format!("UPDATE outbox SET status = 'DEAD', last_error = {} WHERE id = {id}", sql::text(why, 255))
    });
    done.into_iter().chain(dead).collect()
}

/// Puts refused events off, 1 s · 2ⁿ up to 60 s, and gives them up after the tenth refusal.
struct PutOff {
    ids: Vec<i64>,
    why: String,
}

impl Unit for PutOff {
    const ACT: &'static str = "put off deducts";
    const REPEATABLE: bool = false;
    type Output = u64;

    async fn run(&self, connection: &mut Connection) -> Result<u64, Failure> {
        let ids = sql::list(&self.ids);
        let lock = format!(
            "SELECT attempts FROM outbox FORCE INDEX (PRIMARY) WHERE id IN ({ids}) AND status = 'NEW' ORDER BY id FOR UPDATE"
        );
        let reply = connection.begin(&lock).await?;
        let attempts = reply.rows(0).iter().map(|row| rows::count(row, "attempts")).collect::<Result<Vec<_>, _>>()?;
        // The server assigns from left to right: attempts last, so that the others see its old value.
        let update = format!(
            "UPDATE outbox SET status = IF(attempts + 1 >= {ATTEMPTS_MAX}, 'DEAD', 'NEW'), last_error = {}, \
             available_at = NOW(3) + INTERVAL CAST(LEAST(60, POW(2, LEAST(attempts, 6))) AS SIGNED) SECOND, \
             attempts = attempts + 1 WHERE id IN ({ids}) AND status = 'NEW'",
            sql::text(&self.why, 255)
        );
        connection.query(update).await?;
        connection.commit().await?;
        Ok(attempts.iter().filter(|attempts| *attempts + 1 >= ATTEMPTS_MAX).count() as u64)
    }
}
