//! What both programs do before and after their work: become the service when asked to, listen for Ctrl-C, know their own identity.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser as _;
use harness::stack::ServiceCommand;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Hidden first argument that turns the program into a process of the service.
const SERVICE: &str = "__service";

/// Runs as the service if the first argument says so. The service that is tested is this very binary, so it can not be stale.
#[must_use]
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let program = arguments.next()?;
    if arguments.next()? != SERVICE {
        return None;
    }
    reference::start_logging();
    let config = reference::config::Config::parse_from(std::iter::once(program).chain(arguments));
    Some(match reference::app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln_plain(&format!("ended: {error}"));
            ExitCode::FAILURE
        }
    })
}

/// How the harness starts the service: this binary again. `/proc/<pid>/exe` keeps naming the running image after a rebuild; `self` would
/// not do, because a shell stands between this process and the service while it starts. `arguments` are those that the service will get.
///
/// # Errors
/// The system cannot tell which program runs.
pub fn service_command(arguments: &[String]) -> std::io::Result<ServiceCommand> {
    let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let program = if own.exists() { own } else { std::env::current_exe()? };
    Ok(ServiceCommand { program, leading: vec![SERVICE.to_owned()], scripts: planted_scripts(arguments) })
}

/// The scripts of a service with these arguments that are not as they should be.
#[cfg(feature = "defects")]
fn planted_scripts(arguments: &[String]) -> Vec<(String, String)> {
    let names = arguments.iter().filter_map(|argument| argument.strip_prefix("--defects=")).flat_map(|names| names.split(','));
    // A name that is none is refused by the service itself.
    let defects: Vec<_> = names.filter_map(|name| name.parse().ok()).collect();
    reference::defects::scripts::texts(&defects)
}

#[cfg(not(feature = "defects"))]
const fn planted_scripts(_arguments: &[String]) -> Vec<(String, String)> {
    Vec::new()
}

/// A token that is cancelled by the first SIGINT or SIGTERM. A second one ends the program at once; the watchdog cleans up.
///
/// # Errors
/// The signals cannot be listened for.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    keep_goose_from_signals()?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if round > 0 {
                end_at_once();
            }
            eprintln_plain("interrupted: stopping the load, keeping the evidence (again: end at once)");
            told.cancel();
        }
    });
    Ok(stop)
}

/// Goose takes SIGINT for itself through `ctrlc`, which takes it once in a process and puts nothing after whoever has it already. So it is taken
/// here, for nothing, and the listeners below are put before it.
#[cfg(feature = "goose")]
fn keep_goose_from_signals() -> std::io::Result<()> {
    ctrlc::set_handler(|| {}).map_err(std::io::Error::other)
}

#[cfg(not(feature = "goose"))]
const fn keep_goose_from_signals() -> std::io::Result<()> {
    Ok(())
}

#[expect(clippy::exit, reason = "a second Ctrl-C means now")]
fn end_at_once() -> ! {
    std::process::exit(130)
}

/// Commit of the source tree that the program was started in, `-dirty` if it was changed, `unknown` if there is none.
#[must_use]
pub fn source_commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if dirty { format!("{commit}-dirty") } else { commit }
}

/// The command line that repeats a run: the options as given, with the seed.
#[must_use]
pub fn repeat_command(program: &str, seed: harness::seed::Seed) -> String {
    // Whether somebody watched makes no other run.
    let given: Vec<OsString> = std::env::args_os().skip(1).filter(|word| word != "--live").collect();
    let mut words: Vec<String> = given.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    // How a program starts a run is nothing that a person repeats.
    words.retain(|word| word != "--until-input-ends");
    if !words.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
        words.push(format!("--seed {seed}"));
    }
    let features = if words.iter().any(|word| word.starts_with("--journeys")) { " --features goose" } else { "" };
    format!("cargo run --release --bin {program}{features} -- {}", words.join(" "))
}

/// A word as a POSIX shell would read it back. Passwords in URLs are left out.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,+@%".contains(&byte);
    let word = without_password(word);
    if !word.is_empty() && word.bytes().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// `scheme://user:password@host` with the password replaced by `***`.
fn without_password(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return word.to_owned() };
    let user = user.split_once(':').map_or_else(|| user.to_owned(), |(name, _)| format!("{name}:***"));
    format!("{scheme}://{user}@{host}")
}

/// A seed nobody chose, from the clock: a run prints it, so that it can be repeated.
#[must_use]
pub fn fresh_seed() -> harness::seed::Seed {
    // Six digits are easy to type; runs of one seed are told apart by their start.
    harness::seed::Seed(harness::clock::RunClock::start().wall_start_ms() % 1_000_000)
}

#[expect(clippy::print_stderr, reason = "a program speaks to its user")]
pub(crate) fn eprintln_plain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_command_line_is_quoted_and_holds_no_password() {
        assert_eq!(quoted("--stock=5"), "--stock=5");
        assert_eq!(quoted("two words"), "'two words'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(without_password("mysql://u:secret@h:1/d"), "mysql://u:***@h:1/d");
        assert_eq!(without_password("--mysql-url=mysql://u:secret@h/d"), "--mysql-url=mysql://u:***@h/d");
        assert_eq!(without_password("redis://h:1/"), "redis://h:1/");
    }
}
