//! Every script and every reply of it, on a real server.

use std::time::Duration;

use reference::domain::{Epoch, Token};
use reference::stock::{Applied, Installed, NotReady, PreDeduct, StockError, Taken, Unready};

use crate::stock_fixture::{Fixture, member, quantity};

const ALL: Duration = Duration::ZERO;

fn token(epoch: u64, version: u64) -> Token {
    Token { epoch: Epoch(epoch), version }
}

fn not_ready(epoch: u64, why: Unready) -> NotReady {
    NotReady { epoch: Epoch(epoch), why }
}

#[tokio::test]
async fn pre_deduct_takes_units_and_its_tokens_count_up() {
    let at = Fixture::stocked(5).await;
    let first = PreDeduct::Taken(Taken { token: token(1, 1), quantity: quantity(2), left: Some(3) });
    let second = PreDeduct::Taken(Taken { token: token(1, 2), quantity: quantity(3), left: Some(0) });
    assert_eq!(at.pre_deduct("o1", 2).await, first);
    assert_eq!(at.pre_deduct("o2", 3).await, second);
    assert_eq!((at.units().await, at.meta("avail").await.as_str(), at.meta("version").await.as_str()), (0, "0", "2"));
    let locks: Vec<String> = at.raw(&format!("ZRANGE {} 0 -1", at.key("lock"))).await;
    assert_eq!(locks, ["o1|1:1|2", "o2|1:2|3"]);
    let record: String = at.raw(&format!("GET {}", at.key("deduct:o1"))).await;
    assert_eq!(record, "1:1|2");
}

#[tokio::test]
async fn the_record_lives_for_its_ttl_and_the_other_keys_for_ever() {
    let at = Fixture::stocked(5).await;
    let lock = at.take("o1", 2).await;
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await, Ok(Applied::Done(1)));
    let week = 7 * 24 * 3600;
    for (kind, bounds) in
        [("deduct:o1", week - 60..=week), ("delta:C.x", week - 60..=week), ("stock", -1..=-1), ("meta", -1..=-1), ("lock", -1..=-1)]
    {
        let ttl: i64 = at.raw(&format!("TTL {}", at.key(kind))).await;
        assert!(bounds.contains(&ttl), "{kind} lives {ttl} s");
    }
    drop(lock);
}

#[tokio::test]
async fn a_repeat_gets_its_token_again_even_when_it_took_the_last_units() {
    let at = Fixture::stocked(2).await;
    at.take("o1", 2).await;
    let before = at.dump().await;
    let again = PreDeduct::Taken(Taken { token: token(1, 1), quantity: quantity(2), left: None });
    assert_eq!(at.pre_deduct("o1", 2).await, again);
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn a_repeat_with_another_quantity_is_a_mismatch_even_at_stock_0() {
    let at = Fixture::stocked(2).await;
    at.take("o1", 2).await;
    assert_eq!(at.pre_deduct("o1", 1).await, PreDeduct::Mismatch { reserved: quantity(2) });
    assert_eq!(at.units().await, 0);
}

#[tokio::test]
async fn a_repeat_after_confirm_or_rollback_is_resolved() {
    let at = Fixture::stocked(5).await;
    let (sold, returned) = (at.take("o1", 2).await, at.take("o2", 3).await);
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &[sold]).await, Ok(Applied::Done(1)));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &[returned]).await, Ok(Applied::Done(3)));
    assert_eq!(at.pre_deduct("o1", 2).await, PreDeduct::Resolved);
    assert_eq!(at.pre_deduct("o2", 3).await, PreDeduct::Resolved);
    assert_eq!(at.units().await, 3);
}

#[tokio::test]
async fn too_few_units_refuse_and_change_nothing() {
    let at = Fixture::stocked(2).await;
    at.take("o1", 1).await;
    let before = at.dump().await;
    assert_eq!(at.pre_deduct("o2", 2).await, PreDeduct::Insufficient { left: 1, version: 1, earlier_record: false });
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn a_record_of_an_older_epoch_counts_as_absent_and_is_reported_when_units_lack() {
    let at = Fixture::stocked(2).await;
    at.take("o1", 2).await;
    at.install(2, 1).await;
    assert_eq!(at.pre_deduct("o1", 2).await, PreDeduct::Insufficient { left: 1, version: 0, earlier_record: true });
    let taken = PreDeduct::Taken(Taken { token: token(2, 1), quantity: quantity(1), left: Some(0) });
    assert_eq!(at.pre_deduct("o1", 1).await, taken);
}

#[tokio::test]
async fn every_script_finds_a_missing_counter() {
    let at = Fixture::new().await;
    let lock = [member("o1", token(1, 1), quantity(1))];
    let missing = not_ready(0, Unready::Missing);
    assert_eq!(at.pre_deduct("o1", 1).await, PreDeduct::NotReady(missing));
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(missing)));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(missing)));
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await, Ok(Applied::NotReady(missing)));
    let probe = at.stock.probe(at.item, ALL, None, &[]).await.unwrap();
    assert_eq!((probe.unready, probe.epoch, probe.stock, probe.lock_count), (Some(Unready::Missing), Epoch(0), 0, 0));
    assert_eq!(at.dump().await, []);
}

