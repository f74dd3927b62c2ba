//! Planted defects: mistakes that a programmer could have made, each behind its name. Only in builds with the feature `defects`.
//!
//! A harness that has never caught a bug proves nothing, so `chaos selftest` starts the service with one of them and asks which claim fails.
//! A normal build has neither this module nor any line that asks it: each place where a defect is planted is compiled with the feature only.
//!
//! A defect stands where a programmer would make the mistake and is no larger than that. A mistake in a script of `lua/` is a replacement of
//! some of its text, so that the scripts themselves stay as they are.

pub mod scripts;

use std::sync::OnceLock;

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
];

impl std::str::FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, defect)| defect.name());
        Self::ALL.iter().copied().find(|defect| defect.name() == name).ok_or_else(|| format!("there is no defect {name:?}"))
    }
}

/// Plants defects in this process. Each further call is without effect.
pub fn plant(defects: &[Defect]) {
    if !defects.is_empty() {
        tracing::warn!(defects = %defects.iter().map(|defect| defect.name()).collect::<Vec<_>>().join(","), "planted defects");
    }
    PLANTED.get_or_init(|| defects.to_vec());
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
