//! Rules of the sources themselves: which stage may know which, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Stages from the lowest to the highest; a stage may import its own and lower ranks, never a higher one.
const RANKS: &[(&str, u32)] = &[
    ("clock", 0),
    ("seed", 0),
    ("scenario", 1),
    ("proxy", 1),
    ("history", 2),
    ("target", 3),
    ("stack", 4),
    ("load", 5),
    ("snapshot", 5),
    ("faults", 5),
    ("measure", 6),
    ("invariants", 6),
    ("report", 7),
    ("run", 8),
];

/// Pairs of one rank that must not know each other.
const STRANGERS: &[(&str, &str)] = &[
    ("load", "snapshot"),
    ("snapshot", "load"),
    ("load", "faults"),
    ("faults", "load"),
    ("snapshot", "faults"),
    ("faults", "snapshot"),
    ("measure", "invariants"),
    ("proxy", "scenario"),
    ("load", "proxy"),
    ("snapshot", "proxy"),
];

/// Stages that work on a saved folder: no async, no sockets, no clock.
const PURE: &[&str] = &["invariants", "measure", "report"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("read {}: {error}", folder.display())) {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn stage_of(path: &Path) -> String {
    let inside = path.strip_prefix(own("src")).expect("a file of src");
    inside.components().next().expect("a file inside src").as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn rank(stage: &str) -> Option<u32> {
    RANKS.iter().find(|(name, _)| *name == stage).map(|(_, rank)| *rank)
}

/// Stages named by `crate::stage` in code, comments left out.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut named = Vec::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            named.push(part.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
        }
    }
    named
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for path in sources(&own("src")) {
        let stage = stage_of(&path);
        if stage == "lib" {
            continue;
        }
        let own_rank = rank(&stage).unwrap_or_else(|| panic!("{} is of a stage without a rank: {stage}", path.display()));
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            let Some(other) = rank(&import) else { continue };
            let strangers = STRANGERS.contains(&(stage.as_str(), import.as_str()));
            if other > own_rank || strangers {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn judges_have_no_async_no_sockets_and_no_clock() {
    let banned = ["async fn", ".await", "tokio::", "std::net", "TcpStream", "Instant", "SystemTime", "RunClock"];
    let mut wrong = Vec::new();
    for path in PURE.iter().flat_map(|stage| sources(&own("src").join(stage))) {
        let text = fs::read_to_string(&path).unwrap();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in banned {
            if code.iter().any(|line| line.contains(word)) {
                wrong.push(format!("{} holds {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_judge_never_depends_on_the_judged() {
    let manifest = fs::read_to_string(own("Cargo.toml")).unwrap();
    assert!(!manifest.contains("reference"), "harness must not depend on the service that it judges");
}

#[test]
fn files_stay_short_enough_to_be_one_room() {
    let roots = [own("src"), own("../reference/src"), own("../scenarios/src")];
    let lengths: Vec<(usize, PathBuf)> = roots
        .iter()
        .flat_map(|root| sources(root))
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .collect();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > 500).collect();
    assert!(long.is_empty(), "over 500 lines: {long:#?}");
    let over = lengths.iter().filter(|(lines, _)| *lines > 400).count();
    assert!(over * 10 <= lengths.len(), "more than one file in ten is over 400 lines: {over} of {}", lengths.len());
}

#[test]
fn every_file_says_what_it_is_for() {
    let roots = [own("src"), own("../reference/src"), own("../scenarios/src")];
    let silent: Vec<PathBuf> =
        roots.iter().flat_map(|root| sources(root)).filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "without a module doc: {silent:#?}");
}

/// Where the controls of a stack may be named: where they are made, where they are used, and the one line that hands them over.
const HANDS: [&str; 2] = ["stack", "faults"];
const HANDED_OVER: &str = "controls: stack.controls()";

#[test]
fn only_faults_hold_the_controls_of_a_stack() {
    let roots = [own("src"), own("../scenarios/src")];
    let mut handed_over = Vec::new();
    let mut wrong = Vec::new();
    for path in roots.iter().flat_map(|root| sources(root)) {
        if path.starts_with(own("src")) && HANDS.contains(&stage_of(&path).as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        // In the programs `controls` are clean runs of the self-test.
        let field = if path.starts_with(own("src")) { "controls" } else { ".controls()" };
        for line in code.filter(|line| line.contains("Controls") || line.contains(field)) {
            let place = format!("{}: {}", path.display(), line.trim());
            if line.contains(HANDED_OVER) { handed_over.push(place) } else { wrong.push(place) }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(handed_over.len(), 1, "the run hands them to the faults, once: {handed_over:#?}");
}