#[tokio::test]
async fn every_script_finds_a_counter_of_another_process() {
    let at = Fixture::stocked(5).await;
    let lock = [at.take("o1", 1).await];
    at.raw::<()>(&format!("HSET {} inc another:process", at.key("meta"))).await;
    let before = at.dump().await;
    let elsewhere = not_ready(1, Unready::Incarnation);
    assert_eq!(at.pre_deduct("o1", 1).await, PreDeduct::NotReady(elsewhere));
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(elsewhere)));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(elsewhere)));
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await, Ok(Applied::NotReady(elsewhere)));
    let probe = at.stock.probe(at.item, ALL, None, &[]).await.unwrap();
    assert_eq!((probe.unready, probe.epoch, probe.stock, probe.lock_count), (Some(Unready::Incarnation), Epoch(1), 4, 1));
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn a_counter_that_a_stranger_changed_is_corrupt_for_all_but_confirm() {
    for spoil in [
        "SET stock 7",
        "DEL stock",
        "SET stock 3.5",
        "HSET meta avail 7",
        "HDEL meta avail",
        "HSET meta version x",
        "HDEL meta version",
    ] {
        let at = Fixture::stocked(5).await;
        let lock = [at.take("o1", 1).await];
        at.raw::<()>(&spoil.replace("stock", &at.key("stock")).replace("meta", &at.key("meta"))).await;
        let before = at.dump().await;
        let corrupt = not_ready(1, Unready::Corrupt);
        assert_eq!(at.pre_deduct("o2", 1).await, PreDeduct::NotReady(corrupt), "{spoil}");
        assert_eq!(at.stock.rollback(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(corrupt)), "{spoil}");
        assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await, Ok(Applied::NotReady(corrupt)), "{spoil}");
        let probe = at.stock.probe(at.item, ALL, None, &[]).await.unwrap();
        assert_eq!((probe.unready, probe.epoch, probe.lock_count), (Some(Unready::Corrupt), Epoch(1), 1), "{spoil}");
        assert_eq!(at.dump().await, before, "{spoil}");
        assert_eq!(at.stock.confirm(at.item, Epoch(1), &lock).await, Ok(Applied::Done(1)), "{spoil}");
        at.install(2, 5).await;
        assert_eq!(at.take("o3", 1).await.token, token(2, 1), "{spoil}");
    }
}

#[tokio::test]
async fn numbers_that_agree_but_are_no_plain_integers_are_corrupt() {
    for text in ["-1", "1.0", "1e3", "0x10", "nan", "inf", "", "01", "9999999999999999"] {
        let at = Fixture::stocked(5).await;
        at.words::<()>(&["SET", &at.key("stock"), text]).await.unwrap();
        at.words::<()>(&["HSET", &at.key("meta"), "avail", text]).await.unwrap();
        assert_eq!(at.pre_deduct("o1", 1).await, PreDeduct::NotReady(not_ready(1, Unready::Corrupt)), "{text:?}");
    }
}

#[tokio::test]
async fn an_epoch_behind_or_ahead_of_the_callers_changes_nothing() {
    let at = Fixture::stocked(5).await;
    let lock = at.take("o1", 1).await;
    let later = member("o1", token(2, 1), quantity(1));
    let before = at.dump().await;
    let behind = Ok(Applied::NotReady(not_ready(1, Unready::Behind)));
    assert_eq!(at.stock.confirm(at.item, Epoch(2), std::slice::from_ref(&later)).await, behind);
    assert_eq!(at.stock.rollback(at.item, Epoch(2), &[later]).await, behind);
    assert_eq!(at.stock.apply_delta(at.item, Epoch(2), "C.x", 1).await, behind);
    assert_eq!(at.dump().await, before);

    at.install(3, 5).await;
    let before = at.dump().await;
    let stale = Ok(Applied::Stale(Epoch(3)));
    assert_eq!(at.stock.confirm(at.item, Epoch(1), std::slice::from_ref(&lock)).await, stale);
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &[lock]).await, stale);
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await, stale);
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn a_second_rollback_gives_nothing_back() {
    let at = Fixture::stocked(5).await;
    let locks = [at.take("o1", 2).await, at.take("o2", 1).await];
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &locks).await, Ok(Applied::Done(3)));
    let after = at.dump().await;
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &locks).await, Ok(Applied::Done(0)));
    assert_eq!(at.dump().await, after);
    assert_eq!((at.units().await, at.meta("avail").await.as_str(), at.meta("version").await.as_str()), (5, "5", "4"));
}

