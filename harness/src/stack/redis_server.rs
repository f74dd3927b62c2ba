//! A Redis server of our own: its command line and its readiness.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::StackError;
use super::child::Launch;
use super::site::Site;

/// Arguments that make it keep an append-only file, synced once a second, so that a restart finds its data.
pub(super) const APPEND_ONLY: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

/// How to start it on `port` with its data in the folder of `site`. Unless `further` says otherwise nothing is persisted: the protocol counts on no
/// durability of Redis.
pub(super) fn launch(role: &str, site: &Site, log: &Path, port: u16, further: &[String]) -> Result<Launch, StackError> {
    let port = port.to_string();
    let folder = site.folder.display().to_string();
    let own = ["--port", &port, "--bind", "127.0.0.1", "--dir", &folder, "--save", "", "--appendonly", "no"];
    let memory = ["--maxmemory-policy", "noeviction", "--daemonize", "no"];
    Ok(Launch {
        role: role.to_owned(),
        program: site.redis_server()?,
        args: own.iter().chain(&memory).copied().chain(further.iter().map(String::as_str)).map(Into::into).collect(),
        env: Vec::new(),
        input: None,
        log: log.to_path_buf(),
        within: site.within.clone(),
    })
}

/// Succeeds once the server on `port` answers PING and is the process `pid`, not a stranger that took the port before it.
pub(super) async fn probe(port: u16, pid: u32) -> Result<(), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
    stream.write_all(b"PING\r\nINFO server\r\nQUIT\r\n").await.map_err(|error| error.to_string())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.map_err(|error| error.to_string())?;
    let first = reply.lines().next().unwrap_or("no reply");
    match (first, reply.lines().any(|line| line == format!("process_id:{pid}"))) {
        ("+PONG", true) => Ok(()),
        ("+PONG", false) => Err(format!("another server answers on port {port}")),
        _ => Err(first.to_owned()),
    }
}
