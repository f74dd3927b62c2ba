//! Secrets: without a token nothing starts, a password comes from the environment or a file and never from the command line, and none is in
//! any log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::process::{Command, Stdio};

use crate::http_bench::{TOKEN, exchange, get, request};
use crate::ledger_bench::{connect, execute};
use crate::stock_fixture::{OwnRedis, free_port, until};
use crate::support::{fresh_database, stores};

/// A process of the service that logs everything that it can.
struct Loud {
    child: std::process::Child,
    log: std::path::PathBuf,
}

impl Loud {
    fn start(redis_url: &str, mysql_url: &str, admin: u16, further: &[&str]) -> Self {
        let log = std::env::temp_dir().join(format!("holdfast-log-{}", fresh_database()));
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_reservation-service"))
            .env("HOLDFAST_REDIS_URL", redis_url)
            .env("HOLDFAST_MYSQL_URL", mysql_url)
            .env("HOLDFAST_ADMIN_TOKEN", "Token-Sesame-3")
            .env("RUST_LOG", "trace")
            .arg(format!("--listen=127.0.0.1:{}", free_port()))
            .arg(format!("--admin-listen=127.0.0.1:{admin}"))
            .args(further)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

#[tokio::test]
async fn a_process_without_an_admin_token_does_not_start_and_says_why() {
    let file = std::env::temp_dir().join(format!("holdfast-token-{}", fresh_database()));
    std::fs::write(&file, " \n").unwrap();
    let blank = format!("--admin-token-file={}", file.display());
    let absent = format!("--admin-token-file={}.absent", file.display());
    let empty = "the admin token is empty";
    for (token, flag, named) in [
        (None, None, empty),
        (Some(""), None, empty),
        (Some(" \t"), None, empty),
        (Some("of-the-environment"), Some(&blank), "admin token: "),
        (Some("of-the-environment"), Some(&absent), "admin token: read "),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_reservation-service"));
        program.args(["--redis-url=redis://127.0.0.1:1/", "--mysql-url=mysql://nobody@127.0.0.1:1/none"]).args(flag);
        program.env_remove("HOLDFAST_ADMIN_TOKEN").envs(token.map(|token| ("HOLDFAST_ADMIN_TOKEN", token)));
        let run = tokio::task::spawn_blocking(move || program.output().unwrap());
        let output = tokio::time::timeout(std::time::Duration::from_secs(30), run).await.unwrap().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert!(!output.status.success() && said.contains(named), "{token:?} {flag:?}: {said}");
        assert!(!said.contains("of-the-environment"), "{said}");
    }
    std::fs::remove_file(&file).unwrap();
}

/// What the program says that is started with these words, and that must end by itself.
async fn said(arguments: Vec<String>) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_reservation-service"));
    program.args(arguments).env("HOLDFAST_ADMIN_TOKEN", TOKEN).env_remove("HOLDFAST_REDIS_URL").env_remove("HOLDFAST_MYSQL_URL");
    let run = tokio::task::spawn_blocking(move || program.output().unwrap());
    let output = tokio::time::timeout(std::time::Duration::from_secs(30), run).await.unwrap().unwrap();
    assert!(!output.status.success(), "it must not start");
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
}

#[tokio::test]
async fn a_password_on_the_command_line_is_refused_and_one_in_a_file_is_used() {
    for (redis, mysql, flag, variable) in [
        ("redis://:Sesame@127.0.0.1:1/", "mysql://u@127.0.0.1:1/d", "--redis-url", "HOLDFAST_REDIS_URL"),
        ("redis://127.0.0.1:1/", "mysql://u:Sesame@127.0.0.1:1/d", "--mysql-url", "HOLDFAST_MYSQL_URL"),
    ] {
        let said = said(vec![format!("--redis-url={redis}"), format!("--mysql-url={mysql}")]).await;
        assert!(said.contains(&format!("{flag} holds a password")) && said.contains(variable), "{said}");
        assert!(!said.contains("Sesame"), "{said}");
    }
    let usage = said(vec!["--redis-url=redis://127.0.0.1:1/".to_owned()]).await;
    assert!(usage.contains("--mysql-url"), "what is missing is named: {usage}");

    let redis = OwnRedis::start(&[]).await;
    let mut plain = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "Redis-Sesame-1"]).exec(&mut plain).unwrap();
    let files = ["redis", "mysql"].map(|store| std::env::temp_dir().join(format!("holdfast-{store}-{}", fresh_database())));
    std::fs::write(&files[0], format!("redis://:Redis-Sesame-1@127.0.0.1:{}/\n", redis.port)).unwrap();
    std::fs::write(&files[1], format!("{}\n", stores().await.mysql_url(&fresh_database()))).unwrap();
    let [redis_file, mysql_file] = ["redis", "mysql"].map(|store| format!("--{store}-url-file="));
    let flags = [format!("{redis_file}{}", files[0].display()), format!("{mysql_file}{}", files[1].display())];
    let admin = free_port();
    // The environment leads nowhere: the files go before it.
    let works = Loud::start("redis://127.0.0.1:1/", "mysql://u@127.0.0.1:1/d", admin, &flags.each_ref().map(String::as_str));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], admin));
    until("it serves", async || {
        tokio::net::TcpStream::connect(address).await.is_ok() && get(address, "/health/ready").await.status == 200
    })
    .await;
    assert!(!works.text().contains("Sesame"));
    let absent = said(vec![flags[0].clone(), format!("{mysql_file}{}.absent", files[1].display())]).await;
    assert!(absent.contains("mysql url: read "), "{absent}");
    files.into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
}

