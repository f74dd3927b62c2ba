//! Changes of the stock beside the orders: how the operator's requests are written, how their replies are read, and under which ids
//! the ledger books them.
//!
//! In: what is to change, by an id that the client chose. Out: path and body of the request, the reading of its reply.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::http::{Reading, read_refusal};
use crate::history::record::{Function, InfoCause, ItemQuantity, Outcome};
use crate::scenario::ItemId;

/// Why stock is changed, as the operator says it.
const REASON: &str = "planned change of stock";

/// The path of a change; `None` for a function that changes no stock.
#[must_use]
pub fn path(function: Function, item: ItemId, id: &str) -> Option<String> {
    let kind = match function {
        Function::Restock => "restocks",
        Function::CutStock => "cuts",
        Function::HoldStock | Function::ReleaseStock => "holds",
        _ => return None,
    };
    Some(format!("/admin/stock/{}/{}/{}/{kind}/{id}", item.store, item.product, item.sku))
}

/// The body of a change. A release is a hold of fewer units than none.
#[must_use]
pub fn body(function: Function, line: ItemQuantity) -> Bytes {
    let units = i64::from(line.qty);
    let quantity = if function == Function::ReleaseStock { -units } else { units };
    Bytes::from(json!({ "quantity": quantity, "reason": REASON }).to_string())
}

/// Body of a 200 or 201 that speaks of a change.
#[derive(Debug, Deserialize)]
struct ChangeReply {
    id: String,
}

/// Reads a whole reply that is to speak of the change `id`.
#[must_use]
pub fn read_reply(status: u16, body: &[u8], id: &str) -> Reading {
    match status {
        200 | 201 => {
            let echoed = serde_json::from_slice::<ChangeReply>(body).is_ok_and(|reply| reply.id == id);
            Reading::of(if echoed { Outcome::Ok } else { Outcome::Info(InfoCause::BadReply) })
        }
        _ => read_refusal(status, body),
    }
}

/// Id of the ledger row that books a change; `None` where it moves no balance.
#[must_use]
pub fn ledger_id(function: Function, id: &str) -> Option<String> {
    match function {
        Function::Restock => Some(format!("rst.{id}")),
        Function::CutStock => Some(format!("adj.{id}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::FailCode;

    const ITEM: ItemId = ItemId { store: 1, product: 2, sku: 3 };

    #[test]
    fn each_change_has_its_path_and_a_release_is_a_negative_hold() {
        let of = |function| path(function, ITEM, "t-s0");
        assert_eq!(of(Function::Restock).as_deref(), Some("/admin/stock/1/2/3/restocks/t-s0"));
        assert_eq!(of(Function::CutStock).as_deref(), Some("/admin/stock/1/2/3/cuts/t-s0"));
        assert_eq!((of(Function::HoldStock), of(Function::ReadStock)), (of(Function::ReleaseStock), None));
        let quantity = |function| {
            let body = body(function, ItemQuantity { item: ITEM, qty: 4 });
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()["quantity"].as_i64()
        };
        assert_eq!((quantity(Function::HoldStock), quantity(Function::ReleaseStock)), (Some(4), Some(-4)));
    }

    #[test]
    fn a_change_that_is_done_echoes_its_id_and_a_refusal_is_read_by_its_code() {
        let outcome = |status: u16, body: &str| read_reply(status, body.as_bytes(), "t-s0").outcome;
        assert_eq!(outcome(201, r#"{"id":"t-s0","kind":"CUT"}"#), Outcome::Ok);
        assert_eq!(outcome(200, r#"{"id":"t-s1"}"#), Outcome::Info(InfoCause::BadReply));
        assert_eq!(outcome(200, "{"), Outcome::Info(InfoCause::BadReply));
        for (status, code, fail) in [
            (409, "conflict", FailCode::Conflict),
            (422, "mismatch", FailCode::Mismatch),
            (404, "unknown_sku", FailCode::UnknownSku),
            (503, "not_admitted", FailCode::NotAdmitted),
        ] {
            assert_eq!(outcome(status, &format!(r#"{{"code":"{code}"}}"#)), Outcome::Fail(fail));
        }
        assert_eq!(outcome(401, r#"{"code":"unauthorized"}"#), Outcome::Info(InfoCause::Unrecognised));
        assert_eq!(outcome(500, r#"{"code":"unknown"}"#), Outcome::Info(InfoCause::ServerError));
    }
}
