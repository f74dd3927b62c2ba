//! What a run did not test, so that nobody reads more into "held" than it says.
//!
//! In: evidence and the servers that ran. Out: sentences. Derived from what the run did, not from what was meant.

use crate::history::record::{FaultStep, Function};
use crate::invariants::Evidence;
use crate::scenario::Scenario;
use crate::snapshot::Servers;

/// What this run did not test.
#[must_use]
pub fn not_tested(evidence: &Evidence, servers: &Servers) -> Vec<String> {
    let mut absent = faults(evidence);
    absent.extend(operations(evidence));
    absent.extend(shape(evidence.scenario()));
    absent.extend(stores(servers));
    absent.push("Redis Cluster, Sentinel failover and read replicas: one Redis and one database server ran.".to_owned());
    absent.push("Load from more than one machine: generator, service and stores shared this one, and its cores.".to_owned());
    absent
}

/// Groups of harm: words, and what the name of a fault of the group contains.
const HARM: [(&str, &[&str]); 5] = [
    ("a process that is killed", &["kill"]),
    ("a process that stands still", &["pause"]),
    (
        "a connection that is slow, stalled, cut or refused",
        &["latency", "partition", "reset", "refuse", "bandwidth", "stall", "drop_reply", "cut_before", "forget"],
    ),
    (
        "a Redis that loses or refuses data",
        &["redis_flush", "redis_empty", "redis_truncated", "redis_stale", "redis_promote", "redis_max"],
    ),
    (
        "a database that refuses, waits or is full",
        &["mysql_read_only", "mysql_row_lock", "mysql_connections", "mysql_commit_stall"],
    ),
];

fn faults(evidence: &Evidence) -> Vec<String> {
    let marks = evidence.history.faults.iter().filter(|fault| fault.what.step == FaultStep::Injected);
    let injected: Vec<&str> = marks.map(|fault| fault.what.kind.as_str()).collect();
    let missing = |names: &[&str]| !injected.iter().any(|kind| names.iter().any(|name| kind.contains(name)));
    let absent: Vec<&str> = HARM.iter().filter(|(_, names)| missing(names)).map(|(words, _)| *words).collect();
    let none = "Faults: none was injected; no process was killed or paused, no connection was cut, no store lost data.";
    let told = match (injected.as_slice(), absent.as_slice()) {
        ([], _) => Some(none.to_owned()),
        (_, []) => None,
        (_, absent) => Some(format!("These kinds of faults: {}.", absent.join("; "))),
    };
    let power = "Power loss: SIGKILL keeps what the system has cached, so an unplugged machine is another test.";
    told.into_iter().chain([power.to_owned()]).collect()
}

fn operations(evidence: &Evidence) -> Vec<String> {
    let absent = |function: Function, text: &str| evidence.history.of(function).next().is_none().then(|| text.to_owned());
    let carts = evidence.history.operations.iter().all(|op| op.items.len() < 2).then(|| "Carts of several items.".to_owned());
    let drain = evidence.after_drain().is_none().then(|| "The drain: what was left was not sold to the last unit.".to_owned());
    [
        absent(Function::CreateOrder, "Orders: none was sent."),
        absent(Function::CancelOrder, "Cancellations: none was sent."),
        absent(Function::PayOrder, "Payments: none was sent."),
        absent(Function::RefundOrder, "Refunds of paid orders: none was sent."),
        absent(Function::Restock, "Restocks during the sale."),
        absent(Function::CutStock, "Stock cuts during the sale."),
        absent(Function::HoldStock, "Stock held back during the sale."),
        carts,
        drain,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn shape(scenario: &Scenario) -> Vec<String> {
    let mix = &scenario.mix;
    let ttl_ms = scenario.promises.order_ttl_ms;
    let absent = |missing: bool, text: &str| missing.then(|| text.to_owned());
    [
        absent(mix.duplicates <= 0.0, "Repeated requests with the same order id."),
        absent(mix.duplicates * mix.altered <= 0.0, "The same order id with another body."),
        absent(mix.quantity_max == 1, "Orders of more than one unit."),
        absent(scenario.items.len() == 1, "A sale of several items."),
        absent(scenario.processes.api == 1, "Several api processes side by side."),
        absent(scenario.processes.worker == 1, "Several worker processes side by side."),
        absent(scenario.promises.limit_per_user == 0, "A purchase limit per user."),
        (ttl_ms > scenario.load_ms())
            .then(|| format!("Expiry of unpaid orders: they live {} s, longer than the load.", ttl_ms / 1_000)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stores(servers: &Servers) -> Vec<String> {
    let database = match servers.mysql.as_str() {
        "" => "Unknown database: its version was not read.".to_owned(),
        version if version.to_ascii_lowercase().contains("mariadb") => {
            format!("Oracle's MySQL: the database was MariaDB ({version}).")
        }
        version => format!("MariaDB: the database was MySQL ({version})."),
    };
    let is = |name: &str, full: &str| servers.settings.get(name).is_none_or(|value| value.eq_ignore_ascii_case(full));
    let weak = !(is("innodb_flush_log_at_trx_commit", "1") && (is("sync_binlog", "1") || is("log_bin", "OFF")));
    let durability = weak.then(|| "Full durability: the database was not set to sync every commit.".to_owned());
    std::iter::once(database).chain(durability).collect()
}
