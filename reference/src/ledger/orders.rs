//! Reads of orders, the tombstone, and payment (`docs/protocol.md` 5.2, 5.4).

use std::collections::HashMap;

use sqlx::mysql::MySqlRow;

use super::connection::{Connection, Reply};
use super::failure::Failure;
use super::unit::Unit;
use super::{Ledger, LedgerError, Paid, Sale, StoredOrder, rows, sql};
use crate::domain::{OrderId, OrderStatus, UserId};

impl Ledger {
    /// An order and its SALE rows, read in this order, each as committed at that moment.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn order(&self, order: &OrderId) -> Result<Option<StoredOrder>, LedgerError> {
        Ok(self.orders(std::slice::from_ref(order)).await?.pop())
    }

    /// [`Ledger::order`] for a client that only wants to know: whoever changes an order does not wait behind it.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn order_for_reader(&self, order: &OrderId) -> Result<Option<StoredOrder>, LedgerError> {
        Ok(self.look(Read { ids: vec![order.clone()], reading: Reading::Plain }).await?.pop())
    }

    /// An order whose id was refused as a duplicate key, or is being written: waits for that transaction. MariaDB tells of a duplicate a moment
    /// before a plain read sees its row; a locking read cannot miss it.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn contested_order(&self, order: &OrderId) -> Result<Option<StoredOrder>, LedgerError> {
        Ok(self.request(Read { ids: vec![order.clone()], reading: Reading::Locking }).await?.pop())
    }

    /// The orders among `ids` that exist, sorted by id.
    ///
    /// # Errors
    /// `Failed`: they could not be read.
    pub async fn orders(&self, ids: &[OrderId]) -> Result<Vec<StoredOrder>, LedgerError> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        let mut found = Vec::new();
        for part in sorted.chunks(sql::DIVED_MAX) {
            found.extend(self.request(Read { ids: part.to_vec(), reading: Reading::Plain }).await?);
        }
        Ok(found)
    }

    /// Inserts a tombstone, so that no order with this id can come into being. Waits for an order of this id that is being
    /// written. True if it was inserted now; false if a row exists, which is committed then.
    ///
    /// # Errors
    /// `Failed`: certainly not inserted. `Unknown`: call again.
    pub async fn fence(&self, order: &OrderId) -> Result<bool, LedgerError> {
        self.request(Fence { order: order.clone() }).await
    }

    /// CREATED → PAID. An order that is PAID already is [`Paid::Not`], and so it is if this call is repeated after a lost reply.
    ///
    /// # Errors
    /// `Failed`: certainly not changed. `Unknown`: call again.
    pub async fn pay(&self, order: &OrderId) -> Result<Paid, LedgerError> {
        self.request(Pay { order: order.clone() }).await
    }

    /// Orders in CREATED whose time to pay is over, the oldest first.
    ///
    /// # Errors
    /// `Failed`: they could not be read.
    pub async fn expired(&self, limit: u32) -> Result<Vec<OrderId>, LedgerError> {
        self.work(Expired { limit }).await
    }
}

struct Read {
    ids: Vec<OrderId>,
    reading: Reading,
}

/// How rows are read.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// As committed, as far as this server shows it yet.
    Plain,
    /// Share-locked: waits for who writes them, and misses nothing that is committed.
    Locking,
}

impl Reading {
    const fn clause(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Locking => " LOCK IN SHARE MODE",
        }
    }
}

impl Unit for Read {
    const ACT: &'static str = "read orders";
    const REPEATABLE: bool = true;
    type Output = Vec<StoredOrder>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<StoredOrder>, Failure> {
        let (ids, lock) = (sql::list(self.ids.iter().map(sql::id)), self.reading.clause());
        // Two statements, each with a snapshot of its own: SALE rows committed with an order are seen if the order was.
        let reply = connection
            .query(format!(
                "SELECT order_id, user_id, status, request_hash, reason FROM orders WHERE order_id IN ({ids}) ORDER BY order_id{lock}; \
                 SELECT order_id, store_id, product_id, sku_id, quantity, transaction_type, token, epoch \
                 FROM inventory_transactions FORCE INDEX (ledger_item) WHERE order_id IN ({ids}) AND kind = 'SALE' ORDER BY store_id, product_id, sku_id{lock}"
            ))
            .await?;
        stored_orders(&reply)
    }
}

