//! The proxies between the services and the stores, one for each service process and store, so that a frame names its process; and those before
//! the public listeners, where somebody waits for what clients are told.
//!
//! In: a role, and the stores as it would reach them directly. Out: the stores as it reaches them through its own proxies.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use super::service::StoreUrls;
use super::{StackError, StackSpec, ports};
use crate::clock::RunClock;
use crate::proxy::tap::dialect::Dialect;
use crate::proxy::tap::{Calls, Process, http_taps, mysql_taps, redis_taps};
use crate::proxy::{Network, Protocol, Proxies, ProxySpec, RemoteProxies};
use crate::scenario::faults::Store;
use crate::seed::Seed;
use crate::target::dialect::holdfast_with;

/// Whose way the harness's own is.
const OWN: &str = "harness";

/// All proxies of a stack.
#[derive(Debug)]
pub(super) struct Links {
    network: Network,
    dialect: Arc<Dialect>,
    clock: RunClock,
    /// What the taps of each role have seen.
    processes: Mutex<BTreeMap<String, Arc<Process>>>,
    /// Names of the proxies that lead to Redis.
    to_redis: Mutex<Vec<String>>,
}

impl Links {
    /// Starts the thread of the proxies, or reaches the Toxiproxy server that stands in their place; nothing if the stack wants none.
    pub(super) async fn start(spec: &StackSpec, clock: RunClock) -> Result<Option<Self>, StackError> {
        let Some(seed) = spec.proxied else { return Ok(None) };
        let network = match &spec.toxiproxy {
            None => Network::Here(own(seed, clock)?),
            Some(url) => {
                let refused = |why| StackError::Refused(format!("use the Toxiproxy server {url}: {why}"));
                Network::There(RemoteProxies::at(url).await.map_err(refused)?)
            }
        };
        let dialect = Arc::new(holdfast_with(&spec.service.scripts));
        Ok(Some(Self { network, dialect, clock, processes: Mutex::default(), to_redis: Mutex::default() }))
    }

    pub(super) const fn network(&self) -> &Network {
        &self.network
    }

    /// Opens the proxies of `role`.
    pub(super) async fn open(&self, role: &str, direct: &StoreUrls) -> Result<StoreUrls, StackError> {
        let (redis, mysql) = match &self.network {
            // A Toxiproxy server knows no protocol.
            Network::There(_) => (Protocol::Plain, Protocol::Plain),
            Network::Here(_) => {
                let process = Arc::new(Process::at(self.clock));
                lock(&self.processes).insert(role.to_owned(), Arc::clone(&process));
                let redis = redis_taps(Arc::clone(&self.dialect), Arc::clone(&process));
                let mysql = mysql_taps(Arc::clone(&self.dialect), process);
                (Protocol::Dissected(redis), Protocol::Dissected(mysql))
            }
        };
        Ok(StoreUrls {
            redis: self.through(role, (Store::Redis, &direct.redis), redis).await?,
            mysql: self.through(role, (Store::Mysql, &direct.mysql), mysql).await?,
        })
    }

