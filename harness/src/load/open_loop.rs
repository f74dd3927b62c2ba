//! Sends every arrival of a plan when it is due, whatever the service does.
//!
//! In: a plan, drawn before. Out: records of every request, and counts. An arrival is sent late by the pace alone; one that finds
//! no free slot is recorded as shed and never sent. Waits for what is open at the end; runs wherever it is polled.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::ask::Ask;
use super::closed_loop::ClosedLoop;
use super::pacer::Alarm;
use super::progress::{Counts, Progress};
use super::sender::Sender;
use crate::clock::Offset;
use crate::history::record::{Function, ItemQuantity, PhaseMark, Record, Shed, ShedCause};
use crate::history::recorder::Recorder;
use crate::scenario::plan::{Action, Arrival, Plan, PlannedLine};
use crate::stack::Endpoints;

/// Shortest pause between two batches of arrivals. Half a millisecond keeps the lag that batching adds below the service levels
/// that are judged, at a few percent of a core.
const TICK: Duration = Duration::from_micros(500);

/// What a load did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadSummary {
    /// Start of the load, from which the plan counts.
    pub start: Offset,
    /// When the last request had ended.
    pub end: Offset,
    /// Arrivals of the plan.
    pub planned: u64,
    /// What became of them.
    pub counts: Counts,
    /// Whether it was stopped before the plan was through.
    pub interrupted: bool,
}

/// Sends the whole plan, beginning now, and waits for every reply; each wait is bounded by the request timeout. Then it settles the changes
/// of stock of which nobody can say whether they happened: they are sent again under their ids, at most five times.
///
/// A plan with `clients` among its limits is not sent by the time: each client sends the next order once its last was answered.
///
/// When `stop` is cancelled, nothing more is sent; what is open is still waited for.
///
/// Dropping it aborts every open request; the history then has them without a completion.
///
/// # Errors
/// The recorder is gone, or the plan does not fit the stack. The load is aborted then.
pub async fn run_load(
    plan: &Plan,
    endpoints: &Endpoints,
    recorder: &Recorder,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<LoadSummary, LoadError> {
    if let Some(wanted) =
        plan.arrivals.iter().map(|arrival| arrival.instance).max().filter(|top| usize::from(*top) >= endpoints.api.len())
    {
        return Err(LoadError::NoInstance { wanted, there: endpoints.api.len() });
    }
    if plan.scenario.limits.clients > 0 {
        let load = ClosedLoop::new(plan, endpoints, recorder, progress);
        let start = recorder.clock().now();
        let interrupted = !load.run(stop).await?;
        let end = recorder.clock().now();
        return Ok(LoadSummary { start, end, planned: plan.arrivals.len() as u64, counts: progress.counts(), interrupted });
    }
    let mut load = OpenLoop::new(plan, endpoints, recorder, progress);
    let interrupted = !load.pace(stop).await?;
    if interrupted {
        load.give_up().await?;
    }
    while let Some(ended) = load.open.join_next().await {
        request_ended(ended)?;
    }
    load.sender.settle(recorder.clock(), stop).await?;
    let end = recorder.clock().now();
    Ok(LoadSummary { start: load.start, end, planned: plan.arrivals.len() as u64, counts: progress.counts(), interrupted })
}

/// The state of a load while it is paced.
struct OpenLoop<'a> {
    plan: &'a Plan,
    recorder: &'a Recorder,
    start: Offset,
    next_arrival: usize,
    next_stretch: usize,
    stretch_start: Offset,
    /// When each order is due for the first time, to tell a concurrent repetition from a later one.
    first_due: Vec<Option<Offset>>,
    open: JoinSet<Result<(), LoadError>>,
    slots: usize,
    progress: &'a Progress,
    sender: Arc<Sender>,
}

impl<'a> OpenLoop<'a> {
    fn new(plan: &'a Plan, endpoints: &Endpoints, recorder: &'a Recorder, progress: &'a Arc<Progress>) -> Self {
        let limits = &plan.scenario.limits;
        let start = recorder.clock().now();
        Self {
            plan,
            recorder,
            start,
            next_arrival: 0,
            next_stretch: 0,
            stretch_start: start,
            first_due: vec![None; plan.orders.len()],
            open: JoinSet::new(),
            slots: limits.in_flight_max as usize,
            progress,
            sender: Arc::new(Sender::new(plan, endpoints, recorder, progress)),
        }
    }

