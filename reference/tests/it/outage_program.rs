//! The real program, as a process of its own that can be told to stop and killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;

use crate::http_bench::{Reply, TOKEN, exchange, get, request};
use crate::stock_fixture::{free_port, until};
use crate::support::fresh_database;

const PROGRAM: &str = env!("CARGO_BIN_EXE_reservation-service");

/// A running process of the service. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    birth: Birth,
    token_file: PathBuf,
}

/// What a process is started with.
struct Birth {
    arguments: Vec<String>,
    urls: [String; 2],
    /// What a shell does to itself before it becomes the process.
    before: String,
}

impl Program {
    /// Starts a process and waits until it is ready.
    pub(crate) async fn start(redis_url: &str, mysql_url: &str, further: &[&str]) -> Self {
        let mut program = Self::launch(redis_url, mysql_url, further);
        program.ready().await;
        program
    }

    /// Starts a process that inherits what a shell did to itself by `before`, and waits until it is ready.
    pub(crate) async fn start_behind(before: &str, redis_url: &str, mysql_url: &str) -> Self {
        let mut program = Self::launch_behind(before, redis_url, mysql_url, &[]);
        program.ready().await;
        program
    }

    /// Starts a process.
    pub(crate) fn launch(redis_url: &str, mysql_url: &str, further: &[&str]) -> Self {
        Self::launch_behind(":", redis_url, mysql_url, further)
    }

    fn launch_behind(before: &str, redis_url: &str, mysql_url: &str, further: &[&str]) -> Self {
        let token_file = std::env::temp_dir().join(format!("holdfast-token-{}", fresh_database()));
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let [public, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let mut arguments = vec![format!("--listen={public}"), format!("--admin-listen={admin}")];
        arguments.push(format!("--admin-token-file={}", token_file.display()));
        arguments.extend(further.iter().map(ToString::to_string));
        let birth = Birth { arguments, urls: [redis_url.to_owned(), mysql_url.to_owned()], before: before.to_owned() };
        Self { child: birth.spawn(), public, admin, birth, token_file }
    }

    /// What a process says that must not start.
    pub(crate) async fn refused(redis_url: &str, mysql_url: &str) -> String {
        let mut program = Command::new(PROGRAM);
        program.env("HOLDFAST_REDIS_URL", redis_url).env("HOLDFAST_MYSQL_URL", mysql_url).env("HOLDFAST_ADMIN_TOKEN", TOKEN);
        let run = move || program.output().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(30), tokio::task::spawn_blocking(run)).await;
        let output = ended.expect("it ends within 30 s").unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) {
        let admin = self.admin;
        for _ in 0..1_500 {
            assert!(self.child.try_wait().unwrap().is_none(), "the program ended before it was ready");
            if TcpStream::connect(admin).await.is_ok() && get(admin, "/health/ready").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited 30 s until the program is ready");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        for _ in 0..1_500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited 30 s until the program ends");
    }

    /// The next version of it, on the same ports.
    pub(crate) async fn again(&mut self) {
        self.child = self.birth.spawn();
        self.ready().await;
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The operator opens an item.
    pub(crate) async fn open(&self, item: reference::domain::Item, stock: i64) -> Reply {
        let path = format!("/admin/sales/{}/{}/{}", item.store, item.product, item.sku);
        let head = [format!("Authorization: Bearer {TOKEN}"), "Content-Type: application/json".into()];
        exchange(self.admin, &request("PUT", &path, &head, &json!({ "opening_stock": stock }).to_string())).await
    }

    /// Memory that it occupies, KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.token_file);
    }
}

impl Birth {
    fn spawn(&self) -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{} && exec \"$0\" \"$@\"", self.before), PROGRAM]).args(&self.arguments);
        let [redis_url, mysql_url] = &self.urls;
        shell.env("HOLDFAST_REDIS_URL", redis_url).env("HOLDFAST_MYSQL_URL", mysql_url);
        shell.env("RUST_LOG", "warn").stdin(Stdio::null()).spawn().unwrap()
    }
}

/// Waits until nobody listens there.
pub(crate) async fn nobody_listens(address: SocketAddr) {
    until("nobody listens", async || TcpStream::connect(address).await.is_err()).await;
}
