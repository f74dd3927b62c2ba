//! How the system under test speaks to its stores: what its scripts are called and what its statements mean.
//!
//! This is data: a description of the target is put into it, and the taps name what they see go by after it. Nothing here reads a byte from a wire.

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

/// The HTTP request that creates an order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateForm {
    /// Method and path, as in the first line of the request: `POST /orders`.
    pub target: String,
    /// Field of its JSON body that holds the order id, a plain text.
    pub order_field: String,
}

/// Scripts, statements and requests of a system under test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialect {
    /// Scripts.
    pub scripts: Vec<ScriptForm>,
    /// Statements. The first form that fits says what a statement means.
    pub statements: Vec<StatementForm>,
    /// How clients create an order.
    pub create: CreateForm,
}

impl Dialect {
    /// The script with this SHA-1.
    #[must_use]
    pub fn script(&self, sha1: &[u8]) -> Option<&ScriptForm> {
        self.scripts.iter().find(|form| form.sha1.as_bytes().eq_ignore_ascii_case(sha1))
    }
}

/// SHA-1 of a script's text, as Redis names it.
#[must_use]
pub fn sha1(text: &str) -> String {
    redis::Script::new(text).get_hash().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_by_the_hash_that_redis_gives_them_in_either_case() {
        assert_eq!(sha1(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let form = ScriptForm { sha1: sha1("return 1"), script: Script::Probe, orders: ScriptOrders::None };
        let dialect = Dialect { scripts: vec![form.clone()], ..Dialect::default() };
        assert_eq!(dialect.script(form.sha1.to_uppercase().as_bytes()), Some(&form));
        assert_eq!(dialect.script(sha1("").as_bytes()), None);
    }
}
