//! Faults of the network between services and a store: what their proxies do to bytes and connections.
//!
//! Proof that one bit comes from the counters of the proxies and from a canary behind each of them. Healed means: nothing is set in any of
//! the proxies, their generation has advanced, and a canary is back to what it was before.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio_util::task::AbortOnDropHandle;

use super::begun::Begun;
use super::canary::{Canary, band};
use super::{FaultError, Faults};
use crate::proxy::{Counters, Direction, Network, NetworkError, Outage, Proxies, ProxyError, Spread, ToxicKind, ToxicSpec};
use crate::scenario::FaultWindow;
use crate::scenario::faults::{Fault, Store};

/// How long a limited rate needs for the bytes of a canary that shows it, ms.
const LOAD_MS: u64 = 250;

/// Longest wait for a canary during a fault that lets nothing pass.
const SILENCE: Duration = Duration::from_millis(250);

/// Longest wait for a canary to be back to normal.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network fault in force.
pub(super) struct NetworkFault {
    network: Network,
    links: Vec<Link>,
    harm: Harm,
    /// Generation before it.
    before: u64,
}

/// A proxy and what is behind it.
struct Link {
    name: String,
    canary: Canary,
    baseline: Duration,
}

enum Harm {
    /// A canary of `bytes` takes at least this much longer.
    Slow {
        bytes: usize,
        at_least: Duration,
    },
    Stalled,
    /// Resets go on until the task is dropped; canaries in flight tell how they ended.
    Resetting {
        _resets: AbortOnDropHandle<()>,
        in_flight: Vec<InFlight>,
        /// Connections that each proxy had reset before.
        before: Vec<u64>,
    },
    Refused,
}

/// A canary that waits for a reply that never comes.
enum InFlight {
    Waits(AbortOnDropHandle<Option<String>>),
    Ended(Option<String>),
}

impl InFlight {
    /// How it was cut off, if it was.
    async fn ended(&mut self) -> Result<Option<String>, FaultError> {
        if let Self::Waits(waits) = self {
            if !waits.is_finished() {
                return Ok(None);
            }
            *self = Self::Ended(waits.await.map_err(FaultError::of("wait for a canary"))?);
        }
        Ok(match self {
            Self::Waits(_) => None,
            Self::Ended(how) => how.clone(),
        })
    }
}

impl NetworkFault {
    /// Sets the harm of `window` in the proxies of `roles`.
    pub(super) async fn inject(
        faults: Faults<'_>,
        window: &FaultWindow,
        roles: &[String],
        store: Store,
        begun: &Begun,
    ) -> Result<(Self, String), FaultError> {
        let controls = faults.controls;
        let network = controls.network()?.clone();
        let max = Duration::from_millis(window.max_ms);
        let clock = faults.recorder.clock();
        let links = try_join_all(roles.iter().map(async |role| {
            let mut canary = Canary::open(controls, clock, role, store).await?;
            let baseline = canary.baseline().await?;
            Ok::<_, FaultError>(Link { name: controls.link(role, store), canary, baseline })
        }))
        .await?;
        let before = network.generation();
        let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
        let harm = match window.fault {
            Fault::Reset { every_ms, .. } => {
                let canaries = try_join_all(roles.iter().map(|role| Canary::open(controls, clock, role, store))).await?;
                let in_flight = canaries
                    .into_iter()
                    .map(|canary| InFlight::Waits(AbortOnDropHandle::new(tokio::spawn(canary.hang()))))
                    .collect();
                let proxies = network.own().map_err(of_network("reset connections"))?;
                let counted = names.iter().map(|name| Ok(counters(proxies, name)?.reset)).collect::<Result<_, FaultError>>()?;
                begun.now();
                let resets = keep_resetting(proxies.clone(), names.clone(), Duration::from_millis(every_ms));
                Harm::Resetting { _resets: resets, in_flight, before: counted }
            }
            ref fault => {
                begun.now();
                match set(&network, fault, &names, max).await {
                    Ok(harm) => harm,
                    Err(error) => {
                        lift(&network, &names).await?;
                        return Err(error);
                    }
                }
            }
        };
        let facts = format!("{} in {}", window.fault.name(), names.join(", "));
        Ok((Self { network, links, harm, before }, facts))
    }

