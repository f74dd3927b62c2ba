//! The rules: invariants that must never break, ages and backlogs that say that a worker is behind, and the error rates of the two deducts.

use super::{Measure, Rule, Selector, Severity};

const fn of(metric: &'static str, labels: &'static [(&'static str, &'static [&'static str])]) -> Selector {
    Selector { metric, labels }
}

const fn findings(kinds: &'static [(&'static str, &'static [&'static str])]) -> Measure {
    Measure::Rise(of("holdfast_findings_total", kinds), 600)
}

const fn page(name: &'static str, measure: Measure, above: f64, summary: &'static str, action: &'static str) -> Rule {
    Rule { name, severity: Severity::Page, measure, above, for_seconds: 0, summary, action }
}

const fn warn(name: &'static str, measure: Measure, above: f64, summary: &'static str, action: &'static str) -> Rule {
    Rule { severity: Severity::Warn, ..page(name, measure, above, summary, action) }
}

const fn lasting(rule: Rule, for_seconds: u32) -> Rule {
    Rule { for_seconds, ..rule }
}

const PRE_DEDUCTS: Selector = of("holdfast_steps_total", &[("step", &["pre_deduct"])]);
const PRE_DEDUCT_ERRORS: Selector =
    of("holdfast_steps_total", &[("step", &["pre_deduct"]), ("result", &["unknown", "gave_up", "not_executed"])]);
const DEDUCTS: Selector = of("holdfast_steps_total", &[("step", &["deduct_batch"])]);
const DEDUCT_ERRORS: Selector = of("holdfast_steps_total", &[("step", &["deduct_batch"]), ("result", &["failed"])]);
const ORDERS: Selector = of("holdfast_steps_total", &[("step", &["order_write"])]);
const ORDER_ERRORS: Selector = of("holdfast_steps_total", &[("step", &["order_write"]), ("result", &["failed", "unknown"])]);
const WORKERS: &[&str] = &["deduct", "delta", "resolver", "expiry", "housekeeping", "reconciler", "return"];
const WORKER_ERRORS: Selector = of("holdfast_steps_total", &[("step", WORKERS), ("result", &["error"])]);
const OLDEST_LOCK: Measure = Measure::Highest(of("holdfast_lock_overdue_seconds", &[]));
const OLDEST_MESSAGE: Measure = Measure::Highest(of("holdfast_outbox_oldest_seconds", &[]));

/// Orders that were not created, for whatever reason.
#[cfg(feature = "defects")]
pub(super) const ORDERS_REFUSED: Measure = Measure::Share(
    of("holdfast_steps_total", &[("step", &["create"]), ("result", &["sold_out", "not_admitted", "throttled", "unknown"])]),
    of("holdfast_steps_total", &[("step", &["create"])]),
    60,
);

/// All rules, the gravest first.
pub const RULES: &[Rule] = &[
    page(
        "HoldfastDrift",
        findings(&[("kind", &["drift", "foreign_lock"])]),
        0.0,
        "Redis and the ledger differed; the item was rebuilt",
        "Read audit_findings and the log for the cause: a stranger wrote to Redis, or a rule of the protocol was broken",
    ),
    page(
        "HoldfastLedgerDifference",
        Measure::Highest(of("holdfast_ledger_differences", &[])),
        0.0,
        "A balance is not the sum of its ledger rows",
        "Audit the item; find who wrote to the tables; correct by a restock or a stock cut with a reason, never by the sum",
    ),
    page(
        "HoldfastNegativeBase",
        findings(&[("kind", &["negative_base"])]),
        0.0,
        "An item had more open sales than stock and is closed",
        "Audit the item, restock what is missing or cancel orders, then reopen it",
    ),
    page(
        "HoldfastGuardRefused",
        findings(&[("kind", &["guard_refused"])]),
        0.0,
        "A balance refused units that a committed order or Redis held",
        "Audit the item; its orders stay, their messages end DEAD until the balance is corrected and they are requeued",
    ),
    page(
        "HoldfastTwoProcesses",
        findings(&[("kind", &["two_processes"])]),
        0.0,
        "Two Redis processes held a counter of one epoch",
        "Find out which Redis the processes talk to; a proxy may be switching under open connections",
    ),
    page(
        "HoldfastOutboxDead",
        Measure::Highest(of("holdfast_outbox_messages", &[("status", &["DEAD"])])),
        0.0,
        "A message was given up",
        "List the dead messages, mend what their reason names, then requeue them",
    ),
    page(
        "HoldfastClosed",
        Measure::Highest(of("holdfast_items", &[("mode", &["CLOSED"])])),
        0.0,
        "An item is closed: nobody can order it",
        "Audit it; reopen it once its ledger adds up",
    ),
    page(
        "HoldfastNotReady",
        Measure::Highest(of("holdfast_not_ready_seconds", &[])),
        5.0,
        "The counter of an item has not been able to admit for more than 5 s",
        "See whether Redis answers and whether rebuilds fail (log, steps of step rebuild)",
    ),
    page(
        "HoldfastLocksVeryOld",
        OLDEST_LOCK,
        120.0,
        "A lock is 120 s beyond the grace period: nobody settles locks",
        "See whether a worker process runs and whether it reaches both stores",
    ),
    page(
        "HoldfastOutboxVeryOld",
        OLDEST_MESSAGE,
        60.0,
        "A message has waited for more than 60 s",
        "See whether a worker process runs; read last_error of the oldest messages in the outbox",
    ),
    page(
        "HoldfastPreDeductErrors",
        Measure::Share(PRE_DEDUCT_ERRORS, PRE_DEDUCTS, 60),
        0.05,
        "More than 5 % of the calls of pre_deduct ended in an error (refusals do not count)",
        "See whether Redis answers in time",
    ),
    page(
        "HoldfastOrderErrors",
        Measure::Share(ORDER_ERRORS, ORDERS, 60),
        0.05,
        "More than 5 % of the orders that had their units could not be written",
        "See whether MySQL takes writes (read only, full, locked); the log of the worker processes has its words",
    ),
    page(
        "HoldfastDeductErrors",
        Measure::Share(DEDUCT_ERRORS, DEDUCTS, 60),
        0.01,
        "More than 1 % of the deduct transactions failed (refusals of the guard do not count)",
        "See whether MySQL answers in time",
    ),
    warn(
        "HoldfastLocksOld",
        OLDEST_LOCK,
        30.0,
        "A lock is 30 s beyond the grace period",
        "See whether the resolver fails (log) or is behind",
    ),
    warn(
        "HoldfastOutboxOld",
        OLDEST_MESSAGE,
        10.0,
        "A message has waited for more than 10 s",
        "See whether the deduct and delta workers fail or are behind; start more worker processes",
    ),
    warn(
        "HoldfastRebuildsOften",
        Measure::HighestRise(of("holdfast_item_epoch", &[]), 60),
        3.0,
        "An item was rebuilt more than 3 times within a minute",
        "Redis restarts, fails over or is written to by strangers; each rebuild voids reservations that are not yet orders",
    ),
    warn(
        "HoldfastModeNotRedis",
        Measure::Highest(of("holdfast_items", &[("mode", &["STRICT", "DB", "CLOSED"])])),
        0.0,
        "An item is not in mode REDIS",
        "Nothing if it was meant; DB returns by itself after an outage of Redis",
    ),
    lasting(
        warn(
            "HoldfastWorkerErrors",
            Measure::Rise(WORKER_ERRORS, 60),
            5.0,
            "Rounds of a worker fail again and again",
            "Read the log of the worker processes",
        ),
        30,
    ),
];
