//! `--live`: the page of a run that goes on, served on loopback, and gone with it.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::processes::until;
use crate::programs::{PATIENCE, Running, small_sale};
use crate::workplace::{Workplace, turn};

/// The page, if anybody serves it.
fn page(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

#[test]
fn a_watched_run_shows_what_it_measured_so_far_then_its_report_then_nothing() {
    let _turn = turn();
    let place = Workplace::new("live");
    let mut sale = Running::start(&place, small_sale(&["--live", "--seed", "5"]));
    let told = RefCell::new(String::new());
    sale.until("the address is told and the sale goes on", |stdout| {
        let line = stdout.lines().find_map(|line| line.strip_prefix("live         http://"));
        line.unwrap_or_default().trim_end_matches('/').clone_into(&mut told.borrow_mut());
        line.is_some() && stdout.contains("\nselling\n")
    });
    let address = told.into_inner();
    until("the page shows orders", PATIENCE, || {
        page(&address).is_some_and(|page| page.contains("data-live") && page.contains(r#"id="plot-latency""#))
    });
    until("the page is the report", PATIENCE, || {
        page(&address).is_some_and(|page| !page.contains("<html lang=\"en\" data-live") && page.contains("exit code 0"))
    });
    let done = sale.finish();
    done.expect_code(0);
    let repeat = done.stdout.lines().find(|line| line.contains("repeat with: ")).unwrap();
    assert!(!repeat.contains("--live"), "whether somebody watched makes no other run: {repeat}");
    assert_eq!(page(&address), None);
    let saved = std::fs::read_to_string(place.latest().join("report.html")).unwrap();
    assert!(!saved.contains("fetch("), "the report on disk asks for something");
}
