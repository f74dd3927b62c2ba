//! A proxy that runs: its door, its settings, its connections, and the timers that end its faults.
//!
//! In: changes, and accepted sockets. Out: settings for the connections, counters, events.
//! A change never waits for a connection, and no lock is held across one: connections watch the settings.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::armed::Triggers;
use super::book::Book;
use super::counters::End;
use super::event::Events;
use super::listener::{Door, bind, resolve};
use super::settings::{Settings, Toxic};
use super::stage::Pace;
use super::{Direction, Outage, Protocol, ProxyError, ProxySpec, ProxyView, ToxicKind, ToxicSpec, lock};
use crate::clock::RunClock;
use crate::seed::Seed;

/// What all proxies of a handle share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) seed: Seed,
    pub(super) clock: RunClock,
    pub(super) events: Events,
    pub(super) generation: AtomicU64,
    pub(super) triggers: Arc<Triggers>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum FaultKey {
    Toxic(u64),
    Outage(Outage),
}

#[derive(Debug)]
struct Place {
    listen: SocketAddr,
    upstream: String,
}

/// A proxy that runs.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    place: Mutex<Place>,
    pub(super) book: Arc<Book>,
    timers: Mutex<HashMap<FaultKey, AbortOnDropHandle<()>>>,
    // Also what puts changes of address and outages in order.
    door: tokio::sync::Mutex<Option<Door>>,
}

impl Proxy {
    /// Opens a proxy; listens at once unless it is to start disabled.
    pub(super) async fn open(spec: ProxySpec, enabled: bool, shared: Arc<Shared>) -> Result<Arc<Self>, ProxyError> {
        let failed = |source| ProxyError::Listen { address: spec.listen.clone(), source };
        let mut listen = resolve(&spec.listen).await.map_err(failed)?;
        let listener = if enabled { Some(bind(listen).map_err(failed)?) } else { None };
        if let Some(listener) = &listener {
            listen = listener.local_addr().map_err(failed)?;
        }
        let outages = if enabled { Vec::new() } else { vec![Outage::Disabled] };
        let generation = shared.generation.fetch_add(1, Relaxed) + 1;
        let proxy = Arc::new(Self {
            name: spec.name,
            protocol: spec.protocol,
            shared,
            settings: watch::channel(Arc::new(Settings { generation, outages, toxics: Vec::new() })).0,
            place: Mutex::new(Place { listen, upstream: spec.upstream }),
            book: Arc::default(),
            timers: Mutex::default(),
            door: tokio::sync::Mutex::default(),
        });
        if let Some(listener) = listener {
            let door = Door::open(listener, Arc::clone(&proxy));
            let failed = |source| ProxyError::Listen { address: listen.to_string(), source };
            *proxy.door.lock().await = Some(door.map_err(failed)?);
        }
        proxy.event(None, format!("opened on {listen} for {}", proxy.upstream()));
        Ok(proxy)
    }

    /// `host:port` of the server.
    pub(super) fn upstream(&self) -> String {
        lock(&self.place).upstream.clone()
    }

    /// Where it listens.
    pub(super) fn listen(&self) -> SocketAddr {
        lock(&self.place).listen
    }

    pub(super) fn event(&self, connection: Option<u64>, what: impl Into<String>) {
        let generation = self.settings.borrow().generation;
        self.shared.events.add(generation, &self.name, connection, what);
    }

    /// The proxy as it stands.
    pub(super) fn view(&self) -> ProxyView {
        let settings = Arc::clone(&self.settings.borrow());
        let of = |direction| settings.toxics.iter().filter(move |toxic| toxic.spec.direction == direction);
        ProxyView {
            name: self.name.clone(),
            listen: self.listen(),
            upstream: self.upstream(),
            enabled: !settings.has(Outage::Disabled),
            toxics: Direction::BOTH.into_iter().flat_map(of).map(|toxic| toxic.spec.clone()).collect(),
            outages: settings.outages.clone(),
            generation: settings.generation,
        }
    }

    /// Swaps the settings; every connection sees the change whole.
    fn change<T>(&self, change: impl FnOnce(&mut Settings) -> Result<T, ProxyError>) -> Result<T, ProxyError> {
        let mut result = Err(ProxyError::Stopped);
        self.settings.send_if_modified(|current| {
            let mut next = Settings::clone(current);
            // All changes happen on the one thread of the proxies.
            next.generation = self.shared.generation.load(Relaxed) + 1;
            result = change(&mut next);
            if result.is_ok() {
                self.shared.generation.store(next.generation, Relaxed);
                *current = Arc::new(next);
            }
            result.is_ok()
        });
        result
    }

