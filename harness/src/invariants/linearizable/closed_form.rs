//! Tier 1: an exact answer in O(n) where every unit is taken singly and nothing is ever given back.
//!
//! With `T` the first answer of a refusal (`docs/verification.md` 7):
//! ```text
//! linearizable ⇔ |A| ≤ S and ( R = ∅ or ( max sent(A) ≤ T and |A| + |{ i ∈ I : sent(i) ≤ T }| ≥ S ) )
//! ```
//! A refusal from a flag in memory moves only the start of its interval, which the formula does not use.

use super::{Basis, Contradiction, Fate, ItemStock, NEVER, Taking};
use crate::clock::Offset;

/// Whether the formula may be used: single units, nothing given back, nothing added or cut, no transient hold, every refusal names this item.
pub(crate) fn applies(stock: &ItemStock) -> bool {
    let plain = |taking: &Taking| taking.units == 1 && taking.undone_from == NEVER && taking.fate != Fate::Transient;
    stock.increases.is_empty()
        && stock.decreases.is_empty()
        && stock.takings.iter().all(plain)
        && stock.refusals.iter().all(|refusal| refusal.units == 1 && refusal.named)
}

/// Contradictions by the formula; empty exactly if a legal order exists. With [`Basis::Ledger`], witnessed takings count as accepted.
pub(crate) fn contradictions(stock: &ItemStock, basis: Basis) -> Vec<Contradiction> {
    let accepted = |taking: &&Taking| taking.fate == Fate::Accepted || (basis == Basis::Ledger && taking.fate == Fate::Witnessed);
    let mut doubts: Vec<Offset> = stock.takings.iter().filter(|taking| !accepted(taking)).map(|taking| taking.sent).collect();
    doubts.sort_unstable();
    let count = stock.takings.iter().filter(accepted).count() as u64;
    let last_sent = stock.takings.iter().filter(accepted).map(|taking| taking.sent).max().unwrap_or_default();
    let mut found: Vec<Contradiction> = oversold(stock, count, &accepted).into_iter().collect();
    for refusal in &stock.refusals {
        let possibly_out = count + doubts.partition_point(|sent| *sent <= refusal.answered) as u64;
        if refusal.answered < last_sent || possibly_out < stock.opening {
            let free = stock.opening.saturating_sub(possibly_out).max(1);
            found.push(Contradiction::FalseRefusal { op: refusal.op, free: free.cast_signed() });
        }
    }
    found
}

fn oversold(stock: &ItemStock, count: u64, accepted: &impl Fn(&&Taking) -> bool) -> Option<Contradiction> {
    let over = count.checked_sub(stock.opening).filter(|over| *over > 0)?;
    let last = stock.takings.iter().filter(accepted).max_by_key(|taking| (taking.answered, taking.sent))?;
    Some(Contradiction::Oversold { op: last.op, out: (count - over).cast_signed(), units: over })
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::super::search::{self, Draw};
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn it_agrees_with_an_exhaustive_search_on_every_small_history() {
        let mut random = Seed(1).stream("closed form");
        let (mut legal, mut illegal) = (0, 0);
        for round in 0..20_000 {
            let operations = random.random_range(1..=7);
            let stock = search::draw(
                &mut random,
                Draw { operations, units_max: 1, undo: false, transient: false, restock: false, cut: false },
            );
            assert!(applies(&stock), "{stock:?}");
            let exists = search::legal_order_exists(&stock);
            assert_eq!(contradictions(&stock, Basis::Clients).is_empty(), exists, "round {round}: {stock:?}");
            if exists { legal += 1 } else { illegal += 1 }
        }
        assert!(legal > 3_000 && illegal > 3_000, "{legal} legal, {illegal} not");
    }

    #[test]
    fn with_the_ledger_as_witness_it_agrees_with_the_search_too() {
        let mut random = Seed(2).stream("closed form");
        for round in 0..5_000 {
            let draw = Draw { operations: 6, units_max: 1, undo: false, transient: false, restock: false, cut: false };
            let mut stock = search::draw(&mut random, draw);
            for taking in stock.takings.iter_mut().filter(|taking| taking.fate == Fate::Doubt) {
                if random.random_bool(0.5) {
                    taking.fate = Fate::Witnessed;
                }
            }
            let exists = search::legal_order_exists(&stock);
            assert_eq!(contradictions(&stock, Basis::Ledger).is_empty(), exists, "round {round}: {stock:?}");
        }
    }
}
