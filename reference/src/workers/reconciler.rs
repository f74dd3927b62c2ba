//! The reconciler: audits one item a round, under traffic, and corrects what Redis has wrong. Begins at a random item, so that processes that
//! are restarted often still come to all of them, and several processes at once mostly look at different ones.

use std::sync::{Mutex, PoisonError};

use super::Round;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::Item;
use crate::flow::{Flow, Refusal};

/// Where the next round begins: after this item.
#[derive(Debug, Default)]
pub(super) struct Cursor(Mutex<Option<Item>>);

impl Cursor {
    fn get(&self) -> Option<Item> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, item: Option<Item>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = item;
    }
}

pub(super) async fn round(flow: &Flow, cursor: &Cursor) -> Result<Round, Refusal> {
    let next = match cursor.get() {
        None => flow.ledger().any_item().await?,
        Some(last) => flow.ledger().items(Some(last), 1).await?.first().map(|(item, _)| *item),
    };
    let item = match next {
        Some(item) => item,
        // The end: from the first one again.
        None => match flow.ledger().items(None, 1).await?.first() {
            Some((item, _)) => *item,
            None => return Ok(Round::Idle),
        },
    };
    // Set before the audit: an item that fails must not keep the reconciler from the others.
    cursor.set(Some(item));
    #[cfg(feature = "defects")]
    {
        if planted(Defect::RepairFromSum) {
            flow.ledger().repair_from_sum(item).await?;
        }
        if planted(Defect::RefreshBySet) {
            return flow.overwrite(item).await.map(|()| Round::Some);
        }
        if planted(Defect::ReconcilerRepairsTwice) {
            return flow.add_difference(item).await.map(|()| Round::Some);
        }
    }
    flow.audit_in_passing(item).await?;
    Ok(Round::Some)
}
