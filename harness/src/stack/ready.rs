//! How to see that a process of a stack is ready.

use std::fmt;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{mysql_server, redis_server};

/// A question that a ready process answers.
#[derive(Debug, Clone)]
pub(super) enum Ready {
    /// A Redis server answers PING on this port.
    Redis(u16),
    /// A MySQL server answers a query on this URL.
    Mysql(String),
    /// A service answers `GET /health/ready` on this address with 200.
    Service(SocketAddr),
}

impl Ready {
    /// Asks once; what was met if the process `pid` is not ready.
    pub(super) async fn probe(&self, pid: u32) -> Result<(), String> {
        match self {
            Self::Redis(port) => redis_server::probe(*port, pid).await,
            Self::Mysql(url) => mysql_server::probe(url).await,
            Self::Service(admin) => probe_service(*admin).await,
        }
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(port) => write!(f, "PING on port {port}"),
            Self::Mysql(_) => f.write_str("a query"),
            Self::Service(admin) => write!(f, "GET /health/ready on {admin}"),
        }
    }
}

async fn probe_service(admin: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).await.map_err(|error| error.to_string())?;
    if status.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("answered {:?}", status.trim_end())) }
}
