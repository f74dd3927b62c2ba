//! An in-process TCP fault proxy: one proxy for each process and store, driven by this library or by Toxiproxy's HTTP API.
//!
//! In: proxies to open, toxics, outages and triggers. Out: bytes that go on, late or never; counters and timestamped events.
//! It runs on a thread and a runtime of its own, so that the bursts of the load do not show up as latency here.
//!
//! Every fault that is set through this library has an end that the proxy keeps by itself, whatever becomes of its controller.
//! Each change advances a generation number and is one swap: a connection sees all of it or nothing.

mod api;
mod armed;
mod book;
mod chain;
mod connection;
mod counters;
mod direction;
mod dissect;
mod error;
mod event;
mod intake;
mod lane;
mod listener;
mod network;
mod proxies;
mod remote;
mod remote_proxies;
mod running;
mod settings;
mod spec;
mod stage;
pub mod tap;
mod toxic;
mod trigger;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use counters::{ConnectionCounters, Counters, End, Flow};
pub use direction::Direction;
pub use dissect::{Dissector, DissectorFactory, FRAMING_LOST, Frame, Piece};
pub use error::ProxyError;
pub use event::Event;
pub use network::{Network, NetworkError};
pub use proxies::Proxies;
pub use remote::{RemoteError, Toxiproxy};
pub use remote_proxies::RemoteProxies;
pub use spec::{Protocol, ProxySpec, ProxyView};
pub use toxic::{Outage, Spread, ToxicKind, ToxicSpec};
pub use trigger::{Armed, Decision, HOLD_MAX, Hit, OnHit, Trigger};

/// Locks, also after a panic elsewhere: every value behind a lock here is whole at any time.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
