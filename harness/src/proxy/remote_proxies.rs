//! The proxies of a run on a Toxiproxy server: what the server itself does not keep.
//!
//! In: proxies, toxics and outages with the longest time that they may last. Out: calls of its API; a generation, and a timer of our own for
//! each fault, because such a server has none. All proxies go with the last handle. What a killed run leaves on the server, the next run that
//! opens proxies of the same names takes away; two runs at once on one server would be in each other's way.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::{Outage, ProxySpec, RemoteError, ToxicSpec, Toxiproxy, lock};

/// Pause before a fault that the server would not end is ended again, and how often that is tried.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
const ENDINGS_MAX: u32 = 25;

/// Longest wait for one answer while the last handle goes.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// A handle onto the proxies of a run on a Toxiproxy server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RemoteProxies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: Toxiproxy,
    opened: Mutex<BTreeSet<String>>,
    generation: AtomicU64,
    /// By proxy: a proxy holds one fault at a time.
    timers: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
}

impl RemoteProxies {
    /// Reaches the server.
    ///
    /// # Errors
    /// It does not answer as one.
    pub async fn at(url: &str) -> Result<Self, RemoteError> {
        let server = Toxiproxy::at(url);
        server.version().await?;
        let shared = Shared { server, opened: Mutex::default(), generation: AtomicU64::new(0), timers: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether the server is on this machine, so that a port of the loopback leads to it.
    #[must_use]
    pub fn is_near(&self) -> bool {
        matches!(self.host(), "localhost" | "127.0.0.1" | "[::1]")
    }

    fn host(&self) -> &str {
        let authority = self.shared.server.authority();
        authority.rsplit_once(':').map_or(authority, |(host, _)| host)
    }

    /// Opens a proxy in place of one of its name that an earlier run left; `host:port` that leads to it from here.
    ///
    /// # Errors
    /// If the server refuses, or the proxy is to know its protocol.
    pub async fn create(&self, spec: &ProxySpec) -> Result<String, RemoteError> {
        match self.shared.server.delete(&spec.name).await {
            Ok(()) | Err(RemoteError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error),
        }
        let listens = self.shared.server.create(spec).await?;
        lock(&self.shared.opened).insert(spec.name.clone());
        self.advance();
        Ok(format!("{}:{}", self.host(), listens.port()))
    }

    /// Points a proxy at another server.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn set_upstream(&self, name: &str, upstream: &str) -> Result<(), RemoteError> {
        self.shared.server.set_upstream(name, upstream).await?;
        self.advance();
        Ok(())
    }

    /// Adds a toxic; whatever the proxy holds is taken out after `max`.
    ///
    /// # Errors
    /// If the server refuses, or the toxic has attributes that are our own.
    pub async fn add_toxic(&self, name: &str, toxic: &ToxicSpec, max: Duration) -> Result<(), RemoteError> {
        self.end_after(name, max);
        self.shared.server.add_toxic(name, toxic).await?;
        self.advance();
        Ok(())
    }

    /// Starts an outage; whatever the proxy holds is taken out after `max`.
    ///
    /// # Errors
    /// If the server refuses, or the outage is not [`Outage::Disabled`].
    pub async fn begin(&self, name: &str, outage: Outage, max: Duration) -> Result<(), RemoteError> {
        self.end_after(name, max);
        self.shared.server.begin(name, outage).await?;
        self.advance();
        Ok(())
    }

    /// Takes everything out of a proxy.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn clear(&self, name: &str) -> Result<(), RemoteError> {
        self.shared.clear(name).await?;
        lock(&self.shared.timers).remove(name);
        self.advance();
        Ok(())
    }

    /// What a proxy holds, in words; `None` if nothing.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn holds(&self, name: &str) -> Result<Option<String>, RemoteError> {
        let mut held = self.shared.server.toxics(name).await?;
        if !self.shared.server.is_enabled(name).await? {
            held.push("disabled".to_owned());
        }
        Ok((!held.is_empty()).then(|| held.join(", ")))
    }

    /// Changes so far.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Relaxed)
    }

    /// Closes all proxies.
    ///
    /// # Errors
    /// The first that the server would not close; the others are closed all the same.
    pub async fn close(&self) -> Result<(), RemoteError> {
        let opened = std::mem::take(&mut *lock(&self.shared.opened));
        let mut first = Ok(());
        for name in opened {
            let closed = self.shared.server.delete(&name).await;
            first = first.and(closed);
        }
        first
    }

    fn advance(&self) {
        self.shared.generation.fetch_add(1, Relaxed);
    }

    fn end_after(&self, name: &str, max: Duration) {
        let (shared, proxy) = (Arc::downgrade(&self.shared), name.to_owned());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(max).await;
            for _ in 0..ENDINGS_MAX {
                let Some(shared) = shared.upgrade() else { return };
                if shared.clear(&proxy).await.is_ok() {
                    shared.generation.fetch_add(1, Relaxed);
                    return;
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        });
        lock(&self.shared.timers).insert(name.to_owned(), AbortOnDropHandle::new(timer));
    }
}

impl Shared {
    async fn clear(&self, name: &str) -> Result<(), RemoteError> {
        for toxic in self.server.toxics(name).await? {
            match self.server.remove_toxic(name, &toxic).await {
                // A timer was quicker.
                Ok(()) | Err(RemoteError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.server.end(name, Outage::Disabled).await
    }

    /// Asks the server to close a proxy, from where nothing can be awaited.
    fn delete_now(&self, name: &str) -> std::io::Result<()> {
        let authority = self.server.authority();
        let address = authority.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, FAREWELL_MAX)?;
        stream.set_read_timeout(Some(FAREWELL_MAX))?;
        let request = format!("DELETE /proxies/{name} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        // Whatever it says: nobody is left to be told.
        stream.read(&mut [0; 64]).map(drop)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for name in std::mem::take(self.opened.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            if self.delete_now(&name).is_err() {
                // A server that does not answer the first will not answer the others.
                return;
            }
        }
    }
}
