//! How fast "sold out" is said, against a handler that does nothing, in the same process over the same listener.
//!
//! In: a run whose item is sold out early, and that goes on with a few orders a second. Out: refusals per second and empty replies per second, asked for by
//! the lean client in turns while the run goes on. Every request of it must be refused as sold out; the judge of the run, who knows none of them, finds
//! any that left a trace.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use harness::run::{Reading, Watch};
use harness::stack::Endpoints;

use super::companions::{Progress, Stage};
use super::field::Sale;
use super::lean::{Question, replies_per_s};
use super::round::Round;
use super::sales;

/// Connections of the lean client.
const CONNECTIONS: u64 = 64;
/// Turns of each of the two questions.
const TURNS: u32 = 3;
/// Longest wait for the item to be sold out.
const SOLD_OUT_LIMIT: Duration = Duration::from_secs(60);
/// Seconds that the load goes on beyond the turns.
const SPARE_S: u64 = 6;

/// Refusals per second, and replies of an empty handler per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) refused: f64,
    pub(super) empty: f64,
}

/// Measures both.
///
/// # Errors
/// The run gives no figure, or a reply was not the expected one.
pub(super) fn measure(round: &Round<'_>) -> Result<Rates, String> {
    let turn_ms = round.length(2_000, 500);
    let seconds = 2 * u64::from(TURNS) * turn_ms / 1_000 + SPARE_S;
    let asker = Asker::new(Duration::from_millis(turn_ms));
    let scenario = sales::sold_out("bench_sold_out", round.field.next_seed(), seconds);
    let sold = round.field.sell(Sale::of(scenario, &[]).beside(&asker), round.number);
    // Joined in any case: it ends with the run.
    let rates = asker.end();
    sold?;
    rates
}

type Asking = JoinHandle<Result<Rates, String>>;

/// Asks beside a run.
struct Asker {
    turn: Duration,
    progress: Arc<Progress>,
    asking: Mutex<Option<Asking>>,
}

impl Asker {
    fn new(turn: Duration) -> Self {
        Self { turn, progress: Arc::default(), asking: Mutex::default() }
    }

    fn end(&self) -> Result<Rates, String> {
        self.progress.end();
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).take();
        let asked = asking.ok_or_else(|| "the stack did not come up".to_owned())?.join();
        asked.unwrap_or_else(|_| Err("the lean client panicked".to_owned()))
    }
}

impl Watch for Asker {
    fn opened(&self, _folder: &Path) {}

    fn stage(&self, name: &str) {
        self.progress.told(name);
    }

    fn up(&self, endpoints: &Endpoints) {
        let Some(address) = endpoints.api.first().copied() else { return };
        let (turn, progress) = (self.turn, Arc::clone(&self.progress));
        let spawned = std::thread::Builder::new().name("lean".to_owned()).spawn(move || ask(address, turn, &progress));
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = spawned.ok();
    }

    fn reading(&self, reading: &Reading<'_>) {
        self.progress.read(reading);
    }
}

/// In turns, because what else the machine does changes.
fn ask(address: SocketAddr, turn: Duration, progress: &Progress) -> Result<Rates, String> {
    progress.wait(Stage::SoldOut, SOLD_OUT_LIMIT)?;
    let live = format!("GET /health/live HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
    let mut rates = Rates { refused: 0.0, empty: 0.0 };
    for number in 0..TURNS {
        let order = |at: u64| order(address, number, at);
        let refused = Question { write: &order, status: 409, holds: "sold_out" };
        let empty = Question { write: &|_| live.clone(), status: 200, holds: "live" };
        rates.empty += replies_per_s(address, CONNECTIONS, turn, &empty)? / f64::from(TURNS);
        rates.refused += replies_per_s(address, CONNECTIONS, turn, &refused)? / f64::from(TURNS);
    }
    if progress.stage() == Stage::Over {
        return Err("the load was over before all was asked".to_owned());
    }
    Ok(rates)
}

/// An order with an id of its own.
fn order(address: SocketAddr, turn: u32, at: u64) -> Vec<u8> {
    let body = format!(
        r#"{{"order_id":"lean-{turn}-{at}","user_id":7,"items":[{{"store_id":1,"product_id":1,"sku_id":1,"quantity":1}}],"retry":false}}"#
    );
    format!(
        "POST /orders HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
