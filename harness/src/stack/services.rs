//! The whole stack: stores, and the service processes on top of them.
//!
//! In: a [`StackSpec`]. Out: a running [`Stack`], what load may know of it ([`Endpoints`]), and the steps in the life of its
//! processes, for the history. What becomes of the steps and of unexpected ends is the caller's matter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::controls::Controls;
use super::external;
use super::links::Links;
use super::member::Member;
use super::redis_server;
use super::service::{Birth, Service, StoreUrls};
use super::steps::Steps;
use super::stores::{Stores, StoresSpec};
use super::usage::{self, Usage};
use super::watchdog::Watchdog;
use super::{Backend, Endpoints, StackError, StackSpec, entropy};
use crate::clock::RunClock;
use crate::history::operation::Timed;
use crate::history::record::{ProcMark, ProcStep};
use crate::proxy::tap::Calls;
use futures_util::future::{join_all, try_join_all};

/// What the proxy of a process saw of its calls of `pre_deduct`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreDeducts {
    /// `api-1`
    pub role: String,
    /// How they ended.
    pub calls: Calls,
    /// Connections to Redis that have ended or could not be opened: a call that never left the process is not among the calls.
    pub lost_connections: u64,
}

/// A running stack. All that it started is gone when it is stopped, dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Stack {
    // Services are dropped before the stores that they use.
    services: Vec<Service>,
    /// Between the services and the stores, if they are proxied.
    links: Option<Links>,
    /// `None` for external stores, and once stopped.
    stores: Option<Stores>,
    endpoints: Endpoints,
    /// The stores as the service would reach them directly.
    service_urls: StoreUrls,
    steps: Steps,
}

impl Stack {
    /// Brings up the stores, or claims the given ones, then all service processes, and waits until each is ready. Cancel safe:
    /// what was started is ended.
    ///
    /// # Errors
    /// A program that is missing, given stores that hold data, or a process that did not get ready; with the tail of its log.
    pub async fn start(spec: StackSpec, clock: RunClock) -> Result<Self, StackError> {
        std::fs::create_dir_all(&spec.logs).map_err(StackError::io(format!("make {}", spec.logs.display())))?;
        let steps = Steps::new(clock);
        // Before the stores: a Toxiproxy server that is not there is told before anything is started.
        let links = Links::start(&spec, clock).await?;
        let (stores, direct, urls) = bring_stores(&spec, &steps).await?;
        let watchdog = stores.as_ref().map_or_else(|| Watchdog::start(None).map(Arc::new), |stores| Ok(stores.watchdog()))?;
        let admin_token = entropy::secret()?;
        let birth = Birth { spec: &spec, admin_token: &admin_token, watchdog: &watchdog, steps: &steps };
        let one = async |role: String| {
            let urls = match &links {
                Some(links) => links.open(&role, &urls).await?,
                None => urls.clone(),
            };
            Service::start(role, urls, birth).await
        };
        let services = try_join_all(roles(&spec).map(one)).await?;
        let direct = match &links {
            Some(links) if spec.redis_replica => StoreUrls { redis: links.open_own(&direct.redis).await?, ..direct },
            _ => direct,
        };
        let api = public(&services, links.as_ref().filter(|_| spec.fronted)).await?;
        let admin = services.iter().map(|service| (service.member.role().to_owned(), service.admin)).collect();
        let StoreUrls { redis: redis_url, mysql: mysql_url } = direct;
        Ok(Self {
            endpoints: Endpoints { api, admin, admin_token, redis_url, mysql_url },
            service_urls: urls,
            services,
            links,
            stores,
            steps,
        })
    }

    /// Where everything listens.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Role and process id of every process: `redis` and `mysql` unless external, `api-1`, ..., `worker-1`, ...
    #[must_use]
    pub fn pids(&self) -> Vec<(String, u32)> {
        self.members().map(|member| (member.role().to_owned(), member.pid())).collect()
    }

