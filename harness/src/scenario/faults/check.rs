//! Checks fault windows: ranges, targets, and that no two faults have the same process in hand at once.

use super::{Fault, FaultWindow, PointAction, Store, Target};
use crate::scenario::Processes;
use crate::scenario::check::{ScenarioError, require};

const WINDOWS_MAX: usize = 256;

/// Longest life of any fault, 10 min.
const MAX_MS: u64 = 600_000;

/// Checks every window against its ranges, the processes and the length of the load.
pub(in crate::scenario) fn check(windows: &[FaultWindow], processes: Processes, load_ms: u64) -> Result<(), ScenarioError> {
    require("faults", windows.len() <= WINDOWS_MAX, "must hold at most 256 windows")?;
    for (index, window) in windows.iter().enumerate() {
        let FaultWindow { fault, target, start_ms, duration_ms, max_ms, recovery_ms } = window;
        let field = |name: &str| format!("faults[{index}].{name}");
        require(&field("target"), target.is_there(processes), "must be a process of the scenario")?;
        require(&field("target"), fits(fault, *target), "must be something that this fault can hit")?;
        let (earliest, latest) = *start_ms;
        require(&field("start_ms"), earliest <= latest, "must be earliest, then latest")?;
        require(&field("duration_ms"), window.latest_end_ms() <= load_ms, "must end before the load does")?;
        let max_fits = duration_ms <= max_ms && (1..=MAX_MS).contains(max_ms);
        require(&field("max_ms"), max_fits, "must be at least duration_ms, 1 to 600000")?;
        require(&field("recovery_ms"), recovery_ms.is_none_or(|ms| (1..=MAX_MS).contains(&ms)), "must be 1 to 600000")?;
        check_parameters(fault, &field("fault"))?;
    }
    check_owners(windows, processes)?;
    check_links(windows, processes)?;
    check_promotions(windows)
}

fn fits(fault: &Fault, target: Target) -> bool {
    match fault {
        Fault::Kill | Fault::Terminate | Fault::Pause => true,
        _ => match fault.store() {
            Some(Store::Redis) => target == Target::Redis,
            Some(Store::Mysql) => target == Target::Mysql,
            None => !target.is_store(),
        },
    }
}

fn check_parameters(fault: &Fault, field: &str) -> Result<(), ScenarioError> {
    let (fits, why) = match fault {
        Fault::Latency { latency_ms, jitter_ms, .. } => {
            ((1..=60_000).contains(latency_ms) && jitter_ms <= latency_ms, "latency_ms must be 1 to 60000, jitter_ms at most that")
        }
        Fault::Reset { every_ms, .. } => ((1..=60_000).contains(every_ms), "every_ms must be 1 to 60000"),
        Fault::Bandwidth { rate_kbps, .. } => ((1..=10_000).contains(rate_kbps), "rate_kbps must be 1 to 10000"),
        Fault::RedisTruncatedTail { keep_percent } => ((1..=99).contains(keep_percent), "keep_percent must be 1 to 99"),
        Fault::RedisStaleRestore { age_ms } => ((1..=60_000).contains(age_ms), "age_ms must be 1 to 60000"),
        Fault::RedisPromote { lag_ms } => ((1..=60_000).contains(lag_ms), "lag_ms must be 1 to 60000"),
        Fault::RedisKeyEdited { by } => (*by != 0, "by must not be 0"),
        Fault::Point { point, nth, .. } => (!point.is_empty() && *nth >= 1, "point must have a name, nth must be at least 1"),
        _ => (true, ""),
    };
    require(field, fits, why)
}

/// A process can be in the hands of one fault at a time.
fn check_owners(windows: &[FaultWindow], processes: Processes) -> Result<(), ScenarioError> {
    let owns = |window: &FaultWindow| {
        let kills = matches!(window.fault, Fault::Point { action: PointAction::Kill, .. });
        kills || window.fault.store().is_some() || matches!(window.fault, Fault::Kill | Fault::Terminate | Fault::Pause)
    };
    let shared = |one: &FaultWindow, other: &FaultWindow| owns(one) && owns(other) && share_a_role(one, other, processes);
    check_overlaps(windows, shared, "overlaps an earlier window on the same process")
}

/// What heals a fault of the network takes everything out of its proxies, so a second one in the same proxy would be undone with it.
fn check_links(windows: &[FaultWindow], processes: Processes) -> Result<(), ScenarioError> {
    let shared = |one: &FaultWindow, other: &FaultWindow| {
        let same_store = one.fault.link().is_some_and(|store| other.fault.link() == Some(store));
        same_store && share_a_role(one, other, processes)
    };
    check_overlaps(windows, shared, "overlaps an earlier window on the same link to a store")
}

/// Behind a failover the process called redis is the dead primary; nobody has the promoted one in hand.
fn check_promotions(windows: &[FaultWindow]) -> Result<(), ScenarioError> {
    for (place, promotion) in windows.iter().enumerate().filter(|(_, window)| matches!(window.fault, Fault::RedisPromote { .. })) {
        for (index, window) in windows.iter().enumerate().filter(|(index, _)| *index != place) {
            let behind = window.target == Target::Redis && window.latest_end_ms() > promotion.start_ms.0;
            let why = format!("must end before the failover of faults[{place}] begins: redis cannot be broken again behind it");
            require(&format!("faults[{index}].start_ms"), !behind, &why)?;
        }
    }
    Ok(())
}

fn share_a_role(one: &FaultWindow, other: &FaultWindow, processes: Processes) -> bool {
    let roles = other.target.roles(processes);
    one.target.roles(processes).iter().any(|role| roles.contains(role)) || one.target == other.target
}

/// Refuses two windows that may be open at once and have something in common.
fn check_overlaps(
    windows: &[FaultWindow],
    shared: impl Fn(&FaultWindow, &FaultWindow) -> bool,
    why: &str,
) -> Result<(), ScenarioError> {
    for (index, window) in windows.iter().enumerate() {
        let at_once = |other: &&FaultWindow| other.latest_end_ms() > window.start_ms.0 && window.latest_end_ms() > other.start_ms.0;
        let refused = windows[..index].iter().filter(at_once).any(|other| shared(window, other));
        require(&format!("faults[{index}].start_ms"), !refused, why)?;
    }
    Ok(())
}
