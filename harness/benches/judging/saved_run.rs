//! The run folder of a sale of one hot item, as a correct service would leave it: a third of the orders are accepted, then all are refused.
//!
//! In: how many orders. Out: a folder that `chaos verify` judges as held. Nothing here says anything about a real service.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::history::HistoryError;
use harness::history::record::{
    Complete, FailCode, Function, Head, Invoke, ItemQuantity, OpId, Outcome as Fate, PhaseMark, Record, SCHEMA, Witness,
};
use harness::history::recorder::Recorder;
use harness::report::folder::HISTORY;
use harness::report::{RunFolder, RunIdentity, SCHEMA_VERSION};
use harness::scenario::plan::{Action, Arrival, Plan, PlannedOrder};
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;
use harness::snapshot::{
    Backlog, EpochRow, FinalRead, InventoryRow, LedgerRow, OrderRow, OutboxRow, Quiescence, RedisItem, Rest, Servers, Snapshot,
    Stop,
};

use super::figures::Outcome;

const ITEM: ItemId = ItemId { store: 1, product: 1, sku: 1 };
const API: u16 = 2;
const RATE: u64 = 10_000;
const STARTS: Offset = Offset::from_millis(1_000);
/// Orders that are read at the end, as in a real run.
const FINAL_READS: u64 = 1_000;
const TOOK: Duration = Duration::from_millis(2);
const SEED: Seed = Seed(7);

/// One order in three finds a unit.
const fn opening(orders: u64) -> u64 {
    orders.div_ceil(3)
}

fn due(order: u64) -> Offset {
    STARTS.plus(Duration::from_nanos(order * 1_000_000_000 / RATE))
}

fn order_id(order: u64) -> String {
    format!("7-{order}")
}

/// Writes the folder below `reports` and returns where it is.
pub(crate) fn write(reports: &Path, orders: u64) -> Outcome<RunFolder> {
    let folder = RunFolder::create(reports, "judging", SEED.0, orders)?;
    folder.write_plan(&plan(orders))?;
    let (runtime, clock) = (tokio::runtime::Builder::new_current_thread().build()?, RunClock::start());
    let ended = runtime.block_on(async {
        let (recorder, guard) = Recorder::create(&folder.file(HISTORY), clock)?;
        recorder.record_at(Offset::ZERO, head(&folder)).await?;
        let ended = record(&recorder, orders).await?;
        guard.finish("finished").await?;
        Ok::<_, HistoryError>(ended)
    })?;
    folder.write_stops(&stops(orders, ended))?;
    let files = folder.hash_evidence()?;
    folder.write_identity(&identity(&folder, files))?;
    Ok(folder)
}

fn plan(orders: u64) -> Plan {
    let load_ms = orders * 1_000 / RATE;
    let stretch = |name: &str, phase, duration_ms| LoadStretch { name: name.into(), phase, duration_ms, rate_per_s: RATE as f64 };
    let arrival = |order: u32| Arrival {
        due: Offset(due(order.into()).0 - STARTS.0),
        action: Action::Create,
        order,
        instance: u16::from(order % 2 == 1),
    };
    let every = 0..u32::try_from(orders).unwrap_or(u32::MAX);
    Plan {
        journeys: Vec::new(),
        scenario: Scenario {
            name: "judging".into(),
            seed: SEED,
            items: vec![SaleItem { item: ITEM, opening: opening(orders), weight: 1 }],
            stretches: vec![
                stretch("warm-up", Phase::Warmup, load_ms / 10),
                stretch("spike", Phase::Baseline, load_ms - load_ms / 10),
            ],
            mix: Mix { users: orders, ..Mix::default() },
            processes: Processes { api: API, worker: 1 },
            limits: Limits::default(),
            promises: Promises::default(),
            faults: Vec::new(),
        },
        run_tag: "7".into(),
        orders: every.clone().map(|order| PlannedOrder::of_one(0, 1, u64::from(order) + 1)).collect(),
        changes: Vec::new(),
        arrivals: every.map(arrival).collect(),
    }
}

fn head(folder: &RunFolder) -> Record {
    Record::Head(Box::new(Head {
        schema: SCHEMA,
        run_id: folder.run_id(),
        scenario: "judging".into(),
        seed: SEED,
        argv: Vec::new(),
        commit: String::new(),
        build_id: "ab".repeat(32),
        wall_start_ms: 0,
    }))
}

/// Load and drain; returns when the last answer came.
async fn record(recorder: &Recorder, orders: u64) -> Result<Offset, HistoryError> {
    let load_ms = orders * 1_000 / RATE;
    for (after_ms, name, stretch) in [(0, Phase::Warmup, "warm-up"), (load_ms / 10, Phase::Baseline, "spike")] {
        let mark = PhaseMark { name, stretch: stretch.into() };
        recorder.record_at(STARTS.plus(Duration::from_millis(after_ms)), Record::Phase(mark)).await?;
    }
    let mut open = VecDeque::new();
    for order in 0..orders {
        let sent = due(order).plus(Duration::from_micros(100));
        while let Some((at, answered)) = open.front().copied().filter(|(at, _)| *at <= sent) {
            recorder.record_at(at, complete(answered, orders)).await?;
            open.pop_front();
        }
        recorder.record_at(sent, invoke(order, due(order), order_id(order))).await?;
        open.push_back((sent.plus(TOOK), order));
    }
    for (at, answered) in open {
        recorder.record_at(at, complete(answered, orders)).await?;
    }
    let mut at = due(orders).plus(Duration::from_secs(5));
    recorder.record_at(at, Record::Phase(PhaseMark { name: Phase::Drain, stretch: String::new() })).await?;
    for further in 0..3 * u64::from(API) {
        at = at.plus(Duration::from_secs(if further % u64::from(API) == 0 { 2 } else { 0 })).plus(TOOK);
        recorder.record_at(at, invoke(orders + further, at, format!("7-d0-{further}"))).await?;
        recorder.record_at(at.plus(TOOK), complete(orders + further, orders)).await?;
    }
    Ok(at.plus(TOOK))
}

