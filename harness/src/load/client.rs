//! One request and its record: the HTTP client of the load.
//!
//! In: what to ask, when it was due. Out: an invoke record before the first byte leaves, a complete record when the fate is
//! known, and that fate. Maps what a socket does to the three outcomes; what replies mean is in [`crate::target`].
//! Retries nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::LoadError;
use super::ask::Ask;
use super::connections::{Connection, Connections, Lease};
use super::progress::Progress;
use super::reply::{PART_MAX, Reply};
use super::wire::{self, Broken};
use crate::clock::Offset;
use crate::history::HistoryError;
use crate::history::record::{Complete, FailCode, InfoCause, OpId, Outcome, Record};
use crate::history::recorder::Recorder;
use crate::stack::Endpoints;
use crate::target::http::Reading;

/// Surprising replies and failed dials that are kept as notes in one run; the records of the operations are always whole.
const NOTES_MAX: u64 = 50;

/// Longest part of a surprising reply that is kept in a note.
const EXCERPT_MAX: usize = 300;

/// The client of one run: its connections to every api process.
#[derive(Debug)]
pub(crate) struct Client {
    instances: Vec<Connections>,
    /// Admin listeners of the same processes.
    admins: Vec<Connections>,
    admin_token: String,
    recorder: Recorder,
    progress: Arc<Progress>,
    timeout: Duration,
    next_connection: AtomicU64,
    notes: AtomicU64,
}

/// Fate of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The fate.
    pub(crate) outcome: Outcome,
    /// When it was known.
    pub(crate) at: Offset,
}

/// What a socket gave.
struct Exchange {
    reading: Reading,
    http: Option<u16>,
    /// What is worth a note: the body of a reply that the contract does not know, or why dialling failed.
    surprise: Option<String>,
    /// Still usable.
    connection: Option<Connection>,
}

impl Client {
    /// A client that has dialled nothing yet.
    pub(crate) fn new(endpoints: &Endpoints, recorder: &Recorder, progress: &Arc<Progress>, request_timeout_ms: u64) -> Self {
        let admins = endpoints.admin.iter().filter(|(role, _)| role.starts_with("api")).map(|(_, address)| *address);
        Self {
            instances: endpoints.api.iter().copied().map(Connections::new).collect(),
            admins: admins.map(Connections::new).collect(),
            admin_token: endpoints.admin_token.clone(),
            recorder: recorder.clone(),
            progress: Arc::clone(progress),
            timeout: Duration::from_millis(request_timeout_ms),
            next_connection: AtomicU64::new(0),
            notes: AtomicU64::new(0),
        }
    }

    /// Sends one request and records its start and its end. Takes the request timeout at most, and what the recorder takes.
    ///
    /// Not cancel safe: a call dropped before it is ready may leave an invoke without a completion, which is honest.
    ///
    /// # Errors
    /// The process is not there, or the recorder is gone. Whatever the service does is an [`Answer`].
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, LoadError> {
        let listeners = if ask.function.changes_stock() { &self.admins } else { &self.instances };
        let missing = LoadError::NoInstance { wanted: ask.instance, there: listeners.len() };
        let connections = listeners.get(usize::from(ask.instance)).ok_or(missing)?;
        let request = ask.request(connections.host(), &self.admin_token)?;
        let lease = connections.lease(&self.next_connection);
        let op = self.recorder.next_op();
        let sent = self.recorder.record(Record::Invoke(ask.invoke(op, lease.number()))).await?;
        self.progress.add_sent();
        let deadline = Instant::from_std(self.recorder.clock().instant(sent.plus(self.timeout)));
        let exchange = exchange(connections, lease, &request, (ask, deadline)).await;
        let at = self.recorder.clock().now();
        let answer = Answer { outcome: exchange.reading.outcome, at };
        self.progress.add_outcome(answer.outcome);
        if let Some(surprise) = exchange.surprise {
            self.note(op, exchange.http, &surprise).await?;
        }
        self.recorder.record_at(at, Record::Complete(complete(op, exchange.http, exchange.reading))).await?;
        if let Some(connection) = exchange.connection {
            connections.give_back(connection);
        }
        Ok(answer)
    }

    async fn note(&self, op: OpId, http: Option<u16>, surprise: &str) -> Result<(), HistoryError> {
        if self.notes.fetch_add(1, Ordering::Relaxed) >= NOTES_MAX {
            return Ok(());
        }
        let what = if http.is_some() { "unexpected_reply" } else { "dial_failed" };
        let detail = json!({ "op": op, "http": http, "text": surprise });
        self.recorder.record(Record::Note { what: what.to_owned(), detail }).await.map(|_| ())
    }
}

fn complete(op: OpId, http: Option<u16>, reading: Reading) -> Complete {
    let Reading { outcome, witness, status, short } = reading;
    Complete { op, outcome, http, witness, status, short }
}

/// Sends `request` and reads the whole reply, which is to speak of what is asked in `until`, before the deadline in it.
async fn exchange(connections: &Connections, lease: Lease, request: &[u8], until: (&Ask, Instant)) -> Exchange {
    let (ask, deadline) = until;
    let mut progress = wire::Progress::default();
    let exchanging = async {
        let mut connection = match connections.open(lease).await {
            Ok(connection) => connection,
            Err(error) => return Exchange::not_sent(Some(error.to_string())),
        };
        let read = |reply: Reply<'_>| {
            let reading = ask.read(reply.status, &reply.body);
            let surprise = matches!(reading.outcome, Outcome::Info(_)).then(|| excerpt(&reply.body));
            (Exchange { reading, http: Some(reply.status), surprise, connection: None }, reply.keeps_open)
        };
        match connection.wire.exchange(request, &mut progress, read).await {
            Ok((exchange, keeps_open)) => Exchange { connection: keeps_open.then_some(connection), ..exchange },
            Err(error) => Exchange::broken(&error, &progress, ask),
        }
    };
    match timeout_at(deadline, exchanging).await {
        Ok(exchange) => exchange,
        Err(_) if progress.sent => Exchange::ended(Outcome::Info(InfoCause::Timeout), progress.http),
        Err(_) => Exchange::not_sent(Some("no connection before the deadline".to_owned())),
    }
}

impl Exchange {
    /// No byte of the request left.
    fn not_sent(surprise: Option<String>) -> Self {
        Self { surprise, ..Self::ended(Outcome::Fail(FailCode::NotSent), None) }
    }

    fn ended(outcome: Outcome, http: Option<u16>) -> Self {
        let reading = Reading { outcome, witness: Vec::new(), status: None, short: None };
        Self { reading, http, surprise: None, connection: None }
    }

    fn broken(error: &Broken, progress: &wire::Progress, ask: &Ask) -> Self {
        match (error, progress.http) {
            _ if !progress.sent => Self::not_sent(None),
            // Too long is what the contract does not know.
            (Broken::TooLong, Some(http)) => {
                let surprise = Some(format!("a reply of over {PART_MAX} bytes"));
                Self { reading: ask.read(http, b""), http: Some(http), surprise, connection: None }
            }
            (Broken::Malformed(text), http) => {
                Self { surprise: Some(excerpt(text.as_bytes())), ..Self::ended(Outcome::Info(InfoCause::Unrecognised), http) }
            }
            (Broken::TooLong, None) => Self::ended(Outcome::Info(InfoCause::Unrecognised), None),
            (Broken::Lost(_), http) => Self::ended(Outcome::Info(InfoCause::ConnectionLost), http),
        }
    }
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(EXCERPT_MAX)]).into_owned()
}
