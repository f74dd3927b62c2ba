//! Replies of the scripts, read field by field. A reply of another form than the protocol's may hide an effect: it is "unknown".

use std::str::FromStr;

use redis::Value;

use super::{NotReady, StockError, Unready};
use crate::domain::Epoch;

/// The array that a script answered with.
#[derive(Debug)]
pub(super) struct Reply {
    act: &'static str,
    fields: Vec<Value>,
}

impl Reply {
    /// The reply in `value`.
    pub(super) fn new(act: &'static str, value: Value) -> Result<Self, StockError> {
        match value {
            Value::Array(fields) => Ok(Self { act, fields }),
            other => Err(unreadable(act, &other)),
        }
    }

    /// Stands for WRONGTYPE: a key of the item holds something else than the protocol put there.
    pub(super) fn wrong_type(act: &'static str) -> Self {
        let fields = [&b"NOT_READY"[..], b"0", b"CORRUPT"];
        Self { act, fields: fields.map(|field| Value::BulkString(field.to_vec())).into() }
    }

    /// The first field.
    pub(super) fn code(&self) -> Result<&str, StockError> {
        self.text(0)
    }

    /// The field at `index`, which is text.
    pub(super) fn text(&self, index: usize) -> Result<&str, StockError> {
        match self.fields.get(index) {
            Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).map_err(|_| self.unreadable()),
            Some(Value::SimpleString(text)) => Ok(text),
            _ => Err(self.unreadable()),
        }
    }

    /// The field at `index`, read as the type wanted; an integer reply counts as its digits.
    pub(super) fn parse<T: FromStr>(&self, index: usize) -> Result<T, StockError> {
        let parsed = match self.fields.get(index) {
            Some(Value::Int(number)) => number.to_string().parse().ok(),
            _ => self.text(index)?.parse().ok(),
        };
        parsed.ok_or_else(|| self.unreadable())
    }

    /// The epoch at `index`.
    pub(super) fn epoch(&self, index: usize) -> Result<Epoch, StockError> {
        self.parse(index).map(Epoch)
    }

    /// The array at `index`.
    pub(super) fn list(&self, index: usize) -> Result<&[Value], StockError> {
        match self.fields.get(index) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(self.unreadable()),
        }
    }

    /// The fields of NOT_READY.
    pub(super) fn not_ready(&self) -> Result<NotReady, StockError> {
        let why = match self.text(2)? {
            "MISSING" => Unready::Missing,
            "INCARNATION" => Unready::Incarnation,
            "CORRUPT" => Unready::Corrupt,
            "BEHIND" => Unready::Behind,
            _ => return Err(self.unreadable()),
        };
        Ok(NotReady { epoch: self.epoch(1)?, why })
    }

    /// The error for a code that carries no result.
    pub(super) fn refused(&self) -> StockError {
        match self.code() {
            Ok("BAD_ARG") => StockError::NotExecuted { act: self.act, why: "the script refused the arguments (BAD_ARG)".into() },
            _ => self.unreadable(),
        }
    }

    /// The error for a reply of another form.
    pub(super) fn unreadable(&self) -> StockError {
        unreadable(self.act, &self.fields)
    }
}

fn unreadable(act: &'static str, reply: &dyn std::fmt::Debug) -> StockError {
    StockError::Unknown { act, why: format!("a reply of no known form: {reply:?}") }
}
