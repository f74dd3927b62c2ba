//! Sales in which more happens than selling: each option is seen to act, and every claim holds on what it left.

use harness::history::operation::{History, Operation};
use harness::history::pairing::read_history;
use harness::history::record::{FailCode, Function, Outcome};
use harness::report::RunFolder;
use harness::snapshot::Stop;

use crate::programs::{flash_sale, run};
use crate::workplace::{Workplace, turn};

/// A sale of a few seconds at a rate that a busy machine carries.
const SLOW: [&str; 10] = ["--stock", "150", "--skus", "4", "--sku-stock", "20", "--rate", "100", "--p99", "10000"];

/// What a sale that was held left behind.
struct Held {
    history: History,
    stops: Vec<Stop>,
}

impl Held {
    /// Runs a sale; these claims must be among those that held.
    #[track_caller]
    fn run(name: &str, options: &[&str], claims: &[&str]) -> Self {
        let place = Workplace::new(name);
        let done = run(&place, flash_sale(&[SLOW.as_slice(), options].concat()));
        done.expect_code(0).expect_said("HELD (exit code 0)");
        for claim in claims {
            done.expect_said(&format!("✓ {claim}"));
        }
        let folder = RunFolder::open(&place.latest()).unwrap();
        Self { history: read_history(&place.latest().join("history.jsonl.zst")).unwrap(), stops: folder.read_stops().unwrap() }
    }

    /// Operations of one function with this outcome.
    fn ended(&self, function: Function, outcome: Outcome) -> impl Iterator<Item = &Operation> {
        self.history.of(function).filter(move |op| op.outcome == outcome)
    }

    #[track_caller]
    fn expect_some(&self, function: Function, outcome: Outcome) {
        assert!(self.ended(function, outcome).next().is_some(), "no {} ended {outcome:?}", function.name());
    }

    /// Orders in this state when the load was over.
    fn in_state(&self, status: &str) -> usize {
        self.stops[0].snapshot.orders.iter().filter(|row| row.status == status).count()
    }
}

fn stores(op: &Operation) -> usize {
    op.items.iter().map(|line| line.item.store).collect::<std::collections::BTreeSet<_>>().len()
}

fn names_an_item_twice(op: &Operation) -> bool {
    op.items.iter().any(|line| op.items.iter().filter(|other| other.item == line.item).count() == 2)
}

#[test]
fn carts_limits_and_refunds_are_sold_and_judged() {
    let _turn = turn();
    let users = ["--carts", "0.4", "--carts-twice", "0.3", "--stores", "2", "--quantity", "2", "--limit", "2"];
    let more = ["--users", "500", "--greedy", "0.5", "--payments", "0.2", "--refunds", "0.4", "--seed", "11"];
    let held = Held::run("users", &[users.as_slice(), &more].concat(), &["user_quota_respected", "drain_sells_exactly_supply"]);
    let carts: Vec<_> = held.ended(Function::CreateOrder, Outcome::Ok).filter(|op| op.items.len() > 1).collect();
    assert!(carts.iter().any(|op| stores(op) == 2), "no cart over two stores was accepted");
    assert!(carts.iter().any(|op| names_an_item_twice(op)), "no cart that names an item twice was accepted");
    held.expect_some(Function::CreateOrder, Outcome::Fail(FailCode::QuotaExceeded));
    held.expect_some(Function::RefundOrder, Outcome::Ok);
    assert!(held.in_state("REFUNDED") > 0 && !held.stops[0].snapshot.quotas.is_empty());
}

#[test]
fn unpaid_orders_expire_and_what_they_held_is_sold_to_the_last_unit() {
    let _turn = turn();
    let options = ["--order-ttl", "2", "--payments", "0.5", "--seed", "12"];
    let held = Held::run("expiry", &options, &["legal_transitions", "drain_sells_exactly_supply"]);
    assert!(held.in_state("EXPIRED") > 0 && held.in_state("PAID") > 0, "{} orders expired", held.in_state("EXPIRED"));
    assert_eq!(held.in_state("CREATED"), 0, "the run waits for the last expiry");
}

#[test]
fn restocks_cuts_and_holds_beside_everything_else_are_judged() {
    let _turn = turn();
    let stock = ["--restocks", "8", "--cuts", "4", "--holds", "6", "--change-units", "5", "--seed", "13"];
    let users = ["--carts", "0.2", "--stores", "2", "--limit", "3", "--greedy", "0.3", "--users", "1000"];
    let ends = ["--order-ttl", "3", "--payments", "0.4", "--refunds", "0.2", "--cancels", "0.1"];
    let held = Held::run("stock", &[stock.as_slice(), &users, &ends].concat(), &["ledger_balances", "drain_sells_exactly_supply"]);
    for function in [Function::Restock, Function::CutStock, Function::HoldStock, Function::ReleaseStock] {
        held.expect_some(function, Outcome::Ok);
    }
    let kinds: Vec<&str> = held.stops[0].snapshot.ledger.iter().map(|row| row.kind.as_str()).collect();
    assert!(["SALE", "RETURN", "RESTOCK", "ADJUST"].iter().all(|kind| kinds.contains(kind)));
    assert!(held.stops[0].snapshot.inventory.iter().any(|row| row.locked_stock > 0), "nothing was left on hold");
}
