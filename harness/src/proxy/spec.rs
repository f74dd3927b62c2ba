//! What a proxy is to be, and what it is.

use std::fmt;
use std::net::SocketAddr;

use super::{DissectorFactory, Outage, ToxicSpec};

/// A proxy as it is asked for.
#[derive(Debug, Clone)]
pub struct ProxySpec {
    /// Unique among the proxies.
    pub name: String,
    /// `host:port` of the server; resolved and dialled for every connection.
    pub upstream: String,
    /// `host:port` to listen on; port 0 or an empty text lets the system choose.
    pub listen: String,
    /// What is known of the bytes.
    pub protocol: Protocol,
}

impl ProxySpec {
    /// A proxy of bytes without a meaning, on a port of the system's choice.
    pub fn plain(name: impl Into<String>, upstream: impl Into<String>) -> Self {
        Self { name: name.into(), upstream: upstream.into(), listen: String::new(), protocol: Protocol::Plain }
    }

    /// A proxy that knows the frames of its protocol, on a port of the system's choice.
    pub fn dissected(name: impl Into<String>, upstream: impl Into<String>, factory: DissectorFactory) -> Self {
        Self { protocol: Protocol::Dissected(factory), ..Self::plain(name, upstream) }
    }
}

/// What a proxy knows of the bytes that it carries.
#[derive(Clone)]
pub enum Protocol {
    /// Nothing.
    Plain,
    /// Its frames: each connection gets a dissector of its own.
    Dissected(DissectorFactory),
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Dissected(_) => "Dissected",
        })
    }
}

/// A proxy as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyView {
    /// Its name.
    pub name: String,
    /// Where it listens, or would if it were enabled.
    pub listen: SocketAddr,
    /// `host:port` of the server.
    pub upstream: String,
    /// Whether it is not [`Outage::Disabled`].
    pub enabled: bool,
    /// Upstream first, then downstream, each in order of creation.
    pub toxics: Vec<ToxicSpec>,
    /// Outages that hold now.
    pub outages: Vec<Outage>,
    /// Generation of its last change.
    pub generation: u64,
}
