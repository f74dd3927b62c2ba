//! One request and its fate, paired from the records of its start and its end.

use crate::clock::Offset;
use crate::history::record::{
    FaultMark, Function, Head, InfoCause, ItemQuantity, OpId, Outcome, PhaseMark, PointMark, ProcMark, Sample, Shed, Tail, Witness,
};
use crate::scenario::{ItemId, Phase};

/// A request and its fate.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Number within the run.
    pub id: OpId,
    /// Logical client process.
    pub proc: u64,
    /// What was asked.
    pub function: Function,
    /// Order id; empty where none applies.
    pub order: Box<str>,
    /// User; 0 where none applies.
    pub user: u64,
    /// Items and units.
    pub items: Vec<ItemQuantity>,
    /// When it was due.
    pub due: Offset,
    /// When its first byte left.
    pub sent: Offset,
    /// When its fate was known to the client; `None` if never.
    pub answered: Option<Offset>,
    /// Its fate; `Info(RunEnded)` if no completion was recorded.
    pub outcome: Outcome,
    /// HTTP status, if one arrived.
    pub http: Option<u16>,
    /// What the reply says per item.
    pub witness: Vec<Witness>,
    /// Order status in the reply.
    pub status: Option<Box<str>>,
    /// The item that a refusal names.
    pub short: Option<ItemId>,
    /// Phase in which it was due.
    pub phase: Phase,
    /// Api process it went to.
    pub instance: u16,
    /// Whether a closed-loop user asked: such a one waits while the service is slow, so that its times show less than buyers feel.
    pub closed_loop: bool,
}

impl Operation {
    /// Whether it ended `ok`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Whether nobody can say what became of it.
    #[must_use]
    pub fn is_info(&self) -> bool {
        matches!(self.outcome, Outcome::Info(_))
    }

    /// Units of `item` asked for.
    #[must_use]
    pub fn quantity_of(&self, item: ItemId) -> u64 {
        self.items.iter().filter(|line| line.item == item).map(|line| u64::from(line.qty)).sum()
    }

    /// End of the closed interval in which an `ok` operation had its effect; open to the right (`Offset(u64::MAX)`) for `info`.
    #[must_use]
    pub fn effect_before(&self) -> Offset {
        match (self.outcome, self.answered) {
            (Outcome::Info(_), _) | (_, None) => Offset(u64::MAX),
            (_, Some(answered)) => answered,
        }
    }
}

/// A record with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed<T> {
    /// When.
    pub at: Offset,
    /// What.
    pub what: T,
}

/// A whole history, read back from disk and paired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// What ran; `None` if the first record is missing.
    pub head: Option<Head>,
    /// Operations in order of their number, which is the order in which they were sent.
    pub operations: Vec<Operation>,
    /// Phases in order of time.
    pub phases: Vec<Timed<PhaseMark>>,
    /// Arrivals that were not sent.
    pub sheds: Vec<Timed<Shed>>,
    /// Steps of faults.
    pub faults: Vec<Timed<FaultMark>>,
    /// Kill points that were met.
    pub points: Vec<Timed<PointMark>>,
    /// Steps of processes.
    pub processes: Vec<Timed<ProcMark>>,
    /// Readings.
    pub samples: Vec<Timed<Sample>>,
    /// Notes: the word and its details.
    pub notes: Vec<Timed<(String, serde_json::Value)>>,
    /// The end; `None` if the harness died.
    pub tail: Option<Tail>,
    /// Records read.
    pub records: u64,
    /// Broken rules of the history itself, in words; empty for a sound one. An unfinished tail alone is not one.
    pub problems: Vec<String>,
}

impl History {
    /// Operations of one function.
    pub fn of(&self, function: Function) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(move |op| op.function == function)
    }

    /// Operations of one function that were sent when they were due, whatever had been answered by then: what latencies and rates are
    /// measured on. Those of closed-loop users are left out.
    pub fn arrivals_of(&self, function: Function) -> impl Iterator<Item = &Operation> {
        self.of(function).filter(|op| !op.closed_loop)
    }

    /// Operations without a recorded completion.
    pub fn open(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|op| op.outcome == Outcome::Info(InfoCause::RunEnded))
    }
}
