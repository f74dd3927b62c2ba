//! Asks every api process for orders, after everything has settled: what would a client be told now?
//!
//! In: public listeners and order ids. Out: one [`FinalRead`] for each pair; a process that does not answer is part of the evidence, not an
//! error. Each process is asked over one keep-alive connection, one order after the other, all processes side by side.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;

use super::FinalRead;
use crate::target::connection::{CallError, Connection, Reply};
use crate::target::http::{ErrorReply, OrderReply};

/// Longest wait for one order.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// A process that did not answer this often in a row is not waited for any longer: the rest of its reads are `no_answer` at once.
const SILENT_MAX: u32 = 3;

/// Reads every order through every process, by instance and then in the order of `order_ids`. Takes at most about 15 s more than the
/// processes need to answer. Cancel safe.
pub async fn read_orders(api: &[SocketAddr], order_ids: &[String]) -> Vec<FinalRead> {
    let lanes = (0_u16..).zip(api).map(|(instance, address)| read_through(instance, *address, order_ids));
    join_all(lanes).await.concat()
}

async fn read_through(instance: u16, address: SocketAddr, order_ids: &[String]) -> Vec<FinalRead> {
    let mut connection = Connection::new(address);
    let mut silent = 0;
    let mut reads = Vec::with_capacity(order_ids.len());
    for order_id in order_ids {
        let reply = if silent < SILENT_MAX { read_order(&mut connection, order_id).await.ok() } else { None };
        silent = if reply.is_some() { 0 } else { silent + 1 };
        let (http, status) = reply.map_or((0, "no_answer".to_owned()), |reply| (reply.status, said(&reply, order_id)));
        reads.push(FinalRead { order_id: order_id.clone(), instance, http, status });
    }
    reads
}

async fn read_order(connection: &mut Connection, order_id: &str) -> Result<Reply, CallError> {
    let request = connection.request(Method::GET, &format!("/orders/{order_id}"));
    connection.call(request, Bytes::new(), READ_DEADLINE).await
}

/// The order status, or the error code.
fn said(reply: &Reply, order_id: &str) -> String {
    let order = || serde_json::from_slice::<OrderReply>(&reply.body).ok().filter(|order| order.order_id == order_id);
    let error = || serde_json::from_slice::<ErrorReply>(&reply.body).ok();
    let said = if reply.status == 200 { order().map(|order| order.status) } else { error().map(|error| error.code) };
    said.unwrap_or_else(|| "unreadable".to_owned())
}
