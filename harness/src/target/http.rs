//! The HTTP contract: requests that clients send, replies that they accept, and what each reply promises.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::history::record::{FailCode, InfoCause, Outcome, Witness};
use crate::scenario::ItemId;

/// Body of `POST /orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateOrder<'a> {
    /// Order id, chosen by the client: the idempotency key.
    pub order_id: &'a str,
    /// The user.
    pub user_id: u64,
    /// Lines.
    #[serde(borrow)]
    pub items: std::borrow::Cow<'a, [Line]>,
    /// Whether the client sends this id again.
    pub retry: bool,
}

/// One line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Store.
    pub store_id: u64,
    /// Product.
    pub product_id: u64,
    /// SKU.
    pub sku_id: u64,
    /// Units.
    pub quantity: u32,
}

impl Line {
    /// The item of the line.
    #[must_use]
    pub const fn item(&self) -> ItemId {
        ItemId { store: self.store_id, product: self.product_id, sku: self.sku_id }
    }
}

/// Body of a 200 or 201 that speaks of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderReply {
    /// Order id, as asked.
    pub order_id: String,
    /// `CREATED`, `PAID`, ...
    pub status: String,
    /// Lines; empty in the replies to pay, cancel and refund.
    #[serde(default)]
    pub items: Vec<LineReply>,
}

/// One line of an order in a reply: a [`Line`], whose fields are spelled out because a flattened one is read twice, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineReply {
    /// Store.
    pub store_id: u64,
    /// Product.
    pub product_id: u64,
    /// SKU.
    pub sku_id: u64,
    /// Units.
    pub quantity: u32,
    /// Token of the reservation.
    #[serde(default)]
    pub token: String,
    /// Epoch.
    #[serde(default)]
    pub epoch: u64,
    /// Version.
    #[serde(default)]
    pub version: u64,
    /// Units left right after the decision.
    #[serde(default)]
    pub stock_after: Option<i64>,
}

/// Body of an error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ErrorReply {
    /// Stable code; it carries the promise, not the status.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// `none` if the request certainly had no effect, else `unknown`.
    #[serde(default)]
    pub effect: String,
    /// The item that was short, or whose limit was reached.
    #[serde(default)]
    pub item: Option<String>,
}

/// What a client makes of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The fate.
    pub outcome: Outcome,
    /// What it says per item.
    pub witness: Vec<Witness>,
    /// Order status, if it names one.
    pub status: Option<String>,
    /// The short item, if it names one.
    pub short: Option<ItemId>,
}

impl Reading {
    /// An outcome that says nothing more.
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { outcome, witness: Vec::new(), status: None, short: None }
    }
}

/// Reads a whole reply that is to speak of the order `order_id`. Every status and code of the contract is in this one table;
/// what it does not know is doubt, never failure.
#[must_use]
pub fn read_reply(status: u16, body: &[u8], order_id: &str) -> Reading {
    match status {
        200 | 201 => match serde_json::from_slice::<OrderReply>(body) {
            Ok(reply) if reply.order_id == order_id => Reading {
                outcome: Outcome::Ok,
                witness: reply.items.into_iter().map(witness).collect(),
                status: Some(reply.status),
                short: None,
            },
            _ => Reading::of(Outcome::Info(InfoCause::BadReply)),
        },
        _ => read_refusal(status, body),
    }
}

/// Reads a reply that is no success, whatever was asked.
pub(super) fn read_refusal(status: u16, body: &[u8]) -> Reading {
    match status {
        408 | 504 => Reading::of(Outcome::Info(InfoCause::ServerError)),
        400..=499 | 503 => match serde_json::from_slice::<ErrorReply>(body) {
            Ok(reply) => match fail_code(status, &reply.code) {
                Some(code) => Reading {
                    short: reply.item.as_deref().and_then(|item| ItemId::from_str(item).ok()),
                    ..Reading::of(Outcome::Fail(code))
                },
                None => Reading::of(unrecognised(status)),
            },
            Err(_) => Reading::of(unrecognised(status)),
        },
        _ => Reading::of(unrecognised(status)),
    }
}

fn unrecognised(status: u16) -> Outcome {
    Outcome::Info(if status >= 500 { InfoCause::ServerError } else { InfoCause::Unrecognised })
}

