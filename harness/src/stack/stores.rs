//! Own Redis and MySQL servers in a private folder on free ports.
//!
//! In: a [`StoresSpec`]. Out: [`Stores`] that answer. Neither depends on the async runtime that started them. Service
//! processes are not started here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::child::{ChildProcess, Launch, in_words};
use super::folder::PrivateFolder;
use super::ready::until_ready;
use super::watchdog::Watchdog;
use super::{StackError, entropy, mysql_server, ports, redis_server};

/// Longest wait for a server to end by itself once asked to.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Times that a server is started on another port because a stranger took the first.
const PORT_TRIES: u32 = 5;

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
        let (redis, redis_port) = start_redis(&spec, &folder, logs, &watchdog).await?;
        let password = entropy::secret()?;
        let place = mysql_server::Place::new(folder.path(), &logs.join("mysql.log"), &password)?;
        place.prepare(&watchdog, within).await?;
        let ready = async |process: &mut ChildProcess, port| {
            let url = mysql_url(&password, port, "");
            until_ready(process, within, "the MySQL server answers", async || mysql_server::probe(&url).await).await
        };
        let (mysql, mysql_port) = on_free_port(&watchdog, |port| Ok(place.launch(port, &spec.mysql_args)), ready).await?;
        Ok(Self { redis, mysql, redis_port, mysql_port, password, folder })
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
    /// A server that had to be killed, ended with an error or had ended before, or a folder that could not be removed. All is gone nevertheless, as
    /// far as it can be.
    pub async fn stop(mut self) -> Result<(), StackError> {
        let mut problems = Vec::new();
        for process in [&mut self.redis, &mut self.mysql] {
            problems.extend(stop_cleanly(process, STOP_WITHIN).await);
        }
        problems.extend(self.folder.remove().err().map(|error| error.to_string()));
        if problems.is_empty() { Ok(()) } else { Err(StackError::failed("stop the stores", problems.join("; "))) }
    }

    pub(super) fn processes(&self) -> [&ChildProcess; 2] {
        [&self.redis, &self.mysql]
    }
}

/// Stops a process that is to be running and to end with code 0; what was wrong about that, if anything.
pub(super) async fn stop_cleanly(process: &mut ChildProcess, within: Duration) -> Option<String> {
    let role = process.role().to_owned();
    if let Some(status) = process.ended() {
        return Some(format!("{role} had ended before with {}; its log ends:\n{}", in_words(status), process.log_tail()));
    }
    match process.stop(within).await {
        Ok((status, false)) if status.success() => None,
        Ok((_, true)) => Some(format!("{role} did not end within {} ms of SIGTERM and was killed", within.as_millis())),
        Ok((status, false)) => Some(format!("{role} ended with {}; its log ends:\n{}", in_words(status), process.log_tail())),
        Err(error) => Some(error.to_string()),
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
) -> Result<(ChildProcess, u16), StackError> {
    let log = logs.join("redis.log");
    let launch = |port| redis_server::launch(folder.path(), &log, port, &spec.redis_args);
    let ready = async |process: &mut ChildProcess, port| {
        let pid = process.pid();
        let within = Duration::from_millis(spec.ready_ms);
        until_ready(process, within, "the Redis server answers", async || redis_server::probe(port, pid).await).await
    };
    on_free_port(watchdog, launch, ready).await
}

/// Starts a server on a free port and waits for it; on another one if a stranger was quicker to take the port.
async fn on_free_port(
    watchdog: &Arc<Watchdog>,
    launch: impl Fn(u16) -> Result<Launch, StackError>,
    ready: impl AsyncFn(&mut ChildProcess, u16) -> Result<(), StackError>,
) -> Result<(ChildProcess, u16), StackError> {
    let mut tries = 0;
    loop {
        let port = ports::free_port()?;
        let mut process = ChildProcess::spawn(&launch(port)?, watchdog)?;
        tries += 1;
        match ready(&mut process, port).await {
            Ok(()) => return Ok((process, port)),
            Err(_) if tries < PORT_TRIES && process.ended().is_some() && ports::was_taken(&process.log_tail()) => {}
            Err(error) => return Err(error),
        }
    }
}
