//! What each planted defect must be caught by: one line a defect.
//!
//! In: nothing, it is data. Out: the scenario that leads to the harm, and the claims that name it. Any one of them kills the defect; another claim alone
//! only sees that something is wrong. The names are those of the registry of the service (`reference/src/defects`); a test in the build that
//! has them compares both lists, and so does every self-test before it begins.

use serde::{Deserialize, Serialize};

/// How much load a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// `chaos run --short`: what is right.
    Short,
    /// The whole scenario with nothing beside it: how fast it is, how soon it is itself again, and what is only seen after a while.
    Whole,
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// Name of the switch.
    pub defect: &'static str,
    /// Scenario that leads to its harm.
    pub scenario: &'static str,
    /// Claims that name its harm, the most telling first.
    pub claims: &'static [&'static str],
    /// How long it runs.
    pub length: Length,
    /// Whether it is one of the ten most common mistakes.
    pub quick: bool,
}

impl Expectation {
    const fn quick(self) -> Self {
        Self { quick: true, ..self }
    }

    const fn whole(self) -> Self {
        Self { length: Length::Whole, ..self }
    }
}

const fn line(defect: &'static str, scenario: &'static str, claims: &'static [&'static str]) -> Expectation {
    Expectation { defect, scenario, claims, length: Length::Short, quick: false }
}

const OVERSELL: &str = "no_oversell";
const FALSE_SOLD_OUT: &str = "no_false_sold_out";
const DURABLE: &str = "acknowledged_is_durable";
const NO_TRACE: &str = "rejected_left_no_trace";
const ONCE: &str = "once_per_order_id";
const CARTS: &str = "carts_are_whole";
const TRANSITIONS: &str = "legal_transitions";
const LEDGER: &str = "ledger_balances";
const EQUAL: &str = "redis_equals_ledger";
const AUDITS: &str = "audits_find_nothing";
const LOCKS: &str = "every_lock_resolved";
const OUTBOX: &str = "outbox_drained";
const EPOCH: &str = "one_epoch_commits";
const DRAIN: &str = "drain_sells_exactly_supply";
const RECOVERS: &str = "recovers_in_time";
const LATENCY: &str = "latency_within_budget";
const ALERTS: &str = "alerts_match_history";

