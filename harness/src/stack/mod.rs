//! The running system: two stores and the service processes.
//!
//! In: a [`StackSpec`] (wanted). Out: a [`Stack`](services::Stack) (running), its [`Endpoints`] for load and snapshot. Everything that it
//! started and made is gone when it is stopped, dropped, or when the harness is killed.

mod bring_up;
mod child;
pub mod containers;
pub mod controls;
mod dead_man;
mod entropy;
mod external;
mod folder;
mod links;
mod member;
mod mysql_server;
mod ports;
mod programs;
mod ready;
mod redis_server;
mod service;
pub mod services;
mod site;
mod steps;
pub mod stores;
pub mod usage;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;

use self::containers::Images;
use crate::scenario::Processes;
use crate::seed::Seed;

/// How the service is started: a program and its leading arguments. The process backend appends the service's own flags:
/// `--role api|worker --listen ADDR --admin-listen ADDR` (a worker gets no `--listen`) and the settings of the spec. What is secret
/// goes by environment variables: `HOLDFAST_REDIS_URL`, `HOLDFAST_MYSQL_URL` and `HOLDFAST_ADMIN_TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCommand {
    /// The program, usually the running binary itself.
    pub program: PathBuf,
    /// Arguments before the service's own.
    pub leading: Vec<String>,
    /// Name and text of each script that it runs instead of the one in `lua/`: those of a build with planted defects.
    pub scripts: Vec<(String, String)>,
}

/// Where the stores come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Backend {
    /// Own processes in a private folder on free ports.
    #[default]
    Process,
    /// Own servers in containers of the Docker engine of this machine, on free ports, with their data in a private folder.
    Containers(Images),
    /// Servers that somebody else runs.
    External {
        /// `redis://...`
        redis_url: String,
        /// `mysql://...`
        mysql_url: String,
        /// Whether the harness may empty them.
        may_wipe: bool,
    },
}

impl Backend {
    /// Whether the harness starts the stores itself, and may do to them what it wants.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        !matches!(self, Self::External { .. })
    }

    /// The name used on command lines and in files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Containers(_) => "containers",
            Self::External { .. } => "external",
        }
    }
}

/// What a run stands on, beside its scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rig {
    /// Where the stores come from.
    pub backend: Backend,
    /// A Toxiproxy server in place of the proxies of this process: `http://host:port`.
    pub toxiproxy: Option<String>,
    /// Further arguments of every service process, after those that follow from the scenario.
    pub service_args: Vec<String>,
}

/// The stack that a run wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackSpec {
    /// Stores.
    pub backend: Backend,
    /// Service processes.
    pub processes: Processes,
    /// The service.
    pub service: ServiceCommand,
    /// Further flags of the service: `--resolver-grace-ms 2000`.
    pub service_flags: Vec<String>,
    /// Longest wait for any one process to be ready.
    pub ready_ms: u64,
    /// Whether our own Redis keeps an append-only file, so that a restart finds its data.
    pub redis_append_only: bool,
    /// Whether a second Redis server of our own follows the first, to be promoted; only with proxies.
    pub redis_replica: bool,
    /// Seed of the proxies between every service process and each store; no proxies if `None`.
    pub proxied: Option<Seed>,
    /// A Toxiproxy server whose proxies these are, `http://host:port`; those of this process if `None`.
    pub toxiproxy: Option<String>,
    /// Whether a proxy of this process also stands before each public listener.
    pub fronted: bool,
    /// Folder for the logs of all processes; kept.
    pub logs: PathBuf,
}

/// What load and snapshot may know of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Public listeners of the api processes, by index.
    pub api: Vec<SocketAddr>,
    /// Admin listeners of all processes: role name and address.
    pub admin: Vec<(String, SocketAddr)>,
    /// Bearer token of the admin listeners.
    pub admin_token: String,
    /// Redis itself, not through a proxy.
    pub redis_url: String,
    /// MySQL itself, not through a proxy.
    pub mysql_url: String,
}

impl Endpoints {
    /// The admin listener of the first process of role api.
    ///
    /// # Errors
    /// There is none.
    pub fn api_admin(&self) -> Result<SocketAddr, StackError> {
        let api = self.admin.iter().find(|(role, _)| role.starts_with("api"));
        let why = || format!("the roles are {:?}", self.admin.iter().map(|(role, _)| role).collect::<Vec<_>>());
        api.map(|(_, address)| *address).ok_or_else(|| StackError::failed("find the admin listener of an api process", why()))
    }
}

/// Why the stack could not be brought up, or failed.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A server program is not on PATH; the text says what to install or how to go without.
    #[error("{0}")]
    Missing(String),
    /// The given stores hold data that may not be wiped, or a URL is not one.
    #[error("{0}")]
    Refused(String),
    /// A step failed.
    #[error("{act}: {why}")]
    Failed {
        /// What was tried, and on what.
        act: String,
        /// What happened.
        why: String,
    },
}

impl StackError {
    /// Whether it is for the user to mend, with another command line or another machine, because nothing ran.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Refused(_))
    }

    fn failed(act: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Failed { act: act.into(), why: why.into() }
    }

    /// Turns what the system said into the failure of `act`.
    fn io(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let act = act.into();
        |error| Self::failed(act, error.to_string())
    }
}
