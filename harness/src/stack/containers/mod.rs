//! Stores in containers of a Docker engine on this machine, driven by its client `docker`.
//!
//! In: a [`Launch`](super::child::Launch) with a place [`Within`] an image. Out: the same process, with the same program, arguments, ports and files, in
//! a container: it shares the network, the process ids and, at the same paths, the private folder and the logs of the stack. So whatever a fault does to
//! a process of the stack, it does to this one: it is signalled by its process id, and comes back on its port with its data. Each life of a process is
//! a container of its own, which is removed when the process has ended.
//!
//! The client is a program and no library: it agrees with every engine on a version, which the clients for Rust that start containers do not, and the
//! watchdog can use it when this process is gone.

pub(super) mod contained;
mod create;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::StackError;

/// Names of the images that the stores are taken from; pulled where the engine has none of that name.
///
/// They need no entry point of their own: `redis-server`, and `mariadbd` with `mariadb-install-db` or `mysqld`, are run from their PATH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Redis or Valkey, from 6.2.
    pub redis: String,
    /// MariaDB or MySQL.
    pub mysql: String,
}

impl Default for Images {
    fn default() -> Self {
        Self { redis: REDIS.to_owned(), mysql: MYSQL.to_owned() }
    }
}

/// Image of Redis unless another is asked for.
pub const REDIS: &str = "redis:7.4";

/// Image of the MySQL server unless another is asked for.
pub const MYSQL: &str = "mariadb:10.11";

/// Where a process runs that does not run on the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Within {
    /// The image of its container.
    pub(super) image: String,
    /// The folder that it shares with this process, beside that of its log.
    pub(super) folder: PathBuf,
}

/// Finds the client and the engine that it reaches (`DOCKER_HOST`, or the one of this machine). Blocks for as long as the question takes.
///
/// # Errors
/// There is none; for the user to mend.
pub(super) fn engine() -> Result<(), StackError> {
    const ADVICE: &str = "install Docker and start it, or name its socket in DOCKER_HOST (scripts/test-containers starts one)";
    match docker(&["version", "--format", "{{.Server.Version}}"]) {
        Ok(_) => Ok(()),
        Err(why) => Err(StackError::Missing(format!("no Docker engine for --backend containers: {why}; {ADVICE}"))),
    }
}

/// What the client prints, or its last line if it fails. Blocks.
fn docker<A: AsRef<std::ffi::OsStr>>(args: &[A]) -> Result<String, String> {
    let told = Command::new("docker").args(args).stdin(Stdio::null()).output();
    let told = told.map_err(|error| format!("docker cannot be run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if told.status.success() {
        return Ok(text(&told.stdout));
    }
    Err(text(&told.stderr).lines().last().unwrap_or("docker failed and said nothing").to_owned())
}
