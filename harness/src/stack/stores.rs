//! Own Redis and MySQL servers in a private folder on free ports.
//!
//! In: a [`StoresSpec`]. Out: [`Stores`] that answer. Neither depends on the async runtime that started them. Service
//! processes are not started here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::bring_up::{on_free_ports, until_ready};
use super::child::{ChildProcess, Launch};
use super::containers::Images;
use super::folder::PrivateFolder;
use super::member::Member;
use super::ready::Ready;
use super::site::Site;
use super::steps::Steps;
use super::watchdog::Watchdog;
use super::{StackError, containers, entropy, mysql_server, programs, redis_server};
use crate::clock::RunClock;

/// Role of a second Redis server, and its folder.
pub(super) const REPLICA: &str = "redis-2";

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
    /// Whether a second Redis server follows the first.
    pub redis_replica: bool,
    /// The images that both run in containers of; on the machine itself if `None`.
    pub images: Option<Images>,
}

impl Default for StoresSpec {
    fn default() -> Self {
        Self { redis_args: Vec::new(), mysql_args: Vec::new(), logs: None, ready_ms: 60_000, redis_replica: false, images: None }
    }
}

/// Two running stores. Gone, with their folder, when stopped, dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Stores {
    // Fields are dropped in this order: processes, then their folder.
    redis: Arc<Member>,
    replica: Option<Replica>,
    mysql: Arc<Member>,
    redis_port: u16,
    mysql_port: u16,
    password: String,
    folder: PrivateFolder,
    watchdog: Arc<Watchdog>,
}

/// A second Redis server that follows the first.
#[derive(Debug)]
struct Replica {
    member: Arc<Member>,
    port: u16,
}

impl Stores {
    /// Starts both servers and waits until each answers. Cancel safe: what was started is ended.
    ///
    /// # Errors
    /// A server program that is missing, or one that did not get ready.
    pub async fn start(spec: StoresSpec) -> Result<Self, StackError> {
        let within = Duration::from_millis(spec.ready_ms);
        match &spec.images {
            Some(_) => containers::engine()?,
            None => {
                programs::redis_server()?;
                programs::mysql_server()?;
            }
        }
        let (folder, watchdog) = PrivateFolder::make()?;
        let logs = spec.logs.as_deref().unwrap_or(folder.path());
        let site = Site::new(folder.path(), spec.images.as_ref().map(|images| images.redis.as_str()));
        let log = logs.join("redis.log");
        let launch = |port| redis_server::launch("redis", &site, &log, port, &spec.redis_args);
        let (redis, redis_port) = start_redis(launch, within, &watchdog).await?;
        let replica = if spec.redis_replica {
            let own = site.folder_of(REPLICA)?;
            let log = logs.join(format!("{REPLICA}.log"));
            let follow = ["--replicaof".to_owned(), "127.0.0.1".to_owned(), redis_port.to_string()];
            let args: Vec<String> = spec.redis_args.iter().cloned().chain(follow).collect();
            let launch = |port| redis_server::launch(REPLICA, &own, &log, port, &args);
            let (member, port) = start_redis(launch, within, &watchdog).await?;
            Some(Replica { member, port })
        } else {
            None
        };
        let password = entropy::secret()?;
        let site = Site::new(folder.path(), spec.images.as_ref().map(|images| images.mysql.as_str()));
        let place = mysql_server::Place::new(site, &logs.join("mysql.log"), &password, &watchdog).await?;
        place.prepare(&watchdog, within).await?;
        let ready = |port| Ready::Mysql(mysql_url(mysql_server::USER, &password, port, ""));
        let answers = async |process: &mut ChildProcess, [port]: [u16; 1]| {
            let pid = process.pid();
            until_ready(process, within, "the MySQL server answers", async || ready(port).probe(pid).await).await
        };
        let launch = |port| place.launch(port, &spec.mysql_args);
        let (mysql, [mysql_port]) = on_free_ports(&watchdog, |[port]| Ok(launch(port)), answers).await?;
        let mysql = Member::new(mysql, launch(mysql_port), ready(mysql_port), within, Arc::clone(&watchdog));
        Ok(Self { redis, replica, mysql: Arc::new(mysql), redis_port, mysql_port, password, folder, watchdog })
    }

    /// `redis://127.0.0.1:port/`
    #[must_use]
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.redis_port)
    }

    /// Port of the Redis server that follows the first, if there is one.
    pub(super) fn replica_port(&self) -> Option<u16> {
        self.replica.as_ref().map(|replica| replica.port)
    }

    /// `mysql://user:password@127.0.0.1:port/database`; the database need not exist.
    #[must_use]
    pub fn mysql_url(&self, database: &str) -> String {
        mysql_url(mysql_server::USER, &self.password, self.mysql_port, database)
    }

    /// The same for the user that the service connects as: all rights in its own database, none over the server.
    pub(super) fn service_mysql_url(&self, database: &str) -> String {
        mysql_url(mysql_server::SERVICE_USER, &self.password, self.mysql_port, database)
    }

    /// Role and process id of both.
    #[must_use]
    pub fn pids(&self) -> Vec<(String, u32)> {
        self.members().map(|member| (member.role().to_owned(), member.pid())).collect()
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
    pub async fn stop(self) -> Result<(), StackError> {
        let steps = Steps::new(RunClock::start());
        let mut problems = Vec::new();
        for member in self.members() {
            problems.extend(member.stop(&steps).await);
        }
        problems.extend(self.folder.remove().err().map(|error| error.to_string()));
        if problems.is_empty() { Ok(()) } else { Err(StackError::failed("stop the stores", problems.join("; "))) }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        // The follower ends before the one that it follows.
        self.replica.iter().map(|replica| &replica.member).chain([&self.redis, &self.mysql])
    }

    /// The watchdog that also ends what else belongs to this stack.
    pub(super) fn watchdog(&self) -> Arc<Watchdog> {
        Arc::clone(&self.watchdog)
    }
}

fn mysql_url(user: &str, password: &str, port: u16, database: &str) -> String {
    format!("mysql://{user}:{password}@127.0.0.1:{port}/{database}")
}

/// Starts a Redis server on a free port and waits for it.
async fn start_redis(
    launch: impl Fn(u16) -> Result<Launch, StackError>,
    within: Duration,
    watchdog: &Arc<Watchdog>,
) -> Result<(Arc<Member>, u16), StackError> {
    let answers = async |process: &mut ChildProcess, [port]: [u16; 1]| {
        let (pid, ready) = (process.pid(), Ready::Redis(port));
        until_ready(process, within, "the Redis server answers", async || ready.probe(pid).await).await
    };
    let (process, [port]) = on_free_ports(watchdog, |[port]| launch(port), answers).await?;
    let member = Member::new(process, launch(port)?, Ready::Redis(port), within, Arc::clone(watchdog));
    Ok((Arc::new(member), port))
}
