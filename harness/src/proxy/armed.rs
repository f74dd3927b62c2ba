//! Triggers that are armed, and the matching of frames against them.
//!
//! In: triggers, and every frame with a name. Out: hits, and what is to become of the frame.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::trigger::{Armed, Hit, OnHit, Trigger};
use super::{Decision, Direction, Frame, lock};
use crate::clock::{Offset, RunClock};

/// Hits that wait to be taken; a trigger whose hits nobody takes lets further frames pass.
const HITS_MAX: usize = 256;

#[derive(Debug)]
struct Waiting {
    id: u64,
    trigger: Trigger,
    matched: AtomicU64,
    hits: mpsc::Sender<Hit>,
}

/// What is to become of a frame that was hit.
#[derive(Debug)]
pub(super) enum Verdict {
    /// This, now.
    Do(Decision),
    /// Hold it until the decision comes, or until then.
    Hold(oneshot::Receiver<Decision>, Offset),
}

/// All armed triggers.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    any: AtomicBool,
    next: AtomicU64,
    waiting: Mutex<Vec<Arc<Waiting>>>,
}

/// Where a frame was seen.
pub(super) struct Place<'a> {
    pub(super) proxy: &'a str,
    pub(super) connection: u64,
    pub(super) direction: Direction,
}

impl Triggers {
    /// Arms a trigger. It is disarmed when what is returned is dropped, when its time is over, or after its last hit.
    /// Must be called within the runtime of the proxies.
    pub(super) fn arm(self: &Arc<Self>, trigger: Trigger) -> Armed {
        let (hits, taken) = mpsc::channel(HITS_MAX);
        let id = self.next.fetch_add(1, Relaxed);
        let (token, max) = (CancellationToken::new(), trigger.max);
        lock(&self.waiting).push(Arc::new(Waiting { id, trigger, matched: AtomicU64::new(0), hits }));
        self.any.store(true, Relaxed);
        let (triggers, disarmed) = (Arc::clone(self), token.clone());
        tokio::spawn(async move {
            // Either way the trigger goes.
            drop(tokio::time::timeout(max, disarmed.cancelled()).await);
            triggers.disarm(id);
        });
        Armed { hits: taken, _disarm: token.drop_guard() }
    }

    fn disarm(&self, id: u64) {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|one| one.id != id);
        self.any.store(!waiting.is_empty(), Relaxed);
    }

    /// The verdict on a frame, if a trigger was waiting for it. The first trigger that hits decides; others count the match.
    pub(super) fn look(&self, frame: &Frame, place: &Place<'_>, clock: RunClock) -> Option<Verdict> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let waiting = lock(&self.waiting).clone();
        let mut verdict = None;
        for one in waiting.iter().filter(|one| one.wants(frame, place)) {
            let nth = one.matched.fetch_add(1, Relaxed) + 1;
            let (first, last) = (one.trigger.nth, one.trigger.nth.saturating_add(one.trigger.times.saturating_sub(1)));
            if verdict.is_none() && (first..=last).contains(&nth) {
                verdict = one.hit(frame, place, nth, clock.now());
            }
            if nth >= last {
                self.disarm(one.id);
            }
        }
        verdict
    }
}

impl Waiting {
    fn wants(&self, frame: &Frame, place: &Place<'_>) -> bool {
        let trigger = &self.trigger;
        (frame.step == trigger.point || frame.points.contains(&trigger.point.as_str()))
            && (trigger.proxies.is_empty() || trigger.proxies.iter().any(|proxy| proxy == place.proxy))
            && trigger.direction.is_none_or(|direction| direction == place.direction)
            && trigger.order.as_ref().is_none_or(|order| frame.orders.contains(order))
    }

    fn hit(&self, frame: &Frame, place: &Place<'_>, nth: u64, at: Offset) -> Option<Verdict> {
        let (decide, verdict) = match self.trigger.on_hit {
            OnHit::Do(decision) => (None, Verdict::Do(decision)),
            OnHit::Ask => {
                let (decide, decision) = oneshot::channel();
                (Some(decide), Verdict::Hold(decision, at.plus(self.trigger.hold_max)))
            }
        };
        let hit = Hit {
            point: self.trigger.point.clone(),
            step: frame.step,
            proxy: place.proxy.to_owned(),
            connection: place.connection,
            direction: place.direction,
            orders: frame.orders.clone(),
            item: frame.item.clone(),
            nth,
            at,
            decide,
        };
        self.hits.try_send(hit).is_ok().then_some(verdict)
    }
}
