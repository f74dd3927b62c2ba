//! Sends the orders of a plan as fast as a number of clients get their answers: a closed loop, which finds what a service can do at most.
//!
//! In: a plan of new orders alone. Out: records of every request, and counts. Each client takes the next arrival of the plan once its last request
//! was answered, so nothing is ever shed. An order is due when it is sent: its response time is that of a service with so many orders open,
//! never what a buyer feels at a given rate. Judges nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::ask::Ask;
use super::progress::Progress;
use super::sender::Sender;
use crate::clock::Offset;
use crate::history::record::{Function, ItemQuantity, PhaseMark, Record};
use crate::history::recorder::Recorder;
use crate::scenario::plan::{Arrival, Plan};
use crate::stack::Endpoints;

/// What the clients share.
pub(super) struct ClosedLoop<'a> {
    plan: &'a Plan,
    recorder: &'a Recorder,
    progress: &'a Progress,
    sender: Sender,
    next: AtomicUsize,
    /// The first arrival of each stretch.
    first_of_stretch: Vec<usize>,
}

impl<'a> ClosedLoop<'a> {
    /// A load that has sent nothing yet.
    pub(super) fn new(plan: &'a Plan, endpoints: &Endpoints, recorder: &'a Recorder, progress: &'a Arc<Progress>) -> Self {
        let starts = plan.scenario.stretches.iter().scan(Offset::ZERO, |start, stretch| {
            let begins = *start;
            *start = start.plus(Duration::from_millis(stretch.duration_ms));
            Some(begins)
        });
        let first_of_stretch = starts.map(|start| plan.arrivals.partition_point(|arrival| arrival.due < start)).collect();
        let sender = Sender::new(plan, endpoints, recorder, progress);
        Self { plan, recorder, progress, sender, next: AtomicUsize::new(0), first_of_stretch }
    }

    /// Sends the whole plan (true), or as much as there was of it when `stop` was cancelled (false). Waits for every reply.
    ///
    /// # Errors
    /// The recorder is gone, or the plan does not fit the stack.
    pub(super) async fn run(&self, stop: &CancellationToken) -> Result<bool, LoadError> {
        try_join_all((0..self.plan.scenario.limits.clients).map(|_| self.client(stop))).await?;
        let never_due = self.plan.arrivals.len().saturating_sub(self.next.load(Ordering::Relaxed));
        if never_due > 0 {
            let detail = json!({ "never_due": never_due });
            self.recorder.record(Record::Note { what: "load_interrupted".to_owned(), detail }).await?;
        }
        Ok(never_due == 0)
    }

    async fn client(&self, stop: &CancellationToken) -> Result<(), LoadError> {
        while !stop.is_cancelled() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(arrival) = self.plan.arrivals.get(index) else { break };
            self.enter_stretches(index).await?;
            self.progress.add_offered();
            self.sender.add_attempt(arrival.order);
            self.sender.send(arrival.order, &self.ask(arrival)).await?;
        }
        Ok(())
    }

    /// Marks every stretch that begins with this arrival: of several, all but the last hold none.
    async fn enter_stretches(&self, index: usize) -> Result<(), LoadError> {
        for (place, stretch) in self.plan.scenario.stretches.iter().enumerate() {
            if self.first_of_stretch[place] == index {
                let mark = PhaseMark { name: stretch.phase, stretch: stretch.name.clone() };
                self.recorder.record(Record::Phase(mark)).await?;
                self.progress.enter_stretch(place);
            }
        }
        Ok(())
    }

    fn ask(&self, arrival: &Arrival) -> Ask {
        let (order, items) = (&self.plan.orders[arrival.order as usize], &self.plan.scenario.items);
        let line =
            |line: crate::scenario::plan::PlannedLine| ItemQuantity { item: items[line.item as usize].item, qty: line.quantity };
        Ask {
            function: Function::CreateOrder,
            order: self.plan.order_id(arrival.order),
            user: order.user,
            lines: order.lines().map(line).collect(),
            due: self.recorder.clock().now(),
            instance: arrival.instance,
            retry: false,
            // The whole load is closed, which the report says of it; the mark sets users beside an open load apart.
            closed_loop: false,
        }
    }
}
