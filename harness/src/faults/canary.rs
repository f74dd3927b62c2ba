//! A client of our own behind the same proxy as a service: what it meets is what the service meets.
//!
//! In: the address of a store as a service reaches it. Out: how long a round trip takes, or that none comes back. It changes nothing in
//! the stores.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

use super::{FaultError, redis_client};
use crate::clock::RunClock;
use crate::scenario::faults::Store;
use crate::stack::controls::Controls;

/// Round trips of which the slowest is the upper edge of the band.
const BASELINE_TRIPS: usize = 5;

/// Key that nobody writes; a client that waits for it waits for ever.
const NOBODY: &str = "holdfast:nobody";

/// Longest wait of a call that hangs on purpose, s.
const HANG_S: u32 = 30;

/// One connection through one proxy.
pub(super) struct Canary {
    clock: RunClock,
    url: String,
    connection: Connection,
}

enum Connection {
    Redis(MultiplexedConnection),
    Mysql(MySqlConnection),
}

impl Canary {
    /// Connects as `role` connects to `store`.
    pub(super) async fn open(controls: Controls<'_>, clock: RunClock, role: &str, store: Store) -> Result<Self, FaultError> {
        Self::connect(clock, controls.url_of(role, store)?, store).await
    }

    async fn connect(clock: RunClock, url: String, store: Store) -> Result<Self, FaultError> {
        let connection = match store {
            Store::Redis => Connection::Redis(redis_client::connect(&url).await?),
            Store::Mysql => {
                let connected = MySqlConnection::connect(&url).await;
                Connection::Mysql(connected.map_err(FaultError::of("connect to mysql as a service does"))?)
            }
        };
        Ok(Self { clock, url, connection })
    }

    /// Time of one round trip that carries `bytes` back.
    pub(super) async fn round_trip(&mut self, bytes: usize) -> Result<Duration, FaultError> {
        let sent = self.clock.now();
        match &mut self.connection {
            Connection::Redis(redis) => {
                let carried = redis::cmd("ECHO").arg("x".repeat(bytes)).exec_async(redis).await;
                carried.map_err(FaultError::of("send a canary to redis"))?;
            }
            Connection::Mysql(mysql) => {
                let query = AssertSqlSafe(format!("SELECT REPEAT('x', {bytes})"));
                sqlx::raw_sql(query).execute(mysql).await.map_err(FaultError::of("send a canary to mysql"))?;
            }
        }
        Ok(self.clock.now().since(sent))
    }

    /// The slowest of a few round trips.
    pub(super) async fn baseline(&mut self) -> Result<Duration, FaultError> {
        let mut slowest = Duration::ZERO;
        for _ in 0..BASELINE_TRIPS {
            slowest = slowest.max(self.round_trip(1).await?);
        }
        Ok(slowest)
    }

    /// Asks for what never comes, so that the connection has an operation in flight; how it was cut off, in words. `None` if our own
    /// patience ended, or the server answered.
    pub(super) async fn hang(self) -> Option<String> {
        match self.connection {
            Connection::Redis(mut redis) => {
                let asked = redis::cmd("BLPOP").arg(NOBODY).arg(HANG_S).exec_async(&mut redis).await;
                asked.err().filter(|error| !error.is_timeout()).map(|error| error.to_string())
            }
            Connection::Mysql(mut mysql) => {
                let query = AssertSqlSafe(format!("SELECT SLEEP({HANG_S})"));
                sqlx::raw_sql(query).execute(&mut mysql).await.err().map(|error| error.to_string())
            }
        }
    }

    /// Waits until a new connection has a round trip within `band`; that round trip.
    pub(super) async fn back_within(self, band: Duration, patience: Duration) -> Result<Duration, FaultError> {
        let Self { clock, url, connection } = self;
        let store = if matches!(connection, Connection::Redis(_)) { Store::Redis } else { Store::Mysql };
        drop(connection);
        let end = clock.now().plus(patience);
        let mut met = String::new();
        while clock.now() < end {
            let trip = async { Self::connect(clock, url.clone(), store).await?.round_trip(1).await };
            match tokio::time::timeout(end.since(clock.now()), trip).await {
                Ok(Ok(trip)) if trip <= band => return Ok(trip),
                Ok(Ok(trip)) => met = format!("the last took {} ms", trip.as_millis()),
                Ok(Err(error)) => met = error.to_string(),
                Err(_) => met = "no reply".to_owned(),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let why = format!("none within {} ms after {} ms: {met}", band.as_millis(), patience.as_millis());
        Err(FaultError::failed(format!("see a round trip to {} as before", store.name()), why))
    }
}

/// A round trip that counts as back to normal, from what was seen before: a machine that is busy doubles a time easily.
pub(super) fn band(baseline: Duration) -> Duration {
    baseline * 3 + Duration::from_millis(20)
}
