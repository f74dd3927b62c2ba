//! The handle onto all proxies: what the rest of the harness uses.
//!
//! Cheap to clone. The thread of the proxies ends, and with it every connection, when the last clone is dropped.
//! Each call runs to its end on the runtime of the proxies even if its caller stops waiting for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::armed::Triggers;
use super::counters::{Counters, End};
use super::event::Events;
use super::running::{Proxy, Shared};
use super::{Armed, Event, Outage, ProxyError, ProxySpec, ProxyView, ToxicKind, ToxicSpec, Trigger, lock};
use crate::clock::RunClock;
use crate::seed::Seed;

/// All proxies by name.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) shared: Arc<Shared>,
    proxies: Mutex<BTreeMap<String, Arc<Proxy>>>,
}

/// A handle onto the proxies of a run.
#[derive(Debug, Clone)]
pub struct Proxies {
    registry: Arc<Registry>,
    runtime: Handle,
    // Its loss ends the thread.
    _alive: Arc<oneshot::Sender<()>>,
}

impl Proxies {
    /// Starts the thread of the proxies.
    ///
    /// # Errors
    /// If the system gives no thread or no descriptors for its runtime.
    pub fn start(seed: Seed, clock: RunClock) -> Result<Self, ProxyError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ProxyError::Start)?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("proxies".into())
            .spawn(move || {
                // The sender is never used, only dropped.
                drop(runtime.block_on(ended));
                runtime.shutdown_background();
            })
            .map_err(ProxyError::Start)?;
        let shared = Shared {
            seed,
            clock,
            events: Events::new(clock),
            generation: Default::default(),
            triggers: Arc::new(Triggers::default()),
        };
        let registry = Registry { shared: Arc::new(shared), proxies: Mutex::default() };
        Ok(Self { registry: Arc::new(registry), runtime: handle, _alive: Arc::new(alive) })
    }

    pub(super) const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Runs a call on the runtime of the proxies.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, ProxyError>> + Send + 'static,
    ) -> Result<T, ProxyError> {
        self.runtime.spawn(call).await.map_err(|_| ProxyError::Stopped)?
    }

    async fn with<T, F>(&self, name: &str, call: impl FnOnce(Arc<Proxy>) -> F) -> Result<T, ProxyError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ProxyError>> + Send + 'static,
    {
        let proxy = self.registry.get(name)?;
        self.run(call(proxy)).await
    }

    /// Opens a proxy; returns where it listens. The server is not dialled before a client comes.
    ///
    /// # Errors
    /// If the name is taken or the address cannot be listened on.
    pub async fn create(&self, spec: ProxySpec) -> Result<SocketAddr, ProxyError> {
        let registry = Arc::clone(&self.registry);
        self.run(async move { Ok(registry.create(spec, true).await?.listen()) }).await
    }

    /// Closes a proxy with its connections and forgets it.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn delete(&self, name: &str) -> Result<(), ProxyError> {
        let (registry, name) = (Arc::clone(&self.registry), name.to_owned());
        self.run(async move { registry.delete(&name).await }).await
    }

    /// Points a proxy at another server; its connections are closed, the next ones go there. Returns the generation.
    ///
    /// # Errors
    /// If there is no proxy of that name, or its port cannot be listened on again, which leaves it disabled.
    pub async fn set_upstream(&self, name: &str, upstream: impl Into<String>) -> Result<u64, ProxyError> {
        let upstream = upstream.into();
        self.with(name, |proxy| async move { proxy.relocate(None, Some(upstream)).await }).await
    }

    /// Starts an outage; the proxy ends it by itself after `max`. Returns the generation. Of an outage that holds already only
    /// the time starts again.
    ///
    /// # Errors
    /// If there is no proxy of that name.
    pub async fn begin(&self, name: &str, outage: Outage, max: Duration) -> Result<u64, ProxyError> {
        self.with(name, |proxy| async move { proxy.begin(outage, Some(max)).await }).await
    }

    /// Ends an outage; returns the generation, unchanged if it did not hold.
    ///
    /// # Errors
    /// If there is no proxy of that name, or its port cannot be listened on again.
    pub async fn end(&self, name: &str, outage: Outage) -> Result<u64, ProxyError> {
        self.with(name, |proxy| async move { proxy.end(outage).await }).await
    }

    /// Adds a toxic, which the proxy removes by itself after `max`. Returns the generation.
    ///
    /// # Errors
    /// If there is no proxy of that name, or a toxic of that name already.
    pub async fn add_toxic(&self, name: &str, toxic: ToxicSpec, max: Duration) -> Result<u64, ProxyError> {
        self.with(name, |proxy| async move {
            let stream = toxic.direction.name().to_owned();
            Ok(proxy.add_toxic(toxic, stream, Some(max))?.id)
        })
        .await
    }

    /// Changes what a toxic does; its time goes on. Returns the generation.
    ///
    /// # Errors
    /// If there is no such proxy or toxic.
    pub async fn update_toxic(&self, name: &str, toxic: &str, kind: ToxicKind, toxicity: f32) -> Result<u64, ProxyError> {
        let toxic = toxic.to_owned();
        self.with(name, |proxy| async move {
            proxy.update_toxic(&toxic, kind, Some(toxicity))?;
            Ok(proxy.generation())
        })
        .await
    }

    /// Removes a toxic; the bytes that it held go on. Returns the generation.
    ///
    /// # Errors
    /// If there is no such proxy or toxic.
    pub async fn remove_toxic(&self, name: &str, toxic: &str) -> Result<u64, ProxyError> {
        let toxic = toxic.to_owned();
        self.with(name, |proxy| async move { proxy.remove_toxic(&toxic) }).await
    }

    /// Ends every outage and removes every toxic of every proxy. Armed triggers stay armed.
    ///
    /// # Errors
    /// If a port cannot be listened on again; the other proxies are reset all the same.
    pub async fn reset(&self) -> Result<(), ProxyError> {
        let registry = Arc::clone(&self.registry);
        self.run(async move { registry.reset().await }).await
    }

    /// Resets every connection of a proxy that stands now, on both sides; returns how many.
    ///
    /// # Errors
    /// If there is no proxy of that name.
    pub async fn rst_now(&self, name: &str) -> Result<usize, ProxyError> {
        self.with(name, |proxy| async move {
            let ended = proxy.book.end_all(End::Reset);
            proxy.event(None, format!("{ended} connections reset"));
            Ok(ended)
        })
        .await
    }

    /// What a proxy counted so far.
    ///
    /// # Errors
    /// If there is no proxy of that name.
    pub fn counters(&self, name: &str) -> Result<Counters, ProxyError> {
        Ok(self.registry.get(name)?.book.counters())
    }

    /// A proxy as it stands.
    ///
    /// # Errors
    /// If there is no proxy of that name.
    pub fn view(&self, name: &str) -> Result<ProxyView, ProxyError> {
        Ok(self.registry.get(name)?.view())
    }

    /// Every proxy as it stands, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ProxyView> {
        self.registry.all().iter().map(|proxy| proxy.view()).collect()
    }

    /// The last generation that was given to a change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.registry.shared.generation.load(Relaxed)
    }

    /// Events from `number` on that are still kept (the last 8,192), oldest first.
    #[must_use]
    pub fn events_since(&self, number: u64) -> Vec<Event> {
        self.registry.shared.events.since(number)
    }

    /// Arms a trigger: from now on matching frames are hits.
    pub fn arm(&self, trigger: Trigger) -> Armed {
        let _runtime = self.runtime.enter();
        self.registry.shared.triggers.arm(trigger)
    }
}

