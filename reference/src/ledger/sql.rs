//! SQL text from typed values. The only place where a value becomes part of a statement.
//!
//! Statements go as text, several in a packet where that saves a round trip, so nothing is bound by the driver. Every value is
//! an integer, an id of a fixed alphabet, or hexadecimal: there is nothing to escape.
//!
//! A statement that looks for rows of the ledger or of the outbox names its index. The statistics of a table that a sale fills lag behind, and as long as
//! they say that it is short, MariaDB reads all of it. A locking read would also wait for the locks of strangers' rows.
//!
//! That is not enough where many rows are asked for: from 200 values on (`eq_range_index_dive_limit`) the server counts by statistics alone, and may read the
//! named index from end to end. A whole key of a unique index is counted as one row without them, so [`sales_are`] gives whole keys; where only
//! its beginning is known, [`DIVED_MAX`] keeps a statement below that number.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use crate::domain::{Epoch, Item, OrderId, UserLimit};

/// `a,b,c`
pub(super) fn list(parts: impl IntoIterator<Item = impl Display>) -> String {
    let mut text = String::new();
    for part in parts {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{part}");
    }
    text
}

/// The three numbers of an item as values of a row.
pub(super) fn item_values(item: Item) -> String {
    format!("{},{},{}", item.store, item.product, item.sku)
}

/// The condition that a row is of this item.
pub(super) fn item_is(item: Item) -> String {
    format!("store_id = {} AND product_id = {} AND sku_id = {}", item.store, item.product, item.sku)
}

/// Most values that one statement compares the beginning of a key with.
pub(super) const DIVED_MAX: usize = 100;

/// The condition that a row of the ledger is the sale of one of these, as whole keys of `ledger_item`.
pub(super) fn sales_are<'a>(sales: impl IntoIterator<Item = (Item, &'a OrderId)>) -> String {
    let mut orders: BTreeMap<Item, Vec<String>> = BTreeMap::new();
    for (item, order) in sales {
        orders.entry(item).or_default().push(id(order));
    }
    let of_item = |(item, orders): (&Item, &Vec<String>)| format!("({} AND order_id IN ({}))", item_is(*item), orders.join(","));
    format!("kind = 'SALE' AND ({})", orders.iter().map(of_item).collect::<Vec<_>>().join(" OR "))
}

/// An order id as a literal.
pub(super) fn id(order: &OrderId) -> String {
    format!("'{order}'")
}

/// The id of something that belongs to `id`, such as `C.<order>` or `rst.<id>`, as a literal.
pub(super) fn derived_id(prefix: &'static str, id: &OrderId) -> String {
    format!("'{prefix}.{id}'")
}

/// Bytes as a literal.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

/// Free text as a literal, cut to `most` characters.
pub(super) fn text(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    format!("_utf8mb4 {}", bytes(cut.as_bytes()))
}

/// A span as an interval.
pub(super) fn interval(span: Duration) -> String {
    // A thousand years is longer than any date column reaches.
    let micros = span.min(Duration::from_secs(1_000 * 365 * 86_400)).as_micros();
    format!("INTERVAL {micros} MICROSECOND")
}

/// The share lock on the fence of an item. One statement an item, by its full key, so that it waits for no other item.
pub(super) fn share_epoch(item: Item) -> String {
    format!(
        "SELECT store_id, product_id, sku_id, epoch, mode, user_limit FROM inventory_epoch WHERE {} AND shard = 0 LOCK IN SHARE MODE",
        item_is(item)
    )
}

/// [`share_epoch`], refused by the server unless the fence of the item stands exactly so: nothing that follows in the packet is executed then.
/// No row leaves 0 to subtract 1 from, which no unsigned number survives; the test at boot shows that the server says so.
pub(super) fn share_epoch_as(item: Item, epoch: Epoch, limit: UserLimit) -> String {
    format!(
        "SELECT CAST(COUNT(*) AS UNSIGNED) - 1 FROM inventory_epoch WHERE {} AND shard = 0 AND epoch = {epoch} AND mode = 'REDIS' \
         AND user_limit = {} LOCK IN SHARE MODE",
        item_is(item),
        limit.get()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is left of a statement when its well-formed literals are taken out.
    fn outside_literals(text: &str) -> String {
        text.split('\'').step_by(2).collect()
    }

    proptest! {
        #[test]
        fn hostile_text_never_leaves_its_literal(hostile in any::<String>()) {
            let literal = text(&hostile, 64);
            let inside = literal.strip_prefix("_utf8mb4 x'").and_then(|rest| rest.strip_suffix('\'')).unwrap();
            prop_assert!(inside.bytes().all(|byte| byte.is_ascii_hexdigit()));
            prop_assert!(inside.len() <= 64 * 4 * 2);
        }

        #[test]
        fn whatever_parses_as_an_order_id_is_a_plain_literal(hostile in any::<String>()) {
            if let Ok(order) = hostile.parse::<OrderId>() {
                prop_assert_eq!(outside_literals(&id(&order)), "");
                prop_assert_eq!(outside_literals(&derived_id("C", &order)), "");
            }
        }
    }

    #[test]
    fn attempts_to_break_out_are_no_order_ids_at_all() {
        for hostile in ["a'b", "a' OR '1'='1", "a\\", "a;DROP TABLE orders", "a/*", "a\0", "a\nb", "a.b"] {
            assert!(hostile.parse::<OrderId>().is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn literals_are_what_the_server_expects() {
        assert_eq!(bytes(&[0, 255]), "x'00ff'");
        assert_eq!(text("aé", 1), "_utf8mb4 x'61'");
        assert_eq!(list([1, 2, 3]), "1,2,3");
        assert_eq!(interval(Duration::from_millis(1)), "INTERVAL 1000 MICROSECOND");
    }
}
