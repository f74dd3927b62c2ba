//! Writes to a counter that ask neither for its epoch nor for its process nor whether they were made before.

use super::{Invocation, Item, Key, Stock, StockError};
use crate::stock::script::{ADD, OVERWRITE};

impl Stock {
    /// Sets the counter.
    ///
    /// # Errors
    /// `NotExecuted` or `Unknown`.
    pub async fn overwrite(&self, item: Item, units: i64) -> Result<(), StockError> {
        let keys = [Key::Stock(item), Key::Meta(item)];
        self.lane().call(&OVERWRITE, &Invocation { keys: &keys, arguments: &[&units], members: &[] }).await.map(drop)
    }

    /// Adds to the counter.
    ///
    /// # Errors
    /// `NotExecuted` or `Unknown`.
    pub async fn add_blindly(&self, item: Item, units: i64) -> Result<(), StockError> {
        let keys = [Key::Stock(item), Key::Meta(item)];
        self.lane().call(&ADD, &Invocation { keys: &keys, arguments: &[&units], members: &[] }).await.map(drop)
    }
}
