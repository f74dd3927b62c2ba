//! One service process: its command line and its readiness.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::bring_up::{on_free_ports, until_ready};
use super::child::{ChildProcess, Launch};
use super::member::Member;
use super::ready::Ready;
use super::steps::Steps;
use super::watchdog::Watchdog;
use super::{StackError, StackSpec};
use crate::history::record::ProcStep;

/// One service process and where it listens.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) member: Arc<Member>,
    /// The stores as it was told of them.
    pub(super) urls: StoreUrls,
    /// `None` for a worker.
    pub(super) public: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
}

/// What every service of a stack starts with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Birth<'a> {
    pub(super) spec: &'a StackSpec,
    pub(super) admin_token: &'a str,
    pub(super) watchdog: &'a Arc<Watchdog>,
    pub(super) steps: &'a Steps,
}

/// The stores as one service process reaches them.
#[derive(Debug, Clone)]
pub(super) struct StoreUrls {
    pub(super) redis: String,
    pub(super) mysql: String,
}

impl Service {
    /// Starts the service called `role` (`api-1`, `worker-2`) and waits until it is ready.
    pub(super) async fn start(role: String, urls: StoreUrls, birth: Birth<'_>) -> Result<Self, StackError> {
        let within = Duration::from_millis(birth.spec.ready_ms);
        let ready = async |process: &mut ChildProcess, [_, admin]: [u16; 2]| {
            birth.steps.note(process, ProcStep::Started, "");
            let (pid, answers) = (process.pid(), Ready::Service(local(admin)));
            let what = format!("{role} is ready ({answers})");
            until_ready(process, within, &what, async || answers.probe(pid).await).await?;
            birth.steps.note(process, ProcStep::Ready, "");
            Ok(())
        };
        let launch = |ports| launch(&role, &urls, birth, ports);
        let (process, ports) = on_free_ports(birth.watchdog, |ports| Ok(launch(ports)), ready).await?;
        let [public, admin] = ports.map(local);
        let member = Member::new(process, launch(ports), Ready::Service(admin), within, Arc::clone(birth.watchdog));
        Ok(Self { public: serves_public(&role).then_some(public), admin, member: Arc::new(member), urls })
    }
}

fn serves_public(role: &str) -> bool {
    role.starts_with("api-")
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn launch(role: &str, urls: &StoreUrls, birth: Birth<'_>, [public, admin]: [u16; 2]) -> Launch {
    let spec = birth.spec;
    let kind = role.split('-').next().unwrap_or(role);
    let mut args = spec.service.leading.clone();
    args.extend(["--role".to_owned(), kind.to_owned()]);
    if serves_public(role) {
        args.extend(["--listen".to_owned(), local(public).to_string()]);
    }
    args.extend(["--admin-listen".to_owned(), local(admin).to_string()]);
    args.extend(spec.service_flags.iter().cloned());
    let secrets = [
        ("HOLDFAST_REDIS_URL", urls.redis.as_str()),
        ("HOLDFAST_MYSQL_URL", urls.mysql.as_str()),
        ("HOLDFAST_ADMIN_TOKEN", birth.admin_token),
    ];
    Launch {
        role: role.to_owned(),
        program: spec.service.program.clone(),
        args: args.into_iter().map(OsString::from).collect(),
        env: secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        input: None,
        log: spec.logs.join(format!("{role}.log")),
        within: None,
    }
}