    /// What every process has used so far, this one (`harness`) first. One that is gone is left out.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let own = usage::of("harness", std::process::id());
        own.into_iter().chain(self.members().filter_map(|member| usage::of(member.role(), member.pid()))).collect()
    }

    /// Processes that ended although nobody asked them to, in words, each told once. To be polled while the run goes on.
    #[must_use]
    pub fn exited_unexpectedly(&self) -> Vec<String> {
        self.members().filter_map(|member| member.unexpected_end(&self.steps)).collect()
    }

    /// The steps in the life of the processes since the last call, in order of time.
    #[must_use]
    pub fn take_steps(&self) -> Vec<Timed<ProcMark>> {
        self.steps.take()
    }

    /// Ends the services (SIGTERM, and after 10 s SIGKILL), then the stores, and removes the private folder. What was not as it
    /// should be: a process that had to be killed, ended with an error, or had ended before and was not told yet. A second
    /// call does nothing.
    pub async fn stop(&mut self) -> Vec<String> {
        let mut problems = self.exited_unexpectedly();
        let services = self.services.iter().map(|service| service.member.stop(&self.steps));
        problems.extend(join_all(services).await.into_iter().flatten());
        self.services.clear();
        // A store may have ended while the services took their time.
        problems.extend(self.exited_unexpectedly());
        if let Some(stores) = self.stores.take() {
            let ended = join_all(stores.members().map(|member| member.stop(&self.steps))).await;
            problems.extend(ended.into_iter().flatten());
            problems.extend(stores.stop().await.err().map(|error| error.to_string()));
        }
        if let Some(links) = self.links.take() {
            problems.extend(links.close().await);
        }
        problems
    }

    /// How the calls of `pre_deduct` of each role have ended so far, as its proxy saw them, and how many connections to Redis it has lost or could
    /// not open. Nothing where no proxy of this process stands before Redis.
    #[must_use]
    pub fn pre_deducts(&self) -> Vec<PreDeducts> {
        let of = |links: &Links| {
            let calls = links.pre_deducts().into_iter();
            calls.map(|(role, calls)| PreDeducts { lost_connections: links.lost_connections(&role), role, calls }).collect()
        };
        self.links.as_ref().map(of).unwrap_or_default()
    }

    /// A hand on its processes and stores, for faults only.
    #[must_use]
    pub const fn controls(&self) -> Controls<'_> {
        Controls::new(self)
    }

    pub(super) const fn steps(&self) -> &Steps {
        &self.steps
    }

    pub(super) const fn service_urls(&self) -> &StoreUrls {
        &self.service_urls
    }

    /// The stores as a service was told of them.
    pub(super) fn urls_of(&self, role: &str) -> Option<&StoreUrls> {
        self.services.iter().find(|service| service.member.role() == role).map(|service| &service.urls)
    }

    /// The proxies in front of the stores.
    pub(super) fn links(&self) -> Result<&Links, StackError> {
        let why = || StackError::failed("lay hands on the network", "this stack was started without proxies");
        self.links.as_ref().ok_or_else(why)
    }

    /// Our own stores.
    pub(super) fn stores(&self) -> Result<&Stores, StackError> {
        let why = || StackError::failed("lay hands on the stores", "they belong to somebody else");
        self.stores.as_ref().ok_or_else(why)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        let stores = self.stores.iter().flat_map(Stores::members);
        stores.chain(self.services.iter().map(|service| &service.member))
    }
}

/// Where clients reach the api processes: their listeners, or the proxies before them.
async fn public(services: &[Service], fronts: Option<&Links>) -> Result<Vec<SocketAddr>, StackError> {
    let listeners = services.iter().filter_map(|service| Some((service.member.role(), service.public?)));
    match fronts {
        None => Ok(listeners.map(|(_, address)| address).collect()),
        Some(links) => try_join_all(listeners.map(|(role, address)| links.open_front(role, address))).await,
    }
}

/// The stores of a stack, and their URLs for the harness and for the service.
async fn bring_stores(spec: &StackSpec, steps: &Steps) -> Result<(Option<Stores>, StoreUrls, StoreUrls), StackError> {
    match &spec.backend {
        Backend::External { redis_url, mysql_url, may_wipe } => {
            let within = Duration::from_millis(spec.ready_ms);
            let mysql = external::claim(redis_url, mysql_url, *may_wipe, within).await?;
            let urls = StoreUrls { redis: redis_url.clone(), mysql };
            Ok((None, urls.clone(), urls))
        }
        Backend::Process | Backend::Containers(_) => {
            let images = match &spec.backend {
                Backend::Containers(images) => Some(images.clone()),
                _ => None,
            };
            let redis_args = spec.redis_append_only.then_some(redis_server::APPEND_ONLY).into_iter().flatten();
            let redis_args = redis_args.map(str::to_owned).collect();
            let (logs, redis_replica) = (Some(spec.logs.clone()), spec.redis_replica);
            let wanted = StoresSpec { redis_args, logs, ready_ms: spec.ready_ms, redis_replica, images, ..StoresSpec::default() };
            let stores = Stores::start(wanted).await?;
            for member in stores.members() {
                member.note(steps, ProcStep::Ready, "").await;
            }
            let made = external::create_database(&stores.mysql_url(""), external::DATABASE).await;
            made.map_err(|error| StackError::failed(format!("create database {}", external::DATABASE), error.to_string()))?;
            let direct = StoreUrls { redis: stores.redis_url(), mysql: stores.mysql_url(external::DATABASE) };
            let service = StoreUrls { redis: stores.redis_url(), mysql: stores.service_mysql_url(external::DATABASE) };
            Ok((Some(stores), direct, service))
        }
    }
}

/// `api-1`, ..., `worker-1`, ...
fn roles(spec: &StackSpec) -> impl Iterator<Item = String> {
    let numbered = |role: &'static str, count: u16| (1..=count).map(move |number| format!("{role}-{number}"));
    numbered("api", spec.processes.api).chain(numbered("worker", spec.processes.worker))
}