    /// Generation of the settings in force.
    pub(super) fn generation(&self) -> u64 {
        self.settings.borrow().generation
    }

    /// Adds a toxic behind those of its direction. `stream` is the direction as it was written.
    pub(super) fn add_toxic(
        self: &Arc<Self>,
        spec: ToxicSpec,
        stream: String,
        max: Option<Duration>,
    ) -> Result<Arc<Toxic>, ProxyError> {
        let toxic = self.change(|settings| {
            if settings.toxic(&spec.name).is_some() {
                return Err(ProxyError::ToxicExists);
            }
            let toxic = Arc::new(Toxic { id: settings.generation, spec, stream, pace: Pace::default() });
            settings.toxics.push(Arc::clone(&toxic));
            Ok(toxic)
        })?;
        self.event(None, format!("toxic {} added: {:?} at toxicity {}", toxic.spec.name, toxic.spec.kind, toxic.spec.toxicity));
        self.end_after(FaultKey::Toxic(toxic.id), max);
        Ok(toxic)
    }

    /// Changes what a toxic does, and to how many. What it holds stays held, what it counted stays counted.
    pub(super) fn update_toxic(&self, name: &str, kind: ToxicKind, toxicity: Option<f32>) -> Result<Arc<Toxic>, ProxyError> {
        let toxic = self.change(|settings| {
            let toxic = settings.toxics.iter_mut().find(|toxic| toxic.spec.name == name).ok_or(ProxyError::ToxicNotFound)?;
            let toxicity = toxicity.unwrap_or(toxic.spec.toxicity);
            *toxic = Arc::new(Toxic { spec: ToxicSpec { kind, toxicity, ..toxic.spec.clone() }, ..Toxic::clone(toxic) });
            Ok(Arc::clone(toxic))
        })?;
        self.event(None, format!("toxic {name} updated: {kind:?} at toxicity {}", toxic.spec.toxicity));
        Ok(toxic)
    }

    /// Takes a toxic away; what it held goes on.
    pub(super) fn remove_toxic(&self, name: &str) -> Result<u64, ProxyError> {
        let id = self.change(|settings| {
            let id = settings.toxic(name).map(|toxic| toxic.id).ok_or(ProxyError::ToxicNotFound)?;
            settings.toxics.retain(|toxic| toxic.id != id);
            Ok(id)
        })?;
        lock(&self.timers).remove(&FaultKey::Toxic(id));
        self.event(None, format!("toxic {name} removed"));
        Ok(self.generation())
    }

    /// Takes all toxics away.
    pub(super) fn remove_toxics(&self) {
        // Taken out of the settings first: they cannot change while they are looked at.
        let toxics = self.settings.borrow().toxics.clone();
        for toxic in toxics {
            // Another call may have been faster.
            drop(self.remove_toxic(&toxic.spec.name));
        }
    }

    /// Starts an outage, or starts its time again.
    pub(super) async fn begin(self: &Arc<Self>, outage: Outage, max: Option<Duration>) -> Result<u64, ProxyError> {
        let mut door = self.door.lock().await;
        self.change(|settings| {
            if !settings.has(outage) {
                settings.outages.push(outage);
            }
            Ok(())
        })?;
        self.event(None, format!("outage {outage:?} began"));
        if outage.closes_listener()
            && let Some(door) = door.take()
        {
            door.close().await;
        }
        if outage == Outage::Disabled {
            self.book.end_all(End::Closed);
        }
        self.end_after(FaultKey::Outage(outage), max);
        Ok(self.generation())
    }

    /// Ends an outage; nothing to do if it does not hold. A door that cannot be opened again leaves the outage as it is.
    pub(super) async fn end(self: &Arc<Self>, outage: Outage) -> Result<u64, ProxyError> {
        let mut door = self.door.lock().await;
        let held = self.settings.borrow().clone();
        if !held.has(outage) {
            return Ok(held.generation);
        }
        let closed_for_others = held.outages.iter().any(|other| *other != outage && other.closes_listener());
        if outage.closes_listener() && !closed_for_others {
            *door = Some(self.open_door(self.listen())?);
        }
        self.change(|settings| {
            settings.outages.retain(|held| *held != outage);
            Ok(())
        })?;
        lock(&self.timers).remove(&FaultKey::Outage(outage));
        self.event(None, format!("outage {outage:?} ended"));
        Ok(self.generation())
    }

