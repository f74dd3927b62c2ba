//! One request to be made: how it is written, recorded, and how its reply is read.
//!
//! In: what to ask. Out: the bytes of the HTTP request, and the record of it. Sends nothing.

use bytes::Bytes;
use hyper::Method;

use super::LoadError;
use crate::clock::Offset;
use crate::history::record::{Function, Invoke, ItemQuantity, OpId};
use crate::target::http::{CreateOrder, Line, Reading, read_reply};
use crate::target::{changes, stock};

/// One request to be made.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Creates, pays, cancels, refunds or reads an order, or changes stock.
    pub(crate) function: Function,
    /// Order id, or the id of the change.
    pub(crate) order: String,
    /// User of the order; 0 for a change of stock.
    pub(crate) user: u64,
    /// What the order is for, or the one item that is changed.
    pub(crate) lines: Vec<ItemQuantity>,
    /// When it is due.
    pub(crate) due: Offset,
    /// Index of the api process.
    pub(crate) instance: u16,
    /// Whether the body says that this id was sent before.
    pub(crate) retry: bool,
    /// Whether a closed-loop user asks.
    pub(crate) closed_loop: bool,
}

impl Ask {
    /// The request; `admin_token` goes to admin listeners only.
    pub(crate) fn request(&self, host: &str, admin_token: &str) -> Result<Vec<u8>, LoadError> {
        let failed = |why: String| LoadError::Failed { act: "write a request", why };
        let unfit = || failed(format!("{} with {} lines is not for this client", self.function.name(), self.lines.len()));
        let (method, path, body) = match (self.function, self.lines.as_slice()) {
            (Function::CreateOrder, [_, ..]) => {
                (Method::POST, "/orders".to_owned(), self.create_body().map_err(|error| failed(error.to_string()))?)
            }
            (Function::PayOrder, _) => (Method::POST, format!("/orders/{}/pay", self.order), Bytes::new()),
            (Function::CancelOrder, _) => (Method::POST, format!("/orders/{}/cancel", self.order), Bytes::new()),
            (Function::RefundOrder, _) => (Method::POST, format!("/orders/{}/refund", self.order), Bytes::new()),
            (Function::ReadOrder, _) => (Method::GET, format!("/orders/{}", self.order), Bytes::new()),
            (Function::ReadStock, [line]) => (Method::GET, stock::path(line.item), Bytes::new()),
            (change, [line]) => {
                let path = changes::path(change, line.item, &self.order).ok_or_else(unfit)?;
                (Method::PUT, path, changes::body(change, *line))
            }
            _ => return Err(unfit()),
        };
        let mut head = [method.as_str(), " ", &path, " HTTP/1.1\r\nhost: ", host].concat();
        if self.function.changes_stock() {
            if admin_token.contains(char::is_control) {
                return Err(failed("the admin token holds what no header can".to_owned()));
            }
            head += &["\r\nauthorization: Bearer ", admin_token].concat();
        }
        if !body.is_empty() {
            head += "\r\ncontent-type: application/json";
        }
        if method != Method::GET {
            head += &["\r\ncontent-length: ", &body.len().to_string()].concat();
        }
        head += "\r\n\r\n";
        Ok([head.as_bytes(), &body].concat())
    }

    fn create_body(&self) -> Result<Bytes, serde_json::Error> {
        let line = |line: &ItemQuantity| {
            let ItemQuantity { item, qty } = *line;
            Line { store_id: item.store, product_id: item.product, sku_id: item.sku, quantity: qty }
        };
        let lines: Vec<Line> = self.lines.iter().map(line).collect();
        let order = CreateOrder { order_id: &self.order, user_id: self.user, items: lines.into(), retry: self.retry };
        serde_json::to_vec(&order).map(Bytes::from)
    }

    /// The record of the request, as operation `op` over connection `conn`.
    pub(crate) fn invoke(&self, op: OpId, conn: u64) -> Invoke {
        Invoke {
            op,
            proc: op.0,
            f: self.function,
            order: self.order.clone(),
            user: self.user,
            items: if self.function == Function::ReadOrder { Vec::new() } else { self.lines.clone() },
            due: self.due,
            instance: self.instance,
            conn,
            closed_loop: self.closed_loop,
        }
    }

    /// Reads a whole reply.
    pub(crate) fn read(&self, status: u16, body: &[u8]) -> Reading {
        match (self.function, self.lines.as_slice()) {
            (Function::ReadStock, [line]) => stock::read_reply(status, body, line.item),
            (change, _) if change.changes_stock() => changes::read_reply(status, body, &self.order),
            _ => read_reply(status, body, &self.order),
        }
    }
}
