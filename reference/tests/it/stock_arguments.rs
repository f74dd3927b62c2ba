//! What the scripts do with arguments that the typed client cannot send, and with keys of a wrong type.

use redis::Value;
use reference::domain::Epoch;
use reference::stock::{Applied, NotReady, PreDeduct, StockError, Unready};

use crate::stock_fixture::Fixture;

/// Numbers that `tonumber` or Redis would take in some place, and that no plain decimal integer is.
const NO_INTEGERS: [&str; 21] = [
    "",
    "-1",
    "-0",
    "+1",
    "1.5",
    "1.0",
    "0x10",
    "1e3",
    "1E3",
    " 1",
    "1 ",
    "1\n",
    "1\0",
    "nan",
    "inf",
    "-inf",
    "Infinity",
    "01",
    "one",
    "9999999999999999",
    "99999999999999999999999999",
];

macro_rules! script {
    ($name:literal) => {
        concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!(concat!("../../../lua/", $name, ".lua")))
    };
}

/// The text of a script, its keys (kinds), and valid arguments; a member given is a lock that stands.
struct Call {
    text: &'static str,
    kinds: &'static [&'static str],
    arguments: Vec<String>,
}

async fn eval(at: &Fixture, call: &Call) -> redis::RedisResult<Value> {
    let keys: Vec<String> = call.kinds.iter().map(|kind| at.key(kind)).collect();
    let count = keys.len().to_string();
    let words = ["EVAL", call.text, &count].into_iter().chain(keys.iter().map(String::as_str));
    at.words(&words.chain(call.arguments.iter().map(String::as_str)).collect::<Vec<_>>()).await
}

/// An item with one lock, and a valid call of each script on it.
async fn fixture() -> (Fixture, [Call; 6]) {
    let at = Fixture::stocked(5).await;
    let member = at.take("o1", 2).await.to_string();
    let incarnation = at.meta("inc").await;
    let call = |text, kinds, arguments: &[&str]| Call {
        text,
        kinds,
        arguments: [incarnation.as_str()].iter().chain(arguments).map(ToString::to_string).collect(),
    };
    let calls = [
        call(script!("pre_deduct"), &["stock", "meta", "lock", "deduct:o2"], &["o2", "1", "60", "1000000"]),
        call(script!("confirm"), &["meta", "lock"], &["1", &member]),
        call(script!("rollback"), &["stock", "meta", "lock"], &["1", &member]),
        call(script!("apply_delta"), &["stock", "meta", "delta:C.x"], &["1", "1", "60"]),
        call(script!("install"), &["stock", "meta", "lock"], &["2", "9"]),
        call(script!("probe"), &["stock", "meta", "lock", "delta:C.x"], &["0", "-1"]),
    ];
    (at, calls)
}

fn bad_arg() -> Value {
    Value::Array(vec![Value::BulkString(b"BAD_ARG".to_vec())])
}

