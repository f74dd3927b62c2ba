//! The first half of CREATE: every line of an order is admitted, by Redis or, in mode DB, by leaving it to MySQL.
//!
//! A reservation is no effect yet: without a committed order its units go back through RESOLVE.

use super::breaker::Pass;
use super::resolve::Held;
use super::{Flow, Refusal};
use crate::clock::{self, Deadline};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Item, Line, Member, OrderId, OrderRequest, Quantity, Token};
use crate::ledger::{Admission, Mode};
use crate::stock::{PreDeduct, StockError, Taken};

/// `pre_deduct` is repeated this often when its reply was lost; it is idempotent.
const UNKNOWN_TRIES: u32 = 3;

/// How the admission of an order ended.
#[derive(Debug)]
pub(super) enum Admitted {
    /// Every line is admitted.
    All {
        /// One for each line, in their order.
        admissions: Vec<Admission>,
        /// Units left after the lines that took some just now, by line.
        left: Vec<Option<i64>>,
    },
    /// An earlier reservation is settled: the row of the order knows the answer.
    AskRow,
    /// Too few units are left, but an attempt of an earlier epoch may have become an order.
    SoldOutUnlessStored {
        /// The item that is short.
        item: Item,
    },
}

/// What the attempts of one request have used so far.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Whether units were taken in Redis, whatever became of them since.
    units: bool,
    /// Whether it has one of the places of orders that MySQL admits.
    place: bool,
    /// Reservations that this request knows to have made, in any of its attempts. One whose first reply was lost looks like another request's.
    made: Vec<Made>,
}

impl Used {
    /// A refusal in terms of the whole request: [`Refusal::Throttled`] promises that nothing was taken.
    pub(super) fn speak_of(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Throttled if self.units => Refusal::NotAdmitted("mysql admits too many orders by now".to_owned()),
            other => other,
        }
    }

    /// Whether the reservation of a line was made by another request with this id.
    pub(super) fn found(&self, admission: &Admission) -> bool {
        let mine = |made: &Made| made.item == admission.line.item && Some(made.token) == admission.token;
        admission.token.is_some() && !self.made.iter().any(mine)
    }

    /// One whose attempts so far made these.
    #[cfg(test)]
    pub(super) fn that_made(made: Vec<Made>) -> Self {
        Self { made, ..Self::default() }
    }

    /// Forgets the reservation of an item whose epoch moved on: it is void.
    pub(super) fn forget(&mut self, item: Item) {
        self.made.retain(|made| made.item != item);
    }

    /// What `order` holds: what its last attempt `held`, and what earlier ones did, which that one may not have come to.
    pub(super) fn with_earlier(&self, order: &OrderId, held: &[Held]) -> Vec<Held> {
        let earlier = self.made.iter().map(|made| made.held_by(order)).filter(|made| !held.contains(made));
        held.iter().cloned().chain(earlier).collect()
    }
}

/// A reservation, without whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) item: Item,
    pub(super) token: Token,
    pub(super) quantity: Quantity,
}

impl Made {
    fn held_by(self, order: &OrderId) -> Held {
        let Self { item, token, quantity } = self;
        Held { item, member: Member { order: order.clone(), token, quantity } }
    }
}

/// The end of an admission, with what had been taken by then.
pub(super) struct Attempt {
    pub(super) held: Vec<Held>,
    pub(super) result: Result<Admitted, Refusal>,
}

impl Flow {
    /// Admits every line in order. Stops at the first that is refused; what is held by then is in the result.
    pub(super) async fn admit(&self, request: &OrderRequest, deadline: Deadline, used: &mut Used) -> Attempt {
        // Asked first, so that as a rule whoever is throttled has taken nothing.
        if request.lines().iter().any(|line| self.modes.of(line.item) == Some(Mode::Db)) && !self.may_use_mysql(used) {
            return Attempt { held: Vec::new(), result: Err(Refusal::Throttled) };
        }
        let mut held = Vec::with_capacity(request.lines().len());
        let mut admissions = Vec::with_capacity(request.lines().len());
        let mut left = Vec::with_capacity(request.lines().len());
        for line in request.lines() {
            match self.admit_line(request.order(), *line, deadline, used).await {
                Ok(LineAdmitted::ByRedis(taken)) => {
                    let made = Made { item: line.item, token: taken.token, quantity: taken.quantity };
                    used.units = true;
                    held.push(made.held_by(request.order()));
                    if taken.left.is_some() {
                        used.made.push(made);
                    }
                    admissions.push(Admission { line: *line, token: Some(taken.token) });
                    left.push(taken.left);
                }
                Ok(LineAdmitted::ByLedger) => {
                    admissions.push(Admission { line: *line, token: None });
                    left.push(None);
                }
                Ok(LineAdmitted::Else(admitted)) => return Attempt { held, result: Ok(admitted) },
                Err(refusal) => return Attempt { held, result: Err(refusal) },
            }
        }
        Attempt { held, result: Ok(Admitted::All { admissions, left }) }
    }

    /// One place an order, however many of its lines MySQL admits.
    fn may_use_mysql(&self, used: &mut Used) -> bool {
        used.place = used.place || self.database_orders.take();
        used.place
    }

