//! Restock, cut and hold during a sale, and the way back of a closed item.
//!
//! An increase is booked in MySQL first and follows to Redis as a message. A decrease is part of a rebuild: behind its barrier no unit can be
//! taken meanwhile, and what was only reserved is void, so it may be cut.

use super::{Flow, Refusal};
use crate::clock;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{ChangeKind, Item, StockChange};
use crate::ledger::{ChangeStop, EpochState, Mode, Rebuilt, ReopenStop, StockChanged};
use crate::stock::Installer;

/// Rebuilds of one change; each takes a new epoch or finds that somebody else did.
const TRIES: u32 = 5;

/// How a change that stands came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    /// By this call.
    Now,
    /// By an earlier call with the same id and body.
    Before,
}

impl Flow {
    /// Books a change of stock once, however often it is sent.
    ///
    /// # Errors
    /// No such item; the id belongs to another change; too few units are free, or held: nothing changed. [`Refusal::Unknown`] if nobody can
    /// say (a repeat tells).
    pub async fn change_stock(&self, change: &StockChange) -> Result<Booked, Refusal> {
        #[cfg(feature = "defects")]
        if change.kind() == ChangeKind::Restock && planted(Defect::RestockRedisFirst) {
            self.stock.add_blindly(change.item(), change.units()).await?;
        }
        let result = match change.kind() {
            ChangeKind::Restock => self.ledger.restock(change.clone()).await.map_err(Refusal::from),
            ChangeKind::Cut | ChangeKind::Hold => self.change_behind_barrier(change).await,
        };
        let booked = result.and_then(|changed| booked(change, changed));
        self.metrics.count(word(change.kind()), booked.as_ref().map_or_else(Refusal::code, |_| "booked"));
        if booked.is_ok() {
            self.sold_out.forget(change.item());
        }
        booked
    }

    async fn change_behind_barrier(&self, change: &StockChange) -> Result<StockChanged, Refusal> {
        let (item, mut in_doubt) = (change.item(), false);
        for _ in 0..TRIES {
            match self.change_once(change).await {
                Ok(Rebuilt::Superseded { .. }) => {}
                Ok(Rebuilt::Unknown) => in_doubt = true,
                Ok(Rebuilt::Committed { .. }) => return Ok(StockChanged::Now),
                Ok(Rebuilt::Stopped(stop)) => {
                    if stop == ChangeStop::Before {
                        self.bring_up(item).await;
                    }
                    return Ok(stop.into());
                }
                Ok(Rebuilt::UnknownItem) => return Ok(StockChanged::UnknownItem),
                Ok(Rebuilt::NotReopened(_)) => return Err(Refusal::NotAdmitted("the rebuild was stopped".to_owned())),
                Err(refusal) if in_doubt => return Err(Refusal::Unknown(refusal.to_string())),
                Err(refusal) => return Err(refusal),
            }
        }
        let why = format!("others rebuild item {item} without end");
        Err(if in_doubt { Refusal::Unknown(why) } else { Refusal::NotAdmitted(why) })
    }

    async fn change_once(&self, change: &StockChange) -> Result<Rebuilt, Refusal> {
        let item = change.item();
        let (request, installer) = self.prepare_rebuild(item, None, word(change.kind())).await?;
        let rebuilt = self.ledger.rebuild_changing(request, change.clone()).await?;
        self.install_committed(item, installer, rebuilt).await;
        Ok(rebuilt)
    }

    /// Opens a closed item again in mode `wanted`, if its ledger adds up. An item that is not closed is left as it is.
    ///
    /// # Errors
    /// No such item; its ledger does not add up: nothing changed; or a store gave no answer (a repeat is safe): [`Refusal::Unknown`] if the
    /// item may be open.
    pub async fn reopen(&self, item: Item, wanted: Mode) -> Result<EpochState, Refusal> {
        let mut in_doubt = false;
        let doubt = |refusal: Refusal, in_doubt| if in_doubt { refusal.in_doubt() } else { refusal };
        for _ in 0..TRIES {
            let prepared = self.prepare_rebuild(item, Some(wanted), "reopen").await;
            let (request, installer) = prepared.map_err(|refusal| doubt(refusal, in_doubt))?;
            let read_at = clock::now();
            let rebuilt = self.ledger.reopen(request).await.map_err(|error| doubt(error.into(), in_doubt))?;
            self.install_committed(item, installer, rebuilt).await;
            match rebuilt {
                Rebuilt::Committed { epoch, mode, .. } => {
                    self.modes.put(item, mode, read_at);
                    return Ok(EpochState { epoch, mode });
                }
                Rebuilt::NotReopened(ReopenStop::Open(state)) => return Ok(state),
                Rebuilt::NotReopened(ReopenStop::Unbalanced { current, booked, available }) => {
                    let what = format!("owns {current} units, its ledger says {booked}, and {available} are held by no order");
                    return Err(Refusal::Conflict(format!("item {item} {what}")));
                }
                Rebuilt::UnknownItem => return Err(Refusal::UnknownSku { item }),
                Rebuilt::Unknown => in_doubt = true,
                Rebuilt::Superseded { .. } | Rebuilt::Stopped(_) => {}
            }
        }
        Err(doubt(Refusal::NotAdmitted(format!("item {item} was rebuilt by others again and again")), in_doubt))
    }

    /// Installs what a rebuild committed. What it committed stands, whatever becomes of the counter.
    async fn install_committed(&self, item: Item, installer: Option<Installer>, rebuilt: Rebuilt) {
        let Rebuilt::Committed { epoch, base, mode } = rebuilt else { return };
        let installed = self.install(item, installer, EpochState { epoch, mode }, base).await;
        if !matches!(installed, Ok(Some(_))) {
            self.bring_up(item).await;
        }
    }

    /// Sees to a counter that may be of a dead epoch.
    async fn bring_up(&self, item: Item) {
        if let Err(refusal) = self.make_ready(item, "change").await {
            tracing::warn!(%item, %refusal, "the counter is left to the next touch");
        }
    }
}

const fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Restock => "restock",
        ChangeKind::Cut => "cut",
        ChangeKind::Hold => "hold",
    }
}

fn booked(change: &StockChange, changed: StockChanged) -> Result<Booked, Refusal> {
    let item = change.item();
    match changed {
        StockChanged::Now => Ok(Booked::Now),
        StockChanged::Before => Ok(Booked::Before),
        StockChanged::Mismatch => Err(Refusal::Mismatch),
        StockChanged::Short if change.units() < 0 => Err(Refusal::Conflict(format!("fewer units of item {item} are held"))),
        StockChanged::Short => Err(Refusal::Conflict(format!("fewer units of item {item} are free"))),
        StockChanged::UnknownItem => Err(Refusal::UnknownSku { item }),
    }
}
