//! Reading the stock of an item, as a buyer who browses does: how it is asked, how the reply is read.
//!
//! In: an item. Out: the path of the request, the reading of its reply. The number in it is a reading and no promise, so nothing is made of it.

use serde::Deserialize;

use super::http::{Reading, read_refusal};
use crate::history::record::{InfoCause, Outcome};
use crate::scenario::ItemId;

/// The path of the stock of an item.
#[must_use]
pub fn path(item: ItemId) -> String {
    format!("/stock/{}/{}/{}", item.store, item.product, item.sku)
}

/// Body of a 200: the item as asked, and how much of it can be bought.
#[derive(Debug, Deserialize)]
struct StockReply {
    item: String,
    #[serde(rename = "available")]
    _available: i64,
}

/// Reads a whole reply that is to speak of `item`.
#[must_use]
pub fn read_reply(status: u16, body: &[u8], item: ItemId) -> Reading {
    if status != 200 {
        return read_refusal(status, body);
    }
    let echoed = serde_json::from_slice::<StockReply>(body).is_ok_and(|reply| reply.item == item.to_string());
    Reading::of(if echoed { Outcome::Ok } else { Outcome::Info(InfoCause::BadReply) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::record::FailCode;

    #[test]
    fn a_reading_must_echo_the_item_and_hold_a_number() {
        let item = ItemId { store: 1, product: 2, sku: 3 };
        let outcome = |status, body: &str| read_reply(status, body.as_bytes(), item).outcome;
        assert_eq!(path(item), "/stock/1/2/3");
        assert_eq!(outcome(200, r#"{"item":"1:2:3","available":7,"mode":"REDIS"}"#), Outcome::Ok);
        for body in [r#"{"item":"1:2:4","available":7}"#, r#"{"item":"1:2:3"}"#, ""] {
            assert_eq!(outcome(200, body), Outcome::Info(InfoCause::BadReply), "{body}");
        }
        assert_eq!(outcome(404, r#"{"code":"unknown_sku"}"#), Outcome::Fail(FailCode::UnknownSku));
    }
}
