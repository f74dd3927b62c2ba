//! The migrations of the database: the files of `migrations/`, in the program itself.
//!
//! Named one by one, because the driver's macro that reads the folder would have the driver compiled a second time, to run in the compiler.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, description and text. The database holds a checksum of each text that it has run: none may change.
const FILES: [(i64, &str, &str); 11] = [
    (1, "inventory", include_str!("../../../migrations/0001_inventory.sql")),
    (2, "inventory epoch", include_str!("../../../migrations/0002_inventory_epoch.sql")),
    (3, "orders", include_str!("../../../migrations/0003_orders.sql")),
    (4, "inventory transactions", include_str!("../../../migrations/0004_inventory_transactions.sql")),
    (5, "outbox", include_str!("../../../migrations/0005_outbox.sql")),
    (6, "user quota", include_str!("../../../migrations/0006_user_quota.sql")),
    (7, "boot check", include_str!("../../../migrations/0007_boot_check.sql")),
    (8, "user limit", include_str!("../../../migrations/0008_user_limit.sql")),
    (9, "stock changes", include_str!("../../../migrations/0009_stock_changes.sql")),
    (20, "epoch returns to", include_str!("../../../migrations/0020_epoch_returns_to.sql")),
    (30, "audit findings", include_str!("../../../migrations/0030_audit_findings.sql")),
];

/// All of them, in order.
pub(super) fn all() -> Migrator {
    let migration = |(version, description, text): (i64, &'static str, &'static str)| {
        Migration::new(version, description.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(FILES.map(migration).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_folder_is_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let files: BTreeSet<(String, String)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        let named = FILES
            .map(|(version, description, text)| (format!("{version:04}_{}.sql", description.replace(' ', "_")), text.to_owned()));
        assert_eq!(files, BTreeSet::from(named));
    }
}
