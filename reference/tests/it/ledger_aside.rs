//! Orders of an item that somebody has locked: how many may wait for it, who is refused before it takes stock, and that the others do not notice.

use reference::domain::Item;
use reference::ledger::{LedgerError, Mode, NewOrder, Written};
use sqlx::mysql::MySqlConnection;
use tokio::task::JoinHandle;

use crate::ledger_bench::{Bench, execute, hold_epoch, numbered, order, token, write_as_one_batch};
use crate::stock_fixture::until;

/// Eight seats, and a quarter of them for orders that wait aside.
async fn small() -> Bench {
    Bench::with(|settings| (settings.writer_connections, settings.writer_queue) = (1, 8)).await
}

/// Somebody who has locked the item.
async fn lock(bench: &Bench, item: Item) -> MySqlConnection {
    let mut holder = bench.connect().await;
    hold_epoch(&mut holder, item, "FOR UPDATE").await;
    holder
}

fn write(bench: &Bench, at: u64, item: Item) -> JoinHandle<Result<Written, LedgerError>> {
    let (ledger, order) = (bench.ledger.clone(), numbered("o", at, item, 1));
    tokio::spawn(async move { ledger.write(order).await })
}

#[tokio::test]
async fn once_an_item_is_known_to_be_locked_its_orders_need_a_place_aside_and_others_do_not() {
    let bench = small().await;
    let (locked, free) = (bench.item(10).await, bench.item(10).await);
    let mut holder = lock(&bench, locked).await;
    let first = write(&bench, 0, locked);
    let seats = || [bench.ledger.seat([locked]), bench.ledger.seat([locked])];
    until("the item is known to be locked", async || seats().iter().any(Result::is_err)).await;
    let second = bench.ledger.seat([locked]);
    assert!(second.is_ok(), "one of the two places is left: {second:?}");
    let full = Err(LedgerError::QueueFull { capacity: 2 });
    assert_eq!(bench.ledger.seat([locked]).map(drop), full);
    assert_eq!(bench.ledger.seat([free, locked]).map(drop), full, "a cart waits for the slowest of its items");
    for at in 10..14 {
        assert_eq!(bench.write(numbered("free", at, free, 1)).await, Written::Committed);
    }
    drop(second);
    let third = write(&bench, 2, locked);
    execute(&mut holder, "ROLLBACK").await;
    assert_eq!((first.await.unwrap(), third.await.unwrap()), (Ok(Written::Committed), Ok(Written::Committed)));
    assert_eq!((bench.balance(locked).await.open, bench.balance(free).await.open), (2, 4));
}

