//! Free ports of 127.0.0.1 below the ephemeral range, so that a server can come back on its own port.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{StackError, entropy};

/// First port that is tried, and how many there are. Linux hands out 32768 and up, other systems 49152 and up.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Ports given out by this process; never given twice, so that a server that is down keeps its port.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that nobody listens on now. Another program may still take it before it is used; the caller tries again then.
pub(super) fn free_port() -> Result<u16, StackError> {
    for _ in 0..200 {
        let port = FIRST + u16::from_le_bytes(entropy::bytes()?) % COUNT;
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return Ok(port);
        }
    }
    Err(StackError::failed("find a free port of 127.0.0.1", format!("200 tries from {FIRST} to {} failed", FIRST + COUNT - 1)))
}

/// `N` such ports.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N], StackError> {
    let mut ports = [0; N];
    for port in &mut ports {
        *port = free_port()?;
    }
    Ok(ports)
}

/// Whether the log of a server that ended says that its port was taken.
pub(super) fn was_taken(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_distinct_and_below_the_ephemeral_range() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (20_000..32_000).contains(port)));
    }
}
