//! Admin calls of the target: opening a sale.
//!
//! In: an admin listener, its token and the items. Out: nothing but success, or the first item that could not be opened. It does not wait for
//! anything afterwards: an item that was opened is warm in Redis.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};

use super::connection::{CallError, Connection, Reply};
use crate::scenario::{ItemId, SaleItem};

/// Connections that open items side by side.
const CONNECTIONS: usize = 16;

/// Longest wait for one call.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Longest excerpt of a reply in an error text, in characters.
const EXCERPT_MAX: usize = 300;

/// Why a sale could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The service refused.
    #[error("open sale of {item}: answered {status}: {body}")]
    Refused {
        /// The item.
        item: ItemId,
        /// HTTP status.
        status: u16,
        /// Beginning of the reply.
        body: String,
    },
    /// No reply.
    #[error("open sale of {item}: {source}")]
    Call {
        /// The item.
        item: ItemId,
        /// What went wrong.
        source: CallError,
    },
}

/// Opens every item with its stock and the limit per user (0: none), over the admin listener of a process of role api at `listener`. Items that are open with the same stock and limit stay as they are.
///
/// # Errors
/// The first item that was refused or not answered within 10 s; others may be open by then. Calling again is safe.
pub async fn open_sales(listener: SocketAddr, token: &str, items: &[SaleItem], limit_per_user: u32) -> Result<(), AdminError> {
    let next = AtomicUsize::new(0);
    let lanes = (0..CONNECTIONS.min(items.len())).map(|_| async {
        let mut connection = Connection::new(listener);
        while let Some(sale) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            open_sale(&mut connection, token, sale, limit_per_user).await?;
        }
        Ok(())
    });
    try_join_all(lanes).await.map(|_| ())
}

async fn open_sale(connection: &mut Connection, token: &str, sale: &SaleItem, limit_per_user: u32) -> Result<(), AdminError> {
    let item = sale.item;
    let request = connection
        .request(Method::PUT, &format!("/admin/sales/{}/{}/{}", item.store, item.product, item.sku))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json");
    let mut body = serde_json::json!({ "opening_stock": sale.opening });
    if limit_per_user > 0 {
        body["limit_per_user"] = limit_per_user.into();
    }
    let body = Bytes::from(body.to_string());
    let Reply { status, body } =
        connection.call(request, body, CALL_DEADLINE).await.map_err(|source| AdminError::Call { item, source })?;
    if matches!(status, 200 | 201) {
        return Ok(());
    }
    Err(AdminError::Refused { item, status, body: String::from_utf8_lossy(&body).chars().take(EXCERPT_MAX).collect() })
}
