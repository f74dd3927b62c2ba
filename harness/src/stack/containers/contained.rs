//! One process in a container: started, watched for its end, and removed.
//!
//! In: a launch. Out: the process id on this machine and, once it has ended, how. Signals are sent by the process id, as to any child; the end is told
//! by the client, which stays attached to the container.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::{Within, create, docker};
use crate::clock::{Offset, RunClock};
use crate::stack::child::{Launch, POLL};
use crate::stack::watchdog::Watchdog;
use crate::stack::{StackError, entropy, usage};

/// Longest start of a container; its image may have to be pulled.
const START_WITHIN: Duration = Duration::from_secs(600);

/// Longest time until the client has told of an end that this machine has seen.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// A process in a container. Dropped, it is gone with its container.
#[derive(Debug)]
pub(in crate::stack) struct Contained {
    name: String,
    /// On this machine; 0 if it had ended before anybody looked.
    pid: u32,
    /// The attached client: it ends with the process, and with its status.
    client: Option<Child>,
    watchdog: Arc<Watchdog>,
}

impl Contained {
    /// Starts `launch` in a container of its own; pulls the image if the engine has none. Cancel safe: what was started is ended, if later.
    ///
    /// # Errors
    /// There is no engine, it has no such image, or it runs its containers where this process cannot reach them.
    pub(in crate::stack) async fn start(launch: &Launch, within: &Within, watchdog: &Arc<Watchdog>) -> Result<Self, StackError> {
        let act = format!("start {} in a container of {}", launch.role, within.image);
        let name = format!("holdfast-{}-{}-{}", std::process::id(), launch.role, &entropy::secret()?[..8]);
        // Before there is one: no instant is left at which a kill of this process would leave it behind.
        watchdog.watch_container(&name)?;
        let create = create::arguments(&name, launch, within);
        let contained = Self { name, pid: 0, client: None, watchdog: Arc::clone(watchdog) };
        let log = launch.log.clone();
        let started = tokio::task::spawn_blocking(move || contained.bring_up(&create, &log));
        let late = |_| StackError::failed(act.clone(), format!("not done after {} s", START_WITHIN.as_secs()));
        let started = tokio::time::timeout(START_WITHIN, started).await.map_err(late)?;
        let started = started.map_err(|error| StackError::failed(act.clone(), error.to_string()))?;
        started.map_err(|why| StackError::failed(act, why))
    }

    fn bring_up(mut self, create: &[OsString], log: &Path) -> Result<Self, String> {
        docker(create)?;
        // What keeps the engine from starting it belongs to the log of the process.
        let log =
            OpenOptions::new().create(true).append(true).open(log).map_err(|error| format!("open {}: {error}", log.display()))?;
        let mut attach = Command::new("docker");
        attach.args(["start", "--attach", &self.name]).process_group(0);
        attach.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.client = Some(attach.spawn().map_err(|error| format!("docker cannot be run: {error}"))?);
        // Asked again until the engine has started it; it ends by itself if the engine cannot.
        while self.pid == 0 && self.ended().is_none() {
            let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &self.name])?;
            self.pid = pid.parse().map_err(|_| format!("docker inspect told {pid:?} and no process id"))?;
        }
        if self.pid != 0 {
            self.watchdog.watch(self.pid).map_err(|error| error.to_string())?;
        }
        // One that is not there has just ended, and its client is about to tell; or it is on another machine, or in a virtual one.
        let clock = RunClock::start();
        while self.pid != 0 && usage::life(self.pid).is_none() && self.ended().is_none() {
            if clock.now().since(Offset::ZERO) > TOLD_WITHIN {
                return Err("the engine runs it out of this machine's sight, where no fault can reach it".to_owned());
            }
            std::thread::sleep(POLL);
        }
        Ok(self)
    }

    /// Its process id on this machine; 0 if it had ended before anybody looked.
    pub(in crate::stack) const fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(in crate::stack) fn ended(&mut self) -> Option<ExitStatus> {
        let client = self.client.as_mut()?;
        client.try_wait().unwrap_or(None).map(as_of_the_process)
    }

    /// Blocks until it has ended; how.
    ///
    /// # Errors
    /// The client cannot be waited for.
    pub(in crate::stack) fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let client = self.client.as_mut().ok_or_else(|| std::io::Error::other("it was never started"))?;
        client.wait().map(as_of_the_process)
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        match docker(&["rm", "--force", "--volumes", &self.name]) {
            Ok(_) => {
                let _ = self.watchdog.forget_container(&self.name);
            }
            // The watchdog tries again at the end.
            Err(why) => tracing::warn!(container = self.name, why, "a container was not removed"),
        }
        if let Some(mut client) = self.client.take() {
            let _ = client.kill();
            let _ = client.wait();
        }
        if self.pid != 0 {
            let _ = self.watchdog.forget(self.pid);
        }
    }
}

/// The client ends with the code of the process, or with 128 and the number of the signal that ended it.
fn as_of_the_process(client: ExitStatus) -> ExitStatus {
    match client.code() {
        Some(code @ 129..=192) => ExitStatus::from_raw(code - 128),
        _ => client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_the_client_reads_like_one_of_the_process() {
        let told = |code: i32| as_of_the_process(ExitStatus::from_raw(code << 8));
        assert_eq!((told(0).success(), told(3).code()), (true, Some(3)));
        assert_eq!((told(137).signal(), told(137).code()), (Some(9), None));
    }
}
