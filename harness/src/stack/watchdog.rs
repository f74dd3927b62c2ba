//! One small child that outlives this process just long enough to end what it started.
//!
//! In: process ids, names of containers and a folder, as they come and go. Out: nothing; when the pipe to it closes, because this process dropped
//! the handle, exited, panicked or was killed, it kills the process groups that are still listed, has the containers
//! removed by the `docker` client, and removes the folder.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::StackError;

const SCRIPT: &str = include_str!("watchdog.sh");

/// The handle of a watchdog. Dropping it lets the watchdog act on what it still lists, and waits until it did.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// `None` only while dropping.
    pipe: Mutex<Option<ChildStdin>>,
    child: Child,
}

impl Watchdog {
    /// Starts a watchdog that removes `folder` at the end, if given.
    pub(super) fn start(folder: Option<&Path>) -> Result<Self, StackError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "holdfast-watchdog"]).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(StackError::io("start the watchdog"))?;
        let watchdog = Self { pipe: Mutex::new(child.stdin.take()), child };
        if let Some(folder) = folder {
            watchdog.tell("folder", &folder.display().to_string())?;
        }
        Ok(watchdog)
    }

    /// Has the process group that `pid` leads killed at the end.
    pub(super) fn watch(&self, pid: u32) -> Result<(), StackError> {
        self.tell("watch", &pid.to_string())
    }

    /// Takes `pid` off the list: it has ended, and its number may soon be somebody else's.
    pub(super) fn forget(&self, pid: u32) -> Result<(), StackError> {
        self.tell("forget", &pid.to_string())
    }

    /// Has the container of this name removed at the end.
    pub(super) fn watch_container(&self, name: &str) -> Result<(), StackError> {
        self.tell("watch", name)
    }

    /// Takes a container off the list: it is gone.
    pub(super) fn forget_container(&self, name: &str) -> Result<(), StackError> {
        self.tell("forget", name)
    }

    fn tell(&self, verb: &str, object: &str) -> Result<(), StackError> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{verb} {object}\n");
        let told = pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(line.as_bytes()));
        told.map_err(StackError::io("reach the watchdog"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.child.wait();
    }
}
