//! redis-benchmark, which asks for one script again and again over pipelines: how fast, and what the script costs inside Redis.
//!
//! In: a script with its keys and arguments. Out: calls per second, and the time per call as Redis counts it.

use std::process::Command;

use redis::aio::MultiplexedConnection;

use super::figures::Outcome;

/// A script and what it is called with; `__rand_int__` becomes another number in every call.
pub(crate) struct Call<'a> {
    pub(crate) script: &'a str,
    pub(crate) keys: Vec<String>,
    pub(crate) arguments: Vec<String>,
}

/// What many calls gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Calls per second, as the client counts them.
    pub(crate) per_s: f64,
    /// Time inside Redis for one call, µs.
    pub(crate) inside_us: f64,
}

/// Runs `calls` calls over 4 connections, 16 in each pipeline.
pub(crate) async fn run(port: u16, redis: &mut MultiplexedConnection, call: &Call<'_>, calls: u64) -> Outcome<Rate> {
    let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg(call.script).query_async(redis).await?;
    let () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(redis).await?;
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &port.to_string(), "-c", "4", "-P", "16", "-n", &calls.to_string(), "-r", "2000000000", "--csv"]);
    command.args(["EVALSHA", &sha, &call.keys.len().to_string()]).args(&call.keys).args(&call.arguments);
    let ended = command.output()?;
    let text = String::from_utf8(ended.stdout)?;
    let per_s = text.lines().last().and_then(|line| line.split("\",\"").nth(1));
    let per_s = per_s.ok_or_else(|| format!("redis-benchmark did not say how fast it was: {text}"))?.parse()?;
    Ok(Rate { per_s, inside_us: inside_us(redis).await? })
}

/// Time per EVALSHA since the counters were reset.
pub(crate) async fn inside_us(redis: &mut MultiplexedConnection) -> Outcome<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).ok_or("no EVALSHA was counted")?;
    let field = |name: &str| line.split(',').find_map(|field| field.split_once('=').filter(|(key, _)| *key == name));
    if let Some((_, failed)) = field("failed_calls").filter(|(_, failed)| *failed != "0") {
        return Err(format!("{failed} calls failed").into());
    }
    Ok(field("usec_per_call").ok_or("no time per call")?.1.parse()?)
}