impl Registry {
    /// The proxy of that name.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Proxy>, ProxyError> {
        lock(&self.proxies).get(name).cloned().ok_or(ProxyError::ProxyNotFound)
    }

    /// All proxies, by name.
    pub(super) fn all(&self) -> Vec<Arc<Proxy>> {
        lock(&self.proxies).values().cloned().collect()
    }

    /// Opens a proxy under a name that is free.
    pub(super) async fn create(&self, spec: ProxySpec, enabled: bool) -> Result<Arc<Proxy>, ProxyError> {
        if self.get(&spec.name).is_ok() {
            return Err(ProxyError::ProxyExists);
        }
        let proxy = Proxy::open(spec, enabled, Arc::clone(&self.shared)).await?;
        let taken = {
            let mut proxies = lock(&self.proxies);
            let taken = proxies.contains_key(&proxy.name);
            if !taken {
                proxies.insert(proxy.name.clone(), Arc::clone(&proxy));
            }
            taken
        };
        if taken {
            proxy.close().await;
            return Err(ProxyError::ProxyExists);
        }
        Ok(proxy)
    }

    /// Closes and forgets a proxy.
    pub(super) async fn delete(&self, name: &str) -> Result<(), ProxyError> {
        let proxy = lock(&self.proxies).remove(name).ok_or(ProxyError::ProxyNotFound)?;
        proxy.close().await;
        Ok(())
    }

    /// Ends every fault of every proxy; the first failure is told when all were tried.
    pub(super) async fn reset(&self) -> Result<(), ProxyError> {
        let mut first = Ok(());
        for proxy in self.all() {
            proxy.remove_toxics();
            for outage in proxy.view().outages {
                let ended = proxy.end(outage).await;
                first = first.and(ended.map(drop));
            }
        }
        first
    }
}
