//! Order transactions: who is admitted, what is written, and that neighbours in a batch do not matter to each other.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use reference::domain::{Epoch, OrderStatus, SaleState};
use reference::ledger::{LedgerError, Mode, Rebuilt, Written};

use crate::ledger_bench::{Bench, execute, hold_epoch, id, numbered, order, rebuild_request, token, write_as_one_batch};
use crate::stock_fixture::until;
use crate::support;

#[tokio::test]
async fn a_committed_order_reads_as_it_was_written() {
    let bench = Bench::new().await;
    let (one, two) = (bench.item(10).await, bench.item(10).await);
    let new = order("o-1", &[(one, 2, token(1, 3)), (two, 1, token(1, 9))]);
    assert_eq!(bench.write(new.clone()).await, Written::Committed);
    let stored = bench.ledger.order(&id("o-1")).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.user.get(), &stored.hash), (OrderStatus::Created, 7, new.request.hash()));
    let sales: Vec<_> =
        stored.sales.iter().map(|sale| (sale.item, sale.quantity.get(), sale.state, sale.token, sale.epoch)).collect();
    assert_eq!(sales, [(one, 2, SaleState::Lock, token(1, 3), Epoch(1)), (two, 1, SaleState::Lock, token(1, 9), Epoch(1))]);
    assert_eq!(bench.balance(one).await.available(), 8);
    assert_eq!(bench.ledger.outbox_depth().await.unwrap().deducts, 2);
    let minutes = "SELECT CAST(ROUND(TIMESTAMPDIFF(SECOND, created_at, expire_at) / 60) AS SIGNED) FROM orders";
    assert_eq!(bench.int(minutes).await, 30);
    assert_eq!(bench.ledger.order(&id("o-2")).await.unwrap(), None);
}

