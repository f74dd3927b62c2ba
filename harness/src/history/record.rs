//! The lines of `history.jsonl.zst`: one JSON object each, tagged by `k`.
//!
//! Fields follow one schema ([`SCHEMA`]); a reader ignores fields that it does not know. `n` is dense from 0 and given by the
//! single writer; `t` is the offset from the origin of the run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Offset;
use crate::scenario::faults::PointAction;
use crate::scenario::{ItemId, Phase};
use crate::seed::Seed;

/// Version of the history format.
pub const SCHEMA: u32 = 1;

/// Number of an operation, dense from 0 within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u64);

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Takes stock and creates the order.
    CreateOrder,
    /// Pays an order.
    PayOrder,
    /// Cancels an order.
    CancelOrder,
    /// Gives a paid order back.
    RefundOrder,
    /// Adds stock.
    Restock,
    /// Takes units out of the stock.
    CutStock,
    /// Keeps units from being sold.
    HoldStock,
    /// Lets held units be sold again.
    ReleaseStock,
    /// Reads an order.
    ReadOrder,
    /// Reads the stock of an item.
    ReadStock,
}

impl Function {
    /// The name used in files and on plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateOrder => "create_order",
            Self::PayOrder => "pay_order",
            Self::CancelOrder => "cancel_order",
            Self::RefundOrder => "refund_order",
            Self::Restock => "restock",
            Self::CutStock => "cut_stock",
            Self::HoldStock => "hold_stock",
            Self::ReleaseStock => "release_stock",
            Self::ReadOrder => "read_order",
            Self::ReadStock => "read_stock",
        }
    }

    /// Whether it changes the stock beside the orders, by an id that its client chose.
    #[must_use]
    pub const fn changes_stock(self) -> bool {
        matches!(self, Self::Restock | Self::CutStock | Self::HoldStock | Self::ReleaseStock)
    }
}

/// Units of one item in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemQuantity {
    /// The item.
    pub item: ItemId,
    /// Units, at least 1.
    pub qty: u32,
}

/// A definite refusal: the operation had no lasting effect and never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailCode {
    /// Refused for lack of stock.
    SoldOut,
    /// The id was spent by an attempt that failed; a new id is needed.
    Fenced,
    /// The order is cancelled, expired or refunded.
    Cancelled,
    /// The state of the order does not allow it.
    Conflict,
    /// The id belongs to an order with another body.
    Mismatch,
    /// The request is malformed or out of range.
    Invalid,
    /// No order has this id.
    UnknownOrder,
    /// No such item is on sale.
    UnknownSku,
    /// The user's purchase limit is reached.
    QuotaExceeded,
    /// Refused to protect the service.
    Throttled,
    /// The service could not admit the order now.
    NotAdmitted,
    /// The connection was refused, or no byte of the request left the client.
    NotSent,
}

/// Why nobody can say whether an operation had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InfoCause {
    /// Write error, reset or end of stream before the whole reply.
    ConnectionLost,
    /// No whole reply within the deadline.
    Timeout,
    /// A success status with a body that does not parse or names another order.
    BadReply,
    /// A 5xx without a code that promises anything.
    ServerError,
    /// A status or code that the contract does not know.
    Unrecognised,
    /// The run ended before the reply.
    RunEnded,
}

/// Fate of an operation, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "out", content = "why", rename_all = "snake_case")]
pub enum Outcome {
    /// It had its effect, at one instant between sent and answered.
    Ok,
    /// It had none and never will.
    Fail(FailCode),
    /// Nobody can say.
    Info(InfoCause),
}

/// What a reply says about the stock decision for one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The item.
    pub item: ItemId,
    /// Units of this item in the order, as the reply echoes them.
    pub qty: u32,
    /// Token of the reservation: `epoch:version`. Empty where the ledger admitted without Redis.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Epoch of the item.
    #[serde(default)]
    pub epoch: u64,
    /// Version within the epoch.
    #[serde(default)]
    pub version: u64,
    /// Units left in Redis right after the decision; only in the reply of the attempt that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock_after: Option<i64>,
}

/// First record: what ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the run folder.
    pub run_id: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the plan.
    pub seed: Seed,
    /// Command line that repeats the run.
    pub argv: Vec<String>,
    /// Commit of the source, if known.
    pub commit: String,
    /// SHA-256 of the program under test.
    pub build_id: String,
    /// Wall time of the origin, ms since 1970.
    pub wall_start_ms: u64,
}

/// Load enters a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseMark {
    /// How measurements count what starts from here.
    pub name: Phase,
    /// Name of the load stretch, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stretch: String,
}

/// A request is about to leave; recorded before its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoke {
    /// The operation.
    pub op: OpId,
    /// Logical client process; has one open operation at most and none after `info`.
    pub proc: u64,
    /// What is asked.
    pub f: Function,
    /// Order id, or the id of a change of stock; empty for stock reads.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// User; 0 where none applies.
    #[serde(default)]
    pub user: u64,
    /// Items and units; every write carries them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemQuantity>,
    /// When it was due.
    pub due: Offset,
    /// Api process it goes to.
    pub instance: u16,
    /// Number of the TCP connection within the load client.
    #[serde(default)]
    pub conn: u64,
    /// Whether a closed-loop user asks, who waits for each answer before the next step: nothing was due, so nothing can be late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed_loop: bool,
}

