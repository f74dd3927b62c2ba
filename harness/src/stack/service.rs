//! One service process: its command line and its readiness.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::bring_up::{on_free_ports, until_ready};
use super::child::{ChildProcess, Launch};
use super::steps::Steps;
use super::watchdog::Watchdog;
use super::{Endpoints, StackError, StackSpec};
use crate::history::record::ProcStep;

/// One service process and where it listens.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) process: ChildProcess,
    /// `None` for a worker.
    pub(super) public: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
}

/// What every service of a stack starts with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Birth<'a> {
    pub(super) spec: &'a StackSpec,
    /// Only the URLs and the token are known yet.
    pub(super) endpoints: &'a Endpoints,
    pub(super) watchdog: &'a Arc<Watchdog>,
    pub(super) steps: &'a Steps,
}

impl Service {
    /// Starts the service called `role` (`api-1`, `worker-2`) and waits until it is ready.
    pub(super) async fn start(role: String, birth: Birth<'_>) -> Result<Self, StackError> {
        let within = Duration::from_millis(birth.spec.ready_ms);
        let ready = async |process: &mut ChildProcess, [_, admin]: [u16; 2]| {
            birth.steps.note(process, ProcStep::Started, "");
            let what = format!("{role} is ready (GET /health/ready on {})", local(admin));
            until_ready(process, within, &what, async || probe(local(admin)).await).await?;
            birth.steps.note(process, ProcStep::Ready, "");
            Ok(())
        };
        let (process, [public, admin]) = on_free_ports(birth.watchdog, |ports| Ok(launch(&role, birth, ports)), ready).await?;
        Ok(Self { process, public: serves_public(&role).then(|| local(public)), admin: local(admin) })
    }
}

fn serves_public(role: &str) -> bool {
    role.starts_with("api-")
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn launch(role: &str, birth: Birth<'_>, [public, admin]: [u16; 2]) -> Launch {
    let Birth { spec, endpoints, .. } = birth;
    let kind = role.split('-').next().unwrap_or(role);
    let mut args = spec.service.leading.clone();
    args.extend(["--role".to_owned(), kind.to_owned()]);
    if serves_public(role) {
        args.extend(["--listen".to_owned(), local(public).to_string()]);
    }
    args.extend(["--admin-listen".to_owned(), local(admin).to_string()]);
    args.extend(spec.service_flags.iter().cloned());
    let secrets = [
        ("HOLDFAST_REDIS_URL", &endpoints.redis_url),
        ("HOLDFAST_MYSQL_URL", &endpoints.mysql_url),
        ("HOLDFAST_ADMIN_TOKEN", &endpoints.admin_token),
    ];
    Launch {
        role: role.to_owned(),
        program: spec.service.program.clone(),
        args: args.into_iter().map(OsString::from).collect(),
        env: secrets.map(|(name, value)| (name.to_owned(), value.clone())).into(),
        input: None,
        log: spec.logs.join(format!("{role}.log")),
    }
}

/// Succeeds once the service answers `GET /health/ready` with 200.
async fn probe(admin: SocketAddr) -> Result<(), String> {
    let mut stream = TcpStream::connect(admin).await.map_err(|error| error.to_string())?;
    let request = format!("GET /health/ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).await.map_err(|error| error.to_string())?;
    if status.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("answered {:?}", status.trim_end())) }
}
