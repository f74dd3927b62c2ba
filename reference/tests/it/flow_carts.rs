//! Carts: several items, also of several stores, in one order. All or nothing, and no two of them wait for each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{Item, Quantity};
use reference::flow::{Created, Refusal};
use reference::ledger::{Mode, Rebuilt, Restocked};
use reference::stock::PreDeduct;

use crate::flow_bench::{FlowBench, Workers, request_of};
use crate::ledger_bench::{execute, id};
use crate::stock_fixture::until;
use crate::support::fresh_item;

/// Items of two stores, whose numbers do not rise with their stores.
async fn two_stores(bench: &FlowBench, opening: u64) -> Vec<Item> {
    let mut items = Vec::new();
    for store in [12, 11, 12, 11] {
        let item = Item::new(store, 1, fresh_item().sku).unwrap();
        assert_eq!(bench.flow.open_item(item, opening).await, Ok(Restocked::Now));
        items.push(item);
    }
    items
}

async fn assert_nothing_lost(bench: &FlowBench, items: &[Item], supply: i64) {
    for item in items {
        bench.come_to_rest(*item).await;
        assert_eq!(bench.left(*item).await + bench.live(*item).await, supply, "{item}");
    }
}

/// Orders that stand with some of their lines.
async fn torn(bench: &FlowBench, lines: i64) -> i64 {
    let torn = format!(
        "SELECT COUNT(*) FROM (SELECT o.order_id FROM orders o LEFT JOIN inventory_transactions t ON t.order_id = o.order_id AND t.kind = 'SALE' \
         GROUP BY o.order_id, o.status HAVING COUNT(t.id) <> IF(o.status = 'FENCED', 0, {lines})) AS torn"
    );
    bench.sql.int(&torn).await
}

#[tokio::test]
async fn the_same_number_in_two_stores_is_two_items() {
    let bench = FlowBench::new().await;
    let sku = fresh_item().sku;
    let (one, two) = (Item::new(21, 1, sku).unwrap(), Item::new(22, 1, sku).unwrap());
    for item in [one, two] {
        assert_eq!(bench.flow.open_item(item, 5).await, Ok(Restocked::Now));
    }
    bench.ordered("o", &[(one, 2), (two, 3)]).await;
    assert_eq!((bench.left(one).await, bench.left(two).await, bench.rows("o").await), (3, 2, (1, 2)));
    bench.flow.cancel(&id("o")).await.unwrap();
    bench.come_to_rest(one).await;
    bench.come_to_rest(two).await;
    assert_eq!((bench.left(one).await, bench.left(two).await), (5, 5));
}

#[tokio::test]
async fn carts_in_opposite_order_from_many_clients_neither_block_nor_tear() {
    let bench = FlowBench::new().await;
    let flows = [bench.flow.clone(), bench.another().await, bench.another().await];
    let items = two_stores(&bench, 400).await;
    let workers = Workers::start(&flows[1], Duration::from_secs(60));
    let clients = (0..24).map(|client| {
        let (flow, mut mine) = (&flows[client % flows.len()], items.clone());
        mine.rotate_left(client % items.len());
        if client % 2 == 0 {
            mine.reverse();
        }
        async move {
            for round in 0..6 {
                let name = format!("c-{client}-{round}");
                let lines: Vec<_> = mine.iter().map(|item| (*item, 1)).collect();
                let created = flow.create(request_of(7, &name, &lines), false).await;
                assert!(matches!(created, Ok(Created::Now(_))), "{created:?}");
                match round % 3 {
                    0 => drop(flow.cancel(&id(&name)).await.unwrap()),
                    1 => {
                        flow.pay(&id(&name)).await.unwrap();
                        flow.refund(&id(&name)).await.unwrap();
                    }
                    _ => {}
                }
            }
        }
    });
    let all = join_all(clients);
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("no client waits for another without end");
    workers.stop().await;
    assert_eq!(torn(&bench, 4).await, 0);
    assert_nothing_lost(&bench, &items, 400).await;
    assert_eq!(bench.live(items[0]).await, 48);
}

#[tokio::test]
async fn carts_that_fight_for_the_last_units_are_whole_or_void() {
    let bench = FlowBench::new().await;
    let flows = [bench.flow.clone(), bench.another().await];
    let items = two_stores(&bench, 10).await;
    let carts: Vec<_> = (0..40_usize)
        .map(|at| {
            let lines = [(items[at % 4], 1), (items[(at + 1) % 4], 1), (items[(at + 3) % 4], 1)];
            request_of(7, &format!("c-{at}"), &lines)
        })
        .collect();
    let created = join_all(carts.iter().zip(flows.iter().cycle()).map(|(cart, flow)| flow.create(cart.clone(), false))).await;
    for created in &created {
        assert!(matches!(created, Ok(Created::Now(_)) | Err(Refusal::SoldOut { .. })), "{created:?}");
    }
    assert_eq!(torn(&bench, 3).await, 0);
    assert_nothing_lost(&bench, &items, 10).await;
}

