//! The order transaction, for one order or several at once (docs/protocol.md 5.1 step 4 and "Group commit").
//!
//! In: orders with distinct ids. Out: one verdict each. Retries and rollback after a failure are the writer's.

use std::collections::HashSet;

use super::connection::{Connection, Reply};
use super::failure::Failure;
use super::order_fence::{Fence, Path};
use super::quota::{self, Demand, SeenLimits};
use super::{Admission, NewOrder, Written, rows, sql};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item};

#[cfg(feature = "defects")]
#[path = "../defects/order_batch.rs"]
mod wrong;

/// What the transaction says about one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This became of it.
    Is(Written),
    /// Its balance is guarded, and a guard that refuses ends the whole transaction: it needs a transaction of its own.
    Alone,
}

impl Verdict {
    /// What it says of an order that an attempt before may have committed: an order that was stopped before its row was met may stand, and a
    /// row that was met may be that attempt's own.
    pub(super) fn in_doubt(self) -> Self {
        match self {
            Self::Is(Written::Committed | Written::CommittedGuarded { .. }) => self,
            Self::Is(_) | Self::Alone => Self::Is(Written::Unknown),
        }
    }
}

/// Why an order transaction ended without a verdict.
pub(super) struct Stopped {
    pub(super) failure: Failure,
    /// The item that somebody else had locked for too long; `None` if it was another row, such as that of an order with the same id.
    pub(super) locked: Option<Item>,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self { failure, locked: None }
    }
}

impl Stopped {
    /// At one of `items`, each of which had a statement of its own at the head of the last packet; elsewhere if all of those were answered.
    fn at_one_of(items: impl IntoIterator<Item = Item>, failure: Failure, connection: &Connection) -> Self {
        let refused = connection.refused_at().filter(|_| failure.is_lock_wait());
        Self { locked: refused.and_then(|at| items.into_iter().nth(at)), failure }
    }
}

/// One order transaction. `before_commit` is called right before COMMIT is sent, with the places of the orders in it. `limits` is a guess
/// that is checked, and learns.
///
/// # Errors
/// Nothing was committed. `Refused` leaves the transaction open. An unknown COMMIT is no error but [`Written::Unknown`], unless it was lost with
/// a whole transaction on a connection that had served before and may have been dead since: that is `Unknown`, and the orders may be tried again.
pub(super) async fn transact(
    connection: &mut Connection,
    orders: &[&NewOrder],
    limits: &mut SeenLimits,
    mut before_commit: impl FnMut(&[usize]) + Send,
) -> Result<Vec<Verdict>, Stopped> {
    match at_once(connection, orders, limits, &mut before_commit).await {
        Ok(Some(written)) => return Ok(orders.iter().map(|_| Verdict::Is(written.clone())).collect()),
        Ok(None) => {}
        Err(failure) => return Err(Stopped::at_one_of(Fence::items(orders), failure, connection)),
    }
    let fence = match Fence::close(connection, orders).await {
        Ok(fence) => fence,
        Err(failure) => return Err(Stopped::at_one_of(Fence::items(orders), failure, connection)),
    };
    fence.teach(limits);
    let mut verdicts: Vec<Option<Verdict>> = orders.iter().map(|order| fence.stops(order, orders.len())).collect();
    let mut members: Vec<usize> = (0..orders.len()).filter(|at| verdicts[*at].is_none()).collect();
    members.sort_by_key(|at| orders[*at].request.order());
    exclude_twins(connection, orders, &mut members, &mut verdicts).await?;
    exclude_over_limit(connection, orders, &fence, &mut members, &mut verdicts).await?;
    let admitted: Vec<&NewOrder> = members.iter().map(|at| orders[*at]).collect();
    let written = if admitted.is_empty() {
        connection.rollback().await?;
        Written::Committed
    } else {
        match insert_lines(connection, &admitted, &fence).await? {
            Some(stopped) => {
                connection.rollback().await?;
                stopped
            }
            None => {
                before_commit(&members);
                let committed = commit(connection).await;
                #[cfg(feature = "defects")]
                wrong::outbox_afterwards(connection, &admitted, &fence, &committed).await;
                match (committed, admitted.as_slice()) {
                    // Such an order is alone in its transaction.
                    (Written::Committed, [order]) if fence.guards(order) => {
                        Written::CommittedGuarded { epochs: fence.epochs(order) }
                    }
                    (written, _) => written,
                }
            }
        }
    };
    for at in members {
        verdicts[at] = Some(Verdict::Is(written.clone()));
    }
    Ok(verdicts.into_iter().flatten().collect())
}