/// The promise of a code, if it is one of the contract and came with its own status.
fn fail_code(status: u16, code: &str) -> Option<FailCode> {
    Some(match (status, code) {
        (409, "sold_out") => FailCode::SoldOut,
        (409, "fenced") => FailCode::Fenced,
        (409, "cancelled") => FailCode::Cancelled,
        (409, "conflict") => FailCode::Conflict,
        (422, "mismatch") => FailCode::Mismatch,
        (400 | 413 | 415 | 422, "invalid") => FailCode::Invalid,
        (404, "unknown_order") => FailCode::UnknownOrder,
        (404, "unknown_sku") => FailCode::UnknownSku,
        (403, "quota_exceeded") => FailCode::QuotaExceeded,
        (429, "throttled") => FailCode::Throttled,
        (503, "not_admitted") => FailCode::NotAdmitted,
        _ => return None,
    })
}

fn witness(reply: LineReply) -> Witness {
    Witness {
        item: ItemId { store: reply.store_id, product: reply.product_id, sku: reply.sku_id },
        qty: reply.quantity,
        token: reply.token,
        epoch: reply.epoch,
        version: reply.version,
        stock_after: reply.stock_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        read_reply(status, body.as_bytes(), "o-1").outcome
    }

    #[test]
    fn a_success_must_echo_the_order() {
        assert_eq!(outcome(201, r#"{"order_id":"o-1","status":"CREATED","items":[]}"#), Outcome::Ok);
        for body in [r#"{"order_id":"o-2","status":"CREATED"}"#, r#"{"order_id":"o-1","sta"#, ""] {
            assert_eq!(outcome(200, body), Outcome::Info(InfoCause::BadReply), "{body}");
        }
    }

    #[test]
    fn only_a_known_code_with_its_own_status_promises_no_effect() {
        let table = [
            (409, "sold_out", Outcome::Fail(FailCode::SoldOut)),
            (409, "fenced", Outcome::Fail(FailCode::Fenced)),
            (409, "cancelled", Outcome::Fail(FailCode::Cancelled)),
            (409, "conflict", Outcome::Fail(FailCode::Conflict)),
            (422, "mismatch", Outcome::Fail(FailCode::Mismatch)),
            (400, "invalid", Outcome::Fail(FailCode::Invalid)),
            (404, "unknown_order", Outcome::Fail(FailCode::UnknownOrder)),
            (404, "unknown_sku", Outcome::Fail(FailCode::UnknownSku)),
            (403, "quota_exceeded", Outcome::Fail(FailCode::QuotaExceeded)),
            (429, "throttled", Outcome::Fail(FailCode::Throttled)),
            (503, "not_admitted", Outcome::Fail(FailCode::NotAdmitted)),
            (500, "sold_out", Outcome::Info(InfoCause::ServerError)),
            (500, "unknown", Outcome::Info(InfoCause::ServerError)),
            (503, "sold_out", Outcome::Info(InfoCause::ServerError)),
            (409, "quota_exceeded", Outcome::Info(InfoCause::Unrecognised)),
            (403, "sold_out", Outcome::Info(InfoCause::Unrecognised)),
            (401, "unauthorized", Outcome::Info(InfoCause::Unrecognised)),
            (413, "invalid", Outcome::Fail(FailCode::Invalid)),
            (422, "invalid", Outcome::Fail(FailCode::Invalid)),
            (101, "sold_out", Outcome::Info(InfoCause::Unrecognised)),
            (502, "not_admitted", Outcome::Info(InfoCause::ServerError)),
            (409, "surprise", Outcome::Info(InfoCause::Unrecognised)),
            (408, "not_admitted", Outcome::Info(InfoCause::ServerError)),
            (504, "not_admitted", Outcome::Info(InfoCause::ServerError)),
            (302, "sold_out", Outcome::Info(InfoCause::Unrecognised)),
            (202, "sold_out", Outcome::Info(InfoCause::Unrecognised)),
        ];
        for (status, code, expected) in table {
            assert_eq!(outcome(status, &format!(r#"{{"code":"{code}"}}"#)), expected, "{status} {code}");
        }
        assert_eq!(outcome(409, "<html>"), Outcome::Info(InfoCause::Unrecognised));
    }

    #[test]
    fn a_refusal_names_the_item_that_was_short() {
        let reading = read_reply(409, br#"{"code":"sold_out","item":"1:2:3"}"#, "o-1");
        assert_eq!(reading.short, Some(ItemId { store: 1, product: 2, sku: 3 }));
    }
}
