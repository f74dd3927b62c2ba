//! Closed-loop users beside the arrivals: each looks at the stock, orders, pays or cancels, and asks for its order, over and over.
//!
//! In: a plan with rounds for each user. Out: operations in the history, marked as closed-loop, so that every claim about stock judges them
//! and none about latency. A user waits for each answer before its next step; nothing is due, so nothing can be late or shed.
//!
//! Goose runs the users and their loops. Requests go through the client of the load, because only that tells what certainly had no effect
//! from what nobody can say; Goose's own measurements are switched off, and so is everything of it that would open a port.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goose::config::GooseConfiguration;
use goose::prelude::{GooseAttack, GooseUser, Scenario as Loop, Transaction};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::ask::Ask;
use super::client::Client;
use super::progress::Progress;
use crate::clock::{Offset, RunClock};
use crate::history::record::{Function, ItemQuantity, Outcome};
use crate::history::recorder::Recorder;
use crate::scenario::plan::{Journey, Plan};
use crate::stack::Endpoints;

/// What Goose may take beyond the load to start and stop its users.
const SPARE: Duration = Duration::from_secs(60);

/// Steps of a round, in their order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Browse,
    Order,
    Settle,
    AskAgain,
}

impl Step {
    const ALL: [Self; 4] = [Self::Browse, Self::Order, Self::Settle, Self::AskAgain];
}

/// How the order of a user's round ended; none before it was sent.
#[derive(Debug, Clone, Copy)]
struct Ordered(Option<Outcome>);

/// What all users share.
struct Journeys {
    plan: Plan,
    client: Client,
    clock: RunClock,
    ends: Offset,
    /// Cancelled when the run is stopped, and when nothing can be recorded any more.
    over: CancellationToken,
    failure: Mutex<Option<LoadError>>,
}

/// Lets the users of the plan go their rounds until the load would end, and waits for their last answers.
///
/// When `stop` is cancelled, no further step is taken; what is open is still waited for. Ends within the length of the load and a minute.
///
/// Dropping it aborts every open request; the history then has them without a completion.
///
/// # Errors
/// The recorder is gone, the plan does not fit the stack, or Goose fails or does not end.
pub async fn run_journeys(
    plan: &Plan,
    endpoints: &Endpoints,
    recorder: &Recorder,
    stop: &CancellationToken,
) -> Result<(), LoadError> {
    let failed = |why: String| LoadError::Failed { act: "run closed-loop users", why };
    let load = Duration::from_millis(plan.scenario.load_ms());
    let progress = Arc::new(Progress::default());
    let journeys = Arc::new(Journeys {
        plan: plan.clone(),
        client: Client::new(endpoints, recorder, &progress, plan.scenario.limits.request_timeout_ms),
        clock: recorder.clock(),
        ends: recorder.clock().now().plus(load),
        over: stop.child_token(),
        failure: Mutex::default(),
    });
    let first = endpoints.api.first().ok_or(LoadError::NoInstance { wanted: 0, there: 0 })?;
    let attack = GooseAttack::initialize_with_config(configuration(plan, &format!("http://{first}/")))
        .map_err(|error| failed(error.to_string()))?
        .register_scenario(rounds(&journeys))
        .execute();
    match tokio::time::timeout(load + SPARE, attack).await {
        Err(_) => return Err(failed(format!("they did not end within {} s of the load", SPARE.as_secs()))),
        Ok(ended) => ended.map_err(|error| failed(error.to_string()))?,
    };
    let failure = journeys.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    failure.map_or(Ok(()), Err)
}

/// All users begin within a second; a user ends when it has gone all its rounds, which it does at once when time is over.
fn configuration(plan: &Plan, host: &str) -> GooseConfiguration {
    let mut goose = GooseConfiguration::default();
    goose.host = Some(host.to_owned());
    goose.users = Some(plan.journeys.len());
    goose.increase_rate = Some(plan.journeys.len().to_string());
    goose.iterations = plan.journeys.iter().map(Vec::len).max();
    goose.quiet = 1;
    goose.no_metrics = true;
    goose.no_print_metrics = true;
    goose.no_telnet = true;
    goose
}

/// One round as Goose repeats it.
fn rounds(journeys: &Arc<Journeys>) -> Loop {
    let transaction = |step: Step| {
        let journeys = Arc::clone(journeys);
        Transaction::new(Arc::new(move |user: &mut GooseUser| {
            let journeys = Arc::clone(&journeys);
            Box::pin(async move {
                journeys.take(step, user).await;
                Ok(())
            })
        }))
    };
    let numbered = Step::ALL.into_iter().zip(1..).map(|(step, number)| transaction(step).set_sequence(number));
    numbered.fold(Loop::new("journey"), Loop::register_transaction)
}

impl Journeys {
    /// Takes a step of the user's present round, if there is one and time for it.
    async fn take(&self, step: Step, user: &mut GooseUser) {
        let (who, round) = (user.weighted_users_index, user.get_iterations());
        let Some(journey) = self.plan.journeys.get(who).and_then(|rounds| rounds.get(round)) else { return };
        let ordered = user.get_session_data::<Ordered>().map_or(Ordered(None), |ordered| *ordered);
        if matches!(step, Step::Settle | Step::AskAgain) && !may_stand(ordered) {
            return;
        }
        if !self.think(journey.think_ms[step as usize]).await {
            user.set_session_data(Ordered(None));
            return;
        }
        match self.ask(step, who, round, journey).await {
            Ok(outcome) if matches!(step, Step::Order) => user.set_session_data(Ordered(Some(outcome))),
            Ok(_) if matches!(step, Step::Browse) => user.set_session_data(Ordered(None)),
            Ok(_) => {}
            Err(error) => {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                self.over.cancel();
            }
        }
    }

    /// Pauses; false if there is no time left for a step after that.
    async fn think(&self, think_ms: u32) -> bool {
        let at = self.clock.now().plus(Duration::from_millis(think_ms.into()));
        if at >= self.ends {
            return false;
        }
        tokio::select! {
            () = self.over.cancelled() => false,
            () = tokio::time::sleep_until(Instant::from_std(self.clock.instant(at))) => true,
        }
    }

    async fn ask(&self, step: Step, who: usize, round: usize, journey: &Journey) -> Result<Outcome, LoadError> {
        let function = match step {
            Step::Browse => Function::ReadStock,
            Step::Order => Function::CreateOrder,
            Step::Settle if journey.pays => Function::PayOrder,
            Step::Settle => Function::CancelOrder,
            Step::AskAgain => Function::ReadOrder,
        };
        let item = self.plan.scenario.items[journey.line.item as usize].item;
        let browses = function == Function::ReadStock;
        let ask = Ask {
            function,
            order: if browses { String::new() } else { self.plan.journey_order_id(who, round) },
            user: self.plan.journey_user(who),
            lines: vec![ItemQuantity { item, qty: journey.line.quantity }],
            due: self.clock.now(),
            instance: journey.instance,
            retry: false,
            closed_loop: true,
        };
        let outcome = self.client.ask(&ask).await?.outcome;
        if function == Function::CreateOrder && matches!(outcome, Outcome::Info(_)) {
            // Who got no answer asks once more, and says so.
            let again = Ask { due: self.clock.now(), retry: true, ..ask };
            return Ok(self.client.ask(&again).await?.outcome);
        }
        Ok(outcome)
    }
}

/// Whether there may be an order to settle: it was sent, and was not refused.
const fn may_stand(ordered: Ordered) -> bool {
    matches!(ordered.0, Some(Outcome::Ok | Outcome::Info(_)))
}
