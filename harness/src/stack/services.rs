//! The whole stack: stores, and the service processes on top of them.
//!
//! In: a [`StackSpec`]. Out: a running [`Stack`], what load may know of it ([`Endpoints`]), and the steps in the life of its
//! processes, for the history. What becomes of the steps and of unexpected ends is the caller's matter.

use std::sync::Arc;
use std::time::Duration;

use super::bring_up::stop_cleanly;
use super::child::{ChildProcess, in_words};
use super::external;
use super::service::{Birth, Service};
use super::steps::Steps;
use super::stores::{Stores, StoresSpec};
use super::usage::{self, Usage};
use super::watchdog::Watchdog;
use super::{Backend, Endpoints, StackError, StackSpec, entropy};
use crate::clock::RunClock;
use crate::history::operation::Timed;
use crate::history::record::{ProcMark, ProcStep};
use futures_util::future::{join_all, try_join_all};

/// Longest wait for a service to end by itself once asked to.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A running stack. All that it started is gone when it is stopped, dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Stack {
    // Services are dropped before the stores that they use.
    services: Vec<Service>,
    /// `None` for external stores, and once stopped.
    stores: Option<Stores>,
    endpoints: Endpoints,
    steps: Steps,
    /// Roles whose unexpected end was told.
    told: Vec<String>,
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
        let (stores, redis_url, mysql_url) = bring_stores(&spec, &steps).await?;
        let watchdog = stores.as_ref().map_or_else(|| Watchdog::start(None).map(Arc::new), |stores| Ok(stores.watchdog()))?;
        let endpoints = Endpoints { api: Vec::new(), admin: Vec::new(), admin_token: entropy::secret()?, redis_url, mysql_url };
        let birth = Birth { spec: &spec, endpoints: &endpoints, watchdog: &watchdog, steps: &steps };
        let services = try_join_all(roles(&spec).map(|role| Service::start(role, birth))).await?;
        let api = services.iter().filter_map(|service| service.public).collect();
        let admin = services.iter().map(|service| (service.process.role().to_owned(), service.admin)).collect();
        Ok(Self { endpoints: Endpoints { api, admin, ..endpoints }, services, stores, steps, told: Vec::new() })
    }

    /// Where everything listens.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Role and process id of every process: `redis` and `mysql` unless external, `api-1`, ..., `worker-1`, ...
    #[must_use]
    pub fn pids(&self) -> Vec<(String, u32)> {
        self.processes().map(|process| (process.role().to_owned(), process.pid())).collect()
    }

    /// What every process has used so far, this one (`harness`) first. One that is gone is left out.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let own = usage::of("harness", std::process::id());
        own.into_iter().chain(self.processes().filter_map(|process| usage::of(process.role(), process.pid()))).collect()
    }

    /// Processes that ended although nobody asked them to, in words, each told once. To be polled while the run goes on.
    pub fn exited_unexpectedly(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let stores = self.stores.iter_mut().flat_map(Stores::processes_mut);
        for process in stores.chain(self.services.iter_mut().map(|service| &mut service.process)) {
            let Some(status) = process.ended() else { continue };
            if self.told.iter().all(|role| role != process.role()) {
                let how = in_words(status);
                self.told.push(process.role().to_owned());
                self.steps.note(process, ProcStep::Exited, &how);
                found.push(format!("{} ended with {how}; its log ends:\n{}", process.role(), process.log_tail()));
            }
        }
        found
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
        let steps = &self.steps;
        let services = self.services.iter_mut().map(|service| &mut service.process);
        problems.extend(join_all(services.map(|process| stop_noted(process, steps))).await.into_iter().flatten());
        self.services.clear();
        // A store may have ended while the services took their time.
        problems.extend(self.exited_unexpectedly());
        let steps = &self.steps;
        if let Some(mut stores) = self.stores.take() {
            problems.extend(join_all(stores.processes_mut().map(|process| stop_noted(process, steps))).await.into_iter().flatten());
            problems.extend(stores.stop().await.err().map(|error| error.to_string()));
        }
        problems
    }

    fn processes(&self) -> impl Iterator<Item = &ChildProcess> {
        let stores = self.stores.iter().flat_map(Stores::processes);
        stores.chain(self.services.iter().map(|service| &service.process))
    }
}

/// The stores of a stack, and the URLs of Redis and of the service's database.
async fn bring_stores(spec: &StackSpec, steps: &Steps) -> Result<(Option<Stores>, String, String), StackError> {
    match &spec.backend {
        Backend::External { redis_url, mysql_url, may_wipe } => {
            let within = Duration::from_millis(spec.ready_ms);
            let mysql_url = external::claim(redis_url, mysql_url, *may_wipe, within).await?;
            Ok((None, redis_url.clone(), mysql_url))
        }
        Backend::Process => {
            let wanted = StoresSpec { logs: Some(spec.logs.clone()), ready_ms: spec.ready_ms, ..StoresSpec::default() };
            let stores = Stores::start(wanted).await?;
            for process in stores.processes() {
                steps.note(process, ProcStep::Ready, "");
            }
            let made = external::create_database(&stores.mysql_url(""), external::DATABASE).await;
            made.map_err(|error| StackError::failed(format!("create database {}", external::DATABASE), error.to_string()))?;
            let (redis_url, mysql_url) = (stores.redis_url(), stores.mysql_url(external::DATABASE));
            Ok((Some(stores), redis_url, mysql_url))
        }
    }
}

/// `api-1`, ..., `worker-1`, ...
fn roles(spec: &StackSpec) -> impl Iterator<Item = String> {
    let numbered = |role: &'static str, count: u16| (1..=count).map(move |number| format!("{role}-{number}"));
    numbered("api", spec.processes.api).chain(numbered("worker", spec.processes.worker))
}

/// Stops a process unless it has ended, and notes the steps.
async fn stop_noted(process: &mut ChildProcess, steps: &Steps) -> Option<String> {
    if process.ended().is_some() {
        return None;
    }
    steps.note(process, ProcStep::Signalled, "SIGTERM");
    let problem = stop_cleanly(process, STOP_WITHIN).await;
    let how = process.ended().map_or_else(|| "still there".to_owned(), in_words);
    steps.note(process, ProcStep::Exited, &how);
    problem
}
