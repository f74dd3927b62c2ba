//! The door of a proxy: binds an address, accepts, and outlives accept errors.
//!
//! In: an address. Out: accepted sockets, without delay for small packets. Dropping the door closes it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, lookup_host};
use tokio::task::JoinHandle;

use super::running::Proxy;

/// Pause after an accept error, such as no free descriptors.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// An open door.
#[derive(Debug)]
pub(super) struct Door {
    task: JoinHandle<()>,
}

/// The address that a text names; empty, or without a host, means the loopback, without a port that the system chooses one.
pub(super) async fn resolve(listen: &str) -> io::Result<SocketAddr> {
    let listen = match listen {
        "" => "127.0.0.1:0".to_owned(),
        port if port.starts_with(':') => format!("127.0.0.1{port}"),
        other => other.to_owned(),
    };
    let addresses: Vec<_> = lookup_host(&listen).await?.collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "no address"))
}

/// Listens now. The listener must be given to [`Door::open`] within the runtime of the proxies.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Door {
    /// Accepts for `proxy` until dropped or closed.
    pub(super) fn open(listener: std::net::TcpListener, proxy: Arc<Proxy>) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        // Only a socket that is dead already refuses the option.
                        if client.set_nodelay(true).is_ok() {
                            proxy.admit(client);
                        }
                    }
                    Err(error) => {
                        proxy.event(None, format!("accept: {error}"));
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
        });
        Ok(Self { task })
    }

    /// Closes the door; on return the port is free.
    pub(super) async fn close(self) {
        self.task.abort();
        // The task never ends by itself, and its cancellation is what was asked for.
        drop((&mut { self }.task).await);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}
