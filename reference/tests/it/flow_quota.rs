//! The limit per user: true in MySQL, whoever races, and given back with the order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use futures_util::future::join_all;
use reference::domain::{Item, OrderStatus, UserLimit};
use reference::flow::{Created, Refusal};
use reference::ledger::Mode;

use crate::flow_bench::{FlowBench, request, request_of};
use crate::ledger_bench::id;
use crate::support::fresh_item;

fn limit(units: i64) -> UserLimit {
    UserLimit::new(units).unwrap()
}

async fn limited(bench: &FlowBench, opening: u64, units: i64) -> Item {
    let item = fresh_item();
    bench.flow.open_sale(item, opening, Some(limit(units))).await.unwrap();
    item
}

fn over(created: &Result<Created, Refusal>) -> bool {
    matches!(created, Err(Refusal::QuotaExceeded { .. }))
}

#[tokio::test]
async fn a_user_gets_what_the_limit_allows_and_others_get_theirs() {
    let bench = FlowBench::new().await;
    let item = limited(&bench, 20, 3).await;
    bench.ordered("a", &[(item, 2)]).await;
    assert_eq!(bench.create("b", &[(item, 2)]).await, Err(Refusal::QuotaExceeded { item }));
    assert_eq!(bench.flow.order(&id("b")).await.unwrap().status, OrderStatus::Fenced, "its id is spent");
    assert_eq!(bench.left(item).await, 18, "and its units are back at once");
    bench.ordered("c", &[(item, 1)]).await;
    assert_eq!(bench.create("d", &[(item, 1)]).await, Err(Refusal::QuotaExceeded { item }));
    assert!(matches!(bench.flow.create(request_of(8, "e", &[(item, 3)]), false).await, Ok(Created::Now(_))));
    assert!(matches!(bench.create("a", &[(item, 2)]).await, Ok(Created::Before(_))), "a repeat asks for nothing more");
    bench.assert_quota(item).await;
    bench.come_to_rest(item).await;
    assert_eq!((bench.left(item).await, bench.live(item).await), (14, 6));
}

#[tokio::test]
async fn orders_that_end_give_the_limit_back_once() {
    let bench = FlowBench::new().await;
    let item = limited(&bench, 20, 2).await;
    for round in 0..2 {
        let name = |end: &str| format!("{end}-{round}");
        bench.ordered(&name("cancel"), &[(item, 2)]).await;
        assert!(over(&bench.create(&name("more"), &[(item, 1)]).await));
        for _ in 0..2 {
            bench.flow.cancel(&id(&name("cancel"))).await.unwrap();
        }
        bench.ordered(&name("refund"), &[(item, 2)]).await;
        bench.flow.pay(&id(&name("refund"))).await.unwrap();
        for _ in 0..2 {
            bench.flow.refund(&id(&name("refund"))).await.unwrap();
        }
        bench.ordered(&name("expire"), &[(item, 2)]).await;
        bench.let_expire(&name("expire")).await;
        assert_eq!(bench.flow.expire(&id(&name("expire"))).await, Ok(true));
        assert_eq!(bench.flow.expire(&id(&name("expire"))).await, Ok(false));
        bench.assert_quota(item).await;
        bench.come_to_rest(item).await;
    }
    assert_eq!((bench.left(item).await, bench.live(item).await), (20, 0));
}

#[tokio::test]
async fn many_requests_of_one_user_through_several_processes_never_pass_the_limit() {
    let bench = FlowBench::new().await;
    let flows = [bench.flow.clone(), bench.another().await, bench.another().await];
    let item = limited(&bench, 1_000, 5).await;
    let requests: Vec<_> = (0..120).map(|at| request_of(at % 4, &format!("o-{at}"), &[(item, 1 + at % 2)])).collect();
    let created =
        join_all(requests.iter().zip(flows.iter().cycle()).map(|(request, flow)| flow.create(request.clone(), false))).await;
    let strangers: Vec<_> = created.iter().filter(|created| !over(created) && !matches!(created, Ok(Created::Now(_)))).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let most = bench.sql.int("SELECT CAST(MAX(quantity) AS SIGNED) FROM user_quota").await;
    let least = bench.sql.int("SELECT CAST(MIN(quantity) AS SIGNED) FROM user_quota").await;
    assert!(most <= 5 && least >= 4, "each user got as much as fits: {least} to {most}");
    bench.assert_quota(item).await;
    bench.come_to_rest(item).await;
    assert_eq!(bench.left(item).await + bench.live(item).await, 1_000);
}

