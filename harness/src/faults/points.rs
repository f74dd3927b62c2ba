//! Faults at a named step of the protocol: the frame is held at the proxy while the harm is done, so that the interleaving is exact.
//!
//! In: a kill point, which hit counts, an action. Out: a record of the point, and a fault in force: a process to be restarted, or a
//! connection that was cut.

use std::time::Duration;

use super::begun::Begun;
use super::process::Dead;
use super::{FaultError, Faults};
use crate::clock::Offset;
use crate::history::record::{PointMark, Record};
use crate::proxy::tap::{Peer, Point};
use crate::proxy::{Armed, Decision, Direction, End, HOLD_MAX, Hit, OnHit, Proxies, Trigger};
use crate::scenario::FaultWindow;
use crate::scenario::faults::{PointAction, Store};
use crate::stack::controls::Controls;

/// Longest wait until the end of a connection is counted, and the pause between two looks.
const SEEN_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A frame that was held, and where.
struct Held {
    proxy: String,
    connection: u64,
    direction: Direction,
    at: Offset,
}

/// What is left in force behind a hit.
pub(super) struct PointFault<'a> {
    proxies: &'a Proxies,
    proxy: String,
    connection: u64,
    action: PointAction,
    dead: Option<Dead<'a>>,
}

/// A point to be waited for.
pub(super) struct Watch<'a> {
    faults: Faults<'a>,
    id: u32,
    point: Point,
    nth: u64,
    action: PointAction,
    /// The proxies that show the point, and whose they are.
    held_by: Vec<(String, String)>,
    armed: Armed,
    proxies: &'a Proxies,
}

impl<'a> Watch<'a> {
    /// Arms the trigger of a window in the proxies of `roles`, until `max_ms` have passed.
    pub(super) fn arm(
        faults: Faults<'a>,
        id: u32,
        window: &FaultWindow,
        roles: Vec<String>,
        (name, nth, action): (&str, u64, PointAction),
    ) -> Result<Self, FaultError> {
        let act = || format!("arm {name}");
        let point = Point::named(name).ok_or_else(|| FaultError::failed(act(), "there is no such kill point"))?;
        let proxies = faults.controls.proxies()?;
        let held_by: Vec<(String, String)> =
            roles.into_iter().map(|role| (proxy_of(faults.controls, &role, point.lives_on().1), role)).collect();
        for (proxy, _) in &held_by {
            // A trigger in a proxy that is not there would wait for nothing.
            proxies.view(proxy).map_err(FaultError::of(format!("{} in {proxy}", act())))?;
        }
        let on_hit = match action {
            PointAction::Kill => OnHit::Ask,
            PointAction::Pass => OnHit::Do(Decision::Pass),
            PointAction::DropReply => OnHit::Do(Decision::DropReply),
            PointAction::CutBefore => OnHit::Do(Decision::CutBefore),
            PointAction::Reset => OnHit::Do(Decision::Reset),
            PointAction::Forget => OnHit::Do(Decision::Forget),
            PointAction::Stall => OnHit::Do(Decision::Stall(Duration::from_millis(window.duration_ms))),
        };
        let trigger = Trigger {
            proxies: held_by.iter().map(|(proxy, _)| proxy.clone()).collect(),
            nth,
            on_hit,
            hold_max: HOLD_MAX,
            ..Trigger::at(name, Duration::from_millis(window.max_ms))
        };
        Ok(Self { faults, id, point, nth, action, held_by, armed: proxies.arm(trigger), proxies })
    }

    /// Waits for the hit and does the harm; `None` if the point was not met in time.
    pub(super) async fn hit(mut self, begun: &Begun) -> Result<Option<(PointFault<'a>, String)>, FaultError> {
        let hit = tokio::select! { hit = self.armed.next() => hit, () = self.faults.stop.cancelled() => None };
        let Some(hit) = hit else { return Ok(None) };
        begun.now();
        let owner = self.held_by.iter().find(|(proxy, _)| *proxy == hit.proxy).map(|(_, role)| role);
        let role =
            owner.ok_or_else(|| FaultError::failed(format!("act at {}", hit.point), format!("{} is nobody's", hit.proxy)))?;
        let pid = self.faults.controls.pid(role)?;
        let mark = PointMark {
            name: hit.point.clone(),
            fault: self.id,
            orders: hit.orders.clone(),
            role: role.clone(),
            pid,
            conn: hit.connection,
            nth: self.nth,
            action: self.action,
            held_ns: 0,
        };
        let (proxy, connection, at) = (hit.proxy.clone(), hit.connection, hit.at);
        let facts = format!("{} on connection {connection} of {proxy}, {} orders", hit.point, hit.orders.len());
        let dead = if self.action == PointAction::Kill { Some(self.kill(role, hit, begun).await?) } else { None };
        self.record(mark, at).await?;
        Ok(Some((PointFault { proxies: self.proxies, proxy, connection, action: self.action, dead }, facts)))
    }