/// One order, on a connection that is outside a transaction.
pub(super) async fn read_one(
    connection: &mut Connection,
    order: &OrderId,
    reading: Reading,
) -> Result<Option<StoredOrder>, Failure> {
    Ok(Read { ids: vec![order.clone()], reading }.run(connection).await?.pop())
}

fn stored_orders(reply: &Reply) -> Result<Vec<StoredOrder>, Failure> {
    let mut sales: HashMap<String, Vec<Sale>> = HashMap::new();
    for row in reply.rows(1) {
        sales.entry(rows::text(row, "order_id")?).or_default().push(sale(row)?);
    }
    reply.rows(0).iter().map(|row| stored_order(row, &mut sales)).collect()
}

fn stored_order(row: &MySqlRow, sales: &mut HashMap<String, Vec<Sale>>) -> Result<StoredOrder, Failure> {
    let order: OrderId = rows::parsed(row, "order_id")?;
    let user = UserId::new(rows::int(row, "user_id")?).map_err(|error| Failure::Broken { why: error.to_string() })?;
    Ok(StoredOrder {
        user,
        status: rows::parsed(row, "status")?,
        hash: rows::hash(row, "request_hash")?,
        reason: rows::text(row, "reason")?,
        sales: sales.remove(order.as_str()).unwrap_or_default(),
        order,
    })
}

fn sale(row: &MySqlRow) -> Result<Sale, Failure> {
    Ok(Sale {
        item: rows::item(row)?,
        quantity: rows::quantity(row)?,
        state: rows::parsed(row, "transaction_type")?,
        token: rows::token(row)?,
        epoch: rows::epoch(row)?,
    })
}

struct Fence {
    order: OrderId,
}

impl Unit for Fence {
    const ACT: &'static str = "fence an order";
    // After an unknown first try the second finds the row, and "a row exists" is as true as "inserted now".
    const REPEATABLE: bool = true;
    type Output = bool;

    async fn run(&self, connection: &mut Connection) -> Result<bool, Failure> {
        let (id, zeros) = (sql::id(&self.order), sql::bytes(&[0; 32]));
        let insert = format!("INSERT INTO orders (order_id, status, request_hash) VALUES ({id}, 'FENCED', {zeros})");
        match connection.autocommit(insert).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_duplicate() => {
                connection.rollback().await?;
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}

struct Pay {
    order: OrderId,
}

impl Unit for Pay {
    const ACT: &'static str = "pay an order";
    const REPEATABLE: bool = true;
    type Output = Paid;

    async fn run(&self, connection: &mut Connection) -> Result<Paid, Failure> {
        // An order enters CREATED once, so only one that came into being between update and read needs the second round.
        for _ in 0..2 {
            let id = sql::id(&self.order);
            let pay = format!("UPDATE orders SET status = 'PAID' WHERE order_id = {id} AND status = 'CREATED'");
            if connection.autocommit(pay).await?.affected(0) == 1 {
                return Ok(Paid::Now);
            }
            // What stopped the update is committed; a plain read may not show it yet.
            let read = format!("SELECT status FROM orders WHERE order_id = {id} LOCK IN SHARE MODE");
            match connection.query(read).await?.rows(0).first().map(|row| rows::parsed(row, "status")).transpose()? {
                Some(OrderStatus::Created) => {}
                Some(status) => return Ok(Paid::Not(status)),
                None => return Ok(Paid::NoOrder),
            }
        }
        Err(Failure::Broken { why: format!("order {} is CREATED and cannot be paid", self.order) })
    }
}

struct Expired {
    limit: u32,
}

impl Unit for Expired {
    const ACT: &'static str = "read expired orders";
    const REPEATABLE: bool = true;
    type Output = Vec<OrderId>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<OrderId>, Failure> {
        let reply = connection
            .query(format!(
                "SELECT order_id FROM orders WHERE status = 'CREATED' AND expire_at <= NOW(3) ORDER BY expire_at LIMIT {}",
                self.limit
            ))
            .await?;
        reply.rows(0).iter().map(|row| rows::parsed(row, "order_id")).collect()
    }
}
