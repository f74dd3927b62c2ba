//! Real stores for the tests of the taps: one pair for all of them.

use harness::stack::stores::{Stores, StoresSpec};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

static STORES: OnceCell<Stores> = OnceCell::const_new();
static SCRIPTS: Mutex<()> = Mutex::const_new(());

/// The stores of this test process. They end with it. MySQL takes packets of more than 16 MB.
pub(crate) async fn stores() -> &'static Stores {
    let spec =
        || StoresSpec { mysql_args: vec!["--max-allowed-packet=64M".into(), "--local-infile=1".into()], ..StoresSpec::default() };
    let started = STORES.get_or_try_init(|| Stores::start(spec())).await;
    started.expect("tests need redis-server and mariadbd (or mysqld): run scripts/setup")
}

/// Waits until no other test counts on the scripts that Redis knows.
pub(crate) async fn scripts_alone() -> MutexGuard<'static, ()> {
    SCRIPTS.lock().await
}