    /// Sends until the plan is through (true) or the run is stopped (false).
    async fn pace(&mut self, stop: &CancellationToken) -> Result<bool, LoadError> {
        let clock = self.recorder.clock();
        let mut alarm = Alarm::start(clock)?;
        let mut earliest = self.start;
        while let Some(due) = self.next_due() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                waited = alarm.wait_until(due.max(earliest)) => waited?,
            }
            let now = clock.now();
            earliest = now.plus(TICK);
            self.reap()?;
            self.enter_stretches(now).await?;
            self.send_due(now).await?;
            // What was sent must get its turn also when the next arrival is due already.
            tokio::task::yield_now().await;
        }
        Ok(true)
    }

    /// When something is to be done next; `None` if the plan is through.
    fn next_due(&self) -> Option<Offset> {
        let stretch = (self.next_stretch < self.plan.scenario.stretches.len()).then_some(self.stretch_start);
        let arrival = self.plan.arrivals.get(self.next_arrival).map(|arrival| self.due(arrival));
        stretch.into_iter().chain(arrival).min()
    }

    fn due(&self, arrival: &Arrival) -> Offset {
        self.start.plus(arrival.due.since(Offset::ZERO))
    }

    /// Forgets the requests that have ended and passes on what failed in them.
    fn reap(&mut self) -> Result<(), LoadError> {
        while let Some(ended) = self.open.try_join_next() {
            request_ended(ended)?;
        }
        Ok(())
    }

    async fn enter_stretches(&mut self, now: Offset) -> Result<(), LoadError> {
        while self.stretch_start <= now
            && let Some(stretch) = self.plan.scenario.stretches.get(self.next_stretch)
        {
            let mark = PhaseMark { name: stretch.phase, stretch: stretch.name.clone() };
            self.recorder.record_at(self.stretch_start, Record::Phase(mark)).await?;
            self.progress.enter_stretch(self.next_stretch);
            self.stretch_start = self.stretch_start.plus(Duration::from_millis(stretch.duration_ms));
            self.next_stretch += 1;
        }
        Ok(())
    }

    async fn send_due(&mut self, now: Offset) -> Result<(), LoadError> {
        while let Some(arrival) = self.plan.arrivals.get(self.next_arrival).copied()
            && self.due(&arrival) <= now
        {
            self.next_arrival += 1;
            self.progress.add_offered();
            match self.obstacle(&arrival)? {
                Some(why) => self.shed(&arrival, why).await?,
                None => self.send(arrival),
            }
        }
        Ok(())
    }

    /// Why the arrival cannot be sent, if so.
    fn obstacle(&mut self, arrival: &Arrival) -> Result<Option<ShedCause>, LoadError> {
        let follows = matches!(arrival.action, Action::Pay | Action::Cancel | Action::Refund);
        if let Some(why) = follows.then(|| self.sender.bar(arrival.order)).flatten() {
            return Ok(Some(why));
        }
        if self.open.len() >= self.slots {
            self.reap()?;
        }
        Ok((self.open.len() >= self.slots).then_some(ShedCause::NoSlot))
    }

    async fn shed(&self, arrival: &Arrival, why: ShedCause) -> Result<(), LoadError> {
        self.progress.add_shed(why);
        let shed = Shed { due: self.due(arrival), f: function(arrival.action), order: self.id(arrival), why };
        self.recorder.record(Record::Shed(shed)).await?;
        Ok(())
    }

    fn send(&mut self, arrival: Arrival) {
        let (user, lines) = self.user_and_lines(&arrival);
        let creates = function(arrival.action) == Function::CreateOrder;
        let retry = creates && arrival.due > *self.first_due[arrival.order as usize].get_or_insert(arrival.due);
        let ask = Ask {
            function: function(arrival.action),
            order: self.id(&arrival),
            user,
            lines,
            due: self.due(&arrival),
            instance: arrival.instance,
            retry,
            closed_loop: false,
        };
        if creates {
            self.sender.add_attempt(arrival.order);
        }
        let sender = Arc::clone(&self.sender);
        self.open.spawn(async move { sender.send(arrival.order, &ask).await });
    }

    /// The id of the order, or of the change of stock.
    fn id(&self, arrival: &Arrival) -> String {
        if arrival.action.is_of_operator() { self.plan.change_id(arrival.order) } else { self.plan.order_id(arrival.order) }
    }

    fn user_and_lines(&self, arrival: &Arrival) -> (u64, Vec<ItemQuantity>) {
        let (at, items) = (arrival.order as usize, &self.plan.scenario.items);
        let line = |line: PlannedLine| ItemQuantity { item: items[line.item as usize].item, qty: line.quantity };
        if arrival.action.is_of_operator() {
            return (0, vec![line(self.plan.changes[at])]);
        }
        let planned = &self.plan.orders[at];
        let mut lines: Vec<ItemQuantity> = planned.lines().map(line).collect();
        if let (Action::Alter, Some(first)) = (arrival.action, lines.first_mut()) {
            first.qty += 1;
        }
        (planned.user, lines)
    }

    /// Accounts for what will not be sent any more: what was due already is shed, the rest never came to be due.
    async fn give_up(&mut self) -> Result<(), LoadError> {
        let now = self.recorder.clock().now();
        while let Some(arrival) = self.plan.arrivals.get(self.next_arrival).copied()
            && self.due(&arrival) <= now
        {
            self.next_arrival += 1;
            self.progress.add_offered();
            self.shed(&arrival, ShedCause::Interrupted).await?;
        }
        let never_due = self.plan.arrivals.len() - self.next_arrival;
        let detail = json!({ "never_due": never_due });
        self.recorder.record(Record::Note { what: "load_interrupted".to_owned(), detail }).await?;
        Ok(())
    }
}

const fn function(action: Action) -> Function {
    match action {
        Action::Create | Action::Repeat | Action::Alter => Function::CreateOrder,
        Action::Cancel => Function::CancelOrder,
        Action::Pay => Function::PayOrder,
        Action::Refund => Function::RefundOrder,
        Action::Read => Function::ReadOrder,
        Action::Restock => Function::Restock,
        Action::Cut => Function::CutStock,
        Action::Hold => Function::HoldStock,
        Action::Release => Function::ReleaseStock,
    }
}

fn request_ended(ended: Result<Result<(), LoadError>, JoinError>) -> Result<(), LoadError> {
    ended.map_err(|error| LoadError::Failed { act: "send a request", why: error.to_string() })?
}
