//! Reads the evidence of a run back from its folder, whatever state the folder is in.
//!
//! In: a run folder. Out: the run's identity and its evidence. What cannot be read becomes `damage`, what was changed or removed since
//! the run becomes `edited`; only a folder without a readable plan cannot be judged at all.

use std::collections::BTreeMap;
use std::path::Path;

use super::folder::{HISTORY, RUN, SNAPSHOT};
use super::{ReportError, RunFolder, RunIdentity, SCHEMA_VERSION, files};
use crate::history::operation::History;
use crate::history::pairing::read_history;
use crate::invariants::Evidence;
use crate::measure::totals::last_event;
use crate::scenario::plan::Plan;
use crate::snapshot::Stop;

/// Reads a run folder. A run that was cut off gives what is there: no snapshot means no stops, and a missing `run.json` is rebuilt from
/// the first record of the history and the plan.
///
/// # Errors
/// `plan.json` is missing or damaged: without it nothing says what was asked.
pub fn load_evidence(folder: &RunFolder) -> Result<(RunIdentity, Evidence), ReportError> {
    let mut damage = Vec::new();
    let plan = folder.read_plan()?;
    let history = readable(read_history(&folder.file(HISTORY)), HISTORY, &mut damage);
    let stops = read_stops(folder, &mut damage);
    let saved = read_saved_identity(folder, &mut damage);
    let edited = saved.as_ref().map_or_else(Vec::new, |identity| edited_files(folder, &identity.files));
    let identity = saved.map_or_else(|| rebuilt_identity(folder, &plan, &history, &stops), Ok)?;
    Ok((identity, Evidence { plan, history, stops, damage, edited }))
}

/// The content, or an empty one and a line of damage.
fn readable<T: Default, E: ToString>(content: Result<T, E>, file: &str, damage: &mut Vec<String>) -> T {
    content.unwrap_or_else(|error| {
        damage.push(format!("{file} cannot be read: {}", error.to_string()));
        T::default()
    })
}

/// The stops; none if the run was cut off before the first one.
fn read_stops(folder: &RunFolder, damage: &mut Vec<String>) -> Vec<Stop> {
    if folder.file(SNAPSHOT).exists() { readable(folder.read_stops(), SNAPSHOT, damage) } else { Vec::new() }
}

/// `run.json`; `None` if it is missing, because the harness was killed, or damaged.
fn read_saved_identity(folder: &RunFolder, damage: &mut Vec<String>) -> Option<RunIdentity> {
    if folder.file(RUN).exists() { readable(folder.read_identity().map(Some), RUN, damage) } else { None }
}

/// Evidence files that are no longer what `run.json` says.
fn edited_files(folder: &RunFolder, hashes: &BTreeMap<String, String>) -> Vec<String> {
    let changed = |(name, expected): (&String, &String)| changed(&folder.file(name), name, expected);
    hashes.iter().filter_map(changed).collect()
}

fn changed(path: &Path, name: &str, expected: &str) -> Option<String> {
    if !path.exists() {
        return Some(format!("{name} was removed after the run"));
    }
    match files::sha256(path) {
        Ok(found) if found == expected => None,
        Ok(_) => Some(format!("{name} was changed after the run: its SHA-256 is not the one in {RUN}")),
        Err(error) => Some(format!("{name} cannot be compared with the run: {error}")),
    }
}

/// Identity of a run whose harness was killed before it wrote one.
fn rebuilt_identity(folder: &RunFolder, plan: &Plan, history: &History, stops: &[Stop]) -> Result<RunIdentity, ReportError> {
    Ok(RunIdentity { files: folder.hash_evidence()?, ..told_identity(&folder.run_id(), plan, history, stops) })
}

/// What the first record of a history, the plan and the stops tell of a run.
pub(super) fn told_identity(run_id: &str, plan: &Plan, history: &History, stops: &[Stop]) -> RunIdentity {
    let head = history.head.as_ref();
    let last = stops.last().map(|stop| stop.snapshot.taken_at).unwrap_or_default().max(last_event(history));
    RunIdentity {
        schema_version: SCHEMA_VERSION,
        run_id: head.map_or_else(|| run_id.to_owned(), |head| head.run_id.clone()),
        scenario: plan.scenario.name.clone(),
        seed: plan.scenario.seed.0,
        command: head.map(|head| head.argv.join(" ")).unwrap_or_default(),
        commit: head.map_or_else(|| "unknown".to_owned(), |head| head.commit.clone()),
        build_id: head.map_or_else(|| "unknown".to_owned(), |head| head.build_id.clone()),
        wall_start_ms: head.map(|head| head.wall_start_ms).unwrap_or_default(),
        duration_ms: last.nanos() / 1_000_000,
        backend: String::new(),
        toxiproxy: None,
        service_args: Vec::new(),
        servers: stops.last().map(|stop| stop.snapshot.servers.clone()).unwrap_or_default(),
        machine: BTreeMap::new(),
        files: BTreeMap::new(),
        rig_errors: Vec::new(),
        interrupted: history.tail.as_ref().is_some_and(|tail| tail.why == "interrupted"),
    }
}
