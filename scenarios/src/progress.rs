//! How a run shows where it stands: one line that is rewritten on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;

use harness::run::{Reading, Watch};

use crate::live::Live;

/// Plain lines are printed every so many readings, so that a CI log stays short.
const PLAIN_EVERY: u64 = 5;

/// Prints progress to standard output.
#[derive(Debug)]
pub struct ProgressLine {
    terminal: bool,
    readings: Mutex<u64>,
    live: Option<Live>,
}

impl ProgressLine {
    /// A line; with `live`, a page is told where the run is as well.
    #[must_use]
    pub fn new(live: Option<Live>) -> Self {
        Self { terminal: std::io::stdout().is_terminal(), readings: Mutex::new(0), live }
    }

    /// The page, for its end.
    #[must_use]
    pub fn into_live(self) -> Option<Live> {
        self.live
    }

    /// Ends a rewritten line, so that what follows starts on its own.
    pub fn close(&self) {
        if self.terminal {
            put("\r\x1b[K");
        }
    }
}

impl Watch for ProgressLine {
    fn opened(&self, folder: &Path) {
        if let Some(live) = &self.live {
            live.follow(folder);
        }
    }

    fn stage(&self, name: &str) {
        let text = if self.terminal { format!("\r\x1b[K{name} ...") } else { format!("{name}\n") };
        put(&text);
    }

    fn reading(&self, reading: &Reading<'_>) {
        let mut readings = self.readings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *readings += 1;
        if self.terminal {
            put(&format!("\r\x1b[K{}", line(reading)));
        } else if (*readings - 1).is_multiple_of(PLAIN_EVERY) {
            put(&format!("{}\n", line(reading)));
        }
    }
}

fn line(reading: &Reading<'_>) -> String {
    let counts = reading.counts;
    let p99 = reading.accepted_p99.map_or_else(|| "-".to_owned(), |p99| format!("{:.1} ms", p99.as_secs_f64() * 1e3));
    let mut line = format!(
        "{:>6.1} s  {:<8} {:>3}%  offered {:>6.0}/s  answered {:>6.0}/s  ok {}  refused {}  in doubt {}  shed {}  open {}  accepted p99 {p99}",
        reading.at.as_millis_f64() / 1e3,
        reading.stretch,
        counts.offered * 100 / reading.planned.max(1),
        reading.offered_per_s,
        reading.answered_per_s,
        counts.ok,
        counts.fail,
        counts.info,
        counts.shed,
        counts.in_flight(),
    );
    if let Some(backlog) = reading.standing.backlog() {
        line.push_str(&format!("  backlog {backlog:.0}"));
    }
    let faults: Vec<&str> = reading.standing.faults().collect();
    if !faults.is_empty() {
        line.push_str(&format!("  FAULT {}", faults.join(", ")));
    }
    line
}

/// Prints to standard output. A closed pipe is the reader's choice, not our failure.
pub fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
