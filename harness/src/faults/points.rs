//! Faults at a named step of the protocol: the frame is held at the proxy while the harm is done, so that the interleaving is exact.
//!
//! In: a kill point, which hit counts, an action. Out: a record of the point, and a fault in force: a process to be restarted, or a
//! connection that was cut.

use std::time::Duration;

use super::process::Dead;
use super::{FaultError, Faults};
use crate::clock::Offset;
use crate::history::record::{PointMark, Record};
use crate::proxy::tap::{Peer, Point};
use crate::proxy::{Armed, Decision, End, HOLD_MAX, Hit, OnHit, Proxies, Trigger};
use crate::scenario::FaultWindow;
use crate::scenario::faults::{PointAction, Store};

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
    roles: Vec<String>,
    store: Store,
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
        let store = match point.lives_on().1 {
            Peer::Redis => Store::Redis,
            Peer::Mysql => Store::Mysql,
            Peer::Clients => return Err(FaultError::failed(act(), "no proxy stands in front of the clients")),
        };
        let proxies = faults.controls.proxies()?;
        let on_hit = match action {
            PointAction::Kill => OnHit::Ask,
            PointAction::Pass => OnHit::Do(Decision::Pass),
            PointAction::DropReply => OnHit::Do(Decision::DropReply),
            PointAction::CutBefore => OnHit::Do(Decision::CutBefore),
            PointAction::Reset => OnHit::Do(Decision::Reset),
            PointAction::Stall => OnHit::Do(Decision::Stall(Duration::from_millis(window.duration_ms))),
        };
        let trigger = Trigger {
            proxies: roles.iter().map(|role| faults.controls.link(role, store)).collect(),
            nth,
            on_hit,
            hold_max: HOLD_MAX,
            ..Trigger::at(name, Duration::from_millis(window.max_ms))
        };
        Ok(Self { faults, id, point, nth, action, roles, store, armed: proxies.arm(trigger), proxies })
    }

    /// Waits for the hit and does the harm; `None` if the point was not met in time.
    pub(super) async fn hit(mut self) -> Result<Option<(PointFault<'a>, String)>, FaultError> {
        let hit = tokio::select! { hit = self.armed.next() => hit, () = self.faults.stop.cancelled() => None };
        let Some(hit) = hit else { return Ok(None) };
        let role = self.roles.iter().find(|role| self.faults.controls.link(role, self.store) == hit.proxy);
        let role = role.ok_or_else(|| FaultError::failed(format!("act at {}", hit.point), format!("{} is nobody's", hit.proxy)))?;
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
        let dead = if self.action == PointAction::Kill { Some(self.kill(role, hit).await?) } else { None };
        self.record(mark, at).await?;
        Ok(Some((PointFault { proxies: self.proxies, proxy, connection, action: self.action, dead }, facts)))
    }

    /// Kills the process while its frame is held.
    async fn kill(&self, role: &str, hit: Hit) -> Result<Dead<'a>, FaultError> {
        let (dead, _) = Dead::kill(self.faults.controls, vec![role.to_owned()]).await?;
        // The point of the one is that the request arrives; of all others, that what was held never does.
        let forwarded = matches!(self.point, Point::PreDeductForwarded);
        if hit.decide(if forwarded { Decision::Pass } else { Decision::CutBefore }) {
            Ok(dead)
        } else {
            dead.heal().await?;
            Err(FaultError::failed(format!("kill {role} at {}", self.point.name()), "its frame was no longer held"))
        }
    }

    async fn record(&self, mark: PointMark, at: Offset) -> Result<(), FaultError> {
        let held = self.faults.recorder.clock().now().since(at);
        let held_ns = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        let recorded = self.faults.recorder.record(Record::Point(PointMark { held_ns, ..mark })).await;
        recorded.map(drop).map_err(FaultError::of("record a kill point"))
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
