//! The operator's change of mode and its kin: what stays, what needs no Redis, and "unknown" once something may have been committed.

use std::time::Duration;

use reference::domain::Epoch;
use reference::flow::Refusal;
use reference::ledger::{EpochState, Mode, Restocked};
use reference::metrics::Finding;

use crate::flow_bench::{FlowBench, request};
use crate::flow_gate::Gate;
use crate::outage_bench::{AT_ONCE, process, state, when_redis_is_down};
use crate::stock_fixture::{OwnRedis, until};
use crate::support::fresh_item;

#[tokio::test]
async fn a_degraded_item_that_an_operator_wants_in_mode_db_stays_there() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.sql.ledger.degrade(item, Epoch(1)).await.unwrap();
    assert_eq!(bench.sql.ledger.returns_to(item).await, Ok(Some(Mode::Redis)));
    let wanted = EpochState { epoch: Epoch(3), mode: Mode::Db };
    assert_eq!(bench.flow.change_mode(item, Mode::Db).await, Ok((wanted, true)));
    assert_eq!(bench.sql.ledger.returns_to(item).await, Ok(None));
    assert!(bench.sql.ledger.degraded(Duration::ZERO, 10).await.unwrap().is_empty(), "nothing gives it back");
    assert_eq!(bench.flow.change_mode(item, Mode::Db).await, Ok((wanted, false)), "a repeat does nothing");
}

#[tokio::test]
async fn a_closed_item_goes_to_mode_db_in_one_step_that_needs_no_redis() {
    let mut own = OwnRedis::start(&[]).await;
    let bench = FlowBench::beside(&own).await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 2)]).await;
    bench.flow.rebuild(item, Some(Mode::Closed), "test").await.unwrap();
    own.kill();
    let opened = bench.flow.change_mode(item, Mode::Db).await;
    assert_eq!(opened, Ok((EpochState { epoch: Epoch(3), mode: Mode::Db }, true)));
    let balance = bench.balance(item).await;
    assert_eq!((balance.current, balance.open), (8, 0), "the balance alone guards");
    bench.ordered("p", &[(item, 8)]).await;
    assert_eq!(bench.create("q", &[(item, 1)]).await, Err(Refusal::SoldOut { item }));
}

#[tokio::test]
async fn an_item_that_is_handed_over_with_too_few_units_is_closed_and_pages() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    bench.ordered("o", &[(item, 6)]).await;
    bench.sql.execute("UPDATE inventory SET current_stock = 5").await;
    let mut gate = Gate::before(&bench.redis_url).await;
    let flow = process(&gate.url(&bench.redis_url), &bench.sql.url, when_redis_is_down(AT_ONCE)).await;
    gate.shut().await;
    until("the item is closed", async || {
        let refused = flow.create(request("p", &[(item, 1)]), false).await;
        assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
        state(&bench, item).await.mode == Mode::Closed
    })
    .await;
    assert_eq!(flow.metrics().findings(Finding::NegativeBase), 1);
}

#[tokio::test]
async fn an_operator_is_told_unknown_when_mysql_goes_away_at_the_commit_of_a_rebuild() {
    for (before, wanted) in [(Mode::Redis, Some(Mode::Strict)), (Mode::Closed, Some(Mode::Redis)), (Mode::Redis, None)] {
        let bench = FlowBench::new().await;
        let item = bench.item(10).await;
        let began = bench.flow.rebuild(item, Some(before), "test").await.unwrap().epoch;
        let gate = Gate::before(&bench.sql.url).await;
        let flow = bench.through(&bench.redis_url, &gate.url(&bench.sql.url)).await;
        gate.shut_at_commit();
        let answer = match wanted {
            Some(mode) => flow.change_mode(item, mode).await,
            None => flow.rebuild_from(item, None).await,
        };
        assert!(matches!(answer, Err(Refusal::Unknown(_))), "{wanted:?} {answer:?}");
        let state = state(&bench, item).await;
        assert_eq!((state.epoch, state.mode), (Epoch(began.0 + 1), wanted.unwrap_or(before)), "it was committed");
        bench.flow.ensure_ready(item, "test").await.unwrap();
        bench.come_to_rest(item).await;
    }
}

#[tokio::test]
async fn an_order_whose_item_was_perhaps_rebuilt_is_refused_and_not_in_doubt() {
    let bench = FlowBench::new().await;
    let item = bench.item(10).await;
    let redis = bench.redis.of(item);
    let _: i64 = redis.raw(&format!("DEL {}", redis.key("stock"))).await;
    let gate = Gate::before(&bench.sql.url).await;
    let flow = bench.through(&bench.redis_url, &gate.url(&bench.sql.url)).await;
    gate.shut_at_commit();
    let refused = flow.create(request("o", &[(item, 1)]), false).await;
    assert!(matches!(refused, Err(Refusal::NotAdmitted(_))), "{refused:?}");
    assert_eq!((state(&bench, item).await.epoch, bench.rows("o").await), (Epoch(2), (0, 0)));
}

#[tokio::test]
async fn a_sale_that_was_opened_without_its_counter_is_told_as_unknown() {
    let bench = FlowBench::new().await;
    let mut gate = Gate::before(&bench.redis_url).await;
    let flow = bench.through(&gate.url(&bench.redis_url), &bench.sql.url).await;
    gate.shut().await;
    let item = fresh_item();
    let opened = flow.open_item(item, 5).await;
    assert!(matches!(opened, Err(Refusal::Unknown(_))), "{opened:?}");
    assert_eq!(bench.flow.open_item(item, 5).await, Ok(Restocked::Before));
    assert_eq!(bench.left(item).await, 5);
}
