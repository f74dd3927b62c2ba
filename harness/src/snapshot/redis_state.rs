//! Reads every key of the target in Redis.
//!
//! In: a direct connection. Out: per item what Redis holds, as text, and the keys that fit no form. Keys are found by SCAN and read in
//! pipelines, each value as the type that its name promises; a key of another type is a stray, never an error.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisResult};

use super::reader::{StoreReader, within};
use super::{LockState, RedisItem, SnapshotError};
use crate::scenario::ItemId;
use crate::target::keys::{KEYS, Key};

/// Longest wait for all keys; 100,000 records take about a second.
const READ_DEADLINE: Duration = Duration::from_secs(120);

/// Keys of one SCAN step, one MGET, one pipeline: large enough that round trips vanish, small enough not to hold up the server.
const CHUNK: usize = 1_000;

/// Everything under `inventory:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisState {
    /// What Redis holds, by item.
    pub items: BTreeMap<ItemId, RedisItem>,
    /// Keys of no known form, or not of the type that their form promises; sorted.
    pub stray_keys: Vec<String>,
}

impl RedisState {
    /// Reads all keys. Not of one moment: the caller compares fingerprints around it. Cancel safe.
    ///
    /// # Errors
    /// Redis refuses, breaks off, or does not answer within 120 s.
    pub async fn read(stores: &StoreReader) -> Result<Self, SnapshotError> {
        let mut redis = stores.lend_redis().await?;
        let state = within("read all keys of redis", READ_DEADLINE, read_all(&mut redis)).await?;
        stores.keep_redis(redis);
        Ok(state)
    }
}

async fn read_all(redis: &mut MultiplexedConnection) -> Result<RedisState, SnapshotError> {
    let found = scan(redis).await?;
    let mut state = RedisState { items: BTreeMap::new(), stray_keys: found.strays };
    for texts in found.texts.chunks(CHUNK) {
        read_texts(redis, texts, &mut state).await?;
    }
    for metas in found.metas.chunks(CHUNK) {
        read_metas(redis, metas, &mut state).await?;
    }
    for locks in found.locks.chunks(CHUNK) {
        read_locks(redis, locks, &mut state).await?;
    }
    state.stray_keys.sort_unstable();
    Ok(state)
}

/// The keys found, by how they are read.
#[derive(Default)]
struct Found {
    texts: Vec<Key>,
    metas: Vec<ItemId>,
    locks: Vec<ItemId>,
    strays: Vec<String>,
}

async fn scan(redis: &mut MultiplexedConnection) -> Result<Found, SnapshotError> {
    let mut names = BTreeSet::new();
    let mut cursor = 0_u64;
    loop {
        let mut step = redis::cmd("SCAN");
        step.arg(cursor).arg("MATCH").arg(KEYS).arg("COUNT").arg(CHUNK);
        let (next, batch): (u64, Vec<Vec<u8>>) = step.query_async(redis).await.map_err(SnapshotError::redis("scan the keys of"))?;
        // SCAN may return a key twice.
        names.extend(batch);
        cursor = next;
        if cursor == 0 {
            return Ok(sort_names(&names));
        }
    }
}

fn sort_names(names: &BTreeSet<Vec<u8>>) -> Found {
    let mut found = Found::default();
    for name in names {
        let Ok(name) = std::str::from_utf8(name).map(str::to_owned) else {
            found.strays.push(text(name));
            continue;
        };
        match Key::parse(&name) {
            // `inventory:stock:{01:2:3}` reads like the key of an item, but no script would ever find it.
            Some(key) if key.to_string() != name => found.strays.push(name),
            Some(Key::Meta(item)) => found.metas.push(item),
            Some(Key::Lock(item)) => found.locks.push(item),
            Some(key) => found.texts.push(key),
            None => found.strays.push(name),
        }
    }
    found
}

async fn read_texts(redis: &mut MultiplexedConnection, keys: &[Key], state: &mut RedisState) -> Result<(), SnapshotError> {
    let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let mut mget = redis::cmd("MGET");
    mget.arg(&names);
    let values: Vec<Option<Vec<u8>>> = mget.query_async(redis).await.map_err(SnapshotError::redis("read values of"))?;
    let mut unread = Vec::new();
    for ((key, name), value) in keys.iter().zip(names).zip(values) {
        let Some(value) = value else {
            unread.push(name);
            continue;
        };
        let item = state.items.entry(key.item()).or_default();
        match key {
            Key::Stock(_) => item.stock = Some(text(&value)),
            Key::Deduct(order, _) => drop(item.records.insert(order.clone(), text(&value))),
            Key::Delta(event, _) => drop(item.markers.insert(event.clone(), text(&value))),
            Key::Meta(_) | Key::Lock(_) => state.stray_keys.push(name),
        }
    }
    state.stray_keys.extend(existing(redis, unread).await?);
    Ok(())
}