/// Every defect that can be planted.
pub const TABLE: &[Expectation] = &[
    // Redis and the create flow
    line("check_then_decrement", "flash_sale", &[OVERSELL, DRAIN]).quick(),
    line("off_by_one", "steady", &[FALSE_SOLD_OUT, DRAIN]).quick(),
    line("retry_takes_again", "duplicate_requests", &[EQUAL, DRAIN, AUDITS]).quick(),
    line("crash_leaves_lock", "order_crash", &[LOCKS, DRAIN]),
    line("lock_with_ttl", "order_crash", &[EQUAL, AUDITS, DRAIN]),
    line("rollback_not_gated", "rollback_reply_lost", &[EQUAL, AUDITS, OVERSELL]).quick(),
    line("lock_ttl_races_confirm", "ledger_behind", &[EQUAL, AUDITS, OVERSELL]),
    line("rollback_on_duplicate", "duplicate_requests", &[OVERSELL, EQUAL, AUDITS]).quick(),
    line("rollback_without_tombstone", "mysql_refuse_one", &[OVERSELL, EQUAL, AUDITS]),
    line("resolve_by_read", "mysql_stall", &[OVERSELL, EQUAL, AUDITS]),
    line("sold_out_flag_sticks", "cancel_then_sell", &[FALSE_SOLD_OUT, DRAIN]),
    line("timeout_reported_as_failure", "commit_reply_lost", &[NO_TRACE]),
    line("rollback_on_unknown_commit", "commit_reply_lost", &[NO_TRACE, OVERSELL, EQUAL, AUDITS]).quick(),
    line("all_errors_alike", "commit_reply_lost", &[NO_TRACE, EQUAL, AUDITS]),
    line("rollback_of_unknown_adds_stock", "late_pre_deduct", &[EQUAL, AUDITS, OVERSELL]),
    line("rollback_of_wrong_sku", "cart_contention", &[EQUAL, AUDITS, CARTS]),
    line("quantity_ignored_on_retry", "duplicate_requests", &[ONCE, DURABLE, EQUAL]),
    line("late_reservation_forgotten", "late_pre_deduct", &[LOCKS, DRAIN]),
    line("missing_stock_is_zero", "redis_data_loss", &[FALSE_SOLD_OUT, DRAIN]).quick(),
    line("eviction_allowed", "redis_evicts", &[EQUAL, AUDITS, DRAIN]),
    line("keys_without_store", "two_stores", &[OVERSELL, EQUAL, CARTS]),
    line("writes_before_checks", "duplicate_requests", &[FALSE_SOLD_OUT, EQUAL, AUDITS, DRAIN]),
    line("keys_scan", "hot_keys", &[LATENCY]).whole(),
    line("cart_rollback_per_item", "cart_contention", &[CARTS, EQUAL, AUDITS]),
    line("deadlock_retry_repeats_half", "slow_network", &[LEDGER, EQUAL, CARTS]),
    line("sold_out_before_record", "duplicate_requests", &[ONCE, FALSE_SOLD_OUT, LOCKS]),
    line("delta_without_marker", "delta_reply_lost", &[EQUAL, AUDITS]),
    line("stale_redis_trusted", "redis_stale_restore", &[OVERSELL, EPOCH, EQUAL]),
    line("epoch_not_checked", "stock_cut_during_sale", &[OVERSELL, EPOCH]),
    // Ledger, workers, rebuild
    line("outbox_outside_transaction", "commit_reply_lost", &[OUTBOX, LOCKS]).quick(),
    line("outbox_done_before_deduct", "deduct_worker_crash", &[LOCKS, TRANSITIONS]),
    line("deduct_without_dedup", "deduct_worker_crash", &[LEDGER]).quick(),
    line("deduct_without_guard", "ledger_behind", &[LEDGER]),
    line("base_ignores_open_orders", "slow_rebuilds", &[OVERSELL, LEDGER, EQUAL]),
    line("refresh_by_set", "reconcile_under_load", &[OVERSELL, EQUAL]).quick(),
    line("warm_up_on_start", "ledger_behind", &[OVERSELL, EQUAL, AUDITS]),
    line("cancel_ignores_ledger_state", "cancel_then_sell", &[LEDGER, EQUAL]),
    line("resolver_skips_live_orders", "deduct_worker_crash", &[LOCKS, OUTBOX]),
    line("expiry_increments_blindly", "expiry_race", &[EQUAL, AUDITS, OVERSELL]),
    line("lease_shorter_than_work", "deduct_worker_pause", &[LEDGER, TRANSITIONS, EQUAL]),
    line("reconciler_repairs_twice", "two_reconcilers", &[EQUAL, AUDITS, OVERSELL]),
    line("repair_from_sum", "reconcile_under_load", &[LEDGER, EQUAL]),
    line("claim_survives_crash", "deduct_worker_crash", &[OUTBOX, LOCKS]),
    line("degrade_without_fence", "split_admission", &[OVERSELL, EQUAL]),
    line("redelivery_is_an_error", "deduct_worker_crash", &[OUTBOX, LOCKS]),
    line("no_dead_letter", "bad_message", &[OUTBOX, LOCKS]),
    line("cursor_polling", "forgotten_deduct", &[OUTBOX]),
    line("redis_call_under_row_lock", "worker_redis_slow", &[LATENCY, RECOVERS]).whole(),
    line("one_ledger_row_per_item", "expiry_race", &[OUTBOX, TRANSITIONS]),
    line("restock_redis_first", "restock_refused", &[OVERSELL, EQUAL]),
    line("alert_on_ratio", "cancel_then_sell", &[ALERTS]).whole(),
    line("no_session_timeout", "forgotten_deduct", &[OUTBOX, LOCKS]),
    line("same_epoch_installed_twice", "redis_data_loss", &[OVERSELL, EPOCH]),
    line("epoch_checked_without_lock", "slow_rebuilds", &[OVERSELL]),
    line("base_before_barrier", "slow_rebuilds", &[OVERSELL]),
    line("delta_epoch_outside_transaction", "slow_rebuilds", &[EQUAL, DRAIN, EPOCH]),
    line("degrade_without_flush", "degrade_behind", &[OVERSELL]),
    line("rollback_by_status", "ledger_behind", &[EQUAL, AUDITS, OVERSELL]),
    line("unlock_confirmed_and_rolled_back", "slow_rebuilds", &[EQUAL, DRAIN]),
];

/// Defects that no run of this rig can show, planted or not, and why.
pub const NOT_TESTED: &[(&str, &str)] = &[
    ("install_after_unknown_commit", "shows only where two Redis processes answer at the same time"),
    ("keys_built_in_script", "needs a Redis Cluster in the stack: on one server every key is local"),
    (
        "quantity_unchecked",
        "an unsigned type, the script and a CHECK of the ledger each refuse a negative quantity: no single mistake lets one through",
    ),
    ("resolve_on_replica", "needs a MySQL replica that lags in the stack"),
];

