//! Own Redis and MySQL servers in a private folder on free ports.

use std::path::PathBuf;

use super::StackError;

/// The stores that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoresSpec {
    /// Further arguments of `redis-server`.
    pub redis_args: Vec<String>,
    /// Further arguments of `mariadbd` or `mysqld`.
    pub mysql_args: Vec<String>,
    /// Folder for the logs of both; the private folder, which goes at the end, if `None`.
    pub logs: Option<PathBuf>,
    /// Longest wait for each server to be ready.
    pub ready_ms: u64,
}

/// Two running stores. Gone, with their folder, when stopped, dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Stores {}

impl Stores {
    /// Starts both servers and waits until each answers.
    ///
    /// # Errors
    /// A server program that is missing, or one that did not get ready.
    pub async fn start(spec: StoresSpec) -> Result<Self, StackError> {
        unimplemented!("{spec:?}")
    }

    /// `redis://127.0.0.1:port/`
    #[must_use]
    pub fn redis_url(&self) -> String {
        unimplemented!()
    }

    /// `mysql://user:password@127.0.0.1:port/database`; the database need not exist.
    #[must_use]
    pub fn mysql_url(&self, database: &str) -> String {
        unimplemented!("{database}")
    }
}
