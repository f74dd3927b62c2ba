//! The proxies of a run, wherever they are: those of this process, or those of a Toxiproxy server.
//!
//! In: what a fault of the network needs. Out: the same, done by either. What only the proxies of this process can do is asked of
//! [`Network::own`].

use std::net::SocketAddr;
use std::time::Duration;

use super::{Outage, Proxies, ProxyError, ProxySpec, RemoteError, RemoteProxies, ToxicSpec};

/// The proxies of a run.
#[derive(Debug, Clone)]
pub enum Network {
    /// In this process.
    Here(Proxies),
    /// On a Toxiproxy server.
    There(RemoteProxies),
}

/// Why a proxy refused.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// One of this process.
    #[error(transparent)]
    Here(#[from] ProxyError),
    /// One of a Toxiproxy server.
    #[error(transparent)]
    There(#[from] RemoteError),
}

impl Network {
    /// The proxies of this process, if it is they.
    ///
    /// # Errors
    /// A Toxiproxy server stands in their place.
    pub fn own(&self) -> Result<&Proxies, NetworkError> {
        match self {
            Self::Here(proxies) => Ok(proxies),
            Self::There(_) => Err(RemoteError::NeedsOwnProxy("this".to_owned()).into()),
        }
    }

    /// Opens a proxy; `host:port` that leads to it.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn create(&self, spec: ProxySpec) -> Result<String, NetworkError> {
        match self {
            Self::Here(proxies) => Ok(proxies.create(spec).await.map(|address: SocketAddr| address.to_string())?),
            Self::There(proxies) => Ok(proxies.create(&spec).await?),
        }
    }

    /// Points a proxy at another server; its connections are closed, the next ones go there.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn set_upstream(&self, name: &str, upstream: &str) -> Result<(), NetworkError> {
        match self {
            Self::Here(proxies) => proxies.set_upstream(name, upstream).await.map(drop)?,
            Self::There(proxies) => proxies.set_upstream(name, upstream).await?,
        }
        Ok(())
    }

    /// Adds a toxic, for `max` at the most.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn add_toxic(&self, name: &str, toxic: ToxicSpec, max: Duration) -> Result<(), NetworkError> {
        match self {
            Self::Here(proxies) => proxies.add_toxic(name, toxic, max).await.map(drop)?,
            Self::There(proxies) => proxies.add_toxic(name, &toxic, max).await?,
        }
        Ok(())
    }

    /// Starts an outage, for `max` at the most.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn begin(&self, name: &str, outage: Outage, max: Duration) -> Result<(), NetworkError> {
        match self {
            Self::Here(proxies) => proxies.begin(name, outage, max).await.map(drop)?,
            Self::There(proxies) => proxies.begin(name, outage, max).await?,
        }
        Ok(())
    }

    /// Takes everything out of a proxy.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn clear(&self, name: &str) -> Result<(), NetworkError> {
        let proxies = match self {
            Self::Here(proxies) => proxies,
            Self::There(proxies) => return Ok(proxies.clear(name).await?),
        };
        let view = proxies.view(name)?;
        for toxic in view.toxics {
            match proxies.remove_toxic(name, &toxic.name).await {
                // The dead-man timer of the proxy was quicker.
                Ok(_) | Err(ProxyError::ToxicNotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for outage in view.outages {
            proxies.end(name, outage).await?;
        }
        Ok(())
    }

    /// What a proxy holds, in words; `None` if nothing.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn holds(&self, name: &str) -> Result<Option<String>, NetworkError> {
        match self {
            Self::Here(proxies) => {
                let view = proxies.view(name)?;
                let clear = view.toxics.is_empty() && view.outages.is_empty();
                Ok((!clear).then(|| format!("{view:?}")))
            }
            Self::There(proxies) => Ok(proxies.holds(name).await?),
        }
    }

    /// The last generation that was given to a change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        match self {
            Self::Here(proxies) => proxies.generation(),
            Self::There(proxies) => proxies.generation(),
        }
    }

    /// Closes what would outlive this process.
    ///
    /// # Errors
    /// A proxy of a Toxiproxy server that it would not close.
    pub async fn close(&self) -> Result<(), NetworkError> {
        match self {
            Self::Here(_) => Ok(()),
            Self::There(proxies) => Ok(proxies.close().await?),
        }
    }
}
