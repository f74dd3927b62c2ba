//! I1 to I6 of `docs/protocol.md`, read from both stores while nobody writes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::HashSet;

use reference::domain::Item;

use crate::flow_bench::FlowBench;

const ITEM: &str = "t.store_id = i.store_id AND t.product_id = i.product_id AND t.sku_id = i.sku_id";

/// Checks every invariant for the items and for all orders.
pub(crate) async fn assert_invariants(bench: &FlowBench, items: &[Item], when: &str) {
    assert_ledger(bench, when).await;
    for item in items {
        bench.assert_in_balance(*item, when).await;
        assert_counter(bench, *item, when).await;
    }
}

/// I2 and I3 inside Redis, where the counter stands and is of the epoch in MySQL.
async fn assert_counter(bench: &FlowBench, item: Item, when: &str) {
    let (probe, balance) = (bench.probe(item).await, bench.balance(item).await);
    assert!(balance.available() >= 0, "I2 {when}: {balance:?}");
    if probe.unready.is_some() || probe.epoch != balance.epoch.epoch {
        return;
    }
    assert!((0..=balance.available()).contains(&probe.stock), "I2 {when}: {probe:?} {balance:?}");
    let tokens: HashSet<_> = probe.locks.iter().map(|lock| lock.member.token).collect();
    assert_eq!(tokens.len(), probe.locks.len(), "I3 {when}: {:?}", probe.locks);
    assert!(tokens.iter().all(|token| token.epoch == probe.epoch), "I3 {when}: {:?}", probe.locks);
}

/// I2 to I6 as far as MySQL tells, each as a number of rows that must be none.
async fn assert_ledger(bench: &FlowBench, when: &str) {
    let open =
        format!("(SELECT COALESCE(SUM(t.quantity), 0) FROM inventory_transactions t WHERE {ITEM} AND t.transaction_type = 'LOCK')");
    let booked = format!(
        "(SELECT COALESCE(SUM(IF(t.transaction_type = 'IN', t.quantity, -t.quantity)), 0) FROM inventory_transactions t \
         WHERE {ITEM} AND t.transaction_type IN ('IN', 'OUT'))"
    );
    let live = "(SELECT COALESCE(SUM(t.quantity), 0) FROM inventory_transactions t JOIN orders o ON o.order_id = t.order_id \
                WHERE t.store_id = q.store_id AND t.product_id = q.product_id AND t.sku_id = q.sku_id AND t.kind = 'SALE' \
                AND o.status IN ('CREATED', 'PAID') AND o.user_id = q.user_id)";
    let sales = "orders o LEFT JOIN inventory_transactions s ON s.order_id = o.order_id AND s.kind = 'SALE'";
    let returned = "LEFT JOIN inventory_transactions r ON r.order_id = s.order_id AND r.kind = 'RETURN' AND r.store_id = s.store_id \
                    AND r.product_id = s.product_id AND r.sku_id = s.sku_id";
    let increases = "(SELECT COUNT(*) FROM outbox e WHERE e.event_type = 'APPLY_DELTA' AND e.event_id = CONCAT('C.', s.order_id) \
                     AND e.store_id = s.store_id AND e.product_id = s.product_id AND e.sku_id = s.sku_id AND e.quantity = s.quantity)";
    let claims = [
        ("I2 no more is promised than owned", format!("inventory i WHERE i.current_stock - i.locked_stock - {open} < 0")),
        (
            "I3 a token admits one order",
            "(SELECT 1 FROM inventory_transactions WHERE kind = 'SALE' AND token <> '' \
             GROUP BY store_id, product_id, sku_id, token HAVING COUNT(*) > 1) AS twice"
                .to_owned(),
        ),
        (
            "I4 the balance is what was booked",
            format!("inventory i WHERE i.current_stock <> {booked} OR i.locked_stock NOT BETWEEN 0 AND i.current_stock"),
        ),
        (
            "I5 order, sale and return go together",
            format!(
                "{sales} {returned} WHERE NOT COALESCE(CASE WHEN o.status = 'FENCED' THEN s.id IS NULL \
                 WHEN o.status IN ('CREATED', 'PAID') THEN s.transaction_type IN ('LOCK', 'OUT') AND r.id IS NULL \
                 ELSE (s.transaction_type = 'UNLOCK' AND r.id IS NULL) OR (s.transaction_type = 'OUT' AND r.quantity = s.quantity) END, 0)"
            ),
        ),
        (
            "I5 an order that ended brings its units back once, one that stands not at all",
            format!("{sales} WHERE s.id IS NOT NULL AND {increases} <> IF(o.status IN ('CREATED', 'PAID'), 0, 1)"),
        ),
        ("I5 the quota is what live orders hold", format!("user_quota q WHERE q.quantity <> {live}")),
        (
            "I5 with a limit every live order is counted",
            "inventory_transactions t JOIN orders o ON o.order_id = t.order_id JOIN inventory_epoch e ON e.store_id = t.store_id \
             AND e.product_id = t.product_id AND e.sku_id = t.sku_id LEFT JOIN user_quota q ON q.store_id = t.store_id \
             AND q.product_id = t.product_id AND q.sku_id = t.sku_id AND q.user_id = o.user_id \
             WHERE t.kind = 'SALE' AND o.status IN ('CREATED', 'PAID') AND e.user_limit > 0 AND q.user_id IS NULL"
                .to_owned(),
        ),
        (
            "I6 an order commits in the epoch that admitted it, and in none that is to come",
            "inventory_transactions t JOIN inventory_epoch e ON e.store_id = t.store_id AND e.product_id = t.product_id \
             AND e.sku_id = t.sku_id WHERE t.kind = 'SALE' \
             AND (t.epoch > e.epoch OR (t.token <> '' AND SUBSTRING_INDEX(t.token, ':', 1) <> t.epoch))"
                .to_owned(),
        ),
    ];
    let counts: Vec<String> = claims.iter().map(|(_, of)| format!("(SELECT COUNT(*) FROM {of})")).collect();
    let found = count_all(bench, &counts).await;
    let broken: Vec<_> =
        claims.iter().zip(found).filter(|(_, found)| *found > 0).map(|((claim, _), found)| (claim, found)).collect();
    assert!(broken.is_empty(), "{when}: {broken:?}");
}

async fn count_all(bench: &FlowBench, counts: &[String]) -> Vec<i64> {
    use sqlx::Row as _;
    let mut connection = bench.sql.connect().await;
    let select = format!("SELECT {}", counts.join(", "));
    let row = sqlx::raw_sql(sqlx::AssertSqlSafe(select)).fetch_one(&mut connection).await.unwrap();
    (0..counts.len()).map(|at| row.get(at)).collect()
}