/// Those of `names` that exist: MGET answers nil both for a key that has gone and for one of another type.
async fn existing(redis: &mut MultiplexedConnection, names: Vec<String>) -> Result<Vec<String>, SnapshotError> {
    if names.is_empty() {
        return Ok(names);
    }
    let mut pipe = Pipeline::with_capacity(names.len());
    for name in &names {
        pipe.cmd("EXISTS").arg(name);
    }
    let exist: Vec<bool> = pipe.query_async(redis).await.map_err(SnapshotError::redis("look for keys of"))?;
    Ok(names.into_iter().zip(exist).filter_map(|(name, exists)| exists.then_some(name)).collect())
}

async fn read_metas(redis: &mut MultiplexedConnection, items: &[ItemId], state: &mut RedisState) -> Result<(), SnapshotError> {
    let mut pipe = Pipeline::with_capacity(items.len());
    for item in items {
        pipe.cmd("HGETALL").arg(Key::Meta(*item).to_string());
    }
    let act = "read meta hashes of";
    for (item, fields) in items.iter().zip(query::<Vec<(Vec<u8>, Vec<u8>)>>(redis, &mut pipe, act).await?) {
        match fields {
            Some(fields) => {
                let meta = fields.iter().map(|(field, value)| (text(field), text(value))).collect();
                state.items.entry(*item).or_default().meta = meta;
            }
            None => state.stray_keys.push(Key::Meta(*item).to_string()),
        }
    }
    Ok(())
}

async fn read_locks(redis: &mut MultiplexedConnection, items: &[ItemId], state: &mut RedisState) -> Result<(), SnapshotError> {
    let mut pipe = Pipeline::with_capacity(items.len());
    for item in items {
        pipe.cmd("ZRANGE").arg(Key::Lock(*item).to_string()).arg(0).arg(-1).arg("WITHSCORES");
    }
    let act = "read lock sets of";
    for (item, members) in items.iter().zip(query::<Vec<(Vec<u8>, f64)>>(redis, &mut pipe, act).await?) {
        match members {
            Some(members) => state.items.entry(*item).or_default().locks = members.iter().map(lock_state).collect(),
            None => state.stray_keys.push(Key::Lock(*item).to_string()),
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "scores are whole milliseconds below 2^53; a strange one saturates")]
fn lock_state((member, score): &(Vec<u8>, f64)) -> LockState {
    LockState { member: text(member), since_ms: *score as i64 }
}

/// The Redis side of one item's fingerprint. A value that is missing or of the wrong type is `None`, and counts no locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedisPrint {
    epoch: Option<String>,
    version: Option<String>,
    stock: Option<String>,
    /// Members of the lock set.
    pub(super) locks: u64,
}

/// Reads the fingerprints of `items`, in their order.
pub(super) async fn read_prints(
    redis: &mut MultiplexedConnection,
    items: impl Iterator<Item = ItemId>,
) -> Result<Vec<RedisPrint>, SnapshotError> {
    let items: Vec<ItemId> = items.collect();
    let mut prints = Vec::with_capacity(items.len());
    for chunk in items.chunks(CHUNK) {
        read_chunk_of_prints(redis, chunk, &mut prints).await?;
    }
    Ok(prints)
}

async fn read_chunk_of_prints(
    redis: &mut MultiplexedConnection,
    items: &[ItemId],
    prints: &mut Vec<RedisPrint>,
) -> Result<(), SnapshotError> {
    let (mut metas, mut stocks, mut locks) = (Pipeline::new(), Pipeline::new(), Pipeline::new());
    for item in items {
        metas.cmd("HMGET").arg(Key::Meta(*item).to_string()).arg("epoch").arg("version");
        stocks.cmd("GET").arg(Key::Stock(*item).to_string());
        locks.cmd("ZCARD").arg(Key::Lock(*item).to_string());
    }
    let metas = query::<(Option<Vec<u8>>, Option<Vec<u8>>)>(redis, &mut metas, "read meta hashes of").await?;
    let stocks = query::<Option<Vec<u8>>>(redis, &mut stocks, "read stocks of").await?;
    let locks = query::<u64>(redis, &mut locks, "count locks of").await?;
    prints.extend(metas.into_iter().zip(stocks).zip(locks).map(|((meta, stock), locks)| {
        let (epoch, version) = meta.unwrap_or_default();
        let shown = |value: Option<Vec<u8>>| value.map(|bytes| text(&bytes));
        RedisPrint { epoch: shown(epoch), version: shown(version), stock: shown(stock.flatten()), locks: locks.unwrap_or(0) }
    }));
    Ok(())
}

/// Runs a pipeline; a command on a key of the wrong type gives `None`, every other error fails the whole.
async fn query<T: FromRedisValue>(
    redis: &mut MultiplexedConnection,
    pipe: &mut Pipeline,
    act: &'static str,
) -> Result<Vec<Option<T>>, SnapshotError> {
    if pipe.is_empty() {
        return Ok(Vec::new());
    }
    let failed = SnapshotError::redis(act);
    let replies: Vec<RedisResult<T>> = pipe.ignore_errors().query_async(redis).await.map_err(&failed)?;
    let soften = |reply: RedisResult<T>| match reply {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
        Err(error) => Err(failed(error)),
    };
    replies.into_iter().map(soften).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
