//! One child process: a server or a service.
//!
//! In: a program, its arguments, environment and log file. Out: a handle to signal it and to wait for it. It runs in its own
//! process group, so that a terminal's Ctrl-C does not reach it, and dies with this process by way of the watchdog.
//! Nothing here depends on an async runtime or on the thread that spawned it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::StackError;
use super::containers::Within;
use super::containers::contained::Contained;
use super::usage;
use super::watchdog::Watchdog;
use crate::clock::RunClock;

/// Waits for a line before it becomes the program: by then the watchdog knows the process, so that no instant is left at
/// which a kill of the owner would leave it behind. `$1` is what the program reads.
const GATE: &str = r#"read -r go && input=$1 && shift && exec "$@" <"$input""#;

/// Time between two looks at something that is waited for.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// `redis`, `mysql`, `api-1`, `worker-2`.
    pub(super) role: String,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(String, String)>,
    /// What it reads; nothing if `None`.
    pub(super) input: Option<PathBuf>,
    /// Where its output is appended.
    pub(super) log: PathBuf,
    /// The container that it runs in; the machine itself if `None`.
    pub(super) within: Option<Within>,
}

/// A running or ended child.
#[derive(Debug)]
pub(super) struct ChildProcess {
    role: String,
    log: PathBuf,
    body: Body,
    ended: Option<ExitStatus>,
    watchdog: Arc<Watchdog>,
}

/// What it is to the system.
#[derive(Debug)]
enum Body {
    Own(Child),
    Contained(Contained),
}

impl ChildProcess {
    /// Starts the program. A program that cannot be executed shows as one that ended at once with code 126 or 127. Cancel safe: what was started is
    /// ended.
    pub(super) async fn spawn(launch: &Launch, watchdog: &Arc<Watchdog>) -> Result<Self, StackError> {
        match &launch.within {
            None => Self::spawn_own(launch, watchdog),
            Some(within) => {
                let body = Body::Contained(Contained::start(launch, within, watchdog).await?);
                let (role, log, watchdog) = (launch.role.clone(), launch.log.clone(), Arc::clone(watchdog));
                Ok(Self { role, log, body, ended: None, watchdog })
            }
        }
    }

    fn spawn_own(launch: &Launch, watchdog: &Arc<Watchdog>) -> Result<Self, StackError> {
        let act = || format!("start {} ({})", launch.role, launch.program.display());
        let log = OpenOptions::new().create(true).append(true).open(&launch.log).map_err(StackError::io(act()))?;
        let errors = log.try_clone().map_err(StackError::io(act()))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GATE, "sh"]).arg(launch.input.as_deref().unwrap_or(Path::new("/dev/null")));
        command.arg(&launch.program).args(&launch.args).envs(launch.env.iter().cloned()).process_group(0);
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        let mut child = command.spawn().map_err(StackError::io(act()))?;
        let gate = child.stdin.take();
        let (role, log, body) = (launch.role.clone(), launch.log.clone(), Body::Own(child));
        let process = Self { role, log, body, ended: None, watchdog: Arc::clone(watchdog) };
        watchdog.watch(process.pid())?;
        gate.map_or(Ok(()), |mut gate| gate.write_all(b"go\n")).map_err(StackError::io(act()))?;
        Ok(process)
    }

    pub(super) fn role(&self) -> &str {
        &self.role
    }

    pub(super) fn pid(&self) -> u32 {
        match &self.body {
            Body::Own(child) => child.id(),
            Body::Contained(contained) => contained.pid(),
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = match &mut self.body {
                Body::Own(child) => child.try_wait().unwrap_or(None),
                Body::Contained(contained) => contained.ended(),
            };
            if self.ended.is_some() {
                let _ = self.watchdog.forget(self.pid());
            }
        }
        self.ended
    }

    /// Sends a signal to its process group, unless it has ended.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), StackError> {
        // A container whose process was never seen has ended, although its engine has not told yet.
        if self.ended().is_some() || self.pid() == 0 {
            return Ok(());
        }
        let act = || format!("send {signal} to {}", self.role);
        let group = i32::try_from(self.pid()).map_err(|error| StackError::failed(act(), error.to_string()))?;
        killpg(Pid::from_raw(group), signal).map_err(|error| StackError::failed(act(), error.to_string()))
    }

    /// Waits until every thread of it is stopped; whether that came `within`. Cancel safe.
    pub(super) async fn stands_still(&self, within: Duration) -> bool {
        let clock = RunClock::start();
        while !usage::stands_still(self.pid()) {
            if clock.now().since(crate::clock::Offset::ZERO) >= within {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// Waits until it has ended; `None` if it still runs after `within`. Cancel safe.
    pub(super) async fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let clock = RunClock::start();
        while self.ended().is_none() && clock.now().since(crate::clock::Offset::ZERO) < within {
            tokio::time::sleep(POLL).await;
        }
        self.ended()
    }

    /// Asks it to end (SIGTERM), then kills it after `within`. How it ended, and whether it had to be killed.
    pub(super) async fn stop(&mut self, within: Duration) -> Result<(ExitStatus, bool), StackError> {
        self.signal(Signal::SIGTERM)?;
        match self.wait(within).await {
            Some(status) => Ok((status, false)),
            None => self.kill().map(|status| (status, true)),
        }
    }

    /// Kills it and waits until it is gone; blocks for as long as the kernel takes to end it.
    pub(super) fn kill(&mut self) -> Result<ExitStatus, StackError> {
        self.signal(Signal::SIGKILL)?;
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let status = match &mut self.body {
            Body::Own(child) => child.wait(),
            Body::Contained(contained) => contained.wait(),
        };
        let status = status.map_err(StackError::io(format!("wait for {}", self.role)))?;
        self.ended = Some(status);
        self.watchdog.forget(self.pid())?;
        Ok(status)
    }

    /// The last lines of its log, for error messages.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log).unwrap_or_default()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// An exit status in words: `exit code 1`, `signal 9`.
pub(super) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last 20 lines within the last 8 KiB of a file.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(8192)))?;
    let mut read = Vec::new();
    file.take(8192).read_to_end(&mut read)?;
    let text = String::from_utf8_lossy(&read);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(20)..].join("\n"))
}