    /// Gives the proxy other addresses, which ends its connections. If it cannot listen there it is left disabled.
    pub(super) async fn relocate(
        self: &Arc<Self>,
        listen: Option<SocketAddr>,
        upstream: Option<String>,
    ) -> Result<u64, ProxyError> {
        let mut door = self.door.lock().await;
        let was_open = door.is_some();
        if let Some(door) = door.take() {
            door.close().await;
        }
        self.book.end_all(End::Closed);
        if let Some(upstream) = upstream {
            lock(&self.place).upstream = upstream;
        }
        let listen = listen.unwrap_or_else(|| self.listen());
        lock(&self.place).listen = listen;
        if was_open {
            match self.open_door(listen) {
                Ok(opened) => *door = Some(opened),
                Err(error) => {
                    self.change(|settings| {
                        settings.outages.push(Outage::Disabled);
                        Ok(())
                    })?;
                    return Err(error);
                }
            }
        }
        self.change(|_| Ok(()))?;
        self.event(None, format!("moved to {} for {}", self.listen(), self.upstream()));
        Ok(self.generation())
    }

    /// Listens again; a port that the system chose is remembered.
    fn open_door(self: &Arc<Self>, address: SocketAddr) -> Result<Door, ProxyError> {
        let failed = |source| ProxyError::Listen { address: address.to_string(), source };
        let listener = bind(address).map_err(failed)?;
        lock(&self.place).listen = listener.local_addr().map_err(failed)?;
        Door::open(listener, Arc::clone(self)).map_err(failed)
    }

    /// Closes the door and every connection, for good.
    pub(super) async fn close(&self) {
        if let Some(door) = self.door.lock().await.take() {
            door.close().await;
        }
        self.book.end_all(End::Closed);
        lock(&self.timers).clear();
        self.event(None, "deleted");
    }

    /// The dead-man timer of a fault.
    fn end_after(self: &Arc<Self>, key: FaultKey, max: Option<Duration>) {
        let Some(max) = max else {
            lock(&self.timers).remove(&key);
            return;
        };
        let proxy = Arc::downgrade(self);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(max).await;
            let Some(proxy) = proxy.upgrade() else { return };
            // A task of its own: ending a fault takes its timer away, and with it this task.
            tokio::spawn(async move { proxy.expire(key, max).await });
        });
        lock(&self.timers).insert(key, AbortOnDropHandle::new(timer));
    }

    async fn expire(self: Arc<Self>, key: FaultKey, max: Duration) {
        self.event(None, format!("{key:?} ended by its own timer after {max:?}"));
        let ended = match key {
            FaultKey::Outage(outage) => self.end(outage).await.map(drop),
            FaultKey::Toxic(id) => {
                let name = self.settings.borrow().toxics.iter().find(|toxic| toxic.id == id).map(|toxic| toxic.spec.name.clone());
                name.map_or(Ok(()), |name| self.remove_toxic(&name).map(drop))
            }
        };
        if let Err(error) = ended {
            self.event(None, format!("{key:?} could not be ended: {error}"));
            self.end_after(key, Some(max.min(Duration::from_millis(100))));
        }
    }

    /// Serves a client that was accepted.
    pub(super) fn admit(self: &Arc<Self>, client: TcpStream) {
        let (proxy, entry) = (Arc::clone(self), self.book.enter(self.shared.clock));
        tokio::spawn(async move {
            let mut client = client;
            let (end, server) = entry.connection().serve(&mut client, &proxy).await;
            entry.close(end);
            // Counted first: whoever sees the end of a connection finds it in the counters.
            drop(client);
            if let (End::Forgotten, Some(server)) = (end, server) {
                until_it_ends(server).await;
            }
        });
    }
}

/// Keeps a server's connection, and says nothing on it, until the server ends it.
async fn until_it_ends(mut server: TcpStream) {
    let mut unread = [0; 1024];
    // Whatever comes has nobody to go to.
    while matches!(server.read(&mut unread).await, Ok(read) if read > 0) {}
}