#[tokio::test]
async fn a_strict_line_that_its_balance_refuses_gives_the_whole_cart_back() {
    let bench = FlowBench::new().await;
    let (first, strict) = (bench.item(10).await, bench.item(10).await);
    bench.flow.rebuild(strict, Some(Mode::Strict), "test").await.unwrap();
    // Redis promises more than MySQL holds: the reason to be strict.
    bench.sql.execute(&format!("UPDATE inventory SET locked_stock = 9 WHERE sku_id = {}", strict.sku)).await;
    assert_eq!(bench.create("o", &[(first, 3), (strict, 2)]).await, Err(Refusal::SoldOut { item: strict }));
    assert_eq!(bench.left(first).await, 10, "right away, by its tombstone");
    until("the audit that follows has corrected the promise", async || bench.left(strict).await == 1).await;
    bench.sql.execute(&format!("UPDATE inventory SET locked_stock = 0 WHERE sku_id = {}", strict.sku)).await;
    bench.flow.audit(strict, true).await.unwrap();
    bench.ordered("p", &[(first, 3), (strict, 2)]).await;
    assert_nothing_lost(&bench, &[first, strict], 10).await;
}

#[tokio::test]
async fn what_an_earlier_attempt_took_goes_back_when_the_next_one_stops_at_an_item_before_it() {
    let bench = FlowBench::new().await;
    let (first, second) = (bench.item(10).await, bench.item(10).await);
    // A new epoch of the first item that Redis does not know yet: the first attempt takes both and is not admitted.
    bench.sql.execute(&format!("UPDATE inventory SET locked_stock = 10 WHERE sku_id = {}", first.sku)).await;
    assert!(matches!(bench.sql.rebuild(first, 1, None).await, Rebuilt::Committed { base: 0, .. }));
    assert_eq!(bench.create("o", &[(first, 3), (second, 2)]).await, Err(Refusal::SoldOut { item: first }));
    assert_eq!(bench.left(second).await, 10, "right away");
}

/// The session that is writing the order `o`.
async fn writer_of_o(bench: &FlowBench) -> Option<i64> {
    let sessions = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE() \
                    AND info LIKE '%INSERT INTO orders%(''o'',%' AND info NOT LIKE '%processlist%'";
    bench.sql.rows(sessions).await.first().map(|row| sqlx::Row::get(row, 0))
}

#[tokio::test]
async fn a_cart_that_another_process_is_about_to_commit_does_not_keep_the_neighbours_waiting() {
    let bench = FlowBench::new().await;
    let (first, second, free) = (bench.item(10).await, bench.item(10).await, bench.item(10).await);
    // The other process found the first line taken, took the second, and froze with its row inserted.
    let taken = bench.redis.stock.pre_deduct(second, &id("o"), Quantity::new(1).unwrap()).await;
    assert!(matches!(taken, Ok(PreDeduct::Taken(_))));
    let mut frozen = bench.sql.connect().await;
    let row = format!("INSERT INTO orders (order_id, status, request_hash) VALUES ('o', 'CREATED', x'{}')", "00".repeat(32));
    execute(&mut frozen, &format!("BEGIN; {row}")).await;
    let cart = request_of(7, "o", &[(first, 1), (second, 1)]);
    let create = {
        let (flow, cart) = (bench.flow.clone(), cart.clone());
        tokio::spawn(async move { flow.create(cart, false).await })
    };
    until("the cart waits for the row of its id", async || writer_of_o(&bench).await.is_some()).await;
    let waiting = writer_of_o(&bench).await;
    bench.ordered("neighbour", &[(free, 1)]).await;
    assert_eq!(writer_of_o(&bench).await, waiting, "the neighbour did not wait for the end of that wait");
    execute(&mut frozen, "ROLLBACK").await;
    // Whether it waited long enough or not: a repeat finds or makes it.
    let created = create.await.unwrap();
    assert!(matches!(created, Ok(Created::Now(_)) | Err(Refusal::NotAdmitted(_))), "{created:?}");
    assert!(bench.flow.create(cart, true).await.is_ok());
    assert_nothing_lost(&bench, &[first, second], 10).await;
}
