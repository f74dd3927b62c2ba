//! Protocol taps: they read along on a connection to Redis, to MySQL or from a client, and name the steps of the reservation protocol as they pass.
//!
//! In: the bytes of one connection, both ways, and a [`Dialect`](dialect::Dialect). Out: the same bytes, cut so that each step ends with a piece that
//! carries its name, its orders and the kill points that it is at. A tap changes nothing and keeps no byte back; whether a step is held is
//! the proxy's matter.
//!
//! The taps of one service process share a [`Process`], because some points are about two of its connections.
//!
//! ```text
//! bytes ──► command, reply / packet readers ──► steps ──► points ──► Piece { bytes, frame }
//!                       (resp_*, mysql_*, sql, http_*)   (step)    (point, process)
//! ```

mod cutter;
pub mod dialect;
mod http;
mod http_message;
mod lost;
mod mysql;
mod mysql_handshake;
mod mysql_packet;
mod mysql_prepared;
mod mysql_reply;
mod mysql_transaction;
mod naming;
mod point;
mod process;
mod resp;
mod resp_command;
mod resp_reply;
mod sql;
mod step;

pub use http::HttpTap;
pub use mysql::MysqlTap;
pub use point::{Peer, Point, Role};
pub use process::{Calls, Process};
pub use resp::RedisTap;
pub use step::{Act, Phase, Step, Unit};

use std::sync::Arc;

use super::DissectorFactory;
use dialect::Dialect;

/// Makes the taps of the connections of `process` to Redis.
#[must_use]
pub fn redis_taps(dialect: Arc<Dialect>, process: Arc<Process>) -> DissectorFactory {
    Arc::new(move |_| Box::new(RedisTap::new(Arc::clone(&dialect), Arc::clone(&process))))
}

/// Makes the taps of the connections of `process` to MySQL.
#[must_use]
pub fn mysql_taps(dialect: Arc<Dialect>, process: Arc<Process>) -> DissectorFactory {
    Arc::new(move |_| Box::new(MysqlTap::new(Arc::clone(&dialect), Arc::clone(&process))))
}

/// Makes the taps of the connections of clients to `process`.
#[must_use]
pub fn http_taps(dialect: Arc<Dialect>, process: Arc<Process>) -> DissectorFactory {
    Arc::new(move |_| Box::new(HttpTap::new(Arc::clone(&dialect), Arc::clone(&process))))
}