#[tokio::test]
async fn a_member_given_twice_in_one_rollback_counts_once() {
    let at = Fixture::stocked(5).await;
    let lock = at.take("o1", 2).await;
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &[lock.clone(), lock]).await, Ok(Applied::Done(2)));
    assert_eq!(at.units().await, 5);
}

#[tokio::test]
async fn a_rollback_with_a_quantity_that_was_not_taken_gives_nothing_back() {
    let at = Fixture::stocked(5).await;
    let lock = at.take("o1", 1).await;
    let greedy = member("o1", lock.token, quantity(1000));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &[greedy]).await, Ok(Applied::Done(0)));
    assert_eq!(at.units().await, 4);
}

#[tokio::test]
async fn a_rollback_with_a_member_of_another_epoch_is_not_executed_at_all() {
    let at = Fixture::stocked(5).await;
    let (lock, other) = (at.take("o1", 1).await, member("o2", token(2, 1), quantity(1)));
    let refused = at.stock.rollback(at.item, Epoch(1), &[lock, other]).await;
    assert!(matches!(refused, Err(StockError::NotExecuted { act: "rollback", .. })), "{refused:?}");
    assert_eq!(at.units().await, 4);
}

#[tokio::test]
async fn confirm_counts_what_it_removed_and_leaves_the_counter_alone() {
    let at = Fixture::stocked(5).await;
    let locks = [at.take("o1", 2).await, at.take("o2", 1).await];
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &locks[..1]).await, Ok(Applied::Done(1)));
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &locks).await, Ok(Applied::Done(1)));
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &locks).await, Ok(Applied::Done(0)));
    assert_eq!(at.units().await, 2);
}

#[tokio::test]
async fn batches_larger_than_one_call_are_done_whole_and_empty_ones_are_nothing() {
    let at = Fixture::stocked(2000).await;
    let mut locks = Vec::new();
    for number in 0..1203 {
        locks.push(at.take(&format!("o{number}"), 1).await);
    }
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &[]).await, Ok(Applied::Done(0)));
    assert_eq!(at.stock.confirm(at.item, Epoch(1), &locks[..601]).await, Ok(Applied::Done(601)));
    assert_eq!(at.stock.rollback(at.item, Epoch(1), &locks).await, Ok(Applied::Done(602)));
    assert_eq!(at.units().await, 2000 - 601);
}

#[tokio::test]
async fn an_increase_is_applied_once() {
    let at = Fixture::stocked(5).await;
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.o1", 3).await, Ok(Applied::Done(3)));
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.o1", 3).await, Ok(Applied::Duplicate));
    assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.o2", 1).await, Ok(Applied::Done(1)));
    assert_eq!((at.units().await, at.meta("avail").await.as_str(), at.meta("version").await.as_str()), (9, "9", "2"));
}