    /// Proof that it has an effect, once there is some in every proxy that it was set in.
    pub(super) async fn bit(&mut self) -> Result<Option<String>, FaultError> {
        let mut proof = Vec::new();
        match &mut self.harm {
            Harm::Slow { bytes, at_least } => {
                // All at once: one after another they may take longer than the fault lasts.
                let late = self.links.iter_mut().map(|link| slowed(link, *bytes, *at_least));
                for one in try_join_all(late).await? {
                    let Some(one) = one else { return Ok(None) };
                    proof.push(one);
                }
            }
            Harm::Stalled => {
                let proxies = self.network.own().map_err(of_network("count what waits"))?;
                let silent = self.links.iter_mut().map(|link| silence(proxies, link));
                for one in join_all(silent).await {
                    let Some(one) = one? else { return Ok(None) };
                    proof.push(one);
                }
            }
            Harm::Resetting { in_flight, before, .. } => {
                let proxies = self.network.own().map_err(of_network("count resets"))?;
                for ((link, canary), before) in self.links.iter().zip(in_flight).zip(before) {
                    let Some(ended) = canary.ended().await? else { return Ok(None) };
                    let resets = counters(proxies, &link.name)?.reset.saturating_sub(*before);
                    if resets == 0 {
                        return Ok(None);
                    }
                    proof.push(format!("{}: {resets} connections reset; a canary in flight met: {ended}", link.name));
                }
            }
            Harm::Refused => {
                for link in &mut self.links {
                    let closed = match self.network.own() {
                        Ok(proxies) => format!("{} connections closed; ", counters(proxies, &link.name)?.closed),
                        Err(_) => String::new(),
                    };
                    match tokio::time::timeout(SILENCE, link.canary.round_trip(1)).await {
                        Ok(Ok(_)) => return Ok(None),
                        Ok(Err(error)) => proof.push(format!("{}: {closed}a canary met: {error}", link.name)),
                        Err(_) => proof.push(format!("{}: {closed}a canary met silence", link.name)),
                    }
                }
            }
        }
        Ok(Some(proof.join("; ")))
    }

    /// Takes everything out of the proxies, and looks that it is gone.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        let Self { network, links, harm, before } = self;
        let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
        drop(harm);
        lift(&network, &names).await?;
        for name in &names {
            if let Some(held) = network.holds(name).await.map_err(of_network(name))? {
                return Err(FaultError::failed(format!("clear the proxy {name}"), format!("it still holds {held}")));
            }
        }
        let after = network.generation();
        let trips = try_join_all(links.into_iter().map(|link| link.canary.back_within(band(link.baseline), PATIENCE))).await?;
        let slowest = trips.into_iter().max().unwrap_or_default();
        Ok(format!(
            "{} hold nothing; generation {before} became {after}; a canary takes {} us again",
            names.join(", "),
            slowest.as_micros()
        ))
    }
}

