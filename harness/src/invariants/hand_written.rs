//! Evidence written by hand, one operation after another, as a correct service would leave it. A test then changes one thing.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use crate::clock::Offset;
use crate::history::operation::{History, Operation, Timed};
use crate::history::record::{FailCode, Function, Head, InfoCause, ItemQuantity, OpId, Outcome, Shed, ShedCause, Tail, Witness};
use crate::scenario::plan::{Action, Arrival, Plan};
use crate::scenario::{ItemId, Limits, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use crate::seed::Seed;
use crate::snapshot::{
    Backlog, EpochRow, FinalRead, InventoryRow, LedgerRow, LockState, OrderRow, OutboxRow, Quiescence, RedisItem, Rest, Snapshot,
    Stop,
};

/// The item with this SKU.
pub(crate) const fn item(sku: u64) -> ItemId {
    ItemId { store: 1, product: 1, sku }
}

/// A run while it is written. Times are in ms; every operation takes 1 ms and the next is sent 2 ms later.
pub(crate) struct HandWritten {
    pub(crate) evidence: Evidence,
    pub(crate) stores: Snapshot,
    pub(crate) now_ms: u64,
    pub(crate) phase: Phase,
}

impl HandWritten {
    /// A sale that opens with these units of each SKU.
    pub(crate) fn sale(opening: &[(u64, u64)]) -> Self {
        let items: Vec<SaleItem> =
            opening.iter().map(|(sku, units)| SaleItem { item: item(*sku), opening: *units, weight: 1 }).collect();
        let mut stores = Snapshot { consistent: true, attempts: 1, audit_findings: Some(Vec::new()), ..Snapshot::default() };
        stores.servers.settings.insert("innodb_flush_log_at_trx_commit".into(), "1".into());
        for sale in &items {
            open(&mut stores, sale);
        }
        let (orders, changes, arrivals) = (Vec::new(), Vec::new(), Vec::new());
        let plan = Plan { scenario: scenario(items), run_tag: "o".into(), orders, changes, arrivals, journeys: Vec::new() };
        let evidence = Evidence { plan, history: history(), stops: Vec::new(), damage: Vec::new(), edited: Vec::new() };
        Self { evidence, stores, now_ms: 1_000, phase: Phase::Baseline }
    }

    /// An operation that is sent now and answered 1 ms later.
    pub(crate) fn operation(&mut self, function: Function, order: &str, items: &[(u64, u32)], outcome: Outcome) -> &mut Operation {
        let operations = &mut self.evidence.history.operations;
        let id = OpId(operations.len() as u64);
        let sent = Offset::from_millis(self.now_ms);
        let lines = items.iter().map(|(sku, qty)| ItemQuantity { item: item(*sku), qty: *qty }).collect();
        self.now_ms += 2;
        self.evidence.plan.arrivals.push(Arrival { due: sent, action: Action::Create, order: 0, instance: 0 });
        operations.push(Operation {
            id,
            proc: id.0,
            function,
            order: order.into(),
            user: 7,
            items: lines,
            due: sent,
            sent,
            answered: Some(Offset(sent.0 + 1_000_000)),
            outcome,
            http: None,
            witness: Vec::new(),
            status: None,
            short: None,
            phase: self.phase,
            instance: 0,
            closed_loop: false,
        });
        operations.last_mut().unwrap()
    }

    /// An order that is accepted, deducted and confirmed.
    pub(crate) fn accept(&mut self, order: &str, items: &[(u64, u32)]) -> &mut Self {
        self.book(order, items);
        let witness: Vec<Witness> = items.iter().map(|(sku, qty)| self.witness(order, *sku, *qty)).collect();
        let op = self.operation(Function::CreateOrder, order, items, Outcome::Ok);
        op.witness = witness;
        op.status = Some("CREATED".into());
        self
    }

    /// The same order again: the same answer, without the units left.
    pub(crate) fn repeat(&mut self, order: &str) -> &mut Self {
        let first = self.evidence.history.operations.iter().find(|op| &*op.order == order).unwrap().clone();
        let items: Vec<(u64, u32)> = first.items.iter().map(|line| (line.item.sku, line.qty)).collect();
        let op = self.operation(Function::CreateOrder, order, &items, Outcome::Ok);
        op.witness = first.witness.into_iter().map(|told| Witness { stock_after: None, ..told }).collect();
        op.status = first.status;
        self
    }

    /// An order that is refused as sold out.
    pub(crate) fn refuse(&mut self, order: &str, sku: u64, qty: u32) -> &mut Self {
        self.operation(Function::CreateOrder, order, &[(sku, qty)], Outcome::Fail(FailCode::SoldOut)).short = Some(item(sku));
        self
    }

    /// The end of a drain: every process refuses the item as often, and as far apart, as the judge demands.
    pub(crate) fn dry(&mut self, sku: u64) -> &mut Self {
        for round in 0..3 {
            self.now_ms += self.evidence.plan.scenario.promises.staleness_ms;
            for instance in 0..self.evidence.plan.scenario.processes.api {
                self.refuse(&format!("dry-{sku}-{round}-{instance}"), sku, 1);
                self.evidence.history.operations.last_mut().unwrap().instance = instance;
            }
        }
        self
    }

    /// An order whose client timed out and which left nothing.
    pub(crate) fn doubt(&mut self, order: &str, sku: u64, qty: u32) -> &mut Self {
        self.operation(Function::CreateOrder, order, &[(sku, qty)], Outcome::Info(InfoCause::Timeout));
        self
    }

    /// An order whose client timed out and which stands.
    pub(crate) fn doubt_that_happened(&mut self, order: &str, sku: u64, qty: u32) -> &mut Self {
        self.book(order, &[(sku, qty)]);
        self.doubt(order, sku, qty)
    }

    /// A payment that is acknowledged.
    pub(crate) fn pay(&mut self, order: &str) -> &mut Self {
        self.operation(Function::PayOrder, order, &[], Outcome::Ok).status = Some("PAID".into());
        self.row(order).status = "PAID".into();
        self
    }

    /// A read that shows a state.
    pub(crate) fn read(&mut self, order: &str, status: &str) -> &mut Self {
        self.operation(Function::ReadOrder, order, &[], Outcome::Ok).status = Some(status.into());
        self
    }

    /// A cancel that is acknowledged and whose units are back.
    pub(crate) fn cancel(&mut self, order: &str) -> &mut Self {
        self.operation(Function::CancelOrder, order, &[], Outcome::Ok).status = Some("CANCELLED".into());
        self.row(order).status = "CANCELLED".into();
        self.give_back(order)
    }

    /// The units of an order that ended are returned and back in Redis.
    pub(crate) fn give_back(&mut self, order: &str) -> &mut Self {
        let sales: Vec<LedgerRow> = self.stores.ledger.iter().filter(|row| row.order_id == order).cloned().collect();
        for sale in sales {
            let (id, epoch) = (self.stores.ledger.len() as u64 + 1, self.epoch(sale.item));
            let (kind, transaction_type, token) = ("RETURN".into(), "IN".into(), String::new());
            self.stores.ledger.push(LedgerRow { id, kind, transaction_type, token, epoch, ..sale.clone() });
            self.event("APPLY_DELTA", &format!("C.{order}"), order, (sale.item, sale.quantity));
            move_stock(&mut self.stores, sale.item, sale.quantity);
            self.inventory(sale.item).current_stock += sale.quantity;
        }
        self
    }

    /// Stops: waits until nothing is left to do, and reads the stores.
    pub(crate) fn stop(&mut self, after: &str) -> &mut Self {
        let began = Offset::from_millis(self.now_ms);
        let ended = Offset::from_millis(self.now_ms + 600);
        self.now_ms += 3_000;
        let quiescence = Quiescence { rest: Rest::Quiesced, backlog: Backlog::default(), began, ended };
        let mut snapshot = Snapshot { taken_at: Offset::from_millis(self.now_ms - 1_000), ..self.stores.clone() };
        let read =
            |row: &OrderRow| FinalRead { order_id: row.order_id.clone(), instance: 0, http: 200, status: row.status.clone() };
        snapshot.reads = snapshot.orders.iter().map(read).collect();
        self.evidence.stops.push(Stop { after: after.into(), quiescence, snapshot });
        self.phase = Phase::Drain;
        self
    }

    /// The whole run.
    pub(crate) fn finish(&mut self) -> Evidence {
        let ops = self.evidence.history.operations.len() as u64;
        self.evidence.history.tail = Some(Tail { records: 2 * ops + 1, ops, why: "finished".into() });
        self.evidence.history.records = 2 * ops + 2;
        self.evidence.clone()
    }

    /// Takes the units and writes the rows of an order.
    fn book(&mut self, order: &str, items: &[(u64, u32)]) {
        let (order_id, status, reason) = (order.to_owned(), "CREATED".to_owned(), String::new());
        self.stores.orders.push(OrderRow { order_id, user_id: 7, status, reason, created_at_ms: 0, expire_at_ms: None });
        for (sku, qty) in items {
            let (item, quantity) = (item(*sku), i64::from(*qty));
            move_stock(&mut self.stores, item, -quantity);
            let redis = self.stores.redis.get_mut(&item).unwrap();
            let (epoch, version) = (redis.meta["epoch"].parse().unwrap(), &redis.meta["version"]);
            let token = format!("{epoch}:{version}");
            redis.records.insert(order.to_owned(), format!("{token}|{qty}"));
            let id = self.stores.ledger.len() as u64 + 1;
            let (kind, transaction_type) = ("SALE".to_owned(), "OUT".to_owned());
            self.stores.ledger.push(LedgerRow { id, order_id: order.into(), item, kind, transaction_type, quantity, epoch, token });
            self.event("DEDUCT_STOCK_DB", order, order, (item, quantity));
            self.inventory(item).current_stock -= quantity;
        }
    }

    fn witness(&self, order: &str, sku: u64, qty: u32) -> Witness {
        let redis = &self.stores.redis[&item(sku)];
        let token = redis.records[order].split('|').next().unwrap().to_owned();
        let (epoch, version) = (self.epoch(item(sku)), redis.meta_number("version").unwrap().cast_unsigned());
        Witness { item: item(sku), qty, token, epoch, version, stock_after: redis.stock_units() }
    }

    /// The epoch of an item.
    pub(crate) fn epoch(&self, item: ItemId) -> u64 {
        self.stores.redis[&item].meta["epoch"].parse().unwrap()
    }

    pub(crate) fn event(&mut self, event_type: &str, event_id: &str, order: &str, (item, quantity): (ItemId, i64)) {
        let (id, epoch, status) = (self.stores.outbox.len() as u64 + 1, self.epoch(item), "DONE".to_owned());
        let (event_id, event_type, order_id) = (event_id.into(), event_type.into(), order.into());
        let row =
            OutboxRow { id, event_id, event_type, order_id, item, quantity, epoch, status, attempts: 0, last_error: String::new() };
        self.stores.outbox.push(row);
    }

    pub(crate) fn row(&mut self, order: &str) -> &mut OrderRow {
        self.stores.orders.iter_mut().find(|row| row.order_id == order).unwrap()
    }

    pub(crate) fn inventory(&mut self, item: ItemId) -> &mut InventoryRow {
        self.stores.inventory.iter_mut().find(|row| row.item == item).unwrap()
    }
}

/// A small sale without a fault: repeats, a payment, a cancel, a sell-out and a drain. Every invariant holds.
pub(crate) fn clean_run() -> Evidence {
    let mut run = HandWritten::sale(&[(1, 3), (2, 2)]);
    run.accept("o-1", &[(1, 1)]).repeat("o-1").accept("o-2", &[(1, 2)]).refuse("o-3", 1, 1);
    run.accept("o-4", &[(2, 1)]).read("o-4", "CREATED").pay("o-4").accept("o-5", &[(2, 1)]).cancel("o-5").stop("load");
    run.accept("d-1", &[(2, 1)]).dry(2).dry(1).stop("drain");
    run.finish()
}

/// Evidence of a run that did nothing.
pub(crate) fn nothing() -> Evidence {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.evidence.history = History::default();
    run.evidence
}

/// A lock of an order on a SKU, as Redis holds it.
pub(crate) fn lock(member: &str) -> LockState {
    LockState { member: member.into(), since_ms: 0 }
}

/// An arrival that found no slot.
pub(crate) fn shed() -> Timed<Shed> {
    let (due, f, order, why) = (Offset::ZERO, Function::CreateOrder, String::new(), ShedCause::NoSlot);
    Timed { at: due, what: Shed { due, f, order, why } }
}

fn open(stores: &mut Snapshot, sale: &SaleItem) {
    let (item, units) = (sale.item, sale.opening.cast_signed());
    stores.inventory.push(InventoryRow { item, current_stock: units, locked_stock: 0, version: 0 });
    stores.epochs.push(EpochRow { item, shard: 0, epoch: 1, mode: "REDIS".into(), base: units });
    let id = stores.ledger.len() as u64 + 1;
    let (kind, transaction_type, token) = ("RESTOCK".to_owned(), "IN".to_owned(), String::new());
    let order_id = "rst.open".to_owned();
    stores.ledger.push(LedgerRow { id, order_id, item, kind, transaction_type, quantity: units, epoch: 0, token });
    let meta = [("epoch", "1".to_owned()), ("version", "0".to_owned()), ("avail", units.to_string())];
    let meta: BTreeMap<String, String> = meta.map(|(field, value)| (field.to_owned(), value)).into();
    stores.redis.insert(item, RedisItem { stock: Some(units.to_string()), meta, ..RedisItem::default() });
}

pub(crate) fn move_stock(stores: &mut Snapshot, item: ItemId, by: i64) {
    let redis = stores.redis.get_mut(&item).unwrap();
    let (left, version) = (redis.stock_units().unwrap() + by, redis.meta_number("version").unwrap() + 1);
    redis.stock = Some(left.to_string());
    redis.meta.insert("avail".into(), left.to_string());
    redis.meta.insert("version".into(), version.to_string());
}

fn history() -> History {
    let head = Head {
        schema: 1,
        run_id: "r".into(),
        scenario: "hand_written".into(),
        seed: Seed(1),
        argv: Vec::new(),
        commit: String::new(),
        build_id: String::new(),
        wall_start_ms: 0,
    };
    History { head: Some(head), ..History::default() }
}

fn scenario(items: Vec<SaleItem>) -> Scenario {
    let mix = Mix { duplicates: 0.1, quantity_max: 3, ..Mix::default() };
    Scenario {
        name: "hand_written".into(),
        seed: Seed(1),
        items,
        stretches: Vec::new(),
        mix,
        processes: Processes { api: 1, worker: 1 },
        limits: Limits::default(),
        promises: Promises::default(),
        faults: Vec::new(),
    }
}