/// The usual case, under the assumption that every token is of its item's epoch and every id is new: the whole transaction in one round trip,
/// because each one is a wait of every order of the batch. `None` if the assumption does not hold: nothing was written, and it has to go
/// step by step.
async fn at_once(
    connection: &mut Connection,
    orders: &[&NewOrder],
    limits: &SeenLimits,
    before_commit: &mut (impl FnMut(&[usize]) + Send),
) -> Result<Option<Written>, Failure> {
    #[cfg(feature = "defects")]
    if planted(Defect::EpochCheckedWithoutLock) {
        return Ok(None);
    }
    let Some(assumed) = Fence::assumed(orders, limits) else { return Ok(None) };
    let all: Vec<usize> = (0..orders.len()).collect();
    let mut sorted = orders.to_vec();
    sorted.sort_by_key(|order| order.request.order());
    let (lines, _) = lines(&sorted, &assumed)?;
    let mut statements = assumed.share_as_assumed();
    statements.push(insert_orders(&sorted));
    let demands = quota::demands(&sorted, &all, |item| assumed.limit(item));
    let sent = if demands.is_empty() {
        statements.extend(lines);
        before_commit(&all);
        connection.transact(&statements).await.map(|()| Written::Committed)
    } else {
        statements.extend([quota::open_rows(&demands), quota::take(&demands)]);
        // Behind the locks come the orders rows and the rows of the quota; then one UPDATE for each demand.
        let first_take = assumed.len() + 2;
        statements.extend(lines);
        match connection.begin(&statements.join("; ")).await {
            Ok(reply) if all_took(&reply, first_take, &demands) => {
                before_commit(&all);
                Ok(commit(connection).await)
            }
            Ok(_) => return connection.rollback().await.map(|()| None),
            Err(failure) => Err(failure),
        }
    };
    #[cfg(feature = "defects")]
    if let Ok(written) = &sent {
        wrong::outbox_afterwards(connection, &sorted, &assumed, written).await;
    }
    match sent {
        Ok(written) => Ok(Some(written)),
        Err(failure) if failure.is_duplicate() || failure.is_not_as_assumed() => connection.rollback().await.map(|()| None),
        // A connection that has served before may have been dead since: the orders are repeated, which finds those that were committed.
        Err(Failure::Unknown { why }) if !connection.died_idle() => Ok(Some(nobody_knows(&why))),
        Err(failure) => Err(failure),
    }
}

fn all_took(reply: &Reply, first: usize, demands: &[Demand]) -> bool {
    (first..).take(demands.len()).all(|at| reply.affected(at) == 1)
}

/// Takes what the orders need of their users' limits. An order that is over one is taken out alone: whoever refused it commits with it.
async fn exclude_over_limit(
    connection: &mut Connection,
    orders: &[&NewOrder],
    fence: &Fence,
    members: &mut Vec<usize>,
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Failure> {
    let demands = quota::demands(orders, members, |item| fence.limit(item));
    if demands.is_empty() {
        return Ok(());
    }
    let refused = quota::over_limit(connection, &demands).await?;
    if !refused.is_empty() {
        let ids = sql::list(refused.keys().map(|at| sql::id(orders[*at].request.order())));
        connection.query(format!("DELETE FROM orders WHERE order_id IN ({ids})")).await?;
        members.retain(|at| !refused.contains_key(at));
        for (at, item) in &refused {
            verdicts[*at] = Some(Verdict::Is(Written::QuotaExceeded { item: *item }));
        }
    }
    let demands = quota::without(demands, &refused);
    if demands.is_empty() {
        return Ok(());
    }
    let reply = connection.query(quota::take(&demands)).await?;
    if all_took(&reply, 0, &demands) { Ok(()) } else { Err(Failure::Broken { why: "a locked quota changed".into() }) }
}

/// Inserts the orders rows. An id that another process committed meanwhile fails the statement alone, not the transaction: the ids that
/// exist by now are taken out, and the rest is inserted. Each round takes out at least one.
async fn exclude_twins(
    connection: &mut Connection,
    orders: &[&NewOrder],
    members: &mut Vec<usize>,
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Failure> {
    while !members.is_empty() {
        let rows: Vec<&NewOrder> = members.iter().map(|at| orders[*at]).collect();
        let failure = match connection.query(insert_orders(&rows)).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is_duplicate() => failure,
            Err(failure) => return Err(failure),
        };
        // The twin that was waited for is committed. MariaDB lets a plain read miss it for a moment, but no locking one.
        let existing = existing(&connection.query(select_existing(&rows)).await?)?;
        let before = members.len();
        members.retain(|at| {
            let exists = existing.contains(orders[*at].request.order().as_str());
            if exists {
                verdicts[*at] = Some(Verdict::Is(Written::Exists));
            }
            !exists
        });
        if members.len() == before {
            return Err(failure);
        }
    }
    Ok(())
}

fn select_existing(orders: &[&NewOrder]) -> String {
    let ids = sql::list(orders.iter().map(|order| sql::id(order.request.order())));
    format!("SELECT order_id FROM orders WHERE order_id IN ({ids}) LOCK IN SHARE MODE")
}

fn existing(reply: &Reply) -> Result<HashSet<String>, Failure> {
    reply.rows(0).iter().map(|row| rows::text(row, "order_id")).collect()
}

async fn commit(connection: &mut Connection) -> Written {
    match connection.commit().await {
        Ok(()) => Written::Committed,
        Err(failure) => nobody_knows(&failure),
    }
}

fn nobody_knows(why: &dyn std::fmt::Debug) -> Written {
    tracing::warn!(?why, "the reply to the COMMIT of an order transaction never came");
    Written::Unknown
}

/// Ledger and outbox rows, and guarded balances. `Some` if the order must be taken back, because a guard refused it.
async fn insert_lines(connection: &mut Connection, orders: &[&NewOrder], fence: &Fence) -> Result<Option<Written>, Stopped> {
    let (lines, guards) = lines(orders, fence)?;
    connection.query(lines.join("; ")).await?;
    let guarded = guards.iter().map(|admission| admission.line.item);
    guard(connection, &guards).await.map_err(|failure| Stopped::at_one_of(guarded, failure, connection))
}

/// The INSERTs of ledger and outbox rows, and the lines whose balance is to be guarded.
fn lines<'a>(orders: &[&'a NewOrder], fence: &Fence) -> Result<(Vec<String>, Vec<&'a Admission>), Failure> {
    let (mut sales, mut events, mut guards) = (Vec::new(), Vec::new(), Vec::new());
    for (order, admission) in orders.iter().flat_map(|order| order.admissions.iter().map(move |admission| (order, admission))) {
        let (path, epoch) = fence.path(admission).ok_or_else(|| Failure::Broken { why: "an order was not checked".into() })?;
        sales.push(sale_row(order, admission, path, epoch));
        match path {
            Path::Counted => events.push(event_row(order, admission, epoch)),
            Path::Guarded => guards.push(admission),
        }
    }
    let mut inserts = vec![format!(
        "INSERT INTO inventory_transactions \
         (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) VALUES {}",
        sales.join(",")
    )];
    #[cfg(feature = "defects")]
    if planted(Defect::OutboxOutsideTransaction) {
        events.clear();
    }
    if !events.is_empty() {
        inserts.push(format!(
            "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, token) VALUES {}",
            events.join(",")
        ));
    }
    Ok((inserts, guards))
}