/// Sets a fault in the proxies called `names`, for `max` at the most.
async fn set(network: &Network, fault: &Fault, names: &[String], max: Duration) -> Result<Harm, FaultError> {
    match *fault {
        Fault::Latency { latency_ms, jitter_ms, .. } => {
            let kind = ToxicKind::Latency { latency_ms, jitter_ms, spread: Spread::Uniform };
            add(network, names, ToxicSpec::new(Direction::Downstream, kind), max).await?;
            // With jitter a round trip may be as much faster as slower.
            let at_least = Duration::from_millis(latency_ms.saturating_sub(jitter_ms) * 4 / 5);
            Ok(Harm::Slow { bytes: 1, at_least })
        }
        Fault::Bandwidth { rate_kbps, .. } => {
            for direction in Direction::BOTH {
                let kind = ToxicKind::Bandwidth { rate_kb_s: rate_kbps, shared: false };
                add(network, names, ToxicSpec::new(direction, kind), max).await?;
            }
            // A KB/s is a byte a millisecond.
            let bytes = usize::try_from(rate_kbps * LOAD_MS).unwrap_or(usize::MAX);
            Ok(Harm::Slow { bytes, at_least: Duration::from_millis(LOAD_MS * 4 / 5) })
        }
        Fault::Partition { .. } => begin(network, names, Outage::Stall, max).await.map(|()| Harm::Stalled),
        Fault::Refuse { .. } => begin(network, names, Outage::Disabled, max).await.map(|()| Harm::Refused),
        ref other => Err(FaultError::failed(format!("inject {}", other.name()), "it is no fault of the network")),
    }
}

async fn add(network: &Network, names: &[String], toxic: ToxicSpec, max: Duration) -> Result<(), FaultError> {
    for name in names {
        network.add_toxic(name, toxic.clone(), max).await.map_err(of_network(name))?;
    }
    Ok(())
}

async fn begin(network: &Network, names: &[String], outage: Outage, max: Duration) -> Result<(), FaultError> {
    for name in names {
        network.begin(name, outage, max).await.map_err(of_network(name))?;
    }
    Ok(())
}

/// Takes out whatever is set in these proxies.
async fn lift(network: &Network, names: &[String]) -> Result<(), FaultError> {
    for name in names {
        network.clear(name).await.map_err(of_network(name))?;
    }
    Ok(())
}

/// Resets all connections of these proxies again and again until the handle is dropped. The first time comes a little later, so that
/// canaries have asked by then.
fn keep_resetting(proxies: Proxies, names: Vec<String>, every: Duration) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(every.min(SILENCE)).await;
        loop {
            for name in &names {
                // A proxy that is gone has no connections either.
                let _reset = proxies.rst_now(name).await;
            }
            tokio::time::sleep(every).await;
        }
    }))
}

/// Proof that a canary of `bytes` is slower than before by `at_least`.
async fn slowed(link: &mut Link, bytes: usize, at_least: Duration) -> Result<Option<String>, FaultError> {
    let (trip, baseline) = (link.canary.round_trip(bytes).await?, link.baseline);
    let proof = || format!("{}: a canary took {} ms, {} ms before", link.name, trip.as_millis(), baseline.as_millis());
    Ok((trip >= baseline + at_least).then(proof))
}

/// Proof that nothing passes: bytes wait, none goes on, and a canary hears nothing.
async fn silence(proxies: &Proxies, link: &mut Link) -> Result<Option<String>, FaultError> {
    let before = counters(proxies, &link.name)?;
    let heard = tokio::time::timeout(SILENCE, link.canary.round_trip(1)).await.is_ok();
    let after = counters(proxies, &link.name)?;
    let passed = after.upstream.forwarded + after.downstream.forwarded - before.upstream.forwarded - before.downstream.forwarded;
    let waiting = after.waiting();
    let silent = !heard && passed == 0 && waiting > 0;
    let name = &link.name;
    Ok(silent.then(|| {
        format!("{name}: {waiting} bytes wait, {passed} went on within {} ms, a canary heard nothing", SILENCE.as_millis())
    }))
}

fn counters(proxies: &Proxies, name: &str) -> Result<Counters, FaultError> {
    proxies.counters(name).map_err(of_proxy(name))
}

fn of_proxy(name: &str) -> impl FnOnce(ProxyError) -> FaultError {
    FaultError::of(format!("use the proxy {name}"))
}

fn of_network(what: &str) -> impl FnOnce(NetworkError) -> FaultError {
    FaultError::of(format!("use the proxies: {what}"))
}
