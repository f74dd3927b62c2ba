//! AUDIT: Redis beside MySQL, exact under traffic, and the balance beside its rows. A difference is recorded and a new epoch opened in the
//! same transaction; a balance that is not the sum of its rows is told, never "corrected" from the sum.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::Mutex;

use super::{Flow, Refusal};
use crate::clock;
use crate::domain::Item;
use crate::ledger::{AuditRequest, Audited, Comparison, EpochState, LedgerCheck, LedgerError, Look, Sight};
use crate::metrics::Finding;
use crate::stock::{Installer, Probe};

/// Longest look at Redis. The item's orders wait for it.
const LOOK_MAX: Duration = Duration::from_millis(500);
/// Longest round trip to Redis at which orders are made to wait for a look that nobody asked for.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(50);
/// Locks of one item beyond which it is too busy to be audited.
const LOCKS_MAX: u32 = 20_000;

/// Sums of rows that nobody asked for take at most this part of the time: those of an item with a million rows take 0.3 s of a core, and an
/// item is audited every second.
const SUM_SHARE: u32 = 20;
/// Longest wait for the next sum for that reason.
const SUM_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whether an audit sums the rows of the ledger.
#[derive(Debug, Clone, Copy)]
enum Sum {
    Always,
    WhenDue,
}

/// When rows are next summed without being asked.
#[derive(Debug, Default)]
pub(super) struct SumPace(StdMutex<Option<Instant>>);

impl SumPace {
    fn is_due(&self, now: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|due| due <= now)
    }

    fn took(&self, took: Duration, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + took.saturating_mul(SUM_SHARE).min(SUM_PAUSE_MAX));
    }
}

/// What an audit of one item found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// The item.
    pub item: Item,
    /// Redis beside MySQL.
    pub audited: Audited,
    /// The balance beside its rows, of a later instant; `None` if MySQL did not tell, or an audit in passing left it for later.
    pub ledger: Option<LedgerCheck>,
    /// Whether the counter of the epoch that corrects a difference stands in Redis.
    pub installed: bool,
}

impl AuditReport {
    /// The word under which it is counted.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.audited {
            Audited::UnknownItem | Audited::NoPart { .. } => "no_part",
            Audited::NotComparable { .. } => "not_comparable",
            Audited::Compared(comparison) if comparison.findings.is_empty() => "in_balance",
            Audited::Compared(_) => "difference",
        }
    }
}

impl Flow {
    /// Audits one item; `correct` also repairs what Redis has wrong. Orders of the item wait for one look at Redis.
    ///
    /// Dropping the future is safe: an epoch that was opened and not installed admits nothing, and the next touch rebuilds.
    ///
    /// # Errors
    /// No such item, or MySQL did not answer the comparison. A Redis that gives none is a report, not an error, and so is a balance that
    /// could not be compared with its rows.
    pub async fn audit(&self, item: Item, correct: bool) -> Result<AuditReport, Refusal> {
        let installer = self.stock.installer().await.map_err(|error| error.to_string());
        self.audit_over(installer, item, (correct, Sum::Always)).await
    }

    /// [`Flow::audit`] with correction that nobody asked for: a Redis that is slow is left for later, because orders would wait for it. The rows of
    /// the ledger are summed only as often as that takes a twentieth of the time.
    ///
    /// # Errors
    /// As there.
    pub async fn audit_in_passing(&self, item: Item) -> Result<AuditReport, Refusal> {
        let installer = self.prompt_installer(item).await;
        self.audit_over(installer, item, (true, Sum::WhenDue)).await
    }

    async fn audit_over(
        &self,
        installer: Result<Installer, String>,
        item: Item,
        (correct, sum): (bool, Sum),
    ) -> Result<AuditReport, Refusal> {
        let started = clock::now();
        let incarnation = installer.as_ref().map(|installer| installer.incarnation().to_owned()).unwrap_or_default();
        let (slot, look) = look(item, installer);
        let audited = match self.ledger.audit(AuditRequest { item, look, incarnation, correct }).await {
            Err(error @ LedgerError::Unknown { .. }) => {
                // Perhaps an epoch was opened, and nothing may be installed in it.
                let _next_touch_looks_again = self.ensure_ready(item, "audit").await;
                return Err(error.into());
            }
            other => other?,
        };
        if audited == Audited::UnknownItem {
            return Err(Refusal::UnknownSku { item });
        }
        // Before the rows are summed, which takes long and may fail: until the counter of a new epoch stands, no order is admitted.
        let installed = self.finish_audit(item, &audited, slot).await;
        let mut report = AuditReport { item, audited, ledger: None, installed };
        let drift = self.tell_comparison(&report);
        if matches!(sum, Sum::Always) || self.sums.is_due(clock::now()) {
            let before = clock::now();
            report.ledger = self.check_ledger(item).await;
            self.sums.took(clock::now().duration_since(before), clock::now());
        }
        self.metrics.audited(item, drift, report.ledger.map(|check| check.difference()));
        self.metrics.count("audit", report.word());
        self.metrics.time("audit", started);
        Ok(report)
    }