/// A reply, or the end of waiting for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// The operation.
    pub op: OpId,
    /// Its fate.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// HTTP status, if one arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// What the reply says per item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<Witness>,
    /// Order status in the reply (`CREATED`, `PAID`, ...), if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// For a refusal for lack of stock: the item that was short, if the reply names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<ItemId>,
}

/// An arrival that was due and not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shed {
    /// When it was due.
    pub due: Offset,
    /// What would have been asked.
    pub f: Function,
    /// For which order.
    pub order: String,
    /// Why not.
    pub why: ShedCause,
}

/// Why an arrival was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShedCause {
    /// All `in_flight_max` slots were taken: our fault, always shown.
    NoSlot,
    /// A follow-up of an order that was refused: a user cannot pay or cancel what was not sold. Not our fault.
    OrderRefused,
    /// The run was interrupted.
    Interrupted,
}

/// A step in the life of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultMark {
    /// Number of the fault within the run.
    pub id: u32,
    /// Kind, by the name in the catalog.
    pub kind: String,
    /// What it hits.
    pub target: String,
    /// Where it stands.
    pub step: FaultStep,
    /// Generation of the proxies at this step: it advances with every change that they make.
    #[serde(default)]
    pub generation: u64,
    /// What proves the step.
    #[serde(default)]
    pub proof: String,
}

/// Steps in the life of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultStep {
    /// Waits for its trigger.
    Armed,
    /// In force.
    Injected,
    /// Seen to have an effect.
    Bit,
    /// Being undone.
    Healing,
    /// Undone, and shown to be.
    Healed,
    /// Could not be undone.
    Abandoned,
}

impl FaultStep {
    /// The name used in files and in stories.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Injected => "injected",
            Self::Bit => "bit",
            Self::Healing => "healing",
            Self::Healed => "healed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A named step of the protocol was met by a proxy that was told to act there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointMark {
    /// Name of the kill point: `commit_held`.
    pub name: String,
    /// Number of the fault that armed it.
    pub fault: u32,
    /// Orders that the held frame names; with group commit several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<String>,
    /// Role of the process whose frame it is: `api-1`.
    pub role: String,
    /// Its process id at that moment.
    pub pid: u32,
    /// Number of the connection within the proxy.
    pub conn: u64,
    /// Which hit of this point it was, from 1.
    pub nth: u64,
    /// What was done there.
    pub action: PointAction,
    /// How long the frame was held, ns.
    pub held_ns: u64,
}

/// A step in the life of a process of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcMark {
    /// `api-1`, `worker-2`, `redis`, `mysql`.
    pub role: String,
    /// Process id.
    pub pid: u32,
    /// What happened.
    pub step: ProcStep,
    /// Exit code or signal, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Steps in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcStep {
    /// Spawned.
    Started,
    /// Answered its readiness probe.
    Ready,
    /// Was sent a signal by the harness.
    Signalled,
    /// Has ended.
    Exited,
}

impl ProcStep {
    /// The name used in files and in stories.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Signalled => "signalled",
            Self::Exited => "exited",
        }
    }
}

/// A reading taken while the run goes on; pictures only, never a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What was read: `cpu_percent`, `memory_mib`, `outbox_new`, `locks`, `oldest_lock_ms`, `oldest_open_lock_ms`, `drift` (units, 0 when both
    /// stores agree), `canary_ms` (a round trip through the proxy of a role), `stall_ms` (how late a sleeping thread of the harness woke).
    pub name: String,
    /// Of whom: a role, or an item, or empty.
    #[serde(default)]
    pub of: String,
    /// The reading.
    pub value: f64,
}

/// Last record; its absence means that the harness died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Records before this one.
    pub records: u64,
    /// Operations invoked.
    pub ops: u64,
    /// `finished` or `interrupted`.
    pub why: String,
}

/// The content of one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum Record {
    /// What ran.
    Head(Box<Head>),
    /// Load enters a phase.
    Phase(PhaseMark),
    /// A request leaves.
    Invoke(Invoke),
    /// A request ended.
    Complete(Complete),
    /// An arrival was not sent.
    Shed(Shed),
    /// A fault moved on.
    Fault(FaultMark),
    /// A named step of the protocol was met.
    Point(PointMark),
    /// A process moved on.
    Proc(ProcMark),
    /// A reading.
    Sample(Sample),
    /// Anything worth keeping: late reply, recorder stall, contract breach. `what` is a short stable word.
    Note {
        /// Stable word.
        what: String,
        /// Details.
        #[serde(default)]
        detail: Value,
    },
    /// The end.
    Tail(Tail),
}

/// One line as written: the record, its number and its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line<'a> {
    /// Dense from 0.
    pub n: u64,
    /// Offset from the origin of the run.
    pub t: Offset,
    /// The content.
    #[serde(flatten)]
    pub record: &'a Record,
}
