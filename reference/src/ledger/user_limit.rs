//! Setting and reading the limit of an item for each user. It stands in the fence of the item, where every order reads it.

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{Ledger, LedgerError, rows, sql};
use crate::domain::{Item, UserLimit};

impl Ledger {
    /// Sets the limit of an item. A first limit counts the orders that stand; who is above it keeps them. False if there is no such item.
    ///
    /// # Errors
    /// `Failed`: certainly not set. `Unknown`: call again.
    pub async fn set_user_limit(&self, item: Item, limit: UserLimit) -> Result<bool, LedgerError> {
        self.request(SetLimit { item, limit }).await
    }

    /// The limit of an item; `None` if there is no such item.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn user_limit(&self, item: Item) -> Result<Option<UserLimit>, LedgerError> {
        self.request(ReadLimit { item }).await
    }
}

struct SetLimit {
    item: Item,
    limit: UserLimit,
}

impl Unit for SetLimit {
    const ACT: &'static str = "set a limit";
    const REPEATABLE: bool = true;
    type Output = bool;

    async fn run(&self, connection: &mut Connection) -> Result<bool, Failure> {
        let item = sql::item_is(self.item);
        // Exclusive: no order of the item begins or ends while they are counted.
        let lock = format!("SELECT user_limit FROM inventory_epoch WHERE {item} ORDER BY shard FOR UPDATE");
        let reply = connection.begin(&lock).await?;
        let Some(row) = reply.rows(0).first() else {
            connection.rollback().await?;
            return Ok(false);
        };
        let before = rows::user_limit(row)?;
        if before.is_none() != self.limit.is_none() {
            connection.query(format!("DELETE FROM user_quota WHERE {item}")).await?;
        }
        if before.is_none() && !self.limit.is_none() {
            connection.query(count_live(self.item)).await?;
        }
        connection.query(format!("UPDATE inventory_epoch SET user_limit = {} WHERE {item}", self.limit.get())).await?;
        connection.commit().await?;
        Ok(true)
    }
}

fn count_live(item: Item) -> String {
    let Item { store, product, sku } = item;
    format!(
        "INSERT INTO user_quota (store_id, product_id, sku_id, user_id, quantity) \
         SELECT {store}, {product}, {sku}, o.user_id, SUM(t.quantity) FROM inventory_transactions t \
         JOIN orders o ON o.order_id = t.order_id WHERE t.store_id = {store} AND t.product_id = {product} AND t.sku_id = {sku} \
         AND t.kind = 'SALE' AND o.status IN ('CREATED', 'PAID') GROUP BY o.user_id"
    )
}

struct ReadLimit {
    item: Item,
}

impl Unit for ReadLimit {
    const ACT: &'static str = "read a limit";
    const REPEATABLE: bool = true;
    type Output = Option<UserLimit>;

    async fn run(&self, connection: &mut Connection) -> Result<Option<UserLimit>, Failure> {
        let read = format!("SELECT user_limit FROM inventory_epoch WHERE {} AND shard = 0", sql::item_is(self.item));
        connection.query(read).await?.rows(0).first().map(rows::user_limit).transpose()
    }
}
