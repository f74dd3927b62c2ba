//! Runs `flash-sale` and `chaos` and keeps what they say.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::processes::{Process, descendants, until};
use crate::workplace::{REPORTS, Workplace};

/// A sale of a few seconds. Its budget cannot be missed: how fast this machine is, in a debug build, is not the question.
const SMALL: [&str; 10] = ["--stock", "300", "--skus", "3", "--sku-stock", "20", "--rate", "300", "--p99", "10000"];

/// Longest wait for anything that a program does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Watchdog, both stores, two api and two worker processes.
pub(crate) const FAMILY: usize = 7;

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Fails, with all that was said, unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless standard output holds `text`.
    #[track_caller]
    pub(crate) fn expect_said(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "{text:?} is not in stdout:\n{}", self.stdout);
        self
    }

    /// Fails unless standard error holds `text`.
    #[track_caller]
    pub(crate) fn expect_complaint(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "{text:?} is not in stderr:\n{}", self.stderr);
        self
    }
}

/// A program that runs. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts it with its output in files of the workplace.
    pub(crate) fn start(place: &Workplace, mut command: Command) -> Self {
        let (stdout, stderr) = (place.path().join("stdout"), place.path().join("stderr"));
        place.settle(&mut command);
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Self { child: command.spawn().unwrap(), stdout, stderr }
    }

    /// Waits until the sale goes on and some hundred requests are in the saved history; all processes of the run.
    pub(crate) fn until_selling(&mut self, place: &Workplace) -> Vec<Process> {
        const SOME_OPERATIONS: u64 = 8 << 10;
        self.until("the sale goes on", |stdout| {
            let history = place.runs().last().map(|run| run.join("history.jsonl.zst"));
            let written = history.and_then(|path| path.metadata().ok()).map_or(0, |file| file.len());
            stdout.contains("\nselling\n") && written > SOME_OPERATIONS
        });
        descendants(self.child.id())
    }

    /// Polls until the condition on what was printed so far is there. Fails if the program ends before.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let child = &mut self.child;
        until(what, PATIENCE, || {
            let ended = child.try_wait().unwrap();
            let said = std::fs::read_to_string(&self.stdout).unwrap();
            assert!(ended.is_none(), "it ended with {ended:?} before {what}:\n{said}");
            condition(&said)
        });
    }

    /// Ends its standard input, which must be a pipe.
    pub(crate) fn close_input(&mut self) {
        drop(self.child.stdin.take().expect("a pipe to the program"));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn finish(mut self) -> Done {
        until("the program ends", PATIENCE, || self.child.try_wait().unwrap().is_some());
        let code = self.child.wait().unwrap().code();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        Done { code, stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `flash-sale` with these arguments and its reports in the workplace.
pub(crate) fn flash_sale(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flash-sale"));
    command.args(arguments).args(["--reports", REPORTS]);
    command
}

/// `flash-sale` for a sale of a few seconds.
pub(crate) fn small_sale(further: &[&str]) -> Command {
    flash_sale(&[SMALL.as_slice(), further].concat())
}

/// `chaos` with these arguments.
pub(crate) fn chaos(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(arguments);
    command
}

/// Runs a program to its end.
pub(crate) fn run(place: &Workplace, command: Command) -> Done {
    Running::start(place, command).finish()
}

/// `chaos verify` of a run folder.
pub(crate) fn verify(place: &Workplace, folder: &Path) -> Done {
    run(place, chaos(&["verify", folder.to_str().unwrap()]))
}
