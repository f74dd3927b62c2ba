//! The life of one fault: wait for its time, inject, prove that it bit, wait, heal, prove that too, and record every step.

use std::time::Duration;

use super::begun::Begun;
use super::standing::{Standing, inject};
use super::{FaultError, Faults};
use crate::clock::Offset;
use crate::history::HistoryError;
use crate::history::record::{FaultMark, FaultStep, Record};
use crate::scenario::FaultWindow;
use crate::scenario::faults::Fault;

/// Pause between two looks for proof.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longest time for one injection, beyond the age of the state that it brings back.
const INJECT_WITHIN: Duration = Duration::from_secs(30);

/// Longest time for one heal: crash recovery of a store is part of it.
const HEAL_WITHIN: Duration = Duration::from_secs(90);

/// Goes through the window with number `id`. What went wrong, in words; a fault that did not bite is not wrong, only recorded.
pub(super) async fn live(
    faults: Faults<'_>,
    id: usize,
    window: &FaultWindow,
    load_start: Offset,
) -> Result<Vec<String>, HistoryError> {
    let life = Life { faults, id: u32::try_from(id).unwrap_or(u32::MAX), window };
    if !life.sleep_until(load_start.plus(Duration::from_millis(window.start_ms.0))).await {
        return Ok(Vec::new());
    }
    life.mark(FaultStep::Armed, "").await?;
    let waits = matches!(window.fault, Fault::Point { .. }).then_some(window.max_ms).unwrap_or(window.fault.lead_ms());
    let within = INJECT_WITHIN + Duration::from_millis(waits);
    let begun = Begun::not_yet(faults.recorder.clock());
    match bounded("inject it", within, inject(faults, life.id, window, &begun)).await {
        Ok(Some((standing, facts))) => life.stand(standing, begun.at(), &facts).await,
        Ok(None) => life.mark(FaultStep::Healed, "nothing was done: what it waited for did not come").await.map(|()| Vec::new()),
        Err(error) => {
            let why = format!("was not injected: {error}");
            match begun.at() {
                // What failed half-way may have been done in part.
                Some(at) => {
                    life.mark_at(at, FaultStep::Injected, "in part, perhaps").await?;
                    life.mark(FaultStep::Abandoned, &why).await?;
                }
                None => life.mark(FaultStep::Healed, &why).await?,
            }
            Ok(vec![format!("fault {id} ({} on {}) was not injected: {error}", window.fault.name(), window.target)])
        }
    }
}

/// One fault and what is known of it.
struct Life<'a> {
    faults: Faults<'a>,
    id: u32,
    window: &'a FaultWindow,
}

impl Life<'_> {
    /// From the injection to the heal.
    async fn stand(&self, mut standing: Standing<'_>, begun: Option<Offset>, facts: &str) -> Result<Vec<String>, HistoryError> {
        let clock = self.faults.recorder.clock();
        self.mark_at(begun.unwrap_or_else(|| clock.now()), FaultStep::Injected, facts).await?;
        let end = clock.now().plus(Duration::from_millis(self.window.duration_ms));
        self.prove(&mut standing, end).await?;
        self.sleep_until(end).await;
        self.mark(FaultStep::Healing, "").await?;
        match bounded("heal it", HEAL_WITHIN, standing.heal()).await {
            Ok(proof) => self.mark(FaultStep::Healed, &proof).await.map(|()| Vec::new()),
            Err(error) => {
                let why =
                    format!("fault {} ({} on {}) was not healed: {error}", self.id, self.window.fault.name(), self.window.target);
                self.mark(FaultStep::Abandoned, &error.to_string()).await?;
                Ok(vec![why])
            }
        }
    }

    /// Looks for proof that it bit until there is some, the window ends or the run is stopped.
    async fn prove(&self, standing: &mut Standing<'_>, end: Offset) -> Result<(), HistoryError> {
        let clock = self.faults.recorder.clock();
        let mut met = None;
        while clock.now() < end && !self.faults.stop.is_cancelled() {
            match bounded("look for proof", end.since(clock.now()), standing.bit()).await {
                Ok(Some(proof)) => return self.mark(FaultStep::Bit, &proof).await,
                Ok(None) => {}
                // A store that is broken need not answer.
                Err(error) => met = Some(error),
            }
            let next = clock.now().plus(LOOK_EVERY).min(end);
            self.sleep_until(next).await;
        }
        if let Some(error) = met {
            let detail = serde_json::json!({ "fault": self.id, "met": error.to_string() });
            self.faults.recorder.record(Record::Note { what: "no_proof".to_owned(), detail }).await?;
        }
        Ok(())
    }

    async fn mark(&self, step: FaultStep, proof: &str) -> Result<(), HistoryError> {
        self.mark_at(self.faults.recorder.clock().now(), step, proof).await
    }

    async fn mark_at(&self, at: Offset, step: FaultStep, proof: &str) -> Result<(), HistoryError> {
        let mark = FaultMark {
            id: self.id,
            kind: self.window.fault.name(),
            target: self.window.target.to_string(),
            step,
            generation: self.faults.controls.generation(),
            proof: proof.to_owned(),
        };
        self.faults.recorder.record_at(at, Record::Fault(mark)).await
    }

    /// Waits; false if the run was stopped before.
    async fn sleep_until(&self, at: Offset) -> bool {
        let at = tokio::time::Instant::from_std(self.faults.recorder.clock().instant(at));
        tokio::select! {
            biased;
            () = self.faults.stop.cancelled() => false,
            () = tokio::time::sleep_until(at) => true,
        }
    }
}

/// What `work` says, or that it took longer than `within`.
async fn bounded<T>(act: &str, within: Duration, work: impl Future<Output = Result<T, FaultError>>) -> Result<T, FaultError> {
    let late = |_| FaultError::Late { act: act.to_owned(), after_ms: within.as_millis() };
    tokio::time::timeout(within, work).await.map_err(late)?
}
