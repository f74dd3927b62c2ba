//! Open files, which connections are too: as many as the system grants, and a share of them kept for the stores.
//!
//! Clients alone must not use them up: a process without a free descriptor cannot reach Redis or MySQL again once a link broke.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Kept for connections to the stores, listeners, logs and what the runtime needs.
const KEPT: u64 = 256;
/// Of what is left the admin listener may use one part in so many, the public one the others.
const ADMIN_PART: u64 = 8;

/// Raises the limit of this process to what the system lets it have: by habit a process starts with far less, for the sake of programs that
/// can not count higher.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Connections at once that the public and the admin listener may have, each at most `wanted`.
#[must_use]
pub fn connections(wanted: usize) -> (usize, usize) {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let (public, admin) = shares(wanted, limit);
    if public < wanted {
        tracing::warn!(limit, wanted, public, admin, "the limit of open files allows fewer connections than --connections-max");
    }
    (public, admin)
}

/// At least one each, so that a process with hardly any descriptors says so by its errors and not by silence.
fn shares(wanted: usize, limit: u64) -> (usize, usize) {
    let free = limit.saturating_sub(KEPT);
    let admin = free / ADMIN_PART;
    let at_most = |share: u64| usize::try_from(share.max(1)).unwrap_or(usize::MAX).min(wanted);
    (at_most(free - admin), at_most(admin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_listeners_together_leave_what_the_stores_need() {
        for limit in [0, 10, KEPT, KEPT + 8, 1_024, 20_000, u64::MAX] {
            let (public, admin) = shares(1_000_000, limit);
            assert!(public >= 1 && admin >= 1 && public <= 1_000_000, "{limit}");
            assert!(limit <= KEPT + 8 || (public + admin) as u64 + KEPT <= limit, "{limit}: {public} and {admin}");
        }
        assert_eq!(shares(16_384, 1_024), (672, 96));
        assert_eq!(shares(16_384, 20_000), (16_384, 2_468));
        assert_eq!(shares(16, 20_000), (16, 16), "never more than wanted");
    }
}
