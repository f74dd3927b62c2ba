//! Faults of the Redis server and of its data, by the server's own commands.
//!
//! Proof that one bit is what the server counts or holds before and after; each is undone by its opposite, where it has one.

use redis::aio::MultiplexedConnection;

use super::FaultError;
use super::begun::Begun;
use super::redis_client::{connect, info, number};
use crate::scenario::ItemId;
use crate::target::keys::Key;

/// So much less than it uses is left to a server that is to evict: some hundred records go at once, and one for each that comes.
const EVICTED_BYTES: u64 = 100_000;

/// A fault of Redis in force.
pub(super) struct RedisFault {
    redis: MultiplexedConnection,
    harm: Harm,
}

enum Harm {
    /// Keys before and after.
    Flushed(u64, u64),
    /// Refusals for want of a script before.
    ScriptsFlushed(u64),
    /// Refusals for want of memory before.
    Full(u64),
    /// Evicted keys before.
    Evicting(u64),
    /// Stock before, if there was any, and after.
    Edited(Option<i64>, i64),
}

impl RedisFault {
    /// FLUSHALL.
    pub(super) async fn flush(url: &str, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut redis = connect(url).await?;
        let mut at_once = redis::pipe();
        at_once.atomic().cmd("DBSIZE").cmd("FLUSHALL").ignore().cmd("DBSIZE");
        begun.now();
        let (before, after) = at_once.query_async(&mut redis).await.map_err(FaultError::of("flush redis"))?;
        Ok((Self { redis, harm: Harm::Flushed(before, after) }, format!("FLUSHALL: {before} keys before, {after} after")))
    }

    /// SCRIPT FLUSH.
    pub(super) async fn flush_scripts(url: &str, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut redis = connect(url).await?;
        let before = refusals(&mut redis, "NOSCRIPT").await?;
        let scripts = number(&info(&mut redis, "memory").await?, "number_of_cached_scripts");
        begun.now();
        let flushed = redis::cmd("SCRIPT").arg("FLUSH").arg("SYNC").exec_async(&mut redis).await;
        flushed.map_err(FaultError::of("flush the scripts of redis"))?;
        Ok((Self { redis, harm: Harm::ScriptsFlushed(before) }, format!("SCRIPT FLUSH: {scripts} scripts before")))
    }

    /// Lowers `maxmemory` below what is used.
    pub(super) async fn fill(url: &str, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut redis = connect(url).await?;
        let before = refusals(&mut redis, "OOM").await?;
        begun.now();
        set(&mut redis, "maxmemory", "1").await?;
        Ok((Self { redis, harm: Harm::Full(before) }, "CONFIG SET maxmemory 1".to_owned()))
    }

    /// Makes a cache of the server that has too little memory for what it holds.
    pub(super) async fn evict(url: &str, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut redis = connect(url).await?;
        let before = number(&info(&mut redis, "stats").await?, "evicted_keys");
        let used = number(&info(&mut redis, "memory").await?, "used_memory");
        let limit = used.saturating_sub(EVICTED_BYTES).max(1).to_string();
        begun.now();
        set(&mut redis, "maxmemory-policy", "volatile-ttl").await?;
        set(&mut redis, "maxmemory", &limit).await?;
        Ok((Self { redis, harm: Harm::Evicting(before) }, format!("maxmemory {limit} of {used} used, volatile-ttl")))
    }

    /// Adds `by` to the stock key of `item`, as a foreign hand would.
    pub(super) async fn edit(url: &str, item: ItemId, by: i64, begun: &Begun) -> Result<(Self, String), FaultError> {
        let mut redis = connect(url).await?;
        let key = Key::Stock(item).to_string();
        let mut at_once = redis::pipe();
        at_once.atomic().cmd("GET").arg(&key).cmd("INCRBY").arg(&key).arg(by);
        begun.now();
        let (before, after): (Option<i64>, i64) =
            at_once.query_async(&mut redis).await.map_err(FaultError::of(format!("edit {key}")))?;
        let facts = format!("INCRBY {key} {by}: {after} after");
        Ok((Self { redis, harm: Harm::Edited(before, after) }, facts))
    }

    /// Proof that it has an effect, once there is some.
    pub(super) async fn bit(&mut self) -> Result<Option<String>, FaultError> {
        Ok(match self.harm {
            Harm::Flushed(before, after) => (before > 0 && after == 0).then(|| format!("DBSIZE went from {before} to {after}")),
            Harm::ScriptsFlushed(before) => self.refused_since(before, "NOSCRIPT").await?,
            Harm::Full(before) => self.refused_since(before, "OOM").await?,
            Harm::Evicting(before) => {
                let evicted = number(&info(&mut self.redis, "stats").await?, "evicted_keys").saturating_sub(before);
                (evicted > 0).then(|| format!("{evicted} keys were evicted"))
            }
            Harm::Edited(before, after) => {
                before.map(|before| format!("the stock went from {before} to {after} by a foreign hand"))
            }
        })
    }

    /// Undoes it and looks that it is undone. What is lost stays lost: the service has to make it good.
    pub(super) async fn heal(mut self) -> Result<String, FaultError> {
        if matches!(self.harm, Harm::Full(_) | Harm::Evicting(_)) {
            set(&mut self.redis, "maxmemory", "0").await?;
            set(&mut self.redis, "maxmemory-policy", "noeviction").await?;
            let fields = info(&mut self.redis, "memory").await?;
            let limit = number(&fields, "maxmemory");
            return if limit == 0 {
                Ok("maxmemory is 0 again".to_owned())
            } else {
                Err(FaultError::failed("lift maxmemory of redis", format!("it is {limit}")))
            };
        }
        let answer: String = redis::cmd("PING").query_async(&mut self.redis).await.map_err(FaultError::of("ask redis"))?;
        Ok(format!("nothing to undo; redis answers {answer}"))
    }

    async fn refused_since(&mut self, before: u64, code: &str) -> Result<Option<String>, FaultError> {
        let refused = refusals(&mut self.redis, code).await?.saturating_sub(before);
        Ok((refused > 0).then(|| format!("{refused} commands were refused with {code}")))
    }
}

/// Commands that the server refused with this code since its start.
async fn refusals(redis: &mut MultiplexedConnection, code: &str) -> Result<u64, FaultError> {
    let fields = info(redis, "errorstats").await?;
    let count = fields.get(&format!("errorstat_{code}")).and_then(|value| value.strip_prefix("count=")?.parse().ok());
    Ok(count.unwrap_or(0))
}

async fn set(redis: &mut MultiplexedConnection, name: &str, value: &str) -> Result<(), FaultError> {
    let set = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(redis).await;
    set.map_err(FaultError::of(format!("set {name} of redis")))
}
