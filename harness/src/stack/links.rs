//! The proxies between the services and the stores: one for each service process and store, so that a frame names its process.
//!
//! In: a role, and the stores as it would reach them directly. Out: the stores as it reaches them through its own proxies.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::service::StoreUrls;
use super::{StackError, ports};
use crate::clock::RunClock;
use crate::proxy::tap::dialect::Dialect;
use crate::proxy::tap::{Process, mysql_taps, redis_taps};
use crate::proxy::{Protocol, Proxies, ProxySpec, ProxyView};
use crate::scenario::faults::Store;
use crate::seed::Seed;
use crate::target::dialect::holdfast_with;

/// Whose way the harness's own is.
const OWN: &str = "harness";

/// All proxies of a stack.
#[derive(Debug)]
pub(super) struct Links {
    proxies: Proxies,
    dialect: Arc<Dialect>,
}

impl Links {
    /// Starts the thread of the proxies. `scripts` are known beside those of the reference service.
    pub(super) fn start(seed: Seed, clock: RunClock, scripts: &[(String, String)]) -> Result<Self, StackError> {
        let proxies = Proxies::start(seed, clock).map_err(|error| StackError::failed("start the proxies", error.to_string()))?;
        Ok(Self { proxies, dialect: Arc::new(holdfast_with(scripts)) })
    }

    pub(super) const fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Opens the proxies of `role`.
    pub(super) async fn open(&self, role: &str, direct: &StoreUrls) -> Result<StoreUrls, StackError> {
        let process = Arc::new(Process::default());
        let redis = Protocol::Dissected(redis_taps(Arc::clone(&self.dialect), Arc::clone(&process)));
        let mysql = Protocol::Dissected(mysql_taps(Arc::clone(&self.dialect), process));
        Ok(StoreUrls {
            redis: self.through(name(role, Store::Redis), &direct.redis, 6379, redis).await?,
            mysql: self.through(name(role, Store::Mysql), &direct.mysql, 3306, mysql).await?,
        })
    }

    /// Opens a way for the harness itself to whichever Redis serves now; no fault ever touches it.
    pub(super) async fn open_own(&self, redis_url: &str) -> Result<String, StackError> {
        self.through(name(OWN, Store::Redis), redis_url, 6379, Protocol::Plain).await
    }

    /// Leads every connection to Redis to another server from now on.
    pub(super) async fn lead_redis_to(&self, upstream: &str) -> Result<(), StackError> {
        let ours = |view: &ProxyView| view.name.ends_with(&name("", Store::Redis));
        for view in self.proxies.list().into_iter().filter(ours) {
            let led = self.proxies.set_upstream(&view.name, upstream).await;
            led.map_err(|error| StackError::failed(format!("lead {} to {upstream}", view.name), error.to_string()))?;
        }
        Ok(())
    }

    async fn through(&self, name: String, url: &str, port: u16, protocol: Protocol) -> Result<String, StackError> {
        let act = format!("open the proxy {name}");
        let (before, server, after) =
            split(url).ok_or_else(|| StackError::failed(act.clone(), "the address of its store has no host"))?;
        let upstream = if has_port(server) { server.to_owned() } else { format!("{server}:{port}") };
        // Not a port of the system's choice: while the proxy refuses, nobody else may get it.
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()?)).to_string();
        let spec = ProxySpec { name, upstream, listen, protocol };
        let listens = self.proxies.create(spec).await.map_err(|error| StackError::failed(act, error.to_string()))?;
        Ok(format!("{before}{listens}{after}"))
    }
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
