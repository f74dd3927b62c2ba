//! The Redis side of one rebuild: a fresh connection that tells its process, looks, and installs once.

use std::time::Duration;

use futures_util::future::join_all;
use redis::Client;

use super::client::{probe_keys, read_probe};
use super::connection::{Connection, reply_of};
use super::keys::Key;
use super::reply::Reply;
use super::script::{INSTALL, Invocation, PROBE, Script};
use super::{Installed, Probe, StockError, StockSettings};
use crate::domain::{Epoch, Item};

/// A connection of its own, closed when this is dropped.
///
/// Not a lane's: the incarnation that the rebuild writes to MySQL must be the one that the counter is installed in.
pub struct Installer {
    connection: Connection,
    command_timeout: Duration,
}

impl Installer {
    /// Connects.
    ///
    /// # Errors
    /// `NotExecuted` if nobody answers in time, `Unsuitable` for a server that the protocol may not run on.
    pub(super) async fn connect(client: &Client, settings: &StockSettings) -> Result<Self, StockError> {
        let connection = Connection::open(client, settings.connect_timeout).await?;
        Ok(Self { connection, command_timeout: settings.command_timeout })
    }

    /// `run_id:master_replid` of the process that the counter will be installed in.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        self.connection.incarnation()
    }

    /// The epoch that Redis holds for the item; 0 if none can be read.
    ///
    /// # Errors
    /// `NotExecuted` or `Unknown`; for a look, both mean "not seen".
    pub async fn probe_epoch(&self, item: Item) -> Result<Epoch, StockError> {
        let invocation = Invocation { keys: &probe_keys(item, &[]), arguments: &[&0, &0], members: &[] };
        Ok(read_probe(&self.call(&PROBE, &invocation).await?)?.epoch)
    }

    /// Looks at the counter, at no more than `limit` locks of any age, and at whether each increase of `events` was applied.
    ///
    /// # Errors
    /// `NotExecuted` or `Unknown`; for a look, both mean "not seen".
    pub async fn look(&self, item: Item, limit: u32, events: &[String]) -> Result<Probe, StockError> {
        let invocation = Invocation { keys: &probe_keys(item, events), arguments: &[&0, &limit], members: &[] };
        read_probe(&self.call(&PROBE, &invocation).await?)
    }

    /// Opens `epoch` with `base` units. Takes the installer, because an epoch is installed at most once: after an error of
    /// either kind a new rebuild with a new epoch is due, never the same install again.
    ///
    /// Cancel safe in the same sense: a cancelled install may have run.
    ///
    /// # Errors
    /// `NotExecuted` (a negative base or epoch 0 among others) or `Unknown`.
    pub async fn install(self, item: Item, epoch: Epoch, base: i64) -> Result<Installed, StockError> {
        self.install_one(item, epoch, base).await
    }

    /// [`Installer::install`] for several items, each once, without waiting for one before the next is sent. The replies are in their order.
    pub async fn install_each(self, counters: &[(Item, Epoch, i64)]) -> Vec<Result<Installed, StockError>> {
        join_all(counters.iter().copied().map(|(item, epoch, base)| self.install_one(item, epoch, base))).await
    }

    async fn install_one(&self, item: Item, epoch: Epoch, base: i64) -> Result<Installed, StockError> {
        let keys = [Key::Stock(item), Key::Meta(item), Key::Lock(item)];
        let reply = self.call(&INSTALL, &Invocation { keys: &keys, arguments: &[&epoch, &base], members: &[] }).await?;
        match reply.code()? {
            "OK" => Ok(Installed::Done),
            "STALE" => Ok(Installed::Stale(reply.epoch(1)?)),
            _ => Err(reply.refused()),
        }
    }

    async fn call(&self, script: &Script, invocation: &Invocation<'_>) -> Result<Reply, StockError> {
        reply_of(script, self.connection.run(script, invocation, self.command_timeout).await)
    }
}