    /// A connection over which Redis answers soon enough for the orders of the item to wait for it.
    async fn prompt_installer(&self, item: Item) -> Result<Installer, String> {
        let installer = self.stock.installer().await.map_err(|error| error.to_string())?;
        let mut took = Duration::ZERO;
        // The first round trip may have to bring the script along.
        for _ in 0..2 {
            let asked = clock::now();
            installer.probe_epoch(item).await.map_err(|error| error.to_string())?;
            took = clock::now().duration_since(asked);
            if took <= ROUND_TRIP_MAX {
                return Ok(installer);
            }
        }
        Err(format!("Redis took {} ms to answer, and orders would wait for it", took.as_millis()))
    }

    /// Installs the counter of an epoch that was opened.
    async fn finish_audit(&self, item: Item, audited: &Audited, slot: Slot) -> bool {
        let Audited::Compared(comparison) = audited else {
            return false;
        };
        let Some(state) = comparison.opened else {
            return false;
        };
        self.metrics.count("rebuild", "audit");
        self.sold_out.forget(item);
        let installer = slot.lock().await.take();
        match self.install(item, installer, state, comparison.available).await {
            Ok(Some(EpochState { .. })) => true,
            _ => self.ensure_ready(item, "audit").await.is_ok(),
        }
    }

    /// Tells what the comparison found. Returns the drift, 0 or not; `None` without a comparison.
    fn tell_comparison(&self, report: &AuditReport) -> Option<i64> {
        let Audited::Compared(comparison) = &report.audited else {
            return None;
        };
        for finding in &comparison.findings {
            self.metrics.found(*finding);
            tell_finding(report.item, *finding, comparison);
        }
        Some(comparison.drift())
    }

    /// Compares the balance with its rows, and tells a difference. `None` if MySQL gave no answer.
    async fn check_ledger(&self, item: Item) -> Option<LedgerCheck> {
        let check = match self.ledger.check_item(item).await {
            Ok(check) => check?,
            Err(error) => {
                tracing::warn!(%item, %error, "the balance was not compared with its rows");
                return None;
            }
        };
        if !check.is_sound() {
            let LedgerCheck { current, locked, booked, open } = check;
            tracing::error!(%item, current, locked, booked, open, "the balance is not what the rows of the ledger say");
        }
        Some(check)
    }

    /// An order was admitted by Redis and refused by the balance: Redis promised too much. Tells it, and audits the item.
    pub(super) fn over_promised(&self, item: Item) {
        self.metrics.found(Finding::GuardRefused);
        // One audit at a time is enough: it corrects what all of them would.
        let Ok(permit) = Arc::clone(&self.auditing).try_acquire_owned() else {
            return;
        };
        let flow = self.clone();
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(refusal) = flow.audit(item, true).await {
                tracing::warn!(%item, %refusal, "audit of an item that promised too much");
            }
        });
    }
}

fn tell_finding(item: Item, finding: Finding, comparison: &Comparison) {
    let (drift, stock, available) = (comparison.drift(), comparison.stock, comparison.available);
    let (held, on_their_way) = (comparison.held(), comparison.on_their_way());
    let corrected = comparison.opened.is_some();
    let finding = finding.name();
    tracing::error!(%item, finding, drift, stock, held, on_their_way, available, corrected, "an audit found a breach");
}

/// The connection that looks, and that installs afterwards: both must go to one process.
type Slot = Arc<Mutex<Option<Installer>>>;

fn look(item: Item, installer: Result<Installer, String>) -> (Slot, Look) {
    let (installer, unreachable) = match installer {
        Ok(installer) => (Some(installer), String::new()),
        Err(why) => (None, why),
    };
    let slot: Slot = Arc::new(Mutex::new(installer));
    let inside = Arc::clone(&slot);
    let look = move |events: Vec<String>| {
        let (slot, unreachable) = (Arc::clone(&inside), unreachable.clone());
        async move {
            let slot = slot.lock().await;
            let installer = slot.as_ref().ok_or(unreachable)?;
            let probe = tokio::time::timeout(LOOK_MAX, installer.look(item, LOCKS_MAX, &events)).await;
            let probe = probe.map_err(|_| format!("Redis gave no answer within {LOOK_MAX:?}"))?;
            sight(probe.map_err(|error| error.to_string())?)
        }
        .boxed()
    };
    (slot, Arc::new(look))
}

fn sight(probe: Probe) -> Result<Sight, String> {
    let seen = probe.locks.len() as u64;
    if probe.lock_count > u64::from(LOCKS_MAX) {
        return Err(format!("{} locks are unresolved, more than {LOCKS_MAX}", probe.lock_count));
    }
    Ok(Sight {
        unready: probe.unready.map(|why| format!("{why:?}")),
        epoch: probe.epoch,
        stock: probe.stock,
        foreign: probe.lock_count.saturating_sub(seen),
        locks: probe.locks.into_iter().map(|lock| lock.member).collect(),
        applied: probe.applied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_nobody_asked_for_take_a_twentieth_of_the_time() {
        let (pace, start) = (SumPace::default(), clock::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(pace.is_due(start), "the first");
        pace.took(Duration::from_millis(300), start);
        assert!(!pace.is_due(at(5_999)) && pace.is_due(at(6_000)));
        pace.took(Duration::from_secs(30), start);
        assert!(!pace.is_due(at(59_999)) && pace.is_due(at(60_000)));
    }
}
