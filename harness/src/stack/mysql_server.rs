//! A MariaDB or MySQL server of our own: making its data folder, its command line, its user and its readiness.
//!
//! MariaDB's system tables are made by feeding its own SQL files to `mariadbd --bootstrap` (0.3 s), which is what
//! `mariadb-install-db` does, without the help texts and without the client programs that the script wants. MySQL makes them
//! itself (`--initialize-insecure`). Durability is that of production: every commit is synced.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, MySqlConnection};

use super::child::{ChildProcess, Launch, in_words};
use super::external::DATABASE;
use super::site::Site;
use super::watchdog::Watchdog;
use super::{StackError, programs};

/// Longest look for a program in an image.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

/// The user that the harness connects as.
pub(super) const USER: &str = "holdfast";

/// The user that the service connects as. A server that is read-only is so for it, as it is not for the former.
pub(super) const SERVICE_USER: &str = "holdfast_service";

/// Accounts without a password that TCP could reach go.
const NO_ROOT_BY_TCP: &str = "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';\n";

/// Where a server of our own lives.
#[derive(Debug, Clone)]
pub(super) struct Place {
    site: Site,
    program: PathBuf,
    mariadb: bool,
    data: PathBuf,
    temporary: PathBuf,
    /// SQL that the server runs at each start: makes both users unless they are there.
    init: PathBuf,
    log: PathBuf,
}

impl Place {
    /// Chooses the server and makes the folders within that of `site`.
    pub(super) async fn new(site: Site, log: &Path, password: &str, watchdog: &Arc<Watchdog>) -> Result<Self, StackError> {
        let (program, mariadb) = match &site.within {
            None => {
                let program = programs::mysql_server()?;
                let mariadb = output(&program, &["--no-defaults", "--version"])?.contains("MariaDB");
                (program, mariadb)
            }
            Some(_) => of_image(&site, log, watchdog).await?,
        };
        let place = Self {
            program,
            mariadb,
            data: site.folder.join("mysql"),
            temporary: site.folder.join("mysql-tmp"),
            init: site.folder.join("user.sql"),
            log: log.to_path_buf(),
            site,
        };
        for made in [&place.data, &place.temporary] {
            std::fs::create_dir(made).map_err(StackError::io(format!("make {}", made.display())))?;
        }
        let user = |name: &str, rights: &str| {
            format!("CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{password}';\nGRANT ALL PRIVILEGES ON {rights};\n")
        };
        let own = user(USER, &format!("*.* TO '{USER}'@'%' WITH GRANT OPTION"));
        let service = user(SERVICE_USER, &format!("{DATABASE}.* TO '{SERVICE_USER}'@'%'"));
        std::fs::write(&place.init, own + &service + NO_ROOT_BY_TCP)
            .map_err(StackError::io(format!("write {}", place.init.display())))?;
        Ok(place)
    }

    /// Makes the system tables.
    pub(super) async fn prepare(&self, watchdog: &Arc<Watchdog>, within: Duration) -> Result<(), StackError> {
        let launch = match (self.mariadb, &self.site.within) {
            (true, None) => self.mariadb_bootstrap()?,
            (true, Some(_)) => self.mariadb_install(),
            (false, _) => self.mysql_initialize(),
        };
        let act = format!("make the data folder of {}", self.program.display());
        let mut process = ChildProcess::spawn(&launch, watchdog).await?;
        match process.wait(within).await {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(StackError::failed(act, format!("{}; its log ends:\n{}", in_words(status), process.log_tail()))),
            None => Err(StackError::failed(act, format!("not done after {} ms", within.as_millis()))),
        }
    }

    /// How to start the server on `port`.
    pub(super) fn launch(&self, port: u16, further: &[String]) -> Launch {
        let mut args = self.common();
        args.extend(
            ["--bind-address=127.0.0.1", "--skip-name-resolve", "--performance-schema=OFF", "--max-connections=500"]
                .map(String::from),
        );
        args.extend(["--character-set-server=utf8mb4", "--transaction-isolation=READ-COMMITTED"].map(String::from));
        args.extend(["--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"].map(String::from));
        // Small steps: InnoDB purges once a second, and with its defaults keeps every core from the orders meanwhile (docs/performance.md).
        args.extend(["--innodb-purge-threads=1", "--innodb-purge-batch-size=20"].map(String::from));
        // Relative to the data folder: the path of a socket may have 107 bytes only.
        args.extend(["--socket=mysql.sock", "--pid-file=mysql.pid"].map(String::from));
        args.extend([format!("--port={port}"), format!("--init-file={}", self.init.display())]);
        if !self.mariadb {
            args.extend(["--mysqlx=OFF", "--disable-log-bin", "--secure-file-priv="].map(String::from));
        }
        args.extend(further.iter().cloned());
        self.run("mysql", args, None)
    }

