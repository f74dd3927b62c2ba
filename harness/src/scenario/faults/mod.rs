//! The faults of a scenario: what breaks, where, when, for how long, and what the service promises about it.
//!
//! In: windows chosen by a person or a catalog entry; start and target may be left open. Out: checked windows, and by
//! [`drawn`] windows with one start and one target each. What came of a window is a span in the history, numbered by its
//! place in the list. Nothing here does I/O.

mod check;
mod kind;
mod phases;
mod target;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};

use super::Processes;
use crate::seed::Seed;

pub(super) use check::check;
pub use kind::{Fault, PointAction, Store};
pub use phases::phased;
pub use target::Target;

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultWindow {
    /// What breaks.
    pub fault: Fault,
    /// Whom it hits.
    pub target: Target,
    /// Earliest and latest start, ms from the start of the load; both the same once drawn.
    pub start_ms: (u64, u64),
    /// Time from the injection (or, for a kill point, from its hit) to the heal.
    pub duration_ms: u64,
    /// Longest time that it may be in force whatever happens; a kill point that was not hit by then is given up.
    pub max_ms: u64,
    /// What the service promises: recovery within this time of the heal; `None` if it promises none.
    pub recovery_ms: Option<u64>,
}

impl FaultWindow {
    /// Planned end, ms from the start of the load: the heal, or for a kill point the time by which it is given up.
    #[must_use]
    pub const fn latest_end_ms(&self) -> u64 {
        let lasts = if matches!(self.fault, Fault::Point { .. }) { self.max_ms } else { self.duration_ms };
        self.start_ms.1.saturating_add(self.fault.lead_ms()).saturating_add(lasts)
    }
}

