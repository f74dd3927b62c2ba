//! What faults may do to a running stack: end, stop and bring back its processes, and lay hands on its stores.
//!
//! In: roles. Out: proof of what was done. Load and snapshot know [`Endpoints`](super::Endpoints) and never this.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::StackError;
use super::dead_man::DeadMan;
use super::links::{self, Links};
use super::member::Member;
use super::services::Stack;
use super::usage::Life;
use crate::proxy::{Network, Proxies};
use crate::scenario::faults::Store;

/// A hand on a running stack. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Controls<'a> {
    stack: &'a Stack,
}

impl<'a> Controls<'a> {
    pub(super) const fn new(stack: &'a Stack) -> Self {
        Self { stack }
    }

    /// Process id of the latest life of `role`.
    ///
    /// # Errors
    /// No process of this stack has that role.
    pub fn pid(&self, role: &str) -> Result<u32, StackError> {
        Ok(self.member(role)?.pid())
    }

    /// What the kernel says of `role`; `None` if it is gone.
    ///
    /// # Errors
    /// No process of this stack has that role.
    pub fn life(&self, role: &str) -> Result<Option<Life>, StackError> {
        Ok(self.member(role)?.life())
    }

    /// Kills `role` (SIGKILL) and waits until it is gone; how it ended, as its parent was told: `signal 9`.
    ///
    /// # Errors
    /// It had ended before, or cannot be signalled.
    pub async fn kill(&self, role: &str) -> Result<String, StackError> {
        self.member(role)?.kill(self.stack.steps()).await
    }

    /// Asks `role` to end (SIGTERM); how it ended, and whether it had to be killed after 10 s.
    ///
    /// # Errors
    /// It had ended before, or cannot be signalled.
    pub async fn terminate(&self, role: &str) -> Result<(String, bool), StackError> {
        self.member(role)?.terminate(self.stack.steps()).await
    }

    /// Stops `role` where it stands (SIGSTOP), at most for `max`; it stands still when this returns.
    ///
    /// # Errors
    /// It has ended, cannot be signalled, or has not stopped within 10 s.
    pub async fn pause(&self, role: &str, max: Duration) -> Result<Paused<'a>, StackError> {
        let member = Arc::clone(self.member(role)?);
        let asleep = Arc::downgrade(&member);
        let wake = move || asleep.upgrade().into_iter().for_each(|member| member.resume_now());
        let dead_man = DeadMan::arm(max, wake).map_err(StackError::io(format!("arm the timer that resumes {role}")))?;
        // The guard first: if the pause is cancelled half-way, it is undone.
        let paused = Paused { stack: self.stack, member, dead_man: Some(dead_man) };
        paused.member.pause(self.stack.steps()).await?;
        Ok(paused)
    }

    /// Starts an ended `role` again on the same ports with the same data, and waits until it is ready; its new process id.
    ///
    /// # Errors
    /// It still runs, or did not get ready.
    pub async fn restart(&self, role: &str) -> Result<u32, StackError> {
        self.member(role)?.restart(self.stack.steps()).await
    }

    /// Address of Redis itself, with all rights.
    #[must_use]
    pub fn redis_url(&self) -> String {
        self.stack.endpoints().redis_url.clone()
    }

    /// Address of the service's database itself, with all rights.
    #[must_use]
    pub fn mysql_url(&self) -> String {
        self.stack.endpoints().mysql_url.clone()
    }

    /// The same for the user that the service connects as.
    #[must_use]
    pub fn service_mysql_url(&self) -> String {
        self.stack.service_urls().mysql.clone()
    }

    /// The proxies between the services and the stores.
    ///
    /// # Errors
    /// The stack was started without proxies.
    pub fn network(&self) -> Result<&'a Network, StackError> {
        self.stack.links().map(Links::network)
    }

    /// The same, if they are those of this process.
    ///
    /// # Errors
    /// The stack was started without proxies, or with those of a Toxiproxy server.
    pub fn proxies(&self) -> Result<&'a Proxies, StackError> {
        let own = self.network()?.own();
        own.map_err(|error| StackError::failed("lay hands on the proxies", error.to_string()))
    }

    /// Name of the proxy between `role` and `store`.
    #[must_use]
    pub fn link(&self, role: &str, store: Store) -> String {
        links::name(role, store)
    }

    /// Name of the proxy between the clients and `role`, which only a stack that is fronted has.
    #[must_use]
    pub fn front(&self, role: &str) -> String {
        links::front(role)
    }

    /// The generation of the proxies; 0 without proxies.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.network().map_or(0, Network::generation)
    }

    /// The address of a store as `role` reaches it, through its proxy.
    ///
    /// # Errors
    /// No service of this stack has that role.
    pub fn url_of(&self, role: &str, store: Store) -> Result<String, StackError> {
        let why = || StackError::failed(format!("find the service {role}"), "the stack has none");
        let urls = self.stack.urls_of(role).ok_or_else(why)?;
        Ok(match store {
            Store::Redis => urls.redis.clone(),
            Store::Mysql => urls.mysql.clone(),
        })
    }

    /// Address of the Redis server that follows the first.
    ///
    /// # Errors
    /// There is none.
    pub fn replica_url(&self) -> Result<String, StackError> {
        let why = || StackError::failed("find the replica of redis", "this stack was started without one");
        let port = self.stack.stores()?.replica_port().ok_or_else(why)?;
        Ok(format!("redis://127.0.0.1:{port}/"))
    }

    /// Leads every connection to Redis, also that of [`redis_url`](Self::redis_url), to the replica from now on.
    ///
    /// # Errors
    /// There is none, or a proxy refuses.
    pub async fn lead_to_replica(&self) -> Result<(), StackError> {
        let url = self.replica_url()?;
        let server = url.trim_start_matches("redis://").trim_end_matches('/');
        self.stack.links()?.lead_redis_to(server).await
    }

    /// Folder in which our own Redis keeps its data.
    ///
    /// # Errors
    /// The stores belong to somebody else.
    pub fn redis_data(&self) -> Result<PathBuf, StackError> {
        self.stack.stores().map(|stores| stores.folder().to_path_buf())
    }

    fn member(&self, role: &str) -> Result<&'a Arc<Member>, StackError> {
        let mut members = self.stack.members();
        let why = || StackError::failed(format!("find the process of {role}"), "the stack has none");
        members.find(|member| member.role() == role).ok_or_else(why)
    }
}

/// A process that is stopped where it stands. It goes on when this is dropped, and at the latest after the time that was given.
#[derive(Debug)]
#[must_use = "it goes on at once when this is dropped"]
pub struct Paused<'a> {
    stack: &'a Stack,
    member: Arc<Member>,
    /// `None` only while it is let go.
    dead_man: Option<DeadMan>,
}

impl Paused<'_> {
    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// It cannot be signalled.
    pub async fn resume(mut self) -> Result<(), StackError> {
        self.dead_man.take();
        self.member.resume(self.stack.steps()).await
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        if self.dead_man.take().is_some() {
            self.member.resume_now();
        }
    }
}
