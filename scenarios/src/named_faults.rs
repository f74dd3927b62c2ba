//! Faults by name, for `flash-sale --faults`: each with a target and a length that suit a sale of ordinary length.

use harness::scenario::faults::{Fault, FaultWindow, Store, Target};

/// A fault that can be asked for by its name.
struct Named {
    name: &'static str,
    fault: Fault,
    target: Target,
    duration_ms: u64,
}

const fn named(name: &'static str, fault: Fault, target: Target, duration_ms: u64) -> Named {
    Named { name, fault, target, duration_ms }
}

static FAULTS: [Named; 20] = [
    named("api_kill", Fault::Kill, Target::AnyApi, 500),
    named("api_pause", Fault::Pause, Target::AnyApi, 2_000),
    named("api_restart", Fault::Terminate, Target::AnyApi, 500),
    named("worker_kill", Fault::Kill, Target::AnyWorker, 500),
    named("worker_pause", Fault::Pause, Target::AnyWorker, 2_000),
    named("redis_kill", Fault::Kill, Target::Redis, 500),
    named("redis_flush", Fault::RedisFlush, Target::Redis, 300),
    named("redis_empty", Fault::RedisEmpty, Target::Redis, 500),
    named("redis_stale", Fault::RedisStaleRestore { age_ms: 2_000 }, Target::Redis, 500),
    named("redis_failover", Fault::RedisPromote { lag_ms: 500 }, Target::Redis, 500),
    named("redis_key_edited", Fault::RedisKeyEdited { by: 100 }, Target::Redis, 300),
    named("redis_latency", Fault::Latency { store: Store::Redis, latency_ms: 20, jitter_ms: 10 }, Target::Services, 2_000),
    named("redis_partition", Fault::Partition { store: Store::Redis }, Target::Services, 2_000),
    named("redis_reset", Fault::Reset { store: Store::Redis, every_ms: 150 }, Target::Services, 1_000),
    named("mysql_kill", Fault::Kill, Target::Mysql, 500),
    named("mysql_latency", Fault::Latency { store: Store::Mysql, latency_ms: 20, jitter_ms: 10 }, Target::Services, 2_000),
    named("mysql_partition", Fault::Partition { store: Store::Mysql }, Target::Services, 2_000),
    named("mysql_reset", Fault::Reset { store: Store::Mysql, every_ms: 150 }, Target::Services, 1_000),
    named("mysql_row_lock", Fault::MysqlRowLock, Target::Mysql, 2_000),
    named("mysql_commit_stall", Fault::MysqlCommitStall, Target::Mysql, 1_500),
];

/// Load between two faults: each has this long to be recovered from before the next one.
const PAUSE_MS: u64 = 6_000;
/// A fault begins at most this much later than its turn.
const DRAWN_MS: u64 = 400;
/// Recovery that is promised.
const RECOVERY_MS: u64 = 5_000;

/// Every name, as a person may write it.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|fault| fault.name)
}

/// The faults of these names, one after another from `start_ms`. A failover comes last, because nothing can break the Redis that it leaves
/// behind.
///
/// # Errors
/// A name that no fault has.
pub fn in_turn(wanted: &[String], start_ms: u64) -> Result<Vec<FaultWindow>, String> {
    let mut windows: Vec<FaultWindow> = Vec::new();
    let fails_over =
        |name: &&String| FAULTS.iter().any(|fault| fault.name == **name && matches!(fault.fault, Fault::RedisPromote { .. }));
    let (last, first): (Vec<&String>, Vec<&String>) = wanted.iter().partition(fails_over);
    for name in first.into_iter().chain(last) {
        let found = FAULTS.iter().find(|fault| fault.name == name);
        let Named { fault, target, duration_ms, .. } =
            found.ok_or_else(|| format!("there is no fault {name:?}; there are {}", names().collect::<Vec<_>>().join(", ")))?;
        let start = windows.last().map_or(start_ms, |earlier| earlier.latest_end_ms() + PAUSE_MS);
        windows.push(FaultWindow {
            fault: fault.clone(),
            target: *target,
            start_ms: (start, start + DRAWN_MS),
            duration_ms: *duration_ms,
            max_ms: duration_ms * 2 + 1_000,
            recovery_ms: Some(RECOVERY_MS),
        });
    }
    Ok(windows)
}

/// Load that the windows need behind their last heal, ms from the start of the load.
#[must_use]
pub fn seen_until_ms(windows: &[FaultWindow]) -> u64 {
    windows.iter().map(|window| window.latest_end_ms() + RECOVERY_MS + 1_500).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_a_window_and_a_wrong_one_names_them_all() {
        let all: Vec<String> = names().map(str::to_owned).collect();
        let windows = in_turn(&all, 12_000).unwrap();
        assert_eq!(windows.len(), all.len());
        assert!(windows.windows(2).all(|pair| pair[1].start_ms.0 >= pair[0].latest_end_ms() + PAUSE_MS));
        assert!(matches!(windows.last().unwrap().fault, Fault::RedisPromote { .. }), "{windows:#?}");
        let told = in_turn(&["redis_fire".to_owned()], 0).unwrap_err();
        assert!(told.contains("redis_fire") && told.contains("redis_flush"), "{told}");
    }
}