    /// Kills the process while its frame is held.
    async fn kill(&self, role: &str, hit: Hit, begun: &Begun) -> Result<Dead<'a>, FaultError> {
        let (dead, _) = Dead::kill(self.faults.controls, vec![role.to_owned()], begun).await?;
        // The point of the one is that the request arrives; of all others, that what was held never does.
        let forwarded = matches!(self.point, Point::PreDeductForwarded);
        let held = Held { proxy: hit.proxy.clone(), connection: hit.connection, direction: hit.direction, at: hit.at };
        let decided = hit.decide(if forwarded { Decision::Pass } else { Decision::CutBefore });
        // The end of the process may have closed the connection, and the held frame with it: that is a cut as well.
        if decided || (!forwarded && self.ended_with_its_frame(&held).await?) {
            Ok(dead)
        } else {
            dead.heal().await?;
            Err(FaultError::failed(format!("kill {role} at {}", self.point.name()), "its frame was no longer held"))
        }
    }

    /// Whether the connection ended while its frame was held, so that the frame never went on.
    async fn ended_with_its_frame(&self, held: &Held) -> Result<bool, FaultError> {
        let clock = self.faults.recorder.clock();
        let (expires, until) = (held.at.plus(HOLD_MAX), clock.now().plus(SEEN_WITHIN));
        loop {
            let counters =
                self.proxies.counters(&held.proxy).map_err(FaultError::of(format!("count the frames of {}", held.proxy)))?;
            let connection = counters.connections.iter().find(|one| one.number == held.connection);
            if let Some((connection, (_, ended))) = connection.and_then(|one| Some((one, one.ended?))) {
                let flow = connection.flow(held.direction);
                return Ok(ended < expires && flow.forwarded < flow.received);
            }
            if connection.is_none() || clock.now() > until {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn record(&self, mark: PointMark, at: Offset) -> Result<(), FaultError> {
        let held = self.faults.recorder.clock().now().since(at);
        let held_ns = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        let recorded = self.faults.recorder.record(Record::Point(PointMark { held_ns, ..mark })).await;
        recorded.map(drop).map_err(FaultError::of("record a kill point"))
    }
}

/// Name of the proxy in which `role` meets `peer`.
fn proxy_of(controls: Controls<'_>, role: &str, peer: Peer) -> String {
    match peer {
        Peer::Redis => controls.link(role, Store::Redis),
        Peer::Mysql => controls.link(role, Store::Mysql),
        Peer::Clients => controls.front(role),
    }
}

impl PointFault<'_> {
    /// Proof of the action, by the counters of the proxy or the end of the process.
    pub(super) fn bit(&self) -> Result<Option<String>, FaultError> {
        if let Some(dead) = &self.dead {
            return Ok(Some(dead.proof()));
        }
        let counters = self.proxies.counters(&self.proxy).map_err(FaultError::of(format!("count the frames of {}", self.proxy)))?;
        let number = self.connection;
        let Some(connection) = counters.connections.iter().find(|one| one.number == number) else { return Ok(None) };
        let dropped = connection.upstream.dropped + connection.downstream.dropped;
        Ok(match (self.action, connection.ended) {
            (PointAction::Forget, Some((End::Forgotten, _))) => Some(format!("connection {number} was forgotten")),
            (PointAction::Reset, Some((End::Reset, _))) => Some(format!("connection {number} was reset")),
            (PointAction::DropReply, _) if dropped > 0 => Some(format!("{dropped} frames of connection {number} were swallowed")),
            (PointAction::CutBefore, Some((End::Closed, _))) => Some(format!("connection {number} was cut")),
            (PointAction::Stall | PointAction::Pass, _) => Some(format!("the frame on connection {number} was met")),
            _ => None,
        })
    }

    /// Starts a killed process again; a connection that was cut is the service's to open again.
    pub(super) async fn heal(self) -> Result<String, FaultError> {
        match self.dead {
            Some(dead) => dead.heal().await,
            None => Ok("nothing to undo".to_owned()),
        }
    }
}
