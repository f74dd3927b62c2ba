//! Response times of `create_order` over time: how many fell into each cell of a map.
//!
//! In: a history. Out: a [`HeatMap`] of at most 240 columns of time, by due time, and six rows a decade from 0.1 ms to 100 s. A percentile
//! hides two crowds behind one number; the map shows both.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::elapsed;
use crate::history::operation::History;
use crate::history::record::Function;

/// Most columns; the map stays small and readable on a phone.
const COLUMNS_MAX: u64 = 240;
/// Rows: six a decade, six decades.
const ROWS: u32 = 36;
const ROWS_A_DECADE: f64 = 6.0;
/// Lower end of the lowest row, ms; what is faster counts there.
const LOWEST_MS: f64 = 0.1;

/// Counts by time and response time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Start of the first column, ms from the start of the run.
    pub from_ms: u64,
    /// Length of a column, ms; a multiple of 100.
    pub column_ms: u64,
    /// Lower end of each row, ms; the last one is open to the top.
    pub rows_ms: Vec<f64>,
    /// Cells that hold something: column, row, count.
    pub cells: Vec<(u32, u32, u64)>,
}

/// The map of a run; empty without orders. A timeout counts as its `deadline` or more.
#[must_use]
pub fn heat_map(history: &History, deadline: Duration) -> HeatMap {
    let orders = || history.arrivals_of(Function::CreateOrder);
    let due = orders().map(|op| op.due.nanos() / 1_000_000);
    let Some((first, last)) =
        due.fold(None, |ends: Option<(u64, u64)>, at| Some(ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at)))))
    else {
        return HeatMap::default();
    };
    let from_ms = first / 100 * 100;
    let column_ms = ((last - from_ms) / COLUMNS_MAX / 100 + 1) * 100;
    let mut cells = std::collections::BTreeMap::<(u32, u32), u64>::new();
    for op in orders() {
        let column = (op.due.nanos() / 1_000_000 - from_ms) / column_ms;
        let row = row(elapsed(op, op.due, deadline).as_secs_f64() * 1e3);
        *cells.entry((u32::try_from(column).unwrap_or(u32::MAX), row)).or_default() += 1;
    }
    let lower = |row: u32| LOWEST_MS * 10_f64.powf(f64::from(row) / ROWS_A_DECADE);
    HeatMap {
        from_ms,
        column_ms,
        rows_ms: (0..ROWS).map(lower).collect(),
        cells: cells.into_iter().map(|((column, row), count)| (column, row, count)).collect(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the rows that there are")]
fn row(ms: f64) -> u32 {
    let row = ((ms.max(LOWEST_MS) / LOWEST_MS).log10() * ROWS_A_DECADE).floor();
    row.clamp(0.0, f64::from(ROWS - 1)) as u32
}