#[tokio::test]
async fn every_number_must_be_a_plain_decimal_integer_and_nothing_is_written_otherwise() {
    // For each script the places of its numbers.
    let places: [&[usize]; 6] = [&[2, 3, 4], &[1], &[1], &[1, 2, 3], &[1, 2], &[1, 2]];
    let (at, mut calls) = fixture().await;
    let before = at.dump().await;
    for (call, places) in calls.iter_mut().zip(places) {
        for &place in places {
            let good = std::mem::take(&mut call.arguments[place]);
            for bad in NO_INTEGERS {
                if bad == "-1" && call.kinds.contains(&"delta:C.x") && place == 2 && call.arguments.len() == 3 {
                    continue; // the limit of probe: -1 means all
                }
                call.arguments[place] = bad.to_owned();
                assert_eq!(eval(&at, call).await, Ok(bad_arg()), "{:?} argument {place} = {bad:?}", call.kinds);
            }
            call.arguments[place] = good;
        }
    }
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn zero_is_no_quantity_no_epoch_and_no_ttl() {
    let places: [&[usize]; 5] = [&[2, 3, 4], &[1], &[1], &[1, 2, 3], &[1]];
    let (at, mut calls) = fixture().await;
    let before = at.dump().await;
    for (call, places) in calls.iter_mut().zip(places) {
        for &place in places {
            let good = std::mem::replace(&mut call.arguments[place], "0".to_owned());
            assert_eq!(eval(&at, call).await, Ok(bad_arg()), "{:?} argument {place}", call.kinds);
            call.arguments[place] = good;
        }
    }
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn a_quantity_above_the_largest_is_refused() {
    let (at, [mut call, ..]) = fixture().await;
    call.arguments[4] = "3".to_owned();
    call.arguments[2] = "4".to_owned();
    assert_eq!(eval(&at, &call).await, Ok(bad_arg()));
    call.arguments[2] = "3".to_owned();
    assert_ne!(eval(&at, &call).await, Ok(bad_arg()));
}

#[tokio::test]
async fn a_rollback_takes_no_malformed_member() {
    let (at, [_, _, mut call, ..]) = fixture().await;
    let before = at.dump().await;
    for bad in [
        "",
        "o1",
        "o1|1:1",
        "o1|1:1|",
        "o1|1:1|0",
        "o1|1:1|-2",
        "o1|1:1|2.5",
        "o1|1:1|0x2",
        "o1|1:1|2|3",
        "|1:1|2",
        "o1|2:1|2",
        "o1|1|2",
        "o1|1:1|02",
    ] {
        let good = std::mem::replace(&mut call.arguments[2], bad.to_owned());
        assert_eq!(eval(&at, &call).await, Ok(bad_arg()), "{bad:?}");
        // A good member before it changes nothing.
        call.arguments.insert(2, good);
        assert_eq!(eval(&at, &call).await, Ok(bad_arg()), "{bad:?} second");
        call.arguments.pop();
    }
    assert_eq!(at.dump().await, before);
}

#[tokio::test]
async fn confirm_and_rollback_without_a_member_are_refused() {
    let (at, [_, mut confirm, mut rollback, ..]) = fixture().await;
    for call in [&mut confirm, &mut rollback] {
        call.arguments.pop();
        assert_eq!(eval(&at, call).await, Ok(bad_arg()));
    }
}

#[tokio::test]
async fn the_valid_calls_of_these_tests_are_valid() {
    let (at, calls) = fixture().await;
    for call in &calls {
        let reply = eval(&at, call).await.unwrap();
        let Value::Array(fields) = &reply else { panic!("{reply:?}") };
        let code = fields[0].clone();
        assert!(
            code == Value::BulkString(b"OK".to_vec()) || code == Value::BulkString(b"READY".to_vec()),
            "{:?}: {reply:?}",
            call.kinds
        );
    }
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_corrupt_and_leaves_no_partial_write() {
    let corrupt = NotReady { epoch: Epoch(0), why: Unready::Corrupt };
    for kind in ["stock", "meta", "lock", "deduct:o2", "delta:C.x"] {
        let at = Fixture::stocked(5).await;
        let lock = [at.take("o1", 2).await];
        at.raw::<()>(&format!("DEL {}", at.key(kind))).await;
        at.raw::<()>(&format!("RPUSH {} stranger", at.key(kind))).await;
        let before = at.dump().await;
        if kind != "delta:C.x" {
            assert_eq!(at.pre_deduct("o2", 1).await, PreDeduct::NotReady(corrupt), "{kind}");
        }
        if kind == "stock" || kind == "meta" || kind == "lock" {
            assert_eq!(at.stock.rollback(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(corrupt)), "{kind}");
            let probe = at.stock.probe(at.item, std::time::Duration::ZERO, None, &[]).await.unwrap();
            assert_eq!(probe.unready, Some(Unready::Corrupt), "{kind}");
            assert_eq!(probe.epoch, Epoch(u64::from(kind != "meta")), "{kind}");
        }
        if kind == "meta" || kind == "lock" {
            assert_eq!(at.stock.confirm(at.item, Epoch(1), &lock).await, Ok(Applied::NotReady(corrupt)), "{kind}");
        }
        if kind == "stock" || kind == "meta" || kind == "delta:C.x" {
            assert_eq!(at.stock.apply_delta(at.item, Epoch(1), "C.x", 1).await, Ok(Applied::NotReady(corrupt)), "{kind}");
        }
        assert_eq!(at.dump().await, before, "{kind}");
        at.install(2, 5).await;
        assert_eq!(at.take("o3", 1).await.token.epoch, Epoch(2), "{kind}");
    }
}

#[tokio::test]
async fn an_epoch_in_meta_that_is_no_number_is_corrupt_and_an_install_mends_it() {
    let at = Fixture::stocked(5).await;
    at.raw::<()>(&format!("HSET {} epoch 1.5", at.key("meta"))).await;
    assert_eq!(at.pre_deduct("o1", 1).await, PreDeduct::NotReady(NotReady { epoch: Epoch(0), why: Unready::Corrupt }));
    at.install(1, 5).await;
    at.take("o1", 1).await;
}

#[tokio::test]
async fn an_age_beyond_all_bounds_is_not_executed() {
    let at = Fixture::new().await;
    let absurd = std::time::Duration::from_secs(u64::MAX);
    let refused = at.stock.probe(at.item, absurd, None, &[]).await;
    assert!(matches!(refused, Err(StockError::NotExecuted { act: "probe", .. })), "{refused:?}");
}