#[tokio::test]
async fn no_secret_is_in_any_log_whether_it_works_or_fails() {
    const SECRETS: [&str; 3] = ["Redis-Sesame-1", "Mysql-Sesame-2", "Token-Sesame-3"];
    let redis = OwnRedis::start(&[]).await;
    let user = fresh_database();
    let mut root = connect(&fresh_root(&user).await).await;
    execute(
        &mut root,
        &format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'Mysql-Sesame-2'; GRANT ALL ON `{user}`.* TO '{user}'@'%'"),
    )
    .await;
    let mysql_url = stores().await.mysql_url(&user);
    let (_, host) = mysql_url.rsplit_once('@').unwrap_or_else(|| mysql_url.split_once("//").unwrap());
    let mysql_url = format!("mysql://{user}:Mysql-Sesame-2@{host}");
    let mut plain = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "Redis-Sesame-1"]).exec(&mut plain).unwrap();
    let redis_url = format!("redis://:Redis-Sesame-1@127.0.0.1:{}/", redis.port);

    let admin = free_port();
    let works = Loud::start(&redis_url, &mysql_url, admin, &[]);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], admin));
    until("it serves", async || {
        tokio::net::TcpStream::connect(address).await.is_ok() && get(address, "/health/ready").await.status == 200
    })
    .await;
    for token in ["Token-Sesame-3", "wrong"] {
        let head = [format!("Authorization: Bearer {token}")];
        let _ = exchange(address, &request("GET", "/admin/alerts", &head, "")).await;
    }
    let wrong_redis = Loud::start(&redis_url.replace("Redis-", "XRedis-"), &mysql_url, free_port(), &["--start-deadline-ms=500"]);
    let wrong_mysql = Loud::start(&redis_url, &mysql_url.replace("Mysql-", "XMysql-"), free_port(), &["--start-deadline-ms=500"]);
    let no_url = Loud::start("Redis-Sesame-1", "Mysql-Sesame-2", free_port(), &["--start-deadline-ms=500"]);
    for failed in [&wrong_redis, &wrong_mysql, &no_url] {
        until("it has given up", async || failed.text().contains("\"ended\"")).await;
    }
    for (name, process) in [("works", &works), ("wrong redis", &wrong_redis), ("wrong mysql", &wrong_mysql), ("no url", &no_url)] {
        let text = process.text();
        assert!(text.len() > 100, "{name} logged next to nothing: {text}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{name}: {secret} is in the log: {}", excerpt(&text, secret));
        }
    }
}

async fn fresh_root(database: &str) -> String {
    let mut any = connect(&stores().await.mysql_url("mysql")).await;
    execute(&mut any, &format!("CREATE DATABASE `{database}`")).await;
    stores().await.mysql_url(database)
}

fn excerpt(text: &str, secret: &str) -> String {
    text.lines().find(|line| line.contains(secret)).unwrap_or_default().chars().take(400).collect()
}
