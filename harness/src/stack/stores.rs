//! Own Redis and MySQL servers in a private folder on free ports.
//!
//! In: a [`StoresSpec`]. Out: [`Stores`] that answer. Neither depends on the async runtime that started them. Service
//! processes are not started here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::bring_up::{on_free_ports, stop_cleanly, until_ready};
use super::child::ChildProcess;
use super::folder::PrivateFolder;
use super::watchdog::Watchdog;
use super::{StackError, entropy, mysql_server, redis_server};

/// Longest wait for a server to end by itself once asked to.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The stores that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoresSpec {
    /// Further arguments of `redis-server`.
    pub redis_args: Vec<String>,
    /// Further arguments of `mariadbd` or `mysqld`.
    pub mysql_args: Vec<String>,
    /// Folder for the logs of both; the private folder, which goes at the end, if `None`.
    pub logs: Option<PathBuf>,
    /// Longest wait for each server to be ready.
    pub ready_ms: u64,
}

impl Default for StoresSpec {
    fn default() -> Self {
        Self { redis_args: Vec::new(), mysql_args: Vec::new(), logs: None, ready_ms: 60_000 }
    }
}

/// Two running stores. Gone, with their folder, when stopped, dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Stores {
    // Fields are dropped in this order: processes, then their folder.
    redis: ChildProcess,
    mysql: ChildProcess,
    redis_port: u16,
    mysql_port: u16,
    password: String,
    folder: PrivateFolder,
    watchdog: Arc<Watchdog>,
}

impl Stores {
    /// Starts both servers and waits until each answers. Cancel safe: what was started is ended.
    ///
    /// # Errors
    /// A server program that is missing, or one that did not get ready.
    pub async fn start(spec: StoresSpec) -> Result<Self, StackError> {
        let within = Duration::from_millis(spec.ready_ms);
        super::programs::redis_server()?;
        super::programs::mysql_server()?;
        let (folder, watchdog) = PrivateFolder::make()?;
        let logs = spec.logs.as_deref().unwrap_or(folder.path());
        let (redis, [redis_port]) = start_redis(&spec, &folder, logs, &watchdog).await?;
        let password = entropy::secret()?;
        let place = mysql_server::Place::new(folder.path(), &logs.join("mysql.log"), &password)?;
        place.prepare(&watchdog, within).await?;
        let ready = async |process: &mut ChildProcess, [port]| {
            let url = mysql_url(&password, port, "");
            until_ready(process, within, "the MySQL server answers", async || mysql_server::probe(&url).await).await
        };
        let (mysql, [mysql_port]) = on_free_ports(&watchdog, |[port]| Ok(place.launch(port, &spec.mysql_args)), ready).await?;
        Ok(Self { redis, mysql, redis_port, mysql_port, password, folder, watchdog })
    }

    /// `redis://127.0.0.1:port/`
    #[must_use]
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.redis_port)
    }

    /// `mysql://user:password@127.0.0.1:port/database`; the database need not exist.
    #[must_use]
    pub fn mysql_url(&self, database: &str) -> String {
        mysql_url(&self.password, self.mysql_port, database)
    }

    /// Role and process id of both.
    #[must_use]
    pub fn pids(&self) -> Vec<(String, u32)> {
        self.processes().into_iter().map(|process| (process.role().to_owned(), process.pid())).collect()
    }

    /// The private folder of both, with their data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends both servers, waits until they are gone, and removes their folder.
    ///
    /// # Errors
    /// A server that had to be killed, or ended with an error, or a folder that could not be removed. All is gone nevertheless,
    /// as far as it can be.
    pub async fn stop(mut self) -> Result<(), StackError> {
        let mut problems = Vec::new();
        for process in self.processes_mut() {
            problems.extend(stop_cleanly(process, STOP_WITHIN).await);
        }
        problems.extend(self.folder.remove().err().map(|error| error.to_string()));
        if problems.is_empty() { Ok(()) } else { Err(StackError::failed("stop the stores", problems.join("; "))) }
    }

    pub(super) fn processes(&self) -> [&ChildProcess; 2] {
        [&self.redis, &self.mysql]
    }

    pub(super) fn processes_mut(&mut self) -> [&mut ChildProcess; 2] {
        [&mut self.redis, &mut self.mysql]
    }

    /// The watchdog that also ends what else belongs to this stack.
    pub(super) fn watchdog(&self) -> Arc<Watchdog> {
        Arc::clone(&self.watchdog)
    }
}

fn mysql_url(password: &str, port: u16, database: &str) -> String {
    format!("mysql://{}:{password}@127.0.0.1:{port}/{database}", mysql_server::USER)
}

async fn start_redis(
    spec: &StoresSpec,
    folder: &PrivateFolder,
    logs: &Path,
    watchdog: &Arc<Watchdog>,
) -> Result<(ChildProcess, [u16; 1]), StackError> {
    let log = logs.join("redis.log");
    let launch = |[port]: [u16; 1]| redis_server::launch(folder.path(), &log, port, &spec.redis_args);
    let ready = async |process: &mut ChildProcess, [port]: [u16; 1]| {
        let pid = process.pid();
        let within = Duration::from_millis(spec.ready_ms);
        until_ready(process, within, "the Redis server answers", async || redis_server::probe(port, pid).await).await
    };
    on_free_ports(watchdog, launch, ready).await
}
