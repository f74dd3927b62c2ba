//! Which Redis process a connection leads to, and whether the protocol may run on it: read from INFO.

use super::StockError;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};

/// What one INFO reply says of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `run_id:master_replid`. A restart changes the first part, a promotion the second.
    pub(super) incarnation: String,
    role: String,
    eviction: String,
    is_loading: bool,
}

impl Identity {
    /// Reads an INFO reply; `None` if a line is missing.
    pub(super) fn parse(info: &str) -> Option<Self> {
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        Some(Self {
            incarnation: format!("{}:{}", field("run_id")?, field("master_replid")?),
            role: field("role")?.to_owned(),
            eviction: field("maxmemory_policy")?.to_owned(),
            is_loading: field("loading")? != "0",
        })
    }

    /// # Errors
    /// The server is a replica, evicts keys, or is still reading its data.
    pub(super) fn check(&self) -> Result<(), StockError> {
        if self.role != "master" {
            return Err(StockError::Unsuitable(format!("its role is {}, it must be master", self.role)));
        }
        let evicts = self.eviction != "noeviction";
        #[cfg(feature = "defects")]
        let evicts = evicts && !planted(Defect::EvictionAllowed);
        if evicts {
            let why = format!("maxmemory-policy is {}, it must be noeviction: an evicted lock is lost stock", self.eviction);
            return Err(StockError::Unsuitable(why));
        }
        if self.is_loading {
            return Err(StockError::NotExecuted { act: "connect", why: "redis is loading its data".into() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(role: &str, policy: &str, loading: u8) -> String {
        format!(
            "# Server\r\nrun_id:aa\r\n# Memory\r\nmaxmemory_policy:{policy}\r\nloading:{loading}\r\nasync_loading:0\r\n\
             role:{role}\r\nmaster_replid:bb\r\nmaster_replid2:cc\r\n"
        )
    }

    #[test]
    fn a_master_that_keeps_its_keys_is_suitable_and_its_incarnation_has_both_parts() {
        let identity = Identity::parse(&info("master", "noeviction", 0)).unwrap();
        assert_eq!(identity.incarnation, "aa:bb");
        assert_eq!(identity.check(), Ok(()));
    }

    #[test]
    fn a_replica_and_an_evicting_server_are_unsuitable_and_a_loading_one_is_not_ready() {
        let check = |role, policy, loading| Identity::parse(&info(role, policy, loading)).unwrap().check();
        assert!(matches!(check("slave", "noeviction", 0), Err(StockError::Unsuitable(why)) if why.contains("slave")));
        assert!(matches!(check("master", "allkeys-lru", 0), Err(StockError::Unsuitable(why)) if why.contains("allkeys-lru")));
        assert!(matches!(check("master", "noeviction", 1), Err(StockError::NotExecuted { .. })));
    }

    #[test]
    fn a_reply_without_a_run_id_identifies_nobody() {
        assert_eq!(Identity::parse("role:master\r\n"), None);
    }
}
