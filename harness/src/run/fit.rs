//! Whether a rig can do what a scenario wants, before anything is started.
//!
//! In: the faults of a scenario, and what a run is to stand on. Out: nothing, or the first fault that is out of its reach, with what to do
//! about it. Stores of somebody else are neither ended, reset nor emptied: what a fault may do to them is confined to what the service owns.

use crate::scenario::faults::{Fault, Target};
use crate::scenario::{FaultWindow, Scenario};
use crate::stack::{Rig, StackError};

/// Whether every fault of `scenario` can be done on `rig`, and this build has what its load needs.
///
/// # Errors
/// The first thing that cannot be done, in one sentence; for the user to mend.
pub fn fits(scenario: &Scenario, rig: &Rig) -> Result<(), StackError> {
    if scenario.mix.journeys > 0 && !cfg!(feature = "goose") {
        return Err(StackError::Refused(NEEDS_GOOSE.to_owned()));
    }
    let faults = scenario.faults.iter();
    let why = |window: &FaultWindow| {
        let store = (!rig.backend.is_own()).then(|| needs_own_stores(window)).flatten();
        let proxy = rig.toxiproxy.as_ref().and_then(|_| needs_own_proxies(&window.fault));
        store.or(proxy).map(|why| format!("fault {} on {} {why}", window.fault.name(), window.target))
    };
    faults.into_iter().find_map(why).map_or(Ok(()), |why| Err(StackError::Refused(why)))
}

const NEEDS_GOOSE: &str = "closed-loop users (--journeys) are not part of this build: build it with --features goose";

/// Why a fault is not for stores that somebody else runs.
fn needs_own_stores(window: &FaultWindow) -> Option<&'static str> {
    match &window.fault {
        // Both touch nothing but a key and rows of the service.
        Fault::RedisKeyEdited { .. } | Fault::MysqlRowLock => None,
        fault if fault.store().is_some() => Some(NEEDS_STORES),
        _ => matches!(window.target, Target::Redis | Target::Mysql).then_some(NEEDS_STORES),
    }
}

const NEEDS_STORES: &str = "needs stores that the harness starts itself (--backend process or containers)";

/// Why a fault cannot be done by a Toxiproxy server.
const fn needs_own_proxies(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Point { .. } => {
            Some("needs the proxies of this process: a Toxiproxy server knows no protocol (leave out --toxiproxy)")
        }
        Fault::Partition { .. } => {
            Some("needs the proxies of this process: a Toxiproxy server loses the bytes that it stops (leave out --toxiproxy)")
        }
        Fault::Reset { .. } => Some(
            "needs the proxies of this process: a Toxiproxy server does not reset connections that stand already (leave out --toxiproxy)",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::faults::{PointAction, Store};
    use crate::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem};
    use crate::seed::Seed;
    use crate::stack::Backend;

    fn scenario(fault: Fault, target: Target) -> Scenario {
        let window = FaultWindow { fault, target, start_ms: (0, 0), duration_ms: 100, max_ms: 1_000, recovery_ms: None };
        Scenario {
            name: "fit".into(),
            seed: Seed(1),
            items: vec![SaleItem { item: ItemId { store: 1, product: 1, sku: 1 }, opening: 1, weight: 1 }],
            stretches: vec![LoadStretch { name: "all".into(), phase: Phase::Baseline, duration_ms: 9_000, rate_per_s: 1.0 }],
            mix: Mix::default(),
            processes: Processes { api: 1, worker: 1 },
            limits: Limits::default(),
            promises: Promises::default(),
            faults: vec![window],
        }
    }

    fn told(fault: Fault, target: Target, rig: &Rig) -> Option<String> {
        fits(&scenario(fault, target), rig).err().map(|error| error.to_string())
    }

    #[test]
    fn stores_of_somebody_else_are_not_ended_or_emptied_and_their_links_may_be_broken() {
        let backend = Backend::External { redis_url: "redis://h/".into(), mysql_url: "mysql://h/".into(), may_wipe: true };
        let rig = Rig { backend, ..Rig::default() };
        for (fault, target) in [
            (Fault::Kill, Target::Redis),
            (Fault::Pause, Target::Mysql),
            (Fault::RedisFlush, Target::Redis),
            (Fault::RedisStaleRestore { age_ms: 1 }, Target::Redis),
            (Fault::MysqlReadOnly, Target::Mysql),
        ] {
            let why = told(fault.clone(), target, &rig).unwrap_or_default();
            assert!(why.contains(&fault.name()) && why.contains("needs stores that the harness starts itself"), "{fault:?}: {why}");
            assert_eq!(told(fault, target, &Rig::default()), None);
        }
        for (fault, target) in [
            (Fault::Kill, Target::Services),
            (Fault::Partition { store: Store::Redis }, Target::Services),
            (Fault::RedisKeyEdited { by: 1 }, Target::Redis),
            (Fault::MysqlRowLock, Target::Mysql),
            (Fault::Point { point: "commit_held".into(), nth: 1, action: PointAction::Kill }, Target::Api(1)),
        ] {
            assert_eq!(told(fault.clone(), target, &rig), None, "{fault:?}");
        }
    }

    #[test]
    fn a_toxiproxy_server_is_not_asked_for_what_it_cannot_do() {
        let rig = Rig { toxiproxy: Some("http://127.0.0.1:8474".into()), ..Rig::default() };
        let point = Fault::Point { point: "commit_held".into(), nth: 1, action: PointAction::Kill };
        for fault in [point, Fault::Partition { store: Store::Mysql }, Fault::Reset { store: Store::Redis, every_ms: 9 }] {
            let why = told(fault.clone(), Target::Services, &rig).unwrap_or_default();
            assert!(why.contains("needs the proxies of this process"), "{fault:?}: {why}");
        }
        for (fault, target) in [
            (Fault::Latency { store: Store::Redis, latency_ms: 1, jitter_ms: 0 }, Target::Services),
            (Fault::Bandwidth { store: Store::Redis, rate_kbps: 9 }, Target::Services),
            (Fault::Refuse { store: Store::Mysql }, Target::Services),
            (Fault::RedisPromote { lag_ms: 9 }, Target::Redis),
            (Fault::Kill, Target::Redis),
        ] {
            assert_eq!(told(fault.clone(), target, &rig), None, "{fault:?}");
        }
    }
}