#[tokio::test]
async fn an_increase_of_nothing_or_beyond_all_bounds_is_not_executed() {
    let at = Fixture::stocked(5).await;
    let before = at.dump().await;
    for units in [0, 1_000_000_000_000_000, u64::MAX, 999_999_999_999_999] {
        let refused = at.stock.apply_delta(at.item, Epoch(1), "C.o1", units).await;
        assert!(matches!(refused, Err(StockError::NotExecuted { act: "apply_delta", .. })), "{units}: {refused:?}");
    }
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn install_opens_an_epoch_over_whatever_was_there_and_drops_its_locks() {
    let at = Fixture::stocked(5).await;
    at.take("o1", 2).await;
    let installer = at.stock.installer().await.unwrap();
    let incarnation = installer.incarnation().to_owned();
    assert_eq!(installer.probe_epoch(at.item).await, Ok(Epoch(1)));
    assert_eq!(installer.install(at.item, Epoch(7), 40).await, Ok(Installed::Done));
    let probe = at.stock.probe(at.item, ALL, None, &[]).await.unwrap();
    assert_eq!((probe.unready, probe.epoch, probe.stock, probe.lock_count), (None, Epoch(7), 40, 0));
    assert_eq!((at.meta("inc").await, at.meta("version").await), (incarnation, "0".to_owned()));
}

#[tokio::test]
async fn a_late_install_is_stale_and_changes_nothing() {
    let at = Fixture::stocked(5).await;
    at.install(3, 5).await;
    at.take("o1", 2).await;
    let before = at.dump().await;
    for epoch in [1, 2, 3] {
        let late = at.stock.installer().await.unwrap().install(at.item, Epoch(epoch), 100).await;
        assert_eq!(late, Ok(Installed::Stale(Epoch(3))), "epoch {epoch}");
    }
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn an_install_without_an_epoch_or_with_a_negative_base_is_not_executed() {
    let at = Fixture::new().await;
    for (epoch, base) in [(0, 5), (1, -1), (1, i64::MAX), (u64::MAX, 1)] {
        let refused = at.stock.installer().await.unwrap().install(at.item, Epoch(epoch), base).await;
        assert!(matches!(refused, Err(StockError::NotExecuted { act: "install", .. })), "{epoch} {base}: {refused:?}");
    }
    assert_eq!(at.dump().await, []);
}

#[tokio::test]
async fn a_base_of_0_is_a_counter_that_is_sold_out() {
    let at = Fixture::stocked(0).await;
    assert_eq!(at.pre_deduct("o1", 1).await, PreDeduct::Insufficient { left: 0, version: 0, earlier_record: false });
}

#[tokio::test]
async fn probe_shows_locks_by_age_and_limit_and_the_increases_applied() {
    let at = Fixture::stocked(5).await;
    let locks = [at.take("o1", 1).await, at.take("o2", 1).await];
    at.raw::<()>(&format!("ZADD {} 1000 o1|1:1|1", at.key("lock"))).await;
    at.stock.apply_delta(at.item, Epoch(1), "C.yes", 1).await.unwrap();

    let all = at.stock.probe(at.item, ALL, None, &["C.no".to_owned(), "C.yes".to_owned()]).await.unwrap();
    assert_eq!((all.unready, all.epoch, all.stock, all.lock_count), (None, Epoch(1), 4, 2));
    assert_eq!(all.locks.iter().map(|lock| &lock.member).collect::<Vec<_>>(), [&locks[0], &locks[1]]);
    assert_eq!(all.applied, [false, true]);
    let ages: Vec<u64> = all.locks.iter().map(|lock| all.now_ms - lock.since_ms).collect();
    assert!(ages[0] > 1_700_000_000_000 && ages[1] < 60_000, "{ages:?}");

    let old = at.stock.probe(at.item, Duration::from_secs(3600), None, &[]).await.unwrap();
    assert_eq!((old.lock_count, old.locks.len(), &old.locks[0].member), (2, 1, &locks[0]));
    let limited = at.stock.probe(at.item, ALL, Some(1), &[]).await.unwrap();
    assert_eq!((limited.lock_count, limited.locks.len(), &limited.locks[0].member), (2, 1, &locks[0]));
    assert_eq!(at.stock.probe(at.item, ALL, Some(0), &[]).await.unwrap().locks, []);
}

#[tokio::test]
async fn probe_leaves_out_members_that_are_no_locks() {
    let at = Fixture::stocked(5).await;
    let lock = at.take("o1", 1).await;
    at.raw::<()>(&format!("ZADD {} 1 stranger 2 o2|1:9|0", at.key("lock"))).await;
    let probe = at.stock.probe(at.item, ALL, None, &[]).await.unwrap();
    assert_eq!(probe.lock_count, 3);
    assert_eq!(probe.locks.into_iter().map(|lock| lock.member).collect::<Vec<_>>(), [lock]);
}

#[tokio::test]
async fn large_versions_epochs_and_scores_come_back_digit_by_digit() {
    for version in [2_147_483_647_u64, 4_294_967_296, 10_000_000_000_000, 173_228_679_312_345] {
        let at = Fixture::new().await;
        at.install(version, 900_000_000_000_000).await;
        at.raw::<()>(&format!("HSET {} version {version}", at.key("meta"))).await;
        let taken = Taken { token: token(version, version + 1), quantity: quantity(3), left: Some(899_999_999_999_997) };
        assert_eq!(at.pre_deduct("o1", 3).await, PreDeduct::Taken(taken));
        let probe = at.stock.probe(at.item, ALL, None, &[]).await.unwrap();
        assert_eq!((probe.epoch, probe.stock), (Epoch(version), 899_999_999_999_997));
        let since = probe.locks[0].since_ms;
        let score: String = at.raw(&format!("ZSCORE {} o1|{version}:{}|3", at.key("lock"), version + 1)).await;
        assert_eq!((score.len(), score), (13, since.to_string()));
        let lock = [probe.locks[0].member.clone()];
        assert_eq!(at.stock.rollback(at.item, Epoch(version), &lock).await, Ok(Applied::Done(3)));
        assert_eq!(at.stock.apply_delta(at.item, Epoch(version), "C.x", 7).await, Ok(Applied::Done(7)));
        assert_eq!((at.units().await, at.meta("version").await), (900_000_000_000_007, (version + 3).to_string()));
    }
}