#[tokio::test]
async fn orders_that_had_their_seats_before_it_was_known_fail_beyond_the_places_and_are_never_told_throttled() {
    let bench = small().await;
    let locked = bench.item(10).await;
    let mut holder = lock(&bench, locked).await;
    let writes: Vec<_> = (0..6).map(|at| write(&bench, at, locked)).collect();
    until("all but two have been answered", async || writes.iter().filter(|write| write.is_finished()).count() == 4).await;
    execute(&mut holder, "ROLLBACK").await;
    let (mut committed, mut failed) = (0, 0);
    for write in writes {
        match write.await.unwrap() {
            Ok(Written::Committed) => committed += 1,
            Err(LedgerError::Failed { why, .. }) if why.contains("locked") => failed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((committed, failed, bench.balance(locked).await.open), (2, 4, 2));
    until("all seats are free again", async || free_seats(&bench, &[]) == 8).await;
}

/// Somebody whose transaction has inserted an order with this id and stands still.
async fn hold_id(bench: &Bench, id: &str) -> MySqlConnection {
    let mut holder = bench.connect().await;
    let row = format!("INSERT INTO orders (order_id, status, request_hash) VALUES ('{id}', 'CREATED', x'{}')", "00".repeat(32));
    execute(&mut holder, &format!("BEGIN; {row}")).await;
    holder
}

/// How many orders of these items could begin at once.
fn free_seats(bench: &Bench, items: &[Item]) -> usize {
    let seats: Vec<_> = (0..16).map_while(|_| bench.ledger.seat(items.iter().copied()).ok()).collect();
    seats.len()
}

#[tokio::test]
async fn an_id_that_somebody_holds_keeps_neither_its_neighbours_nor_its_item_from_selling() {
    let bench = small().await;
    let item = bench.item(20).await;
    let mut holder = hold_id(&bench, "o-1").await;
    let orders = (0..4).map(|at| numbered("o", at, item, 1)).collect();
    let answers = write_as_one_batch(&bench, orders).await;
    let committed = answers.iter().filter(|answer| **answer == Ok(Written::Committed)).count();
    assert_eq!(committed, 3, "{answers:?}");
    assert!(matches!(&answers[1], Err(LedgerError::Failed { .. })), "certainly not written: {answers:?}");
    assert_eq!(free_seats(&bench, &[item]), 8, "the item is not locked");
    execute(&mut holder, "ROLLBACK").await;
    assert_eq!(bench.write(numbered("o", 1, item, 1)).await, Written::Committed);
    assert_eq!(bench.balance(item).await.open, 4);
}

#[tokio::test]
async fn a_repeat_of_an_id_that_somebody_holds_is_refused_definitely_and_its_item_is_never_taken_for_locked() {
    let bench = small().await;
    let item = bench.item(20).await;
    let mut holder = hold_id(&bench, "o-1").await;
    let repeat = NewOrder { contested: true, ..numbered("o", 1, item, 1) };
    let ledger = bench.ledger.clone();
    let write = tokio::spawn(async move { ledger.write(repeat).await });
    // Asked all the while, because an item is taken for locked for a few seconds only.
    until("the repeat is answered", async || {
        assert!(free_seats(&bench, &[item]) >= 7, "the item is taken for locked");
        write.is_finished()
    })
    .await;
    let answer = write.await.unwrap();
    assert!(matches!(&answer, Err(LedgerError::Failed { .. })), "{answer:?}");
    execute(&mut holder, "ROLLBACK").await;
}

#[tokio::test]
async fn an_order_aside_does_not_fail_with_that_of_another_item_that_is_still_locked() {
    let bench = Bench::with(|settings| (settings.writer_connections, settings.writer_queue) = (1, 12)).await;
    let (one, other) = (bench.item(10).await, bench.item(10).await);
    let (mut holder, mut longer) = (lock(&bench, one).await, lock(&bench, other).await);
    // The first keeps the writer aside busy, so that the two behind it become one batch there.
    let first = write(&bench, 0, one);
    until("the first waits aside", async || free_seats(&bench, &[one]) == 2).await;
    let (second, third) = (write(&bench, 1, one), write(&bench, 2, other));
    until("all places aside are taken", async || free_seats(&bench, &[other]) == 0 || first.is_finished()).await;
    execute(&mut holder, "ROLLBACK").await;
    assert_eq!(second.await.unwrap(), Ok(Written::Committed));
    assert!(matches!(third.await.unwrap(), Err(LedgerError::Failed { .. })), "it stayed locked for too long");
    execute(&mut longer, "ROLLBACK").await;
    assert!(first.await.is_ok());
}

#[tokio::test]
async fn a_strict_cart_whose_second_balance_is_locked_waits_aside_and_keeps_no_other_item_from_selling() {
    let bench = small().await;
    let (free, open) = (bench.item(10).await, bench.item_in(Mode::Strict, 10).await);
    let locked = bench.item_in(Mode::Strict, 10).await;
    assert!(open < locked, "balances are guarded in the order of the lines");
    let mut holder = bench.connect().await;
    let Item { store, product, sku } = locked;
    let row = format!("store_id = {store} AND product_id = {product} AND sku_id = {sku}");
    execute(&mut holder, &format!("BEGIN; SELECT version FROM inventory WHERE {row} FOR UPDATE")).await;
    let (ledger, cart) = (bench.ledger.clone(), order("cart", &[(open, 1, token(2, 1)), (locked, 1, token(2, 1))]));
    let write = tokio::spawn(async move { ledger.write(cart).await });
    until("the item is known to be locked", async || free_seats(&bench, &[locked]) < 2).await;
    assert!(free_seats(&bench, &[open]) >= 6, "the other item of the cart is not");
    assert_eq!(bench.write(numbered("free", 1, free, 1)).await, Written::Committed);
    execute(&mut holder, "ROLLBACK").await;
    assert!(matches!(write.await.unwrap(), Ok(Written::CommittedGuarded { .. })));
}
