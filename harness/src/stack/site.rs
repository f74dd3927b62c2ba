//! Where a server of our own runs: on the machine itself, or in a container of an image.
//!
//! In: a program by name. Out: how it is called there.

use std::path::{Path, PathBuf};

use super::containers::Within;
use super::{StackError, programs};

/// A place for one server.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The private folder of the stack.
    pub(super) folder: PathBuf,
    /// The container; the machine itself if `None`.
    pub(super) within: Option<Within>,
}

impl Site {
    /// A container of `image` that shares `folder`, or the machine itself.
    pub(super) fn new(folder: &Path, image: Option<&str>) -> Self {
        let folder = folder.to_path_buf();
        let within = image.map(|image| Within { image: image.to_owned(), folder: folder.clone() });
        Self { folder, within }
    }

    /// The same in a folder within that of the stack.
    pub(super) fn folder_of(&self, name: &str) -> Result<Self, StackError> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder).map_err(StackError::io(format!("make {}", folder.display())))?;
        Ok(Self { folder, within: self.within.clone() })
    }

    /// The Redis server.
    pub(super) fn redis_server(&self) -> Result<PathBuf, StackError> {
        if self.within.is_some() { Ok(PathBuf::from("redis-server")) } else { programs::redis_server() }
    }
}
