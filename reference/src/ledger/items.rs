//! Reads of items: which there are, their balances, their epochs.

use std::collections::{BTreeSet, HashMap};

use super::connection::Connection;
use super::failure::Failure;
use super::unit::Unit;
use super::{Balance, EpochState, Ledger, LedgerError, rows, sql};
use crate::domain::Item;

impl Ledger {
    /// Epoch and mode of an item; `None` if there is no such item.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn epoch(&self, item: Item) -> Result<Option<EpochState>, LedgerError> {
        self.request(ReadEpoch { item }).await
    }

    /// Epoch and mode of each of these items that exists, all of one snapshot.
    ///
    /// # Errors
    /// `Failed`: they could not be read.
    pub async fn epochs(&self, items: BTreeSet<Item>) -> Result<HashMap<Item, EpochState>, LedgerError> {
        if items.is_empty() {
            return Ok(HashMap::new());
        }
        self.work(ReadEpochs { items }).await
    }

    /// Balance of an item, all of one snapshot; `None` if there is no such item.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn balance(&self, item: Item) -> Result<Option<Balance>, LedgerError> {
        self.look(ReadBalance { item }).await
    }

    /// At most `limit` items in order, after `after`, each with its epoch and mode.
    ///
    /// # Errors
    /// `Failed`: they could not be read.
    pub async fn items(&self, after: Option<Item>, limit: u32) -> Result<Vec<(Item, EpochState)>, LedgerError> {
        self.work(ReadItems { after, limit }).await
    }
}

impl Ledger {
    /// Any item, at random; `None` if there are none. Reads the keys of all items: once at start, not for requests.
    ///
    /// # Errors
    /// `Failed`: it could not be read.
    pub async fn any_item(&self) -> Result<Option<Item>, LedgerError> {
        self.work(ReadAnyItem).await
    }
}

struct ReadAnyItem;

impl Unit for ReadAnyItem {
    const ACT: &'static str = "read any item";
    const REPEATABLE: bool = true;
    type Output = Option<Item>;

    async fn run(&self, connection: &mut Connection) -> Result<Option<Item>, Failure> {
        let any = "SELECT store_id, product_id, sku_id FROM inventory_epoch WHERE shard = 0 ORDER BY RAND() LIMIT 1";
        connection.query(any.into()).await?.rows(0).first().map(rows::item).transpose()
    }
}

struct ReadEpoch {
    item: Item,
}

impl Unit for ReadEpoch {
    const ACT: &'static str = "read an epoch";
    const REPEATABLE: bool = true;
    type Output = Option<EpochState>;

    async fn run(&self, connection: &mut Connection) -> Result<Option<EpochState>, Failure> {
        let item = sql::item_is(self.item);
        let reply = connection.query(format!("SELECT epoch, mode FROM inventory_epoch WHERE {item} AND shard = 0")).await?;
        reply.rows(0).first().map(rows::epoch_state).transpose()
    }
}

struct ReadEpochs {
    items: BTreeSet<Item>,
}

impl Unit for ReadEpochs {
    const ACT: &'static str = "read epochs";
    const REPEATABLE: bool = true;
    type Output = HashMap<Item, EpochState>;

    async fn run(&self, connection: &mut Connection) -> Result<HashMap<Item, EpochState>, Failure> {
        let items: Vec<String> = self.items.iter().map(|item| format!("({})", sql::item_is(*item))).collect();
        let read = format!(
            "SELECT store_id, product_id, sku_id, epoch, mode FROM inventory_epoch WHERE shard = 0 AND ({})",
            items.join(" OR ")
        );
        let reply = connection.query(read).await?;
        reply.rows(0).iter().map(|row| Ok((rows::item(row)?, rows::epoch_state(row)?))).collect()
    }
}

struct ReadBalance {
    item: Item,
}

impl Unit for ReadBalance {
    const ACT: &'static str = "read a balance";
    const REPEATABLE: bool = true;
    type Output = Option<Balance>;

    async fn run(&self, connection: &mut Connection) -> Result<Option<Balance>, Failure> {
        let Item { store, product, sku } = self.item;
        let reply = connection
            .query(format!(
                "SELECT i.current_stock, i.locked_stock, e.epoch, e.mode, CAST(COALESCE((SELECT SUM(t.quantity) \
                 FROM inventory_transactions t FORCE INDEX (ledger_open) WHERE t.store_id = {store} AND t.product_id = {product} AND t.sku_id = {sku} \
                 AND t.transaction_type = 'LOCK'), 0) AS SIGNED) AS open_units FROM inventory i JOIN inventory_epoch e \
                 ON e.store_id = i.store_id AND e.product_id = i.product_id AND e.sku_id = i.sku_id AND e.shard = 0 \
                 WHERE i.store_id = {store} AND i.product_id = {product} AND i.sku_id = {sku}"
            ))
            .await?;
        let balance = |row| {
            let (current, locked) = (rows::int(row, "current_stock")?, rows::int(row, "locked_stock")?);
            Ok(Balance { current, locked, open: rows::int(row, "open_units")?, epoch: rows::epoch_state(row)? })
        };
        reply.rows(0).first().map(balance).transpose()
    }
}

struct ReadItems {
    after: Option<Item>,
    limit: u32,
}

impl Unit for ReadItems {
    const ACT: &'static str = "read items";
    const REPEATABLE: bool = true;
    type Output = Vec<(Item, EpochState)>;

    async fn run(&self, connection: &mut Connection) -> Result<Vec<(Item, EpochState)>, Failure> {
        let after = self.after.map_or_else(String::new, |Item { store, product, sku }| {
            format!(
                "AND (store_id > {store} OR (store_id = {store} AND product_id > {product}) \
                 OR (store_id = {store} AND product_id = {product} AND sku_id > {sku}))"
            )
        });
        let limit = self.limit;
        let reply = connection
            .query(format!(
                "SELECT store_id, product_id, sku_id, epoch, mode FROM inventory_epoch WHERE shard = 0 {after} \
                 ORDER BY store_id, product_id, sku_id LIMIT {limit}"
            ))
            .await?;
        reply.rows(0).iter().map(|row| Ok((rows::item(row)?, rows::epoch_state(row)?))).collect()
    }
}