#[tokio::test]
async fn ids_that_differ_by_case_are_two_orders() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    assert_eq!(bench.write(order("abc", &[(item, 1, token(1, 1))])).await, Written::Committed);
    assert_eq!(bench.write(order("ABC", &[(item, 1, token(1, 2))])).await, Written::Committed);
    assert_eq!(bench.ledger.orders(&[id("abc"), id("ABC"), id("none")]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn of_many_orders_with_one_id_exactly_one_is_committed() {
    let bench = Bench::with(|settings| (settings.writer_connections, settings.batch_max) = (3, 4)).await;
    let item = bench.item(100).await;
    for round in 0..10 {
        let name = format!("same-{round}");
        let write = |at| bench.ledger.write(order(&name, &[(item, 1, token(1, round * 100 + at))]));
        let written = join_all((0..12_u64).map(write)).await;
        assert_eq!(written.iter().filter(|one| **one == Ok(Written::Committed)).count(), 1, "{written:?}");
        assert_eq!(written.iter().filter(|one| **one == Ok(Written::Exists)).count(), 11, "{written:?}");
    }
    assert_eq!(bench.balance(item).await.open, 10);
}

#[tokio::test]
async fn a_token_of_another_epoch_is_not_admitted() {
    let bench = Bench::new().await;
    let (item, other) = (bench.item(10).await, bench.item(10).await);
    assert!(matches!(bench.rebuild(item, 1, None).await, Rebuilt::Committed { epoch: Epoch(2), .. }));
    let refused = Written::NotAdmitted { item };
    assert_eq!(bench.write(order("o-1", &[(item, 1, token(1, 1))])).await, refused);
    assert_eq!(bench.write(order("o-1", &[(item, 1, token(3, 1))])).await, refused);
    assert_eq!(bench.write(order("o-1", &[(other, 1, token(1, 1)), (item, 1, token(1, 1))])).await, refused);
    assert_eq!(bench.write(order("o-1", &[(item, 1, None)])).await, refused);
    assert_eq!(bench.ledger.order(&id("o-1")).await.unwrap(), None);
    assert_eq!(bench.write(order("o-1", &[(item, 1, token(2, 1))])).await, Written::Committed);
    let unknown = support::fresh_item();
    assert_eq!(bench.write(order("o-2", &[(unknown, 1, token(1, 1))])).await, Written::NotAdmitted { item: unknown });
}

#[tokio::test]
async fn each_mode_takes_its_own_kind_of_admission() {
    let bench = Bench::new().await;
    let (strict, db, closed) =
        (bench.item_in(Mode::Strict, 3).await, bench.item_in(Mode::Db, 3).await, bench.item_in(Mode::Closed, 3).await);
    assert_eq!(bench.write(order("s-1", &[(strict, 2, token(2, 1))])).await, Written::CommittedGuarded { epochs: vec![Epoch(2)] });
    assert_eq!(bench.write(order("s-2", &[(strict, 2, token(2, 2))])).await, Written::GuardRefused { item: strict });
    assert_eq!(bench.write(order("s-3", &[(strict, 1, None)])).await, Written::NotAdmitted { item: strict });
    assert_eq!(bench.write(order("d-1", &[(db, 3, None)])).await, Written::CommittedGuarded { epochs: vec![Epoch(2)] });
    assert_eq!(bench.write(order("d-2", &[(db, 1, None)])).await, Written::GuardRefused { item: db });
    assert_eq!(bench.write(order("d-3", &[(db, 1, token(2, 1))])).await, Written::NotAdmitted { item: db });
    assert_eq!(bench.write(order("c-1", &[(closed, 1, token(2, 1))])).await, Written::NotAdmitted { item: closed });
    assert_eq!(bench.ledger.order(&id("s-2")).await.unwrap(), None, "a refused order leaves no row");
    let sale = bench.ledger.order(&id("d-1")).await.unwrap().unwrap().sales[0];
    assert_eq!((sale.state, sale.token, sale.epoch), (SaleState::Out, None, Epoch(2)));
    assert_eq!((bench.balance(strict).await.current, bench.balance(db).await.current), (1, 0));
    assert_eq!(bench.ledger.outbox_depth().await.unwrap().deducts, 0);
}

#[tokio::test]
async fn a_cart_of_several_modes_takes_the_path_of_each_line_or_none() {
    let bench = Bench::new().await;
    let (redis, strict, db) = (bench.item(5).await, bench.item_in(Mode::Strict, 5).await, bench.item_in(Mode::Db, 1).await);
    let cart = |name, units| order(name, &[(redis, 1, token(1, 1)), (strict, 1, token(2, 1)), (db, units, None)]);
    assert_eq!(bench.write(cart("short", 2)).await, Written::GuardRefused { item: db });
    assert_eq!((bench.balance(redis).await.open, bench.balance(strict).await.current), (0, 5));
    assert_eq!(bench.write(cart("fits", 1)).await, Written::CommittedGuarded { epochs: vec![Epoch(1), Epoch(2), Epoch(2)] });
    assert_eq!((bench.balance(redis).await.open, bench.balance(strict).await.current, bench.balance(db).await.current), (1, 4, 0));
    assert_eq!(bench.ledger.outbox_depth().await.unwrap().deducts, 1);
}

#[tokio::test]
async fn a_bad_order_fails_none_of_its_neighbours_in_a_batch() {
    let bench = Bench::with(|settings| settings.writer_connections = 1).await;
    let (item, strict) = (bench.item(100).await, bench.item_in(Mode::Strict, 1).await);
    bench.write(order("there", &[(item, 1, token(1, 1))])).await;
    // A ledger row without an order: the unique key of the ledger refuses one order, and nothing says so beforehand.
    bench
        .execute(&format!(
            "INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch) \
             VALUES ('bad', {}, {}, {}, 'SALE', 'UNLOCK', 1, 1)",
            item.store, item.product, item.sku
        ))
        .await;
    let orders = vec![
        numbered("good", 10, item, 1),
        order("bad", &[(item, 1, token(1, 20))]),
        order("old", &[(item, 1, token(9, 1))]),
        order("there", &[(item, 1, token(1, 21))]),
        order("s-1", &[(strict, 1, token(2, 1))]),
        order("s-2", &[(strict, 1, token(2, 2))]),
        order("twice", &[(item, 1, token(1, 22))]),
        order("twice", &[(item, 1, token(1, 23))]),
        numbered("good", 11, item, 1),
    ];
    let before = bench.int("SELECT COUNT(*) FROM orders").await;
    let written = write_as_one_batch(&bench, orders).await;
    assert_eq!(written[0], Ok(Written::Committed));
    assert!(matches!(&written[1], Err(LedgerError::Failed { why, .. }) if why.contains("1062")), "{:?}", written[1]);
    assert_eq!(written[2], Ok(Written::NotAdmitted { item }));
    assert_eq!(written[3], Ok(Written::Exists));
    assert_eq!(
        (&written[4], &written[5]),
        (&Ok(Written::CommittedGuarded { epochs: vec![Epoch(2)] }), &Ok(Written::GuardRefused { item: strict }))
    );
    assert_eq!((&written[6], &written[7]), (&Ok(Written::Committed), &Ok(Written::Exists)));
    assert_eq!(written[8], Ok(Written::Committed));
    assert_eq!(bench.int("SELECT COUNT(*) FROM orders").await, before + 5, "the gate, two good, one strict, one of the twins");
}

#[tokio::test]
async fn without_a_free_seat_an_order_is_refused_at_once() {
    let bench = Bench::with(|settings| (settings.writer_connections, settings.writer_queue, settings.batch_max) = (1, 3, 1)).await;
    let item = bench.item(10).await;
    let mut holder = bench.connect().await;
    hold_epoch(&mut holder, item, "FOR UPDATE").await;
    let spawn = |at| {
        let (ledger, order) = (bench.ledger.clone(), numbered("o", at, item, 1));
        tokio::spawn(async move { ledger.write(order).await })
    };
    let first = spawn(0);
    bench.wait_for_statement(&format!("sku_id = {} AND shard", item.sku)).await;
    let waiting = [spawn(1), spawn(2)];
    while bench.ledger.writer_queue_len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(bench.ledger.write(numbered("o", 3, item, 1)).await, Err(LedgerError::QueueFull { capacity: 3 }));
    waiting[0].abort();
    assert!(bench.ledger.seat([item]).is_err(), "a caller that goes away leaves its order in its seat");
    execute(&mut holder, "ROLLBACK").await;
    assert_eq!(first.await.unwrap(), Ok(Written::Committed));
    let [gone, stayed] = waiting;
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(stayed.await.unwrap(), Ok(Written::Committed));
    let seat = || bench.ledger.seat([item]);
    until("the seats are free", async || [seat(), seat(), seat()].iter().all(Result::is_ok)).await;
}

#[tokio::test]
async fn a_rebuild_waits_for_an_order_under_way_and_counts_it() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    let mut creator = bench.connect().await;
    let (store, product, sku) = (item.store, item.product, item.sku);
    execute(
        &mut creator,
        &format!(
            "BEGIN; SELECT epoch FROM inventory_epoch WHERE store_id = {store} AND product_id = {product} AND sku_id = {sku} \
             LOCK IN SHARE MODE; \
             INSERT INTO inventory_transactions (order_id, store_id, product_id, sku_id, kind, transaction_type, quantity, epoch, token) \
             VALUES ('flying', {store}, {product}, {sku}, 'SALE', 'LOCK', 4, 1, '1:1')"
        ),
    )
    .await;
    let ledger = bench.ledger.clone();
    let rebuild = tokio::spawn(async move { ledger.rebuild(rebuild_request(item, 1, None)).await });
    bench.wait_for_statement("ORDER BY shard FOR UPDATE").await;
    assert!(!rebuild.is_finished());
    execute(&mut creator, "COMMIT").await;
    assert_eq!(rebuild.await.unwrap(), Ok(Rebuilt::Committed { epoch: Epoch(2), base: 6, mode: Mode::Redis }));
}

#[tokio::test]
async fn an_order_waits_for_a_rebuild_under_way_and_is_refused() {
    let bench = Bench::new().await;
    let item = bench.item(10).await;
    let mut rebuilder = bench.connect().await;
    hold_epoch(&mut rebuilder, item, "FOR UPDATE").await;
    let (ledger, new) = (bench.ledger.clone(), numbered("o", 1, item, 1));
    let write = tokio::spawn(async move { ledger.write(new).await });
    bench.wait_for_statement(&format!("sku_id = {} AND shard", item.sku)).await;
    assert!(!write.is_finished());
    let row = format!("store_id = {} AND product_id = {} AND sku_id = {}", item.store, item.product, item.sku);
    execute(&mut rebuilder, &format!("UPDATE inventory_epoch SET epoch = 2 WHERE {row}; COMMIT")).await;
    assert_eq!(write.await.unwrap(), Ok(Written::NotAdmitted { item }));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_connection_in_doubt() {
    let bench = Bench::with(|settings| (settings.request_connections, settings.writer_connections) = (1, 1)).await;
    let item = bench.item(100).await;
    for at in 0..20 {
        let (ledger, new) = (bench.ledger.clone(), numbered("o", at, item, 1));
        // Polled a different number of times before it is dropped, so that it is cut at different steps.
        let dropped = tokio::time::timeout(Duration::from_micros(at * 150), ledger.write(new)).await;
        let other =
            tokio::time::timeout(Duration::from_micros(at * 150), ledger.undo(&id("o-0"), reference::ledger::Undo::Cancel, ""))
                .await;
        drop((dropped, other));
    }
    bench.write(numbered("last", 99, item, 1)).await;
    // The one connection of the pool is outside a transaction: what is written through it is seen by others at once.
    assert!(bench.ledger.fence(&id("tombstone")).await.unwrap());
    assert_eq!(bench.int("SELECT COUNT(*) FROM orders WHERE order_id = 'tombstone'").await, 1);
    let sales = "SELECT COUNT(*) FROM inventory_transactions WHERE kind = 'SALE'";
    let orders = "SELECT COUNT(*) FROM orders WHERE status <> 'FENCED'";
    let events = "SELECT COUNT(*) FROM outbox WHERE event_type = 'DEDUCT_STOCK_DB'";
    let (sales, orders, events) = (bench.int(sales).await, bench.int(orders).await, bench.int(events).await);
    assert_eq!((sales, orders, events), (21, 21, 21), "queued orders stand although nobody waited");
    for at in 0..20 {
        assert_eq!(bench.write(numbered("o", at, item, 1)).await, Written::Exists);
    }
}

#[tokio::test]
async fn a_lost_connection_before_commit_is_definite_if_commit_goes_in_a_packet_of_its_own() {
    for (contested, definite) in [(true, true), (false, false)] {
        let bench = Bench::with(|settings| settings.writer_connections = 1).await;
        let item = bench.item(10).await;
        let mut holder = bench.connect().await;
        execute(
            &mut holder,
            "BEGIN; INSERT INTO orders (order_id, status, request_hash) VALUES ('o-1', 'CREATED', REPEAT('0', 32))",
        )
        .await;
        let (ledger, new) = (bench.ledger.clone(), reference::ledger::NewOrder { contested, ..numbered("o", 1, item, 1) });
        let write = tokio::spawn(async move { ledger.write(new).await });
        // One look finds it and names it: between two of them it may have waited long enough and be sent again.
        let waits = "FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'INSERT INTO orders%'";
        let victim = Cell::new(0);
        let found = async || {
            victim.set(bench.int(&format!("SELECT CAST(COALESCE(MAX(id), 0) AS SIGNED) {waits}")).await);
            victim.get() > 0
        };
        until("the order waits for the one that holds its id", found).await;
        let victim = victim.get();
        bench.execute(&format!("KILL {victim}")).await;
        // The server may still say that it interrupts the statement (1317), or only hang up: both are a connection lost before COMMIT.
        let written = write.await.unwrap();
        // Whoever sent COMMIT along cannot know how far the server came.
        let told = if definite { matches!(written, Err(LedgerError::Away { .. })) } else { written == Ok(Written::Unknown) };
        assert!(told, "{written:?}");
        execute(&mut holder, "ROLLBACK").await;
        assert_eq!(bench.ledger.order(&id("o-1")).await.unwrap(), None);
        assert_eq!(bench.write(numbered("o", 1, item, 1)).await, Written::Committed);
    }
}
