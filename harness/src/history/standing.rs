//! Where a run stands by what was recorded last: faults in force and the backlog. For a person who watches; nothing is judged from it.

use std::collections::BTreeMap;

use crate::history::operation::History;
use crate::history::record::{FaultMark, FaultStep, Record, Sample};

/// Name of the sample that counts outbox messages not yet handled.
const BACKLOG: &str = "outbox_new";

/// What the newest records say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    faults: BTreeMap<u32, String>,
    backlog: Option<f64>,
}

impl Standing {
    /// Where a run stands by what is on record so far.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut standing = Self::default();
        history.faults.iter().for_each(|mark| standing.fault(&mark.what));
        history.samples.iter().for_each(|sample| standing.sample(&sample.what));
        standing
    }

    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::Fault(mark) => self.fault(mark),
            Record::Sample(sample) => self.sample(sample),
            _ => {}
        }
    }

    /// Faults in force, each as `kill on api-1`.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.faults.values().map(String::as_str)
    }

    /// Outbox messages not yet handled at the last reading.
    #[must_use]
    pub const fn backlog(&self) -> Option<f64> {
        self.backlog
    }

    fn fault(&mut self, mark: &FaultMark) {
        match mark.step {
            FaultStep::Armed => {}
            FaultStep::Injected | FaultStep::Bit | FaultStep::Healing => {
                self.faults.entry(mark.id).or_insert_with(|| format!("{} on {}", mark.kind, mark.target));
            }
            FaultStep::Healed | FaultStep::Abandoned => drop(self.faults.remove(&mark.id)),
        }
    }

    fn sample(&mut self, sample: &Sample) {
        if sample.name == BACKLOG {
            self.backlog = Some(sample.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_in_force_from_its_injection_to_its_heal_and_the_last_backlog_counts() {
        let mut standing = Standing::default();
        let mark = |id, step| {
            let (kind, target, proof) = ("kill".to_owned(), format!("api-{id}"), String::new());
            Record::Fault(FaultMark { id, kind, target, step, generation: 0, proof })
        };
        let backlog = |value| Record::Sample(Sample { name: BACKLOG.to_owned(), of: String::new(), value });
        for record in [mark(1, FaultStep::Armed), mark(2, FaultStep::Injected), mark(2, FaultStep::Bit), backlog(7.0), backlog(3.0)]
        {
            standing.take(&record);
        }
        assert_eq!((standing.faults().collect::<Vec<_>>(), standing.backlog()), (vec!["kill on api-2"], Some(3.0)));
        standing.take(&mark(2, FaultStep::Healed));
        assert_eq!(standing.faults().count(), 0);
    }
}
