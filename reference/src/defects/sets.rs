//! What can be asked for by one name: a defect, or a set of them.

use std::str::FromStr;

use super::Defect;

/// The design that the project started from, as it was written: every mistake of it that this stack can show, all at once.
///
/// Left out are those that only a topology shows that is not part of the stack: keys that are built inside a script (a cluster of Redis) and
/// resolving by a read of a replica (a replica of MySQL). So is the call of Redis under a row lock, whose worker has no cursor. Mistakes of
/// the protocol itself are not in the set either: the design had no epochs.
const SEED: &[Defect] = &[
    // Rollback and idempotency
    Defect::RollbackOnDuplicate,
    Defect::RollbackWithoutTombstone,
    Defect::RollbackOnUnknownCommit,
    Defect::ResolveByRead,
    Defect::RollbackNotGated,
    Defect::LockWithTtl,
    Defect::RetryTakesAgain,
    Defect::QuantityIgnoredOnRetry,
    Defect::RefreshBySet,
    Defect::WarmUpOnStart,
    Defect::BaseIgnoresOpenOrders,
    Defect::CancelIgnoresLedgerState,
    Defect::ResolverSkipsLiveOrders,
    Defect::ExpiryIncrementsBlindly,
    Defect::LateReservationForgotten,
    // Redis
    Defect::MissingStockIsZero,
    Defect::EvictionAllowed,
    Defect::KeysWithoutStore,
    Defect::WritesBeforeChecks,
    Defect::StaleRedisTrusted,
    Defect::EpochNotChecked,
    Defect::KeysScan,
    Defect::DegradeWithoutFence,
    // Ledger and outbox
    Defect::RedeliveryIsAnError,
    Defect::NoDeadLetter,
    Defect::CursorPolling,
    Defect::CartRollbackPerItem,
    Defect::OneLedgerRowPerItem,
    Defect::RepairFromSum,
    Defect::RestockRedisFirst,
    Defect::AlertOnRatio,
    Defect::NoSessionTimeout,
    Defect::AllErrorsAlike,
];

/// What `--defects` takes: the name of a defect, or `seed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(Vec<Defect>);

impl Wanted {
    /// The defects.
    pub fn defects(&self) -> impl Iterator<Item = Defect> + '_ {
        self.0.iter().copied()
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "seed" { Ok(Self(SEED.to_vec())) } else { name.parse().map(|defect| Self(vec![defect])) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_asked_for_by_its_name_and_so_is_a_defect() {
        let seed: Wanted = "seed".parse().unwrap();
        assert!(seed.defects().any(|defect| defect == Defect::RefreshBySet));
        assert_eq!("refresh_by_set".parse(), Ok(Wanted(vec![Defect::RefreshBySet])));
        assert!("none_such".parse::<Wanted>().is_err());
    }
}
