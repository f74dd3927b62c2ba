//! What can go wrong with a proxy. The words are those of Toxiproxy where it has any.

use std::io;

/// Why a call to the proxies failed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No proxy of that name.
    #[error("proxy not found")]
    ProxyNotFound,
    /// The name is taken.
    #[error("proxy already exists")]
    ProxyExists,
    /// The proxy has no toxic of that name.
    #[error("toxic not found")]
    ToxicNotFound,
    /// The proxy has a toxic of that name, in one direction or the other.
    #[error("toxic already exists")]
    ToxicExists,
    /// The address could not be resolved or listened on.
    #[error("listen tcp {address}: {source}")]
    Listen {
        /// The address as it was asked for.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The thread of the proxies could not be started.
    #[error("start the proxies: {0}")]
    Start(io::Error),
    /// The thread of the proxies has ended.
    #[error("the proxies have stopped")]
    Stopped,
}
