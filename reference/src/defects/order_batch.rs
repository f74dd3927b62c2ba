//! Mistakes of the order transaction that are more than a line.

use super::{Connection, Fence, NewOrder, Path, Written, event_row};
use crate::defects::{Defect, planted};

/// [`Defect::OutboxOutsideTransaction`]: the messages of orders that are committed. A lost reply is taken for a lost COMMIT.
pub(super) async fn outbox_afterwards(connection: &mut Connection, orders: &[&NewOrder], fence: &Fence, written: &Written) {
    if !planted(Defect::OutboxOutsideTransaction) || *written != Written::Committed {
        return;
    }
    let lines = orders.iter().flat_map(|order| order.admissions.iter().map(move |admission| (order, admission)));
    let event = |(order, admission): (&&NewOrder, _)| match fence.path(admission) {
        Some((Path::Counted, epoch)) => Some(event_row(order, admission, epoch)),
        _ => None,
    };
    let events: Vec<String> = lines.filter_map(event).collect();
    if events.is_empty() {
        return;
    }
    let insert = format!(
        "INSERT INTO outbox (event_id, event_type, order_id, store_id, product_id, sku_id, quantity, epoch, token) VALUES {}",
        events.join(",")
    );
    if let Err(failure) = connection.autocommit(insert).await {
        tracing::warn!(?failure, "the messages of committed orders were not written");
    }
}
