//! One run as a process of its own, which ends with this one.
//!
//! In: a command and a log file. Out: how it ended. The child holds a pipe from this process as its standard input and ends, as after Ctrl-C, when that
//! closes: because somebody asked to stop, because the run takes too long, or because this process is gone.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::series::now;

/// Longest run; a backlog alone may be waited for for five minutes.
const RUN_MAX: Duration = Duration::from_secs(600);
/// Longest time that a run takes to end once it is told to.
const END_MAX: Duration = Duration::from_secs(60);
/// Time between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Runs the command to its end, with all that it says in `log`. The process does not outlive this call.
pub(super) fn run(mut command: Command, log: &Path, is_stopped: impl Fn() -> bool) -> std::io::Result<ExitStatus> {
    let said = File::create(log)?;
    command.stdin(Stdio::piped()).stdout(said.try_clone()?).stderr(said);
    let mut child = command.spawn()?;
    let begun = now();
    let mut told = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let over = is_stopped() || begun.elapsed() > RUN_MAX;
        match told {
            None if over => {
                drop(child.stdin.take());
                told = Some(now());
            }
            Some(at) if at.elapsed() > END_MAX => {
                // Its watchdog ends what it started.
                child.kill()?;
                return child.wait();
            }
            _ => {}
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cat` ends when its input does.
    #[test]
    fn a_child_ends_by_itself_or_when_it_is_asked_to() {
        let log = std::env::temp_dir().join(format!("holdfast-child-{}", std::process::id()));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo said; exit 5"]);
        assert_eq!(run(shell, &log, || false).unwrap().code(), Some(5));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "said\n");
        assert!(run(Command::new("cat"), &log, || true).unwrap().success());
        std::fs::remove_file(&log).unwrap();
    }
}
