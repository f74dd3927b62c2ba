//! Where the server programs of this machine are.
//!
//! In: names. Out: a path. Looks on PATH and in folders that hold servers but are often not on a user's PATH.

use std::path::{Path, PathBuf};

use super::StackError;

/// Folders of servers beyond PATH: Debian (`sbin`), Fedora (`libexec`), Homebrew.
const FURTHER: [&str; 5] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin"];

/// A kind of server: the names of its program, the best first, and what to do without one.
struct Server {
    names: [&'static str; 2],
    advice: &'static str,
}

const REDIS: Server = Server {
    names: ["redis-server", "valkey-server"],
    advice: "install package redis-server (scripts/setup does), or give --redis-url and --mysql-url",
};

const MYSQL: Server = Server {
    names: ["mariadbd", "mysqld"],
    advice: "install package mariadb-server-core (scripts/setup does), or give --redis-url and --mysql-url",
};

/// The Redis server.
pub(super) fn redis_server() -> Result<PathBuf, StackError> {
    find(&REDIS, &folders())
}

/// The MySQL server.
pub(super) fn mysql_server() -> Result<PathBuf, StackError> {
    find(&MYSQL, &folders())
}

/// Relative ones are left out: they would name another program after a change of folder.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(FURTHER.map(PathBuf::from));
    all.filter(|folder| folder.is_absolute()).collect()
}

fn find(server: &Server, folders: &[PathBuf]) -> Result<PathBuf, StackError> {
    let Server { names, advice } = server;
    let paths = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let missing = || StackError::Missing(format!("no {} on PATH: {advice}", names.join(" or ")));
    paths.into_iter().find(|path| is_program(path)).ok_or_else(missing)
}

fn is_program(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_executed_counts_and_the_first_name_wins() {
        let own = std::env::temp_dir().join(format!("holdfast-programs-{}", std::process::id()));
        std::fs::create_dir_all(&own).unwrap();
        for name in ["sh", "cat", "group"] {
            // Written anew, so without the right to be executed.
            std::fs::write(own.join(name), "").unwrap();
        }
        let folders = [own.clone(), PathBuf::from("/bin")];
        let found = |names| find(&Server { names, advice: "" }, &folders).ok();
        assert_eq!(found(["sh", "cat"]), Some(PathBuf::from("/bin/sh")));
        assert_eq!(found(["no-such-program", "cat"]), Some(PathBuf::from("/bin/cat")));
        assert_eq!(found(["group", "no-such-program"]), None, "a file, but no program");
        std::fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_missing_server_is_told_in_one_sentence_with_what_to_do() {
        let told = |server| find(server, &[]).unwrap_err().to_string();
        let redis = "no redis-server or valkey-server on PATH: install package redis-server (scripts/setup does), \
                     or give --redis-url and --mysql-url";
        assert_eq!(told(&REDIS), redis);
        assert!(told(&MYSQL).starts_with("no mariadbd or mysqld on PATH: install package mariadb-server-core"));
    }
}