#[tokio::test]
async fn a_cart_over_the_limit_of_one_item_takes_nothing_of_any() {
    let bench = FlowBench::new().await;
    let (free, tight) = (bench.item(10).await, limited(&bench, 10, 1).await);
    assert_eq!(bench.create("o", &[(free, 2), (tight, 2)]).await, Err(Refusal::QuotaExceeded { item: tight }));
    assert_eq!((bench.left(free).await, bench.left(tight).await), (10, 10));
    bench.ordered("p", &[(free, 2), (tight, 1)]).await;
    let other = limited(&bench, 10, 9).await;
    assert_eq!(bench.create("q", &[(other, 9), (tight, 1)]).await, Err(Refusal::QuotaExceeded { item: tight }));
    bench.ordered("r", &[(other, 9)]).await;
    for item in [free, tight, other] {
        bench.assert_quota(item).await;
        bench.come_to_rest(item).await;
    }
}

#[tokio::test]
async fn the_limit_holds_in_every_mode() {
    for mode in [Mode::Strict, Mode::Db] {
        let bench = FlowBench::new().await;
        let item = limited(&bench, 10, 2).await;
        bench.flow.rebuild(item, Some(mode), "test").await.unwrap();
        bench.ordered("a", &[(item, 2)]).await;
        assert!(over(&bench.create("b", &[(item, 1)]).await), "{mode:?}");
        bench.flow.cancel(&id("a")).await.unwrap();
        bench.ordered("c", &[(item, 1)]).await;
        bench.assert_quota(item).await;
        assert_eq!((bench.live(item).await, bench.balance(item).await.available()), (1, 9));
    }
}

#[tokio::test]
async fn a_first_limit_counts_the_orders_that_stand_and_none_forgets_them() {
    let bench = FlowBench::new().await;
    let item = bench.item(20).await;
    bench.ordered("a", &[(item, 4)]).await;
    bench.ordered("gone", &[(item, 4)]).await;
    bench.flow.cancel(&id("gone")).await.unwrap();
    bench.flow.set_user_limit(item, limit(3)).await.unwrap();
    bench.assert_quota(item).await;
    assert!(over(&bench.create("b", &[(item, 1)]).await), "four are held already");
    bench.flow.set_user_limit(item, limit(5)).await.unwrap();
    bench.ordered("c", &[(item, 1)]).await;
    bench.flow.set_user_limit(item, UserLimit::NONE).await.unwrap();
    bench.ordered("d", &[(item, 6)]).await;
    bench.flow.cancel(&id("a")).await.unwrap();
    bench.flow.set_user_limit(item, limit(7)).await.unwrap();
    bench.assert_quota(item).await;
    assert!(over(&bench.create("e", &[(item, 1)]).await), "one and six are held");
    assert_eq!(bench.flow.set_user_limit(fresh_item(), limit(1)).await.map_err(|refusal| refusal.code()), Err("unknown_sku"));
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn a_limit_that_changes_under_orders_and_cancels_stays_true() {
    let bench = FlowBench::new().await;
    let (other, item) = (bench.another().await, bench.item(500).await);
    let traffic = async {
        for round in 0..15 {
            let names: Vec<String> = (0..8).map(|at| format!("o-{round}-{at}")).collect();
            let body = |(user, name): (i64, &String)| request_of(user, name, &[(item, 1)]);
            let bodies: Vec<_> = [1, 2].into_iter().cycle().zip(&names).map(body).collect();
            join_all(bodies.iter().map(|body| bench.flow.create(body.clone(), false))).await;
            let gone: Vec<_> = names.iter().step_by(2).map(|name| id(name)).collect();
            join_all(gone.iter().map(|name| bench.flow.cancel(name))).await;
        }
    };
    let limits = async {
        for units in [3, 0, 10, 0, 5, 8, 0, 20, 4] {
            other.set_user_limit(item, limit(units)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(traffic, limits);
    bench.assert_quota(item).await;
    bench.come_to_rest(item).await;
}

#[tokio::test]
async fn an_opening_with_another_limit_is_a_conflict_and_one_without_is_none() {
    let bench = FlowBench::new().await;
    let item = limited(&bench, 10, 2).await;
    assert!(bench.flow.open_sale(item, 10, Some(limit(2))).await.is_ok());
    assert!(bench.flow.open_sale(item, 10, None).await.is_ok());
    assert!(matches!(bench.flow.open_sale(item, 10, Some(limit(3))).await, Err(Refusal::Conflict(_))));
    assert!(matches!(bench.flow.open_sale(item, 10, Some(UserLimit::NONE)).await, Err(Refusal::Conflict(_))));
    assert_eq!(bench.flow.user_limit(item).await, Ok(limit(2)));
    assert!(bench.flow.create(request("o", &[(item, 2)]), false).await.is_ok());
}
