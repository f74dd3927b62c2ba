//! The private folder of a stack, under the system's folder for temporary files.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::watchdog::Watchdog;
use super::{StackError, entropy};

/// A folder that only its owner may enter. It goes with the value, or by the watchdog if this process is killed.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
}

impl PrivateFolder {
    /// Makes a folder with a fresh name, and the watchdog that removes it; the watchdog comes first, so that no instant is
    /// left at which a kill would leave the folder behind.
    pub(super) fn make() -> Result<(Self, Arc<Watchdog>), StackError> {
        let name = format!("holdfast-{}-{}", std::process::id(), &entropy::secret()?[..8]);
        let path = std::env::temp_dir().join(name);
        let watchdog = Arc::new(Watchdog::start(Some(&path))?);
        DirBuilder::new().mode(0o700).create(&path).map_err(StackError::io(format!("make {}", path.display())))?;
        Ok((Self { path }, watchdog))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that it holds.
    pub(super) fn remove(&self) -> Result<(), StackError> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StackError::failed(format!("remove {}", self.path.display()), error.to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}
