//! The folder of one run: `reports/<scenario>/<run-id>/`.
//!
//! In: scenario, seed and start of a run. Out: a new folder, the paths of its files, and typed access to those that are written whole.
//! The history is written by its recorder, the report by [`write_report`](super::write_report). Nothing here is ever overwritten but
//! `run.json` and the report.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{self, form_error, io_error};
use super::{Report, ReportError, RunIdentity, calendar};
use crate::scenario::plan::Plan;
use crate::snapshot::Stop;

/// Identity of the run, with the hashes of the evidence.
pub const RUN: &str = "run.json";
/// Every draw of the run.
pub const PLAN: &str = "plan.json";
/// What happened.
pub const HISTORY: &str = "history.jsonl.zst";
/// What both stores held, at each stop.
pub const SNAPSHOT: &str = "snapshot.json.zst";
/// Interval histograms.
pub const LATENCY: &str = "latency.hlog";
/// The report for machines.
pub const REPORT: &str = "report.json";
/// The report for people.
pub const HTML: &str = "report.html";
/// The report for a pull request.
pub const MARKDOWN: &str = "report.md";
/// The report for a CI system.
pub const JUNIT: &str = "junit.xml";
/// The figures for a push gateway.
pub const PROM: &str = "report.prom";
/// Folder of the logs of all processes.
pub const LOGS: &str = "logs";
/// Link beside the run folders to the newest one.
pub const LATEST: &str = "latest";

/// Files that verdicts are judged from; `run.json` holds their hashes.
pub const EVIDENCE_FILES: [&str; 3] = [PLAN, HISTORY, SNAPSHOT];

/// Most runs of one scenario and seed within one second.
const SAME_SECOND_MAX: u32 = 1_000;

/// A run folder on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder `<reports>/<scenario>/<UTC time>-<seed>/` with its `logs/`. A name that is taken gets a number at its end; an
    /// existing folder is never touched.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create(reports: &Path, scenario: &str, seed: u64, wall_start_ms: u64) -> Result<Self, ReportError> {
        let parent = reports.join(scenario);
        fs::create_dir_all(&parent).map_err(io_error("create", &parent))?;
        let name = format!("{}-{seed}", calendar::stamp(wall_start_ms));
        let path = first_free(&parent, &name)?;
        let logs = path.join(LOGS);
        fs::create_dir(&logs).map_err(io_error("create", &logs))?;
        Ok(Self { path })
    }

    /// An existing folder, also by way of `latest`.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        let path = path.canonicalize().map_err(io_error("open run folder", path))?;
        if path.is_dir() { Ok(Self { path }) } else { Err(form_error("open run folder", &path)("is not a folder")) }
    }

    /// Removes the folder with all that it holds, and that of the scenario if no other run is in it: for a run that never started.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(self) -> Result<(), ReportError> {
        fs::remove_dir_all(&self.path).map_err(io_error("remove", &self.path))?;
        // Refused as long as other runs are there, which is what is wanted.
        let _ = self.path.parent().map(fs::remove_dir);
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    #[must_use]
    pub fn run_id(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Path of one of its files.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Points `latest`, beside the folder, to it, in one step.
    ///
    /// # Errors
    /// The link cannot be made.
    pub fn mark_latest(&self) -> Result<(), ReportError> {
        let link = self.path.with_file_name(LATEST);
        let partial = files::beside(&link);
        std::os::unix::fs::symlink(self.run_id(), &partial)
            .and_then(|()| fs::rename(&partial, &link))
            .map_err(io_error("link", &link))
    }

    /// SHA-256 of every evidence file that is there, by name.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn hash_evidence(&self) -> Result<BTreeMap<String, String>, ReportError> {
        let present = EVIDENCE_FILES.into_iter().filter(|name| self.file(name).exists());
        present.map(|name| Ok((name.to_owned(), files::sha256(&self.file(name))?))).collect()
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_identity(&self, identity: &RunIdentity) -> Result<(), ReportError> {
        files::write_json(&self.file(RUN), identity)
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_identity(&self) -> Result<RunIdentity, ReportError> {
        files::read_json(&self.file(RUN))
    }

    /// Writes `plan.json`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_plan(&self, plan: &Plan) -> Result<(), ReportError> {
        files::write_json_line(&self.file(PLAN), plan)
    }

    /// Reads `plan.json`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_plan(&self) -> Result<Plan, ReportError> {
        files::read_json(&self.file(PLAN))
    }

    /// Writes `snapshot.json.zst`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_stops(&self, stops: &[Stop]) -> Result<(), ReportError> {
        files::write_json_zst(&self.file(SNAPSHOT), &stops)
    }

    /// Reads `snapshot.json.zst`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_stops(&self) -> Result<Vec<Stop>, ReportError> {
        files::read_json_zst(&self.file(SNAPSHOT))
    }

    /// Reads `report.json`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_report(&self) -> Result<Report, ReportError> {
        files::read_json(&self.file(REPORT))
    }
}

/// Makes the folder `name`, or `name-2`, `name-3`, ... if that is taken.
fn first_free(parent: &Path, name: &str) -> Result<PathBuf, ReportError> {
    let candidates = (2..SAME_SECOND_MAX).map(|number| format!("{name}-{number}"));
    for candidate in std::iter::once(name.to_owned()).chain(candidates) {
        let path = parent.join(candidate);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("create", &path)(error)),
        }
    }
    Err(form_error("create", &parent.join(name))("1000 runs of this second are there already"))
}