/// The lines that somebody asked for: all, the quick ones, or those of these names.
///
/// # Errors
/// A name that no line has.
pub fn chosen(only: &[String], quick: bool) -> Result<Vec<&'static Expectation>, String> {
    for name in only {
        if let Some((_, why)) = NOT_TESTED.iter().find(|(defect, _)| defect == name) {
            return Err(format!("{name} is not tested: {why}"));
        }
        if !TABLE.iter().any(|line| line.defect == name) {
            let names: Vec<&str> = TABLE.iter().map(|line| line.defect).collect();
            return Err(format!("there is no defect {name:?}; there are {}", names.join(", ")));
        }
    }
    let wanted = |line: &&Expectation| (only.is_empty() || only.iter().any(|name| name == line.defect)) && (line.quick || !quick);
    Ok(TABLE.iter().filter(wanted).collect())
}

/// Compares the table with the defects that a program really has.
///
/// # Errors
/// A defect without a line, or a line without its defect: the program is of other sources.
pub fn compare<'a>(planted: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let planted: Vec<&str> = planted.collect();
    let listed = |name: &str| TABLE.iter().any(|line| line.defect == name) || NOT_TESTED.iter().any(|(defect, _)| *defect == name);
    if let Some(name) = planted.iter().find(|name| !listed(name)) {
        return Err(format!("defect {name} has no line in the table of expectations: is chaos-defects of the same sources?"));
    }
    match TABLE.iter().find(|line| !planted.contains(&line.defect)) {
        Some(line) => Err(format!("defect {} is not planted in chaos-defects: is it of the same sources?", line.defect)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalog;

    #[test]
    fn every_line_names_a_scenario_and_claims_that_there_are() {
        let claims: Vec<&str> = harness::invariants::names().collect();
        let mut seen = HashSet::new();
        for line in TABLE {
            assert!(seen.insert(line.defect), "{} has two lines", line.defect);
            assert!(catalog::find(line.scenario).is_some(), "{}: {}", line.defect, line.scenario);
            assert!(!line.claims.is_empty(), "{}", line.defect);
            assert!(line.claims.iter().all(|claim| claims.contains(claim)), "{}: {:?}", line.defect, line.claims);
            assert!(!NOT_TESTED.iter().any(|(defect, _)| *defect == line.defect), "{}", line.defect);
            let timed = line.claims.iter().any(|claim| [RECOVERS, LATENCY].contains(claim));
            assert!(!timed || line.length == Length::Whole, "{}: a short run has no recovery and no percentile", line.defect);
        }
        assert_eq!(TABLE.iter().filter(|line| line.quick).count(), 10);
    }

    #[test]
    fn lines_are_chosen_by_name_and_a_wrong_name_is_told() {
        assert_eq!(chosen(&[], false).unwrap().len(), TABLE.len());
        assert_eq!(chosen(&[], true).unwrap().len(), 10);
        let one = chosen(&["off_by_one".to_owned()], false).unwrap();
        assert_eq!(one.iter().map(|line| line.defect).collect::<Vec<_>>(), ["off_by_one"]);
        assert!(chosen(&["of_by_one".to_owned()], false).unwrap_err().contains("off_by_one"));
        assert!(chosen(&["resolve_on_replica".to_owned()], false).unwrap_err().contains("replica"));
    }

    /// Names in the first column of a table of Markdown.
    fn rows(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|rest| rest.split('`').next()).collect()
    }

    #[test]
    fn the_matrix_on_record_is_of_these_defects_and_readme_has_all_of_it() {
        let recorded = rows(include_str!("../../../docs/selftest-matrix.md"));
        assert!(!recorded.is_empty());
        for defect in &recorded {
            assert!(TABLE.iter().any(|line| line.defect == *defect), "{defect} is on record and not in the table");
        }
        let (_, shown) =
            include_str!("../../../README.md").split_once("<!-- matrix: written by scripts/record-matrix -->").unwrap();
        let (shown, _) = shown.split_once("<!-- end of the matrix -->").unwrap();
        assert_eq!(rows(shown), recorded);
    }

    #[cfg(feature = "defects")]
    #[test]
    fn every_planted_defect_has_a_line_and_every_line_a_defect() {
        compare(reference::defects::Defect::ALL.iter().map(|defect| defect.name())).unwrap();
    }
}