    fn common(&self) -> Vec<String> {
        let mut args = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", self.data.display()),
            format!("--tmpdir={}", self.temporary.display()),
        ];
        // Both servers refuse to run as root unless told so.
        args.extend(nix::unistd::geteuid().is_root().then(|| "--user=root".to_owned()));
        args
    }

    fn run(&self, role: &str, args: Vec<String>, input: Option<PathBuf>) -> Launch {
        Launch {
            role: role.into(),
            program: self.program.clone(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            input,
            log: self.log.clone(),
            within: self.site.within.clone(),
        }
    }

    /// The SQL files are in the image: its own program reads them.
    fn mariadb_install(&self) -> Launch {
        let mut args = self.common();
        args.extend(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"].map(String::from));
        Launch { program: PathBuf::from("mariadb-install-db"), ..self.run("mysql-bootstrap", args, None) }
    }

    fn mysql_initialize(&self) -> Launch {
        let mut args = self.common();
        args.extend(["--initialize-insecure", "--secure-file-priv=", "--mysqlx=OFF"].map(String::from));
        self.run("mysql-initialize", args, None)
    }

    /// Nothing of it needs to be durable: a data folder that is half made is never used.
    fn mariadb_bootstrap(&self) -> Result<Launch, StackError> {
        let input = self.temporary.join("system-tables.sql");
        std::fs::write(&input, self.system_tables()?).map_err(StackError::io(format!("write {}", input.display())))?;
        let mut args = self.common();
        args.extend(["--bootstrap", "--silent-startup", "--log-warnings=0", "--skip-name-resolve"].map(String::from));
        args.extend(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"].map(String::from));
        Ok(self.run("mysql-bootstrap", args, Some(input)))
    }

    /// The SQL of the system tables as the installed server brings it. Accounts without a password that TCP could reach go.
    fn system_tables(&self) -> Result<String, StackError> {
        let share = self.share_folder()?;
        let mut sql = String::from("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n");
        for part in ["system_tables", "performance_tables", "system_tables_data"] {
            // Called mariadb_* from 11 on.
            let paths = ["mariadb", "mysql"].map(|prefix| share.join(format!("{prefix}_{part}.sql")));
            let path = paths.iter().find(|path| path.exists()).unwrap_or(&paths[0]);
            sql += &std::fs::read_to_string(path).map_err(StackError::io(format!("read {}", path.display())))?;
            sql.push('\n');
        }
        sql += "DELETE FROM global_priv WHERE User = 'root' AND Host <> 'localhost';\n";
        Ok(sql)
    }

    /// The folder that holds the server's character sets also holds its SQL files.
    fn share_folder(&self) -> Result<PathBuf, StackError> {
        let help = output(&self.program, &["--no-defaults", "--verbose", "--help"])?;
        let line = help.lines().find_map(|line| line.strip_prefix("character-sets-dir "));
        line.and_then(|value| Path::new(value.trim()).parent())
            .map(Path::to_path_buf)
            .ok_or_else(|| StackError::failed("find the SQL files of mariadbd", "its --help does not name character-sets-dir"))
    }
}

/// Succeeds once the server answers a query on `url`. Only ours knows the password.
pub(super) async fn probe(url: &str) -> Result<(), String> {
    let mut connection = MySqlConnection::connect(url).await.map_err(|error| error.to_string())?;
    sqlx::query("SELECT 1").execute(&mut connection).await.map_err(|error| error.to_string())?;
    connection.close().await.map_err(|error| error.to_string())
}

/// The server of an image, and whether it is MariaDB.
async fn of_image(site: &Site, log: &Path, watchdog: &Arc<Watchdog>) -> Result<(PathBuf, bool), StackError> {
    let told = site.folder.join("mysql-program");
    let which = ["-c", "command -v mariadbd || command -v mysqld"];
    let launch = Launch {
        role: "mysql-program".to_owned(),
        program: PathBuf::from("/bin/sh"),
        args: which.map(Into::into).into(),
        env: Vec::new(),
        input: None,
        log: told.clone(),
        within: site.within.clone(),
    };
    let mut process = ChildProcess::spawn(&launch, watchdog).await?;
    let found = process.wait(LOOK_WITHIN).await.is_some_and(|status| status.success());
    let program = std::fs::read_to_string(&told).unwrap_or_default().trim().to_owned();
    if !found || program.is_empty() {
        let image = site.within.as_ref().map(|within| within.image.as_str()).unwrap_or_default();
        let act = format!("find mariadbd or mysqld in the image {image}, for {}", log.display());
        return Err(StackError::failed(act, program));
    }
    let mariadb = program.ends_with("mariadbd");
    Ok((PathBuf::from(program), mariadb))
}

/// What a program prints. Blocks for the few milliseconds that the question takes.
fn output(program: &Path, args: &[&str]) -> Result<String, StackError> {
    let act = || format!("run {} {}", program.display(), args.join(" "));
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(StackError::io(act()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
