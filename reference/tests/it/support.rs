//! Real stores for the tests: one pair a test process, an own database and own item numbers for each test.

use harness::stack::stores::{Stores, StoresSpec};
use reference::domain::Item;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::OnceCell;

static STORES: OnceCell<Stores> = OnceCell::const_new();
static NEXT: AtomicI64 = AtomicI64::new(1);

/// The stores of this test process. They end with it.
pub(crate) async fn stores() -> &'static Stores {
    let start = || Stores::start(StoresSpec { ready_ms: 60_000, ..StoresSpec::default() });
    STORES.get_or_try_init(start).await.expect("tests need redis-server and mariadbd (or mysqld): run scripts/setup")
}

/// A name for an own database.
pub(crate) fn fresh_database() -> String {
    format!("it_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An item that no other test touches.
pub(crate) fn fresh_item() -> Item {
    Item::new(9, 1, NEXT.fetch_add(1, Ordering::Relaxed)).expect("numbers start at 1")
}
