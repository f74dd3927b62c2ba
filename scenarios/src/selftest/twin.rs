//! The program with the planted defects.
//!
//! In: the source tree, or a file that somebody names. Out: a program that runs, and what defects it says that it has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the program.
const TWIN: &str = "chaos-defects";

/// Builds it with cargo, in the source tree that this was started in. What cargo says goes to standard error as it says it.
pub(super) fn build() -> Result<PathBuf, String> {
    const GIVEN: &str = "start the self-test in the source tree, or name a program that is built already with --program";
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--package", "scenarios", "--features", "defects", "--bin", TWIN]);
    cargo.args(["--message-format", "json-render-diagnostics"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = cargo.spawn().map_err(|error| format!("build {TWIN}: cargo cannot be started ({error}): {GIVEN}"))?;
    let said = child.stdout.take().map(BufReader::new);
    let lines = said.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    let program = lines.filter_map(|line: String| executable(&line)).last();
    let ended = child.wait().map_err(|error| format!("build {TWIN}: {error}"))?;
    match program {
        Some(program) if ended.success() => Ok(program),
        _ => Err(format!("build {TWIN}: cargo ended with {ended}: {GIVEN}")),
    }
}

/// Where the twin lies, if a message of cargo says so.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_twin = message["reason"] == "compiler-artifact" && message["target"]["name"] == TWIN;
    is_twin.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

/// A program that somebody built.
pub(super) fn given(program: &Path) -> Result<PathBuf, String> {
    program.canonicalize().map_err(|error| format!("use {}: {error}", program.display()))
}

/// The defects that it has, by name, each with the mistake in one line.
pub(super) fn mistakes(program: &Path) -> Result<BTreeMap<String, String>, String> {
    let act = || format!("ask {} for its defects", program.display());
    let mut command = Command::new(program);
    let output = command.arg("defects").stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", act()))?;
    if !output.status.success() {
        return Err(format!("{}: {}: {}", act(), output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let pairs = said.lines().filter_map(|line| line.split_once(char::is_whitespace));
    Ok(pairs.map(|(name, mistake)| (name.to_owned(), mistake.trim().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_where_cargo_says() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"chaos-defects"},"executable":"/x/chaos-defects"}"#;
        assert_eq!(executable(message), Some(PathBuf::from("/x/chaos-defects")));
        assert_eq!(executable(&message.replace("chaos-defects\"}", "chaos\"}")), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(executable("Compiling"), None);
    }

    #[test]
    fn a_program_that_is_none_is_told() {
        assert!(given(Path::new("no/such/file")).unwrap_err().contains("no/such/file"));
        assert!(mistakes(Path::new("/bin/false")).unwrap_err().contains("exit status"));
    }
}
