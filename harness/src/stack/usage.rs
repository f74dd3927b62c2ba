//! What a process has used so far, as the kernel counts it (Linux).

use procfs::process::{Process, Task};
use procfs::{ProcError, WithCurrentSystemInfo as _};

/// Use of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// `harness`, `redis`, `mysql`, `api-1`, `worker-1`.
    pub role: String,
    /// CPU time since it started, in user and kernel mode, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory, MiB.
    pub rss_mib: f64,
}

/// The use of process `pid`; `None` once it is gone.
#[expect(clippy::cast_precision_loss, reason = "ticks and bytes of one process stay far below 2^53")]
pub(super) fn of(role: &str, pid: u32) -> Option<Usage> {
    let stat = Process::new(i32::try_from(pid).ok()?).and_then(|process| process.stat()).ok()?;
    let ticks = (stat.utime + stat.stime) as f64;
    let rss_bytes = stat.rss_bytes().get() as f64;
    Some(Usage {
        role: role.to_owned(),
        cpu_seconds: ticks / procfs::ticks_per_second() as f64,
        rss_mib: rss_bytes / f64::from(1 << 20),
    })
}

/// What the kernel says of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// State letter: `R` runs, `S` sleeps, `T` is stopped, `Z` has ended and is not reaped.
    pub state: char,
    /// CPU time since it started, in user and kernel mode, in clock ticks.
    pub cpu_ticks: u64,
}

/// The state of process `pid`; `None` once it is gone.
pub(super) fn life(pid: u32) -> Option<Life> {
    let stat = Process::new(i32::try_from(pid).ok()?).and_then(|process| process.stat()).ok()?;
    Some(Life { state: stat.state, cpu_ticks: stat.utime + stat.stime })
}

/// Whether every thread of process `pid` is stopped. A stop signal that was sent has not yet been taken: each thread stops where it
/// next comes back from the kernel, and the process as a whole counts as stopped before its last thread is.
pub(super) fn stands_still(pid: u32) -> bool {
    let threads = i32::try_from(pid).ok().and_then(|pid| Process::new(pid).and_then(|process| process.tasks()).ok());
    let stopped = |task: Result<Task, ProcError>| task.and_then(|task| task.stat()).is_ok_and(|stat| stat.state == 'T');
    threads.is_some_and(|mut threads| threads.all(stopped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_nobody_uses_none() {
        let own = of("harness", std::process::id()).unwrap();
        assert!(own.rss_mib > 1.0 && own.cpu_seconds >= 0.0, "{own:?}");
        assert_eq!(of("nobody", u32::MAX), None);
    }
}
