//! Planted defects: mistakes that a programmer could have made, each behind its name. Only in builds with the feature `defects`.
//!
//! A harness that has never caught a bug proves nothing, so `chaos selftest` starts the service with one of them and asks which claim fails.
//! A normal build has neither this module nor any line that asks it: each place where a defect is planted is compiled with the feature only.
//!
//! A defect stands where a programmer would make the mistake and is no larger than that. A mistake in a script of `lua/` is a replacement of
//! some of its text, so that the scripts themselves stay as they are.

pub mod scripts;

mod sets;

use std::sync::OnceLock;

pub use sets::Wanted;

/// What a process was started with. Set once, before anything runs.
static PLANTED: OnceLock<Vec<Defect>> = OnceLock::new();

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)*) => {
        /// A defect, by the name of its switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Defect {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The mistake in one line.
            #[must_use]
            pub fn mistake(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

defects! {
    /// A unit is looked for and taken in two calls.
    CheckThenDecrement = "check_then_decrement";
    /// The last unit is never sold: `<=` where `<` belongs.
    OffByOne = "off_by_one";

    // Redis and the create flow
    /// A request is only known while its lock stands, and a reservation is taken for the order's if the order has any.
    RetryTakesAgain = "retry_takes_again";
    /// Nobody settles what a dead process had reserved.
    CrashLeavesLock = "crash_leaves_lock";
    /// A lock expires by itself, before the resolver has seen it.
    LockWithTtl = "lock_with_ttl";
    /// A rollback gives units back whether or not the lock still stood.
    RollbackNotGated = "rollback_not_gated";
    /// A reservation that is not confirmed in time gives its units back by itself, whatever the ledger says.
    LockTtlRacesConfirm = "lock_ttl_races_confirm";
    /// An order id that exists already means that this attempt failed: what it holds goes back.
    RollbackOnDuplicate = "rollback_on_duplicate";
    /// An order that could not be written gives its units back while the id may still become an order elsewhere.
    RollbackWithoutTombstone = "rollback_without_tombstone";
    /// The resolver reads that there is no order, and gives the units back.
    ResolveByRead = "resolve_by_read";
    /// What was sold out once stays so.
    SoldOutFlagSticks = "sold_out_flag_sticks";
    /// A COMMIT without a reply is answered as a failure.
    TimeoutReportedAsFailure = "timeout_reported_as_failure";
    /// A COMMIT without a reply is taken for a failure, and the units go back.
    RollbackOnUnknownCommit = "rollback_on_unknown_commit";
    /// One catch for every error of either store: it failed, so what was taken goes back.
    AllErrorsAlike = "all_errors_alike";
    /// A reservation whose reply was lost is undone by adding its units.
    RollbackOfUnknownAddsStock = "rollback_of_unknown_adds_stock";
    /// A cart that is rolled back gives all of it to its first item.
    RollbackOfWrongSku = "rollback_of_wrong_sku";
    /// The same order with another quantity is the same order.
    QuantityIgnoredOnRetry = "quantity_ignored_on_retry";
    /// The resolver has no branch for locks of orders that never were.
    LateReservationForgotten = "late_reservation_forgotten";
    /// A counter that is not there is read as 0.
    MissingStockIsZero = "missing_stock_is_zero";
    /// A server that evicts keys will do, and locks are keys with a TTL.
    EvictionAllowed = "eviction_allowed";
    /// Locks and records are named by the sku without its store.
    KeysWithoutStore = "keys_without_store";
    /// The counter is written before the order's record was looked at.
    WritesBeforeChecks = "writes_before_checks";
    /// Locks are looked for among all keys of the server.
    KeysScan = "keys_scan";
    /// A cart that is refused gives back what it holds item by item, without spending its id.
    CartRollbackPerItem = "cart_rollback_per_item";
    /// Balances are moved in any order, and what a deadlock interrupts goes on where it stopped.
    DeadlockRetryRepeatsHalf = "deadlock_retry_repeats_half";
    /// The stock is looked at before the order's own reservation.
    SoldOutBeforeRecord = "sold_out_before_record";
    /// Nobody remembers which increases were applied.
    DeltaWithoutMarker = "delta_without_marker";
    /// A counter is believed whichever process it was installed in.
    StaleRedisTrusted = "stale_redis_trusted";
    /// An order is written whatever epoch its token is of.
    EpochNotChecked = "epoch_not_checked";

    // Ledger, workers, rebuild
    /// The message of an order is written behind the COMMIT of the order, by a statement of its own.
    OutboxOutsideTransaction = "outbox_outside_transaction";
    /// A message is done when it is taken, before what it asks for is committed.
    OutboxDoneBeforeDeduct = "outbox_done_before_deduct";
    /// A message that comes again is deducted again.
    DeductWithoutDedup = "deduct_without_dedup";
    /// A balance is lowered without asking whether it covers that.
    DeductWithoutGuard = "deduct_without_guard";
    /// What is available leaves out the orders whose deduct is still to come.
    BaseIgnoresOpenOrders = "base_ignores_open_orders";
    /// The reconciler writes the balance over the counter in Redis.
    RefreshBySet = "refresh_by_set";
    /// A process that starts writes the balances over the counters in Redis.
    WarmUpOnStart = "warm_up_on_start";
    /// An order that ends is given back as if its deduct were still to come.
    CancelIgnoresLedgerState = "cancel_ignores_ledger_state";
    /// The resolver has no branch for the lock of an order that stands.
    ResolverSkipsLiveOrders = "resolver_skips_live_orders";
    /// An expiry adds to Redis by itself, whether or not it was what ended the order.
    ExpiryIncrementsBlindly = "expiry_increments_blindly";
    /// What a worker claims is free again before its work is done, and it does not look again.
    LeaseShorterThanWork = "lease_shorter_than_work";
    /// The reconciler reads both stores one after the other and adds the difference to the counter.
    ReconcilerRepairsTwice = "reconciler_repairs_twice";
    /// The reconciler sets the balance to a sum in which whatever is no receipt is an issue.
    RepairFromSum = "repair_from_sum";
    /// What a worker has claimed is nobody's once it is dead.
    ClaimSurvivesCrash = "claim_survives_crash";
    /// A process that cannot reach Redis sells from the balance while others sell from Redis.
    DegradeWithoutFence = "degrade_without_fence";
    /// A message whose sale is settled already is an error, and is tried again for ever.
    RedeliveryIsAnError = "redelivery_is_an_error";
    /// A message that cannot be settled fails its whole batch, for ever.
    NoDeadLetter = "no_dead_letter";
    /// Messages are read from the last id on that was seen.
    CursorPolling = "cursor_polling";
    /// The deduct keeps its items locked while it waits for Redis.
    RedisCallUnderRowLock = "redis_call_under_row_lock";
    /// The ledger has one row for an order and an item, and no place for what is given back.
    OneLedgerRowPerItem = "one_ledger_row_per_item";
    /// A restock is added to Redis before it is booked.
    RestockRedisFirst = "restock_redis_first";
    /// The alert on failures counts refusals for lack of stock.
    AlertOnRatio = "alert_on_ratio";
    /// A session may be idle inside a transaction for as long as it likes.
    NoSessionTimeout = "no_session_timeout";
    /// A counter that is lost is installed again, with the number that its epoch began with.
    SameEpochInstalledTwice = "same_epoch_installed_twice";
    /// A counter is installed although nobody can say whether its epoch was committed.
    InstallAfterUnknownCommit = "install_after_unknown_commit";
    /// An order compares its epoch without locking it.
    EpochCheckedWithoutLock = "epoch_checked_without_lock";
    /// A rebuild reads what is available before it has the lock.
    BaseBeforeBarrier = "base_before_barrier";
    /// The epoch of an increase is read before its transaction begins.
    DeltaEpochOutsideTransaction = "delta_epoch_outside_transaction";
    /// An item is handed over to MySQL while its deducts are still to come.
    DegradeWithoutFlush = "degrade_without_flush";
    /// Who owns the units of a reservation is told by the status of its order.
    RollbackByStatus = "rollback_by_status";
    /// What is given back before its deduct goes back by a rollback of its lock.
    UnlockConfirmedAndRolledBack = "unlock_confirmed_and_rolled_back";
}

/// Further names of a mistake: the seed design's flaws, and mistakes of the protocol that come to the same.
const ALIASES: &[(&str, Defect)] = &[
    // Redis and the create flow
    ("idempotency_ends_with_lock", Defect::RetryTakesAgain),
    ("rollback_not_idempotent", Defect::RollbackNotGated),
    ("rollback_ignores_token", Defect::RollbackOnDuplicate),
    ("read_without_lock", Defect::ResolveByRead),
    ("restarted_redis_trusted", Defect::StaleRedisTrusted),
    ("incarnation_not_checked", Defect::StaleRedisTrusted),
    // Ledger, workers, rebuild
    ("reconciler_overwrites_redis", Defect::RefreshBySet),
];

impl std::str::FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, defect)| defect.name());
        Self::ALL.iter().copied().find(|defect| defect.name() == name).ok_or_else(|| format!("there is no defect {name:?}"))
    }
}

/// Plants defects in this process. Each further call is without effect.
pub fn plant(wanted: &[Wanted]) {
    let defects: Vec<Defect> = wanted.iter().flat_map(Wanted::defects).collect();
    if !defects.is_empty() {
        tracing::warn!(defects = %defects.iter().map(|defect| defect.name()).collect::<Vec<_>>().join(","), "planted defects");
    }
    PLANTED.get_or_init(|| defects);
}

/// Whether this process was started with the defect.
#[must_use]
pub fn planted(defect: Defect) -> bool {
    PLANTED.get().is_some_and(|planted| planted.contains(&defect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_unique() {
        for defect in Defect::ALL {
            assert_eq!(defect.name().parse(), Ok(*defect));
            assert!(!defect.mistake().is_empty());
        }
        assert!("none_such".parse::<Defect>().is_err());
    }

    #[test]
    fn a_further_name_is_read_as_its_defect_and_is_no_name_itself() {
        for (alias, defect) in ALIASES {
            assert_eq!(alias.parse(), Ok(*defect));
            assert!(Defect::ALL.iter().all(|defect| defect.name() != *alias), "{alias}");
        }
    }
}