/// The windows with one start and one target each, drawn from the stream `faults`. Drawing again changes nothing.
#[must_use]
pub fn drawn(windows: &[FaultWindow], processes: Processes, seed: Seed) -> Vec<FaultWindow> {
    let mut stream = seed.stream("faults");
    let settle = |window: &FaultWindow| {
        let (earliest, latest) = window.start_ms;
        let start = stream.random_range(earliest..=latest.max(earliest));
        let mut one_of = |count: u16| (1..=count).collect::<Vec<u16>>().choose(&mut stream).copied().unwrap_or(1);
        let target = match window.target {
            Target::AnyApi => Target::Api(one_of(processes.api)),
            Target::AnyWorker => Target::Worker(one_of(processes.worker)),
            settled => settled,
        };
        FaultWindow { target, start_ms: (start, start), ..window.clone() }
    };
    windows.iter().map(settle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESSES: Processes = Processes { api: 2, worker: 2 };

    fn window(fault: Fault, target: Target) -> FaultWindow {
        FaultWindow { fault, target, start_ms: (100, 200), duration_ms: 300, max_ms: 1_000, recovery_ms: Some(5_000) }
    }

    #[test]
    fn drawing_settles_start_and_target_and_repeats() {
        let open = [window(Fault::Kill, Target::AnyApi), window(Fault::Pause, Target::AnyWorker)];
        let settled = drawn(&open, PROCESSES, Seed(7));
        for one in &settled {
            assert!(one.start_ms.0 == one.start_ms.1 && (100..=200).contains(&one.start_ms.0), "{one:?}");
            assert_eq!(one.target.roles(PROCESSES).len(), 1, "{one:?}");
        }
        assert_eq!(settled, drawn(&open, PROCESSES, Seed(7)));
        assert_eq!(settled, drawn(&settled, PROCESSES, Seed(7)), "a plan that is run again is not drawn again");
    }

    #[test]
    fn a_window_reads_what_it_writes() {
        let partition = window(Fault::Partition { store: Store::Redis }, Target::Api(2));
        let text = serde_json::to_string(&partition).unwrap();
        assert!(text.contains(r#""fault":{"kind":"partition","store":"redis"},"target":{"api":2}"#), "{text}");
        assert_eq!(serde_json::from_str::<FaultWindow>(&text).unwrap(), partition);
    }

    #[test]
    fn each_field_out_of_its_range_is_named() {
        let spoilt = |spoil: fn(&mut FaultWindow)| {
            let mut one = window(Fault::Kill, Target::Api(1));
            spoil(&mut one);
            check(&[one], PROCESSES, 1_000).unwrap_err().field
        };
        assert_eq!(check(&[window(Fault::Kill, Target::Api(1))], PROCESSES, 1_000), Ok(()));
        assert_eq!(spoilt(|it| it.target = Target::Api(3)), "faults[0].target");
        assert_eq!(spoilt(|it| it.fault = Fault::RedisFlush), "faults[0].target");
        assert_eq!(spoilt(|it| it.start_ms = (2, 1)), "faults[0].start_ms");
        assert_eq!(spoilt(|it| it.duration_ms = 900), "faults[0].duration_ms");
        assert_eq!(spoilt(|it| it.max_ms = 299), "faults[0].max_ms");
        assert_eq!(spoilt(|it| it.recovery_ms = Some(0)), "faults[0].recovery_ms");
        assert_eq!(spoilt(|it| it.fault = Fault::Latency { store: Store::Redis, latency_ms: 1, jitter_ms: 2 }), "faults[0].fault");
    }

    #[test]
    fn a_link_is_in_the_hands_of_one_fault_at_a_time() {
        let late = |store| Fault::Latency { store, latency_ms: 10, jitter_ms: 0 };
        let twice = |first: (Store, Target), second: (Store, Target)| {
            let windows = [window(late(first.0), first.1), window(Fault::Partition { store: second.0 }, second.1)];
            check(&windows, PROCESSES, 1_000).map_err(|error| error.field)
        };
        let refused = Err("faults[1].start_ms".to_owned());
        assert_eq!(twice((Store::Redis, Target::Services), (Store::Redis, Target::Worker(2))), refused);
        assert_eq!(twice((Store::Redis, Target::AnyApi), (Store::Redis, Target::AnyApi)), refused, "both may draw the same");
        assert_eq!(twice((Store::Redis, Target::Services), (Store::Mysql, Target::Services)), Ok(()));
        assert_eq!(twice((Store::Redis, Target::Api(1)), (Store::Redis, Target::Api(2))), Ok(()));
    }

    #[test]
    fn nothing_breaks_redis_behind_a_failover() {
        let failover = window(Fault::RedisPromote { lag_ms: 100 }, Target::Redis);
        let at = |start, fault| FaultWindow { start_ms: (start, start), ..window(fault, Target::Redis) };
        let with = |other: FaultWindow| {
            let failover = FaultWindow { start_ms: (1_000, 1_000), ..failover.clone() };
            check(&[failover, other], PROCESSES, 9_000)
        };
        assert_eq!(with(at(0, Fault::RedisFlush)), Ok(()));
        for fault in [Fault::RedisFlush, Fault::Kill, Fault::RedisPromote { lag_ms: 100 }] {
            let refused = with(at(5_000, fault)).unwrap_err();
            assert_eq!(refused.field, "faults[1].start_ms");
            assert!(refused.to_string().contains("failover of faults[0]"), "{refused}");
        }
        let elsewhere = FaultWindow { start_ms: (5_000, 5_000), ..window(Fault::Kill, Target::Mysql) };
        assert_eq!(with(elsewhere), Ok(()));
    }

    #[test]
    fn a_process_is_in_the_hands_of_one_fault_at_a_time() {
        let twice = |first: Target, second: Target| {
            check(&[window(Fault::Kill, first), window(Fault::Pause, second)], PROCESSES, 1_000).map_err(|error| error.field)
        };
        assert_eq!(twice(Target::Api(1), Target::Api(2)), Ok(()));
        assert_eq!(twice(Target::Api(1), Target::Services), Err("faults[1].start_ms".to_owned()));
        assert_eq!(twice(Target::AnyApi, Target::AnyApi), Err("faults[1].start_ms".to_owned()), "both may draw the same");
    }
}