fn invoke(op: u64, due: Offset, order: String) -> Record {
    Record::Invoke(Invoke {
        op: OpId(op),
        proc: op,
        f: Function::CreateOrder,
        order,
        user: op + 1,
        items: vec![ItemQuantity { item: ITEM, qty: 1 }],
        due,
        instance: u16::from(op % 2 == 1),
        conn: op % 64,
        closed_loop: false,
    })
}

fn complete(op: u64, orders: u64) -> Record {
    let left = opening(orders).checked_sub(op + 1);
    let witness = left.map(|left| Witness {
        item: ITEM,
        qty: 1,
        token: format!("1:{}", op + 1),
        epoch: 1,
        version: op + 1,
        stock_after: i64::try_from(left).ok(),
    });
    Record::Complete(Complete {
        op: OpId(op),
        outcome: if witness.is_some() { Fate::Ok } else { Fate::Fail(FailCode::SoldOut) },
        http: Some(if witness.is_some() { 201 } else { 409 }),
        status: witness.is_some().then(|| "CREATED".to_owned()),
        short: witness.is_none().then_some(ITEM),
        witness: witness.into_iter().collect(),
    })
}

fn stops(orders: u64, ended: Offset) -> Vec<Stop> {
    let rest = |began: Offset| {
        let ended = began.plus(Duration::from_millis(600));
        Quiescence { rest: Rest::Quiesced, backlog: Backlog::default(), began, ended }
    };
    let stop = |after: &str, began: Offset| {
        let quiescence = rest(began);
        let taken_at = quiescence.ended.plus(Duration::from_secs(1));
        Stop { after: after.into(), quiescence, snapshot: Snapshot { taken_at, ..stores(orders) } }
    };
    vec![stop("load", due(orders).plus(TOOK)), stop("drain", ended)]
}

fn stores(orders: u64) -> Snapshot {
    let (sold, units) = (opening(orders), i64::try_from(opening(orders)).unwrap_or(i64::MAX));
    let order = |order| OrderRow {
        order_id: order_id(order),
        user_id: order + 1,
        status: "CREATED".into(),
        reason: String::new(),
        created_at_ms: 0,
        expire_at_ms: None,
    };
    let ledger = |id, order_id, kind: &str, transaction_type: &str, quantity, token: String| LedgerRow {
        id,
        order_id,
        item: ITEM,
        kind: kind.into(),
        transaction_type: transaction_type.into(),
        quantity,
        epoch: u64::from(!token.is_empty()),
        token,
    };
    let opened = ledger(1, "rst.open".into(), "RESTOCK", "IN", units, String::new());
    let sale = |order: u64| ledger(order + 2, order_id(order), "SALE", "OUT", 1, format!("1:{}", order + 1));
    let event = |order: u64| OutboxRow {
        id: order + 1,
        event_id: order_id(order),
        event_type: "DEDUCT_STOCK_DB".into(),
        order_id: order_id(order),
        item: ITEM,
        quantity: 1,
        epoch: 1,
        status: "DONE".into(),
        attempts: 0,
        last_error: String::new(),
    };
    let read = |order: u64| FinalRead { order_id: order_id(order), instance: 0, http: 200, status: "CREATED".into() };
    let meta = [("epoch", "1".to_owned()), ("version", sold.to_string()), ("avail", "0".to_owned())];
    let records = (0..sold).map(|order| (order_id(order), format!("1:{}|1", order + 1))).collect();
    let redis = RedisItem {
        stock: Some("0".into()),
        meta: meta.map(|(field, value)| (field.to_owned(), value)).into(),
        records,
        ..RedisItem::default()
    };
    Snapshot {
        consistent: true,
        attempts: 1,
        inventory: vec![InventoryRow { item: ITEM, current_stock: 0, locked_stock: 0, version: units }],
        epochs: vec![EpochRow { item: ITEM, shard: 0, epoch: 1, mode: "REDIS".into(), base: units }],
        orders: (0..sold).map(order).collect(),
        ledger: std::iter::once(opened).chain((0..sold).map(sale)).collect(),
        outbox: (0..sold).map(event).collect(),
        audit_findings: Some(Vec::new()),
        redis: BTreeMap::from([(ITEM, redis)]),
        reads: (0..sold).step_by(usize::try_from(sold / FINAL_READS).unwrap_or(1).max(1)).map(read).collect(),
        servers: servers(),
        ..Snapshot::default()
    }
}

fn servers() -> Servers {
    let settings = BTreeMap::from([("innodb_flush_log_at_trx_commit".to_owned(), "1".to_owned())]);
    Servers { redis: "none".into(), mysql: "none".into(), settings }
}

fn identity(folder: &RunFolder, files: BTreeMap<String, String>) -> RunIdentity {
    RunIdentity {
        schema_version: SCHEMA_VERSION,
        run_id: folder.run_id(),
        scenario: "judging".into(),
        seed: SEED.0,
        command: "cargo bench -p harness --bench judging".into(),
        commit: String::new(),
        build_id: "ab".repeat(32),
        wall_start_ms: 0,
        duration_ms: 0,
        backend: "process".into(),
        toxiproxy: None,
        service_args: Vec::new(),
        servers: servers(),
        machine: BTreeMap::new(),
        files,
        rig_errors: Vec::new(),
        interrupted: false,
    }
}
