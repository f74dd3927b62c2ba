//! What it takes to judge a saved run of a million operations with `chaos verify`, and what one of a tenth of that takes, in turns.
//!
//! `chaos` is the program beside this one in the target folder: build it first (`cargo build --release --bin chaos`). Peak memory is that of
//! the process, as the kernel counts it; each run has a parent of its own, because that count is kept by parent.

#[path = "../figures/mod.rs"]
mod figures;
mod saved_run;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::clock::RunClock;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use figures::{Figure, Goal, Outcome, median, publish};

const ROUNDS: usize = 5;
const OPERATIONS: u64 = 1_000_000;

/// What one verify took.
#[derive(Debug, Serialize, Deserialize)]
struct Took {
    wall_s: f64,
    cpu_s: f64,
    peak_gib: f64,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["write", reports, operations] => {
            let folder = saved_run::write(Path::new(reports), operations.parse()?)?;
            tell(&folder.path())
        }
        ["verify", folder] => tell(&verify(Path::new(folder))?),
        _ => {
            let reports = std::env::temp_dir().join(format!("holdfast-judging-{}", std::process::id()));
            let measured = measure(&reports);
            std::fs::remove_dir_all(&reports)?;
            publish("judging", &measured?)
        }
    }
}

fn measure(reports: &Path) -> Outcome<Vec<Figure>> {
    let write = |operations: u64| again::<PathBuf>(&["write".as_ref(), reports.as_os_str(), operations.to_string().as_ref()]);
    let (whole, tenth) = (write(OPERATIONS)?, write(OPERATIONS / 10)?);
    let (mut wholes, mut tenths) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        wholes.push(again::<Took>(&["verify".as_ref(), whole.as_os_str()])?);
        tenths.push(again::<Took>(&["verify".as_ref(), tenth.as_os_str()])?);
    }
    let of = |runs: &[Took], part: fn(&Took) -> f64| runs.iter().map(part).collect::<Vec<f64>>();
    let figure = |name: &str, unit, goal, part: fn(&Took) -> f64| Figure {
        name: format!("judge {OPERATIONS} operations from disk, {name}"),
        against: format!("{} operations", OPERATIONS / 10),
        unit,
        value: median(&of(&wholes, part)),
        goal,
        rounds_in: unit,
        ours: of(&wholes, part),
        theirs: of(&tenths, part),
    };
    let times = |name: &str, part: fn(&Took) -> f64| {
        let (ours, theirs) = (of(&wholes, part), of(&tenths, part));
        let value = median(&ours) / median(&theirs);
        Figure { unit: "x", value, goal: Goal::AtMost(12.0), ..figure(name, "s", Goal::None, part) }
    };
    Ok(vec![
        figure("time", "s", Goal::AtMost(10.0), |took| took.wall_s),
        figure("CPU time", "s", Goal::None, |took| took.cpu_s),
        figure("peak memory", "GiB", Goal::AtMost(1.0), |took| took.peak_gib),
        times("CPU time as a multiple of that of a tenth", |took| took.cpu_s),
    ])
}

/// Runs this program again and reads what it tells.
fn again<T: for<'a> Deserialize<'a>>(arguments: &[&std::ffi::OsStr]) -> Outcome<T> {
    let ended = Command::new(std::env::current_exe()?).args(arguments).stderr(Stdio::inherit()).output()?;
    Ok(serde_json::from_slice(&ended.stdout)?)
}

fn verify(folder: &Path) -> Outcome<Took> {
    let own = std::env::current_exe()?;
    let chaos = own.ancestors().nth(2).ok_or("this program is in no target folder")?.join("chaos");
    let clock = RunClock::start();
    let begun = clock.now();
    let ended = Command::new(&chaos)
        .arg("verify")
        .arg(folder)
        .output()
        .map_err(|error| format!("run {}: {error}; build it first: cargo build --release --bin chaos", chaos.display()))?;
    let wall_s = clock.now().since(begun).as_secs_f64();
    if !ended.status.success() {
        return Err(format!("the run is not held: {}", String::from_utf8_lossy(&ended.stdout)).into());
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu_s = seconds(used.user_time()) + seconds(used.system_time());
    Ok(Took { wall_s, cpu_s, peak_gib: used.max_rss() as f64 / f64::from(1 << 20) })
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn tell(value: &impl Serialize) -> Outcome<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
