//! An own folder for each test: the programs run in it, and write their reports and temporary files below it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};

/// Name of the reports folder; the space is there to be coped with.
pub(crate) const REPORTS: &str = "the reports";

/// Sales at once: they wait more than they compute, but more of them on few cores would disturb each other.
const AT_ONCE: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run a sale; it ends with the value.
pub(crate) struct Turn(());

/// Waits until few enough other tests run.
pub(crate) fn turn() -> Turn {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    *ENDED.wait_while(running, |running| *running >= AT_ONCE).unwrap_or_else(PoisonError::into_inner) += 1;
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// A folder with `the reports` (not made yet), `tmp`, and what a program printed.
#[derive(Debug)]
pub(crate) struct Workplace {
    path: PathBuf,
    kept: bool,
}

impl Workplace {
    /// A new one, which goes with the value.
    pub(crate) fn new(name: &str) -> Self {
        Self::make(format!("{name}-{}", std::process::id()), false)
    }

    /// One that stays until the next run of the tests, for all tests to look at.
    pub(crate) fn kept(name: &str) -> Self {
        Self::make(name.to_owned(), true)
    }

    fn make(name: String, kept: bool) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::create_dir_all(path.join("tmp")).unwrap();
        Self { path, kept }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn reports(&self) -> PathBuf {
        self.path.join(REPORTS)
    }

    /// Link to the newest run.
    pub(crate) fn latest(&self) -> PathBuf {
        self.reports().join("flash_sale/latest")
    }

    /// The run folders, oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let runs = entries(&self.reports().join("flash_sale"));
        runs.into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect()
    }

    /// What is left in the folder for temporary files.
    pub(crate) fn left_over(&self) -> Vec<PathBuf> {
        entries(&self.path.join("tmp"))
    }

    /// Lets a program run here, with nothing of the tester's own settings.
    pub(crate) fn settle(&self, command: &mut Command) {
        command.current_dir(&self.path).env("TMPDIR", self.path.join("tmp"));
        command.env_remove("HOLDFAST_REDIS_URL").env_remove("HOLDFAST_MYSQL_URL");
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.kept && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// What a folder holds, in order of name; nothing if there is none.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
