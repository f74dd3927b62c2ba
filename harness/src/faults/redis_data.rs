//! A Redis server that comes back with less data than it had: none, an older copy, or an append-only file with its tail cut off.
//!
//! SIGKILL alone loses nothing that was written, because the page cache outlives the process; so the files are changed while it is down.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::begun::Begun;
use super::redis_client::{connect, run_id};
use super::{FaultError, Faults};
use crate::stack::controls::Controls;

const ROLE: &str = "redis";

/// Folder of the append-only files within the data folder, and of an older copy of it.
const FILES: &str = "appendonlydir";
const COPY: &str = "appendonlydir-older";

/// A Redis server that has lost something.
pub(super) struct Lossy {
    controls_url: String,
    run: (String, String),
    keys: (u64, u64),
    loss: String,
}

impl Lossy {
    /// Comes back without any data.
    pub(super) async fn empty(controls: Controls<'_>, begun: &Begun) -> Result<(Self, String), FaultError> {
        restarted(controls, begun, |folder| {
            remove(&folder.join(FILES))?;
            Ok("all data removed".to_owned())
        })
        .await
    }

    /// Comes back with `keep_percent` of what its append-only file holds beyond its base.
    pub(super) async fn truncated(controls: Controls<'_>, keep_percent: u64, begun: &Begun) -> Result<(Self, String), FaultError> {
        restarted(controls, begun, |folder| cut_tail(&folder.join(FILES), keep_percent)).await
    }

    /// Comes back with a copy that is `age` old; `None` if the run was stopped while the copy grew old.
    pub(super) async fn stale(faults: Faults<'_>, age: Duration, begun: &Begun) -> Result<Option<(Self, String)>, FaultError> {
        let folder = faults.controls.redis_data()?;
        remove(&folder.join(COPY))?;
        copy(&folder.join(FILES), &folder.join(COPY))?;
        if faults.stopped_within(age).await {
            remove(&folder.join(COPY))?;
            return Ok(None);
        }
        let restored = restarted(faults.controls, begun, |folder| {
            remove(&folder.join(FILES))?;
            fs::rename(folder.join(COPY), folder.join(FILES)).map_err(FaultError::of("restore the older copy of redis"))?;
            Ok(format!("a copy of {} ms ago restored", age.as_millis()))
        });
        restored.await.map(Some)
    }

    /// Another process serves, and what was lost is known.
    pub(super) fn proof(&self) -> Option<String> {
        let Self { run: (before, after), keys: (had, has), loss, .. } = self;
        (before != after).then(|| format!("{loss}; DBSIZE {had} before, {has} after; run_id {before} became {after}"))
    }

    /// What is lost stays lost; the server answers.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        let keys = db_size(&self.controls_url).await?;
        Ok(format!("nothing to undo; redis answers and holds {keys} keys"))
    }
}

/// Kills Redis, changes its files by `change`, starts it again.
async fn restarted(
    controls: Controls<'_>,
    begun: &Begun,
    change: impl FnOnce(&Path) -> Result<String, FaultError>,
) -> Result<(Lossy, String), FaultError> {
    let url = controls.redis_url();
    let folder = controls.redis_data()?;
    let (before, had) = (run_id(&url).await?, db_size(&url).await?);
    begun.now();
    controls.kill(ROLE).await?;
    let changed = change(&folder);
    // It comes back in any case: a server that stays down would be another fault.
    controls.restart(ROLE).await?;
    let (after, has) = (run_id(&url).await?, db_size(&url).await?);
    let loss = changed?;
    let facts = format!("SIGKILL, {loss}, started again");
    Ok((Lossy { controls_url: url, run: (before, after), keys: (had, has), loss }, facts))
}

async fn db_size(url: &str) -> Result<u64, FaultError> {
    redis::cmd("DBSIZE").query_async(&mut connect(url).await?).await.map_err(FaultError::of("count the keys of redis"))
}

/// Cuts the newest incremental file.
fn cut_tail(folder: &Path, keep_percent: u64) -> Result<String, FaultError> {
    let act = || format!("cut the append-only file in {}", folder.display());
    let newest = files(folder)?.into_iter().filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max();
    let newest = newest.ok_or_else(|| FaultError::failed(act(), "there is none; was Redis started with one?"))?;
    let file = fs::OpenOptions::new().write(true).open(&newest).map_err(FaultError::of(act()))?;
    let length = file.metadata().map_err(FaultError::of(act()))?.len();
    let kept = length * keep_percent / 100;
    if kept == length {
        return Err(FaultError::failed(act(), format!("it has only {length} bytes")));
    }
    file.set_len(kept).map_err(FaultError::of(act()))?;
    Ok(format!("{} of {length} bytes of the append-only file cut off", length - kept))
}

fn copy(from: &Path, to: &Path) -> Result<(), FaultError> {
    let act = || format!("copy {}", from.display());
    fs::create_dir_all(to).map_err(FaultError::of(act()))?;
    for path in files(from)? {
        let name = path.file_name().unwrap_or_default();
        fs::copy(&path, to.join(name)).map_err(FaultError::of(act()))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, FaultError> {
    let entries = fs::read_dir(folder).map_err(FaultError::of(format!("read {}", folder.display())))?;
    Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
}

fn remove(folder: &Path) -> Result<(), FaultError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FaultError::failed(format!("remove {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}
