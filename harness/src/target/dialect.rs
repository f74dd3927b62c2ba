//! How the system under test speaks to its stores: what its scripts are called and what its statements mean.
//!
//! In: nothing; this is data. Out: a [`Dialect`], by which the taps of the proxy name what they see go by. [`Dialect::holdfast`] describes the
//! reference service. Nothing here reads a byte from a wire.

/// A script of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Script {
    /// Takes stock for an order.
    PreDeduct,
    /// Resolves locks as sold.
    Confirm,
    /// Resolves locks as given back.
    Rollback,
    /// Adds an increase.
    ApplyDelta,
    /// Opens an epoch with its number.
    Install,
    /// Looks, and changes nothing.
    Probe,
}

/// Where a call of a script names its orders. Numbers count from 1, as in the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptOrders {
    /// Nowhere.
    None,
    /// This argument is an order id.
    Argument(usize),
    /// From this argument on each is a member `order|token|quantity`.
    MembersFrom(usize),
    /// This key is `...:<event>:{item}`, and the event of an order is called `C.<order>`.
    EventKey(usize),
}

/// A script as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptForm {
    /// SHA-1 of its text, 40 lower-case hexadecimal digits.
    pub sha1: String,
    /// Which it is.
    pub script: Script,
    /// Where its orders stand.
    pub orders: ScriptOrders,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meaning {
    /// Inserts orders.
    InsertOrders,
    /// Inserts a tombstone: an order row that no order can follow.
    InsertTombstone,
    /// Inserts the messages that move the ledger later.
    InsertDeducts,
    /// Inserts a restock into the ledger.
    InsertRestock,
    /// Takes deduct messages that are due.
    ClaimDeducts,
    /// Takes increases that are due.
    ClaimIncreases,
    /// Marks increases as done.
    FinishIncreases,
    /// Reads the ledger rows of orders.
    FindSales,
    /// Moves the ledger: a row's state, or a balance.
    UpdateLedger,
    /// Ends orders: cancelled, expired or refunded.
    EndOrders,
    /// Notes a payment.
    Pay,
    /// Opens a new epoch.
    OpenEpoch,
}

/// Where a statement names its orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementOrders {
    /// Nowhere.
    None,
    /// The first value of each row of an INSERT.
    FirstOfEachRow,
    /// Compared with `order_id`, by `=` or `IN (...)`.
    Compared,
}

/// A statement by its words. Letters count as they stand; white space must be single.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementForm {
    /// What it does.
    pub meaning: Meaning,
    /// How its text begins.
    pub begins: String,
    /// What else stands in its first 1024 or last 256 bytes, in any order.
    pub holds: Vec<String>,
    /// Where its orders stand.
    pub orders: StatementOrders,
}

/// Scripts and statements of a system under test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialect {
    /// Scripts.
    pub scripts: Vec<ScriptForm>,
    /// Statements. The first form that fits says what a statement means.
    pub statements: Vec<StatementForm>,
}

impl Dialect {
    /// The script with this SHA-1.
    #[must_use]
    pub fn script(&self, sha1: &[u8]) -> Option<&ScriptForm> {
        self.scripts.iter().find(|form| form.sha1.as_bytes().eq_ignore_ascii_case(sha1))
    }

    /// The dialect of the reference service.
    ///
    /// The names follow from the texts in `lua/`, which are read when the harness is built: a hash that was written down would be wrong after the
    /// next edit, and a tap that knows no script sees nothing.
    #[must_use]
    pub fn holdfast() -> Self {
        Self { scripts: holdfast_scripts(), statements: holdfast_statements() }
    }
}

macro_rules! script_text {
    ($name:literal) => {
        concat!(include_str!("../../../lua/ready.lua"), "\n", include_str!(concat!("../../../lua/", $name, ".lua")))
    };
}

fn holdfast_scripts() -> Vec<ScriptForm> {
    let texts = [
        (Script::PreDeduct, script_text!("pre_deduct"), ScriptOrders::Argument(2)),
        (Script::Confirm, script_text!("confirm"), ScriptOrders::MembersFrom(3)),
        (Script::Rollback, script_text!("rollback"), ScriptOrders::MembersFrom(3)),
        (Script::ApplyDelta, script_text!("apply_delta"), ScriptOrders::EventKey(3)),
        (Script::Install, script_text!("install"), ScriptOrders::None),
        (Script::Probe, script_text!("probe"), ScriptOrders::None),
    ];
    texts.into_iter().map(|(script, text, orders)| ScriptForm { sha1: sha1(text), script, orders }).collect()
}

/// SHA-1 of a script's text, as Redis names it.
#[must_use]
pub fn sha1(text: &str) -> String {
    redis::Script::new(text).get_hash().to_owned()
}

fn holdfast_statements() -> Vec<StatementForm> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_by_the_hash_that_redis_gives_them_in_either_case() {
        let dialect = Dialect::holdfast();
        let form = dialect.scripts.first().unwrap();
        assert_eq!(form.sha1.len(), 40);
        assert_eq!(dialect.script(form.sha1.to_uppercase().as_bytes()), Some(form));
        assert_eq!(dialect.script(b"da39a3ee5e6b4b0d3255bfef95601890afd80709"), None);
        assert_eq!(sha1(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }
}