    /// Opens the proxy between the clients and the public listener of `role`; where it listens.
    pub(super) async fn open_front(&self, role: &str, public: SocketAddr) -> Result<SocketAddr, StackError> {
        let name = front(role);
        let act = format!("open the proxy {name}");
        let process = lock(&self.processes).get(role).cloned().unwrap_or_default();
        let protocol = Protocol::Dissected(http_taps(Arc::clone(&self.dialect), process));
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()?)).to_string();
        let own = self.network.own().map_err(|error| StackError::failed(act.clone(), error.to_string()))?;
        let spec = ProxySpec { name, upstream: public.to_string(), listen, protocol };
        own.create(spec).await.map_err(|error| StackError::failed(act, error.to_string()))
    }

    /// Opens a way for the harness itself to whichever Redis serves now; no fault ever touches it.
    pub(super) async fn open_own(&self, redis_url: &str) -> Result<String, StackError> {
        self.through(OWN, (Store::Redis, redis_url), Protocol::Plain).await
    }

    /// Leads every connection to Redis to another server from now on.
    pub(super) async fn lead_redis_to(&self, upstream: &str) -> Result<(), StackError> {
        let names = lock(&self.to_redis).clone();
        for name in names {
            let led = self.network.set_upstream(&name, upstream).await;
            led.map_err(|error| StackError::failed(format!("lead {name} to {upstream}"), error.to_string()))?;
        }
        Ok(())
    }

    /// What was seen of the calls of `pre_deduct` so far, by role; nothing where no tap stands.
    pub(super) fn pre_deducts(&self) -> Vec<(String, Calls)> {
        let calls = |(role, process): (&String, &Arc<Process>)| (role.clone(), process.pre_deducts());
        lock(&self.processes).iter().map(calls).collect()
    }

    /// Connections to Redis that `role` has lost or could not open so far.
    pub(super) fn lost_connections(&self, role: &str) -> u64 {
        let counters = self.network.own().ok().and_then(|own| own.counters(&name(role, Store::Redis)).ok());
        counters.map_or(0, |counters| counters.opened.saturating_sub(counters.open() as u64))
    }

    /// Closes what would outlive this process; what was wrong about that, if anything.
    pub(super) async fn close(&self) -> Option<String> {
        self.network.close().await.err().map(|error| format!("close the proxies: {error}"))
    }

    async fn through(&self, role: &str, (store, url): (Store, &str), protocol: Protocol) -> Result<String, StackError> {
        let name = name(role, store);
        let act = format!("open the proxy {name}");
        let (before, server, after) =
            split(url).ok_or_else(|| StackError::failed(act.clone(), "the address of its store has no host"))?;
        let upstream = if has_port(server) { server.to_owned() } else { format!("{server}:{}", usual_port(store)) };
        if store == Store::Redis {
            lock(&self.to_redis).push(name.clone());
        }
        let spec = ProxySpec { name, upstream, listen: self.listen()?, protocol };
        let listens = self.network.create(spec).await.map_err(|error| StackError::failed(act, error.to_string()))?;
        Ok(format!("{before}{listens}{after}"))
    }

    /// Where the next proxy listens. Not a port of the system's choice: while the proxy refuses, nobody else may get it.
    fn listen(&self) -> Result<String, StackError> {
        match &self.network {
            Network::There(proxies) if !proxies.is_near() => Ok("0.0.0.0:0".to_owned()),
            _ => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()?)).to_string()),
        }
    }
}

fn own(seed: Seed, clock: RunClock) -> Result<Proxies, StackError> {
    Proxies::start(seed, clock).map_err(|error| StackError::failed("start the proxies", error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The port of a URL that names none.
const fn usual_port(store: Store) -> u16 {
    match store {
        Store::Redis => 6379,
        Store::Mysql => 3306,
    }
}

/// Name of the proxy between the clients and `role`.
pub(super) fn front(role: &str) -> String {
    format!("{role}.clients")
}

/// Name of the proxy between `role` and a store.
pub(super) fn name(role: &str, store: Store) -> String {
    format!("{role}.{}", store.name())
}

/// A URL before, at and behind its `host[:port]`.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let start = url[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    (start < end).then(|| (&url[..start], &url[start..end], &url[end..]))
}

/// Whether `host[:port]` names a port; the colons of an IPv6 address stand in brackets.
fn has_port(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_around_its_server() {
        assert_eq!(split("redis://127.0.0.1:6379/"), Some(("redis://", "127.0.0.1:6379", "/")));
        assert_eq!(split("mysql://u:p@h:1/shop?x=1"), Some(("mysql://u:p@", "h:1", "/shop?x=1")));
        assert_eq!(split("redis://h"), Some(("redis://", "h", "")));
        assert_eq!(split("redis:///0"), None);
        assert!(has_port("h:1") && has_port("[::1]:1") && !has_port("h") && !has_port("[::1]"));
    }
}
