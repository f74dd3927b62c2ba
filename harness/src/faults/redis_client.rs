//! The few questions that faults ask a Redis server, past every proxy.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::FaultError;

/// Longest wait for a connection or a reply.
const WITHIN: Duration = Duration::from_secs(5);

/// Connects to the server at `url`.
pub(super) async fn connect(url: &str) -> Result<MultiplexedConnection, FaultError> {
    let client = redis::Client::open(url).map_err(FaultError::of("read the address of redis"))?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(WITHIN)).set_response_timeout(Some(WITHIN));
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(FaultError::of("connect to redis"))
}

/// The fields of one section of INFO.
pub(super) async fn info(redis: &mut MultiplexedConnection, section: &str) -> Result<BTreeMap<String, String>, FaultError> {
    let text: String = redis::cmd("INFO").arg(section).query_async(redis).await.map_err(FaultError::of("ask redis for INFO"))?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// The identity of the process that serves `url`; another one after each start.
pub(super) async fn run_id(url: &str) -> Result<String, FaultError> {
    let mut fields = info(&mut connect(url).await?, "server").await?;
    fields.remove("run_id").ok_or_else(|| FaultError::failed("read the identity of redis", "INFO has no run_id"))
}

/// A field of INFO that counts; 0 if it is not there.
pub(super) fn number(fields: &BTreeMap<String, String>, name: &str) -> u64 {
    fields.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}
