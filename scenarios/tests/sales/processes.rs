//! What the kernel says of processes: who descends from whom, and who is still there.

use std::time::Duration;

use harness::clock::{Offset, RunClock};

const POLL: Duration = Duration::from_millis(20);

/// A process; its start tells it from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: u32,
    parent: u32,
    started: u64,
}

impl Process {
    /// `None` if it has ended, also if nobody has looked at its end yet.
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; state, parent and start are fields 3, 4 and 22.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ended = matches!(fields.first(), Some(&("Z" | "X")) | None);
        (!ended).then_some(Self { pid, parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
    }

    fn runs(self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// All processes that `ancestor` started, and those that they started.
pub(crate) fn descendants(ancestor: u32) -> Vec<Process> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<Process> = pids.filter_map(Process::read).collect();
    let mut family = vec![ancestor];
    let mut found = Vec::new();
    while let Some(parent) = family.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        found.extend(children.clone());
        family.extend(children.map(|process| process.pid));
    }
    found
}

/// Those that still run.
pub(crate) fn still_there(processes: &[Process]) -> Vec<Process> {
    processes.iter().copied().filter(|process| process.runs()).collect()
}

/// Polls until `condition` is there; fails with what was waited for.
pub(crate) fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let clock = RunClock::start();
    while !condition() {
        let waited = clock.now().since(Offset::ZERO);
        assert!(waited < within, "waited {} ms until {what}", waited.as_millis());
        std::thread::sleep(POLL);
    }
}
