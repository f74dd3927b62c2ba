//! What a request costs the open-loop generator with its full history, next to wrk on the same endpoint in the same rounds.
//!
//! Both are processes of their own; what counts is their CPU time, as the kernel charges it. The generator runs at 10,000/s, where the lag
//! of its starts is measured, and at a third of what wrk reached in the same round: wrk never waits, and a client that waits pays for
//! going to sleep and waking up at nearly every reply.

mod client;
mod endpoint;
#[path = "../figures/mod.rs"]
mod figures;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::UsageWho;

use client::{Told, cpu_s};
use figures::{Figure, Goal, Outcome, median, publish};

const ROUNDS: usize = 5;

/// Seconds that each client runs in a round.
const SECONDS: u64 = 5;

/// The rate at which the lag of the starts is bounded, per second.
const RATE: f64 = 10_000.0;

/// The high rate, of what wrk reaches: an open loop needs room to catch up.
const SHARE_OF_WRK: f64 = 1.0 / 3.0;

/// Connections of wrk: enough to keep one core busy.
const CONNECTIONS: &str = "64";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, address, rate, seconds, folder] = arguments.as_slice()
        && child == "generator"
    {
        let told = client::run(address.parse()?, rate.parse()?, seconds.parse()?, Path::new(folder))?;
        return tell(&told);
    }
    let folder = std::env::temp_dir().join(format!("holdfast-generator-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(endpoint::start()?, &folder);
    std::fs::remove_dir_all(&folder)?;
    publish("generator", &measured?)
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn tell(told: &Told) -> Outcome<()> {
    println!("{}", serde_json::to_string(told)?);
    Ok(())
}

fn measure(address: SocketAddr, folder: &Path) -> Outcome<Vec<Figure>> {
    let script = wrk_script(folder)?;
    let (mut wrk_rates, mut steady, mut high, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let reached = wrk(address, &script)?;
        wrk_rates.push(reached.per_cpu_s);
        steady.push(generator(address, RATE, folder)?);
        rates.push(reached.per_s * SHARE_OF_WRK);
        high.push(generator(address, reached.per_s * SHARE_OF_WRK, folder)?);
    }
    let per_cpu_s = |runs: &[Told]| -> Vec<f64> { runs.iter().map(|told| told.answered as f64 / told.cpu_s).collect() };
    let lags: Vec<f64> = steady.iter().map(|told| told.lag_p99_us).collect();
    let ratio = |rate: f64, runs: &[Told], goal| Figure {
        name: format!("generator with full history, requests per CPU second, at {rate:.0}/s"),
        against: "wrk, as fast as it can".to_owned(),
        unit: "x",
        value: median(&per_cpu_s(runs)) / median(&wrk_rates),
        goal,
        rounds_in: "requests per CPU s",
        ours: per_cpu_s(runs),
        theirs: wrk_rates.clone(),
    };
    Ok(vec![
        ratio(median(&rates), &high, Goal::AtLeast(0.65)),
        ratio(RATE, &steady, Goal::None),
        Figure {
            name: format!("generator, p99 of start lag at {RATE:.0}/s"),
            against: "the schedule".to_owned(),
            unit: "us",
            value: median(&lags),
            goal: Goal::AtMost(1_000.0),
            rounds_in: "us",
            ours: lags,
            theirs: Vec::new(),
        },
    ])
}

fn generator(address: SocketAddr, rate: f64, folder: &Path) -> Outcome<Told> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("generator").arg(address.to_string()).arg(rate.to_string()).arg(SECONDS.to_string()).arg(folder);
    let ended = command.stderr(Stdio::inherit()).output()?;
    let told: Told = serde_json::from_slice(&ended.stdout)?;
    // On a machine that is not quiet some arrivals find no slot; a client that mostly sheds is not the one that is measured.
    if told.answered * 10 < told.planned * 9 {
        return Err(format!("of {} requests {} were answered", told.planned, told.answered).into());
    }
    Ok(told)
}

/// How much wrk did.
struct Reached {
    per_cpu_s: f64,
    per_s: f64,
}

fn wrk(address: SocketAddr, script: &Path) -> Outcome<Reached> {
    let before = cpu_s(UsageWho::RUSAGE_CHILDREN)?;
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c", CONNECTIONS, "-d", &format!("{SECONDS}s"), "-s"])
        .arg(script)
        .arg(format!("http://{address}/orders"));
    let ended = command.output().map_err(|error| format!("run wrk (apt-get install wrk): {error}"))?;
    let text = String::from_utf8(ended.stdout)?;
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ").map(|(number, _)| number.to_owned()));
    let requests: f64 = requests.ok_or_else(|| format!("wrk did not say how much it did: {text}"))?.parse()?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("wrk met errors: {text}").into());
    }
    let per_cpu_s = requests / (cpu_s(UsageWho::RUSAGE_CHILDREN)? - before);
    Ok(Reached { per_cpu_s, per_s: requests / SECONDS as f64 })
}

/// Tells wrk what to send: an order as the generator writes it, always the same one.
fn wrk_script(folder: &Path) -> Outcome<PathBuf> {
    let path = folder.join("order.lua");
    let body =
        r#"{"order_id":"b-100000","user_id":50000,"items":[{"store_id":1,"product_id":1,"sku_id":1,"quantity":1}],"retry":false}"#;
    let text = format!("wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\nwrk.body = '{body}'\n");
    std::fs::write(&path, text)?;
    Ok(path)
}
