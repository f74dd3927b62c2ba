//! The limit per user inside group commit: a member that is over it is refused alone.

use reference::domain::UserLimit;
use reference::ledger::Written;

use crate::ledger_bench::{Bench, id, numbered, order, token, write_as_one_batch};

#[tokio::test]
async fn a_member_over_its_limit_takes_no_neighbour_down() {
    let bench = Bench::with(|settings| settings.writer_connections = 1).await;
    let (limited, free) = (bench.item(100).await, bench.item(100).await);
    // Twice: the second batch knows the limits from the first, and takes its way in one packet.
    for (round, units) in [(0, 3), (1, 6)] {
        bench.ledger.set_user_limit(limited, UserLimit::new(units).unwrap()).await.unwrap();
        let name = |what: &str| format!("{what}-{round}");
        let version = |at: u64| token(1, round * 100 + at);
        let orders = vec![
            order(&name("a-fits"), &[(limited, 2, version(1))]),
            order(&name("b-over"), &[(limited, 2, version(2))]),
            order(&name("c-cart"), &[(free, 1, version(3)), (limited, 3, version(4))]),
            numbered(&name("free"), round * 100 + 5, free, 9),
            order(&name("d-fits"), &[(limited, 1, version(6))]),
        ];
        let written = write_as_one_batch(&bench, orders).await;
        let over = Ok(Written::QuotaExceeded { item: limited });
        assert_eq!(written, [Ok(Written::Committed), over.clone(), over, Ok(Written::Committed), Ok(Written::Committed)]);
        assert_eq!(bench.int("SELECT CAST(SUM(quantity) AS SIGNED) FROM user_quota").await, units);
        for refused in ["b-over", "c-cart"] {
            assert_eq!(bench.ledger.order(&id(&name(refused))).await.unwrap(), None, "a refused order leaves no row");
        }
    }
    let sales = "SELECT COUNT(*) FROM inventory_transactions WHERE kind = 'SALE'";
    assert_eq!(bench.int(sales).await, 8, "with the two that held the writer");
}
