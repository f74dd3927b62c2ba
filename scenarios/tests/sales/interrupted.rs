//! Runs that do not reach their end: Ctrl-C, a termination, a kill of the harness. Nothing may be left behind.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::report::{OutcomeClass, RunFolder};
use nix::sys::signal::Signal;

use crate::processes::{Process, still_there, until};
use crate::programs::{FAMILY, Running, chaos, small_sale, verify};
use crate::saved_run::saved_run;
use crate::workplace::{REPORTS, Workplace, turn};

/// Longest wait until the watchdog has ended everything.
const WATCHDOG: Duration = Duration::from_secs(30);

fn selling(place: &Workplace) -> (Running, Vec<Process>) {
    let mut running = Running::start(place, small_sale(&["--duration", "60"]));
    let family = running.until_selling(place);
    assert!(family.len() >= FAMILY, "{family:?}");
    (running, family)
}

#[test]
fn ctrl_c_in_the_middle_of_the_sale_leaves_a_report_that_says_so_and_nothing_else() {
    let _turn = turn();
    let place = Workplace::new("ctrl-c");
    let (running, family) = selling(&place);
    running.signal(Signal::SIGINT);
    let done = running.finish();
    done.expect_code(130).expect_said("INTERRUPTED (exit code 130)").expect_complaint("interrupted: stopping the load");
    assert_eq!(still_there(&family), []);
    assert_eq!(place.left_over(), Vec::<PathBuf>::new());
    let report = RunFolder::open(&place.latest()).unwrap().read_report().unwrap();
    assert_eq!(report.outcome.class, OutcomeClass::Interrupted, "{}", report.outcome.sentence);
    assert!(report.run.interrupted && report.findings.iter().all(|finding| !finding.verdict.is_violated()), "{report:#?}");
    verify(&place, &place.latest()).expect_code(130).expect_said("same verdict as the saved report");
}

/// What the self-test leans on: its runs end with it, however it ends.
#[test]
fn a_run_that_is_told_so_ends_as_after_ctrl_c_when_its_input_ends() {
    let _turn = turn();
    let place = Workplace::new("input");
    let mut command = chaos(&["run", "flash_sale", "--until-input-ends", "--reports", REPORTS]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(&place, command);
    let family = running.until_selling(&place);
    running.close_input();
    running.finish().expect_code(130).expect_said("INTERRUPTED (exit code 130)");
    assert_eq!(still_there(&family), []);
    assert_eq!(place.left_over(), Vec::<PathBuf>::new());
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_leaves_nothing_running() {
    let _turn = turn();
    let place = Workplace::new("ctrl-c-twice");
    let (mut running, family) = selling(&place);
    running.signal(Signal::SIGINT);
    running.until("the load has stopped", |stdout| stdout.contains("\nwaiting for rest\n"));
    running.signal(Signal::SIGINT);
    running.finish().expect_code(130);
    expect_gone(&place, &family);
}

#[test]
fn a_killed_harness_takes_everything_with_it_and_its_run_is_not_held() {
    let _turn = turn();
    let place = Workplace::new("kill-9");
    let (running, family) = selling(&place);
    running.signal(Signal::SIGKILL);
    assert_eq!(running.finish().code, None);
    expect_gone(&place, &family);
    let done = verify(&place, &place.runs()[0]);
    done.expect_code(3).expect_said("INCONCLUSIVE").expect_said("WARNING: The run was cut off: its history has no end.");
    done.expect_said("There is no snapshot").expect_said("the run has no saved report to compare with");
}

/// The watchdog needs a moment after the death of its owner.
fn expect_gone(place: &Workplace, family: &[Process]) {
    until("every process of the run is gone", WATCHDOG, || still_there(family).is_empty());
    until("the private folder is gone", WATCHDOG, || place.left_over().is_empty());
}

#[test]
fn the_printed_command_draws_the_same_plan_into_a_folder_of_its_own() {
    let _turn = turn();
    let first = RunFolder::open(&saved_run().place.latest()).unwrap();
    let command = first.read_identity().unwrap().command;
    let words = command.strip_prefix("cargo run --release --bin flash-sale -- ").expect("the program");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("exec '{}' {words}", env!("CARGO_BIN_EXE_flash-sale"))]);
    let place = Workplace::new("repeat");
    let mut running = Running::start(&place, shell);
    running.until("the plan is drawn", |_| place.runs().first().is_some_and(|run| run.join("history.jsonl.zst").exists()));
    let again = RunFolder::open(&place.runs()[0]).unwrap().read_plan().unwrap();
    assert!(again == first.read_plan().unwrap(), "another plan for the same command");
    running.signal(Signal::SIGTERM);
    running.finish().expect_code(130);
    assert_eq!(place.left_over(), Vec::<PathBuf>::new());
}
