//! A harness that ends while a process of its stack is stopped leaves nothing behind, whether it panics or is killed.
//!
//! The harness is this test binary, started once more.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::stack::services::Stack;
use harness::stack::{Backend, StackSpec};

use crate::stack_services::{Logs, spec};

/// Says to the test binary that it is the harness, and how it ends.
const OWNER: &str = "HOLDFAST_TEST_PAUSING_OWNER";

/// The state letter of a process; `None` once it is gone, also if nobody has looked at its end yet.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    (state != 'Z' && state != 'X').then_some(state)
}

/// Not a claim of its own: the body of the harness that ends. Without the variable it has nothing to do.
#[tokio::test]
async fn an_owner_with_a_stopped_process() {
    let Some(end) = std::env::var_os(OWNER) else { return };
    let logs = Logs::new("orphans");
    let wanted = StackSpec { proxied: Some(harness::seed::Seed(1)), ..spec(&logs, Backend::Process, &[]) };
    let stack = Stack::start(wanted, RunClock::start()).await.expect("a stack");
    let paused = stack.controls().pause("api-1", Duration::from_secs(600)).await.expect("a stopped process");
    let pids: Vec<String> = stack.pids().into_iter().map(|(role, pid)| format!("{role}={pid}")).collect();
    println!("\nOWNS {} {}", pids.join(","), std::env::temp_dir().display());
    assert!(end != "panic", "told to panic with {paused:?}");
    std::future::pending::<()>().await;
}

struct Owner {
    child: Child,
    pids: Vec<(String, u32)>,
    /// Where its private folder is made, with nothing else in it.
    folder: PathBuf,
}

impl Owner {
    fn start(end: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast orphans {end} {}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "stack_orphans::an_owner_with_a_stopped_process", "--nocapture"]);
        command.env(OWNER, end).env("TMPDIR", &folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.find_map(|line| line.unwrap().strip_prefix("OWNS ").map(str::to_owned)).expect("a stack");
        let (pids, _) = told.split_once(' ').unwrap();
        let pid = |pair: &str| pair.split_once('=').map(|(role, pid)| (role.to_owned(), pid.parse().unwrap())).unwrap();
        Self { child, pids: pids.split(',').map(pid).collect(), folder }
    }

    /// What is still there, in words.
    fn left(&self) -> Vec<String> {
        let pids = self.pids.iter().filter_map(|(role, pid)| Some(format!("{role} in state {}", state(*pid)?)));
        let private = std::fs::read_dir(&self.folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let private = private.filter(|path| is_private(path)).map(|path| path.display().to_string());
        pids.chain(private).collect()
    }

    fn expect_nothing_left(mut self) {
        self.child.wait().unwrap();
        let clock = RunClock::start();
        while !self.left().is_empty() {
            let waited = clock.now().since(Offset::ZERO);
            assert!(waited < Duration::from_secs(30), "still there {waited:?} after the end of the owner: {:?}", self.left());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// The folder of the stores; that of the logs is the test's own.
fn is_private(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("holdfast-"))
}

fn pid_of(owner: &Owner, role: &str) -> u32 {
    owner.pids.iter().find(|(name, _)| name == role).expect("the role runs").1
}

#[test]
fn a_harness_that_panics_with_a_stopped_process_leaves_nothing() {
    let owner = Owner::start("panic");
    assert_eq!(owner.pids.len(), 5, "{:?}", owner.pids);
    owner.expect_nothing_left();
}

#[test]
fn a_harness_that_is_killed_with_a_stopped_process_leaves_nothing() {
    let mut owner = Owner::start("kill");
    let paused = pid_of(&owner, "api-1");
    assert_eq!(state(paused), Some('T'), "api-1 stands still");
    assert_eq!(owner.left().len(), 6, "five processes and a folder: {:?}", owner.left());
    owner.child.kill().unwrap();
    owner.expect_nothing_left();
}