fn insert_orders(orders: &[&NewOrder]) -> String {
    let rows = sql::list(orders.iter().map(|order| {
        let request = &order.request;
        let (id, hash, ttl) = (sql::id(request.order()), sql::bytes(request.hash()), sql::interval(order.ttl));
        format!("({id},{},'CREATED',{hash},NOW(3) + {ttl})", request.user().get())
    }));
    format!("INSERT INTO orders (order_id, user_id, status, request_hash, expire_at) VALUES {rows}")
}

fn token_text(admission: &Admission) -> String {
    admission.token.map(|token| token.to_string()).unwrap_or_default()
}

fn sale_row(order: &NewOrder, admission: &Admission, path: Path, epoch: Epoch) -> String {
    let state = if path == Path::Counted { "LOCK" } else { "OUT" };
    let (id, item, quantity) = (sql::id(order.request.order()), sql::item_values(admission.line.item), admission.line.quantity);
    format!("({id},{item},'SALE','{state}',{quantity},{epoch},'{}')", token_text(admission))
}

fn event_row(order: &NewOrder, admission: &Admission, epoch: Epoch) -> String {
    let (id, item, quantity) = (sql::id(order.request.order()), sql::item_values(admission.line.item), admission.line.quantity);
    format!("({id},'DEDUCT_STOCK_DB',{id},{item},{quantity},{epoch},'{}')", token_text(admission))
}

/// Moves the balances that are guarded, last before COMMIT because everybody waits for these rows.
async fn guard(connection: &mut Connection, guarded: &[&Admission]) -> Result<Option<Written>, Failure> {
    if guarded.is_empty() {
        return Ok(None);
    }
    let updates: Vec<String> = guarded
        .iter()
        .map(|admission| {
            let (item, units) = (sql::item_is(admission.line.item), admission.line.quantity);
            format!(
                "UPDATE inventory SET current_stock = current_stock - {units}, version = version + 1 \
                 WHERE {item} AND current_stock - locked_stock >= {units}"
            )
        })
        .collect();
    let reply = connection.query(updates.join("; ")).await?;
    let short = guarded.iter().enumerate().find(|(at, _)| reply.affected(*at) == 0);
    Ok(short.map(|(_, admission)| Written::GuardRefused { item: admission.line.item }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_lost_commit_only_another_commit_tells_what_became_of_an_order() {
        let item = Item::new(1, 2, 3).unwrap();
        assert_eq!(Verdict::Is(Written::Committed).in_doubt(), Verdict::Is(Written::Committed));
        let stopped =
            [Written::Exists, Written::NotAdmitted { item }, Written::QuotaExceeded { item }, Written::GuardRefused { item }];
        for verdict in stopped.map(Verdict::Is).into_iter().chain([Verdict::Alone]) {
            assert_eq!(verdict.in_doubt(), Verdict::Is(Written::Unknown));
        }
    }
}
