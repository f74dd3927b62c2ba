//! Where the server programs of this machine are.
//!
//! In: names. Out: a path. Looks on PATH and in folders that hold servers but are often not on a user's PATH.

use std::path::{Path, PathBuf};

use super::StackError;

/// Folders of servers beyond PATH: Debian (`sbin`), Fedora (`libexec`), Homebrew.
const FURTHER: [&str; 5] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin"];

/// The Redis server.
pub(super) fn redis_server() -> Result<PathBuf, StackError> {
    find(&["redis-server", "valkey-server"]).ok_or_else(|| {
        StackError::Missing(
            "no redis-server or valkey-server on PATH: install package redis-server (scripts/setup does), or give --redis-url"
                .into(),
        )
    })
}

/// The MySQL server.
pub(super) fn mysql_server() -> Result<PathBuf, StackError> {
    find(&["mariadbd", "mysqld"]).ok_or_else(|| {
        StackError::Missing(
            "no mariadbd or mysqld on PATH: install package mariadb-server-core (scripts/setup does), or give --mysql-url".into(),
        )
    })
}

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(std::env::split_paths(&path).chain(FURTHER.map(PathBuf::from)), names)
}

/// The first program by the order of `names`, then of `folders`.
fn find_in(folders: impl Iterator<Item = PathBuf>, names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = folders.filter(|folder| folder.is_absolute()).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path)))
}

fn is_program(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_executed_counts_and_the_first_name_wins() {
        let folders = || ["/etc", "/usr/bin", "/bin"].map(PathBuf::from).into_iter();
        assert_eq!(find_in(folders(), &["passwd-of-nobody", "sh"]), Some(PathBuf::from("/usr/bin/sh")));
        assert_eq!(find_in(folders(), &["hostname-of-nobody"]), None);
        assert_eq!(find_in(std::iter::once(PathBuf::from("/etc")), &["fstab", "hosts"]), None, "a file that is no program");
    }

    #[test]
    fn a_missing_server_is_told_with_what_to_install() {
        let error = StackError::Missing("install x".into());
        assert_eq!(error.to_string(), "install x");
    }
}
