//! The timeline of a counter-example: its story drawn in lanes.
//!
//! In: a story. Out: lanes with dots at a share of the width, which the page places; dated lines by time, lines of the snapshots at the
//! right edge. The table of the story beside it says the same in words.

use crate::clock::Offset;
use crate::invariants::{Story, Violation};

/// Lanes from top to bottom: where a story can happen.
const LANES: [(&str, &str); 6] = [
    ("client", "client"),
    ("redis", "Redis"),
    ("mysql", "MySQL"),
    ("workers", "workers"),
    ("process", "processes"),
    ("fault", "faults"),
];
/// Dated lines end here; what the snapshots hold at rest stands at the right.
const DATED_UP_TO: f64 = 88.0;
const AT_REST: f64 = 96.0;
/// A label takes about this much of the width, percent; one that would lie upon another is left out.
const LABEL: f64 = 9.0;

/// A drawn story.
pub(super) struct Timeline {
    /// Lanes that hold something.
    pub(super) lanes: Vec<Lane>,
    /// First and last instant.
    pub(super) from: String,
    /// The last instant.
    pub(super) to: String,
}

/// One lane.
pub(super) struct Lane {
    /// Its name.
    pub(super) name: &'static str,
    /// What happened in it.
    pub(super) dots: Vec<Dot>,
}

/// One line of the story.
pub(super) struct Dot {
    place: f64,
    /// Place, percent of the width.
    pub(super) left: String,
    /// `kill`, `rest` or `dated`.
    pub(super) kind: &'static str,
    /// What happened, with its time.
    pub(super) what: String,
    /// Short label beside it: the pid of a killed process.
    pub(super) label: String,
}

/// The timeline of a counter-example; `None` if nothing of its story is dated.
#[must_use]
pub(super) fn timeline(violation: &Violation) -> Option<Timeline> {
    let times = || violation.story.iter().filter_map(|line| line.at);
    let (from, to) = (times().min()?, times().max()?);
    let dots = |lane: &str| violation.story.iter().filter(|line| line.lane == lane).map(|line| dot(line, from, to)).collect();
    let lanes: Vec<Lane> = LANES.iter().map(|(lane, name)| Lane { name, dots: legible(dots(lane)) }).collect();
    Some(Timeline {
        lanes: lanes.into_iter().filter(|lane| !lane.dots.is_empty()).collect(),
        from: from.to_string(),
        to: to.to_string(),
    })
}

/// Dots of a lane, in order of time, without the labels that nobody could read.
fn legible(mut dots: Vec<Dot>) -> Vec<Dot> {
    let mut free_from = 0.0;
    for dot in dots.iter_mut().filter(|dot| !dot.label.is_empty()) {
        if dot.place < free_from {
            dot.label.clear();
        } else {
            free_from = dot.place + LABEL;
        }
    }
    dots
}

fn dot(line: &Story, from: Offset, to: Offset) -> Dot {
    let length = to.since(from).as_secs_f64();
    let share = |at: Offset| if length > 0.0 { at.since(from).as_secs_f64() / length } else { 0.5 };
    let left = line.at.map_or(AT_REST, |at| share(at) * DATED_UP_TO);
    let kills = matches!(line.lane.as_str(), "process" | "workers" | "fault") && line.what.contains("pid ");
    let pid = || line.what.split("pid ").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    Dot {
        place: left,
        left: format!("{left:.2}"),
        kind: match line.at {
            None => "rest",
            Some(_) if kills => "kill",
            Some(_) => "dated",
        },
        what: format!("{}: {}", super::stories::time(line.at), line.what),
        label: if kills { pid().map(|pid| format!("pid {pid}")).unwrap_or_default() } else { String::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_would_lie_upon_another_is_left_out_and_its_dot_stays() {
        let line = |ms, what: &str| Story { at: Some(Offset::from_millis(ms)), lane: "process".to_owned(), what: what.to_owned() };
        let story = vec![
            line(0, "redis pid 7: Signalled SIGKILL"),
            line(2, "redis pid 7: Exited signal 9"),
            line(100, "redis pid 8: Ready"),
        ];
        let drawn = timeline(&Violation { story, ..Violation::default() }).unwrap();
        let labels: Vec<&str> = drawn.lanes[0].dots.iter().map(|dot| dot.label.as_str()).collect();
        assert_eq!((drawn.lanes.len(), labels), (1, vec!["pid 7", "", "pid 8"]));
    }
}
