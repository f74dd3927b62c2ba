//! How the reference service speaks to its stores and its clients: its scripts by their hashes, its statements and requests by their words.
//!
//! In: nothing. Out: the [`Dialect`] by which the taps of the proxy name what they see. Written here a second time, on purpose: the judge shares no
//! code with the judged. A form that no longer fits shows at once, because the tests want to see every step of a real run.

use crate::proxy::tap::dialect::{
    CreateForm, Dialect, Meaning, Script, ScriptForm, ScriptOrders, StatementForm, StatementOrders, sha1,
};

/// The dialect of the reference service.
///
/// The hashes follow from the texts in `lua/`, which are read when the harness is built: a hash that was written down would be wrong after the
/// next edit, and a tap that knows no script sees nothing.
#[must_use]
pub fn holdfast() -> Dialect {
    let create = CreateForm { target: "POST /orders".to_owned(), order_field: "order_id".to_owned() };
    Dialect { scripts: scripts(), statements: statements(), create }
}

/// [`holdfast`] with further texts of its scripts, by name. A name that is none is left out.
#[must_use]
pub fn holdfast_with(scripts: &[(String, String)]) -> Dialect {
    let mut dialect = holdfast();
    let known = forms();
    let form = |(name, text): &(String, String)| {
        let (_, script, _, orders) = known.iter().find(|(known, ..)| known == name)?;
        Some(ScriptForm { sha1: sha1(text), script: *script, orders: *orders })
    };
    dialect.scripts.extend(scripts.iter().filter_map(form));
    dialect
}

macro_rules! script_text {
    ($name:literal) => {
        concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!(concat!("../../../lua/", $name, ".lua")))
    };
}

fn scripts() -> Vec<ScriptForm> {
    forms().into_iter().map(|(_, script, text, orders)| ScriptForm { sha1: sha1(text), script, orders }).collect()
}

fn forms() -> [(&'static str, Script, &'static str, ScriptOrders); 6] {
    [
        ("pre_deduct", Script::PreDeduct, script_text!("pre_deduct"), ScriptOrders::Argument(2)),
        ("confirm", Script::Confirm, script_text!("confirm"), ScriptOrders::MembersFrom(3)),
        ("rollback", Script::Rollback, script_text!("rollback"), ScriptOrders::MembersFrom(3)),
        ("apply_delta", Script::ApplyDelta, script_text!("apply_delta"), ScriptOrders::EventKey(3)),
        ("install", Script::Install, script_text!("install"), ScriptOrders::None),
        ("probe", Script::Probe, script_text!("probe"), ScriptOrders::None),
    ]
}

fn statements() -> Vec<StatementForm> {
    use Meaning as M;
    use StatementOrders::{Compared, FirstOfEachRow, None};
    let form = |meaning, begins: &str, holds: &[&str], orders| StatementForm {
        meaning,
        begins: begins.to_owned(),
        holds: holds.iter().map(|text| (*text).to_owned()).collect(),
        orders,
    };
    vec![
        form(M::InsertOrders, "INSERT INTO orders ", &["'CREATED'"], FirstOfEachRow),
        form(M::InsertTombstone, "INSERT INTO orders ", &["'FENCED'"], FirstOfEachRow),
        form(M::InsertDeducts, "INSERT INTO outbox ", &["'DEDUCT_STOCK_DB'"], FirstOfEachRow),
        form(M::InsertRestock, "INSERT INTO inventory_transactions ", &["'RESTOCK'"], None),
        form(M::ClaimDeducts, "SELECT ", &[" FROM outbox ", "'DEDUCT_STOCK_DB'", "SKIP LOCKED"], None),
        form(M::ClaimIncreases, "SELECT ", &[" FROM outbox ", "'APPLY_DELTA'", "SKIP LOCKED"], None),
        form(M::FinishIncreases, "UPDATE outbox SET status = 'DONE'", &["event_type = 'APPLY_DELTA'"], None),
        form(M::FindSales, "SELECT ", &[" FROM inventory_transactions ", " order_id IN ("], Compared),
        form(M::UpdateLedger, "UPDATE inventory_transactions SET transaction_type = ", &[], None),
        form(M::UpdateLedger, "UPDATE inventory SET current_stock = ", &[], None),
        form(M::EndOrders, "UPDATE orders SET status = 'CANCELLED'", &[], Compared),
        form(M::EndOrders, "UPDATE orders SET status = 'EXPIRED'", &[], Compared),
        form(M::EndOrders, "UPDATE orders SET status = 'REFUNDED'", &[], Compared),
        form(M::Pay, "UPDATE orders SET status = 'PAID'", &[], Compared),
        form(M::OpenEpoch, "UPDATE inventory_epoch SET epoch = ", &[], None),
    ]
}
