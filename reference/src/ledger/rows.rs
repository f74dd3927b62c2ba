//! Values out of rows, checked by the types of the domain.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::failure::Failure;
use super::{EpochState, Mode};
use crate::domain::{Epoch, Item, Quantity, Token, UserLimit};

fn broken(column: &str, why: impl Display) -> Failure {
    Failure::Broken { why: format!("column {column}: {why}") }
}

/// An integer.
pub(super) fn int(row: &MySqlRow, column: &str) -> Result<i64, Failure> {
    row.try_get(column).map_err(|error| broken(column, error))
}

/// An integer that cannot be negative.
pub(super) fn count(row: &MySqlRow, column: &str) -> Result<u64, Failure> {
    u64::try_from(int(row, column)?).map_err(|error| broken(column, error))
}

/// Text.
pub(super) fn text(row: &MySqlRow, column: &str) -> Result<String, Failure> {
    row.try_get(column).map_err(|error| broken(column, error))
}

/// Text that has a type of its own.
pub(super) fn parsed<T: FromStr<Err: Display>>(row: &MySqlRow, column: &str) -> Result<T, Failure> {
    let text: &str = row.try_get(column).map_err(|error| broken(column, error))?;
    text.parse().map_err(|error| broken(column, error))
}

/// A hash.
pub(super) fn hash(row: &MySqlRow, column: &str) -> Result<[u8; 32], Failure> {
    let bytes: &[u8] = row.try_get(column).map_err(|error| broken(column, error))?;
    bytes.try_into().map_err(|error| broken(column, error))
}

/// The item of the row.
pub(super) fn item(row: &MySqlRow) -> Result<Item, Failure> {
    Item::new(int(row, "store_id")?, int(row, "product_id")?, int(row, "sku_id")?).map_err(|error| broken("store_id", error))
}

/// Units of a sale.
pub(super) fn quantity(row: &MySqlRow) -> Result<Quantity, Failure> {
    Quantity::new(int(row, "quantity")?).map_err(|error| broken("quantity", error))
}

/// The epoch.
pub(super) fn epoch(row: &MySqlRow) -> Result<Epoch, Failure> {
    count(row, "epoch").map(Epoch)
}

/// The token; `None` in mode DB.
pub(super) fn token(row: &MySqlRow) -> Result<Option<Token>, Failure> {
    match text(row, "token")?.as_str() {
        "" => Ok(None),
        token => token.parse().map(Some).map_err(|error| broken("token", error)),
    }
}

/// Epoch and mode.
pub(super) fn epoch_state(row: &MySqlRow) -> Result<EpochState, Failure> {
    Ok(EpochState { epoch: epoch(row)?, mode: parsed::<Mode>(row, "mode")? })
}

/// The limit for each user.
pub(super) fn user_limit(row: &MySqlRow) -> Result<UserLimit, Failure> {
    UserLimit::new(int(row, "user_limit")?).map_err(|error| broken("user_limit", error))
}

/// A number that the server sends as unsigned.
pub(super) fn connection_id(row: &MySqlRow, column: &str) -> Result<u64, Failure> {
    row.try_get_unchecked::<u64, _>(column).map_err(|error| broken(column, error))
}