    async fn admit_line(&self, order: &OrderId, line: Line, deadline: Deadline, used: &mut Used) -> Result<LineAdmitted, Refusal> {
        loop {
            match self.modes.of(line.item) {
                Some(Mode::Db) if self.may_use_mysql(used) => return Ok(LineAdmitted::ByLedger),
                Some(Mode::Db) => return Err(Refusal::Throttled),
                Some(Mode::Closed) => return Err(Refusal::NotAdmitted(format!("item {} is closed", line.item))),
                _ => {}
            }
            let Some(pass) = self.redis.pass() else {
                if deadline.has_passed() {
                    return Err(Refusal::NotAdmitted("redis does not answer".to_owned()));
                }
                in_time(deadline, line.item, self.without_redis(line.item)).await?;
                continue;
            };
            let asked_at = clock::now();
            match self.pre_deduct(order, line, pass).await? {
                PreDeduct::Taken(taken) => return Ok(LineAdmitted::ByRedis(taken)),
                PreDeduct::Resolved => return Ok(LineAdmitted::Else(Admitted::AskRow)),
                PreDeduct::Mismatch { .. } => return Err(Refusal::Mismatch),
                PreDeduct::Insufficient { earlier_record: true, .. } => {
                    return Ok(LineAdmitted::Else(Admitted::SoldOutUnlessStored { item: line.item }));
                }
                PreDeduct::Insufficient { left, .. } => {
                    if left <= 0 {
                        self.sold_out.remember(line.item, asked_at);
                    }
                    return Err(Refusal::SoldOut { item: line.item });
                }
                PreDeduct::NotReady(why) if deadline.has_passed() => {
                    return Err(Refusal::NotAdmitted(format!("the counter of item {} is {:?}", line.item, why.why)));
                }
                PreDeduct::NotReady(_) => in_time(deadline, line.item, self.make_ready(line.item, "not_ready")).await?,
            }
        }
    }

    /// Brings the counter up, or learns that Redis has no part in this item now.
    pub(super) async fn make_ready(&self, item: Item, reason: &'static str) -> Result<(), Refusal> {
        let read_at = clock::now();
        let state = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        self.modes.put(item, state.mode, read_at);
        match state.mode {
            Mode::Db | Mode::Closed => Ok(()),
            Mode::Redis | Mode::Strict if self.redis.away_for().is_some() => self.without_redis(item).await,
            Mode::Redis | Mode::Strict => self.ensure_ready(item, reason).await,
        }
    }

    async fn pre_deduct(&self, order: &OrderId, line: Line, mut pass: Pass<'_>) -> Result<PreDeduct, StockError> {
        let started = clock::now();
        let mut reply = self.stock.pre_deduct(line.item, order, line.quantity).await;
        for _ in 1..UNKNOWN_TRIES {
            pass.tell(reply.is_ok());
            if !matches!(reply, Err(StockError::Unknown { .. })) {
                break;
            }
            self.metrics.count("pre_deduct", "unknown");
            reply = self.stock.pre_deduct(line.item, order, line.quantity).await;
        }
        pass.tell(reply.is_ok());
        #[cfg(feature = "defects")]
        if planted(Defect::RollbackOfUnknownAddsStock) && reply.is_err() {
            self.undo_behind(order, line);
        }
        self.metrics.count("pre_deduct", pre_deduct_word(&reply));
        self.metrics.time("pre_deduct", started);
        reply
    }
}

#[cfg(feature = "defects")]
impl Flow {
    /// Adds the units of a reservation that came to nothing, as it seems, once, as soon as Redis answers again.
    fn undo_behind(&self, order: &OrderId, line: Line) {
        let (flow, event) = (self.clone(), format!("undo-{order}"));
        tokio::spawn(async move {
            for _ in 0..20 {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                if let Ok(Some(state)) = flow.ledger.epoch(line.item).await {
                    let units = u64::from(line.quantity.get());
                    if flow.stock.apply_delta(line.item, state.epoch, &event, units).await.is_ok() {
                        return;
                    }
                }
            }
        });
    }
}

enum LineAdmitted {
    ByRedis(Taken),
    ByLedger,
    Else(Admitted),
}

/// Waits for `ready` until `deadline`: an order that waits has a seat. A rebuild that it waits for goes on by itself.
pub(super) async fn in_time(
    deadline: Deadline,
    item: Item,
    ready: impl Future<Output = Result<(), Refusal>>,
) -> Result<(), Refusal> {
    let ready = tokio::time::timeout(deadline.remaining(), ready).await;
    ready.unwrap_or_else(|_| Err(Refusal::NotAdmitted(format!("item {item} was not made ready in time"))))
}

fn pre_deduct_word(reply: &Result<PreDeduct, StockError>) -> &'static str {
    match reply {
        Ok(PreDeduct::Taken(Taken { left: Some(_), .. })) => "taken",
        Ok(PreDeduct::Taken(_)) => "duplicate",
        Ok(PreDeduct::Resolved) => "resolved",
        Ok(PreDeduct::Mismatch { .. }) => "mismatch",
        Ok(PreDeduct::Insufficient { .. }) => "sold_out",
        Ok(PreDeduct::NotReady(_)) => "not_ready",
        Err(StockError::Unknown { .. }) => "gave_up",
        Err(_) => "not_executed",
    }
}
