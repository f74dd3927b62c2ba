//! Chooses the tier for each item and gathers what the tiers found.

use std::collections::{HashMap, HashSet};

use super::stock_of::stocks;
use super::{Basis, Contradiction, Fate, ItemStock, bounds, closed_form, replay};
use crate::history::record::OpId;
use crate::invariants::case::{Case, merged};
use crate::invariants::verdict::Strength;
use crate::scenario::ItemId;

/// One contradiction of one item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finding {
    pub(crate) item: ItemId,
    pub(crate) opening: u64,
    pub(crate) contradiction: Contradiction,
    pub(crate) basis: Basis,
    /// The method that decided, in words.
    pub(crate) tier: &'static str,
}

/// The linearizability of all items.
#[derive(Debug, Default)]
pub(crate) struct StockJudgement {
    pub(crate) findings: Vec<Finding>,
    pub(crate) takings: usize,
    pub(crate) refusals: usize,
    /// Items, and how many of them were decided exactly.
    pub(crate) items: usize,
    exact: usize,
}

impl StockJudgement {
    /// Judges every item that anybody asked for. Nothing if the history is not sound.
    pub(crate) fn of(case: &Case<'_>) -> Self {
        let mut judgement = Self::default();
        if !case.history_is_sound() {
            return judgement;
        }
        let mut unnamed = HashSet::new();
        for stock in stocks(case) {
            judgement.add(&stock);
            unnamed.extend(stock.refusals.iter().filter(|refusal| !refusal.named).map(|refusal| refusal.op));
        }
        judgement.keep_whole_carts(case, &unnamed);
        judgement
    }

    /// [`Strength::Exact`] if every item was decided exactly.
    pub(crate) const fn strength(&self) -> Strength {
        if self.exact == self.items { Strength::Exact } else { Strength::Sound }
    }

    fn add(&mut self, stock: &ItemStock) {
        self.takings += stock.takings.len();
        self.refusals += stock.refusals.len();
        self.items += 1;
        let by_formula = closed_form::applies(stock);
        let (tier, contradictions): (_, fn(&ItemStock, Basis) -> Vec<Contradiction>) =
            if by_formula { ("closed form", closed_form::contradictions) } else { ("interval bounds", bounds::contradictions) };
        let mut found = Vec::new();
        let mut gather = |tier, basis, contradictions: Vec<Contradiction>| {
            let (item, opening) = (stock.item, stock.opening);
            let told = contradictions.into_iter();
            found.extend(told.map(|contradiction| Finding { item, opening, contradiction, basis, tier }));
        };
        gather(tier, Basis::Clients, contradictions(stock, Basis::Clients));
        if stock.takings.iter().any(|taking| taking.fate == Fate::Witnessed) {
            gather(tier, Basis::Ledger, contradictions(stock, Basis::Ledger));
        }
        let replayed = replay::replay(stock);
        self.exact += usize::from(by_formula || replayed.as_ref().is_some_and(|replay| replay.gapless));
        gather("replay by version", Basis::Clients, replayed.map(|replay| replay.contradictions).unwrap_or_default());
        self.findings.extend(without_repeats(found));
    }

    /// A refusal of several items that names none is false only if every one of them was certainly free.
    fn keep_whole_carts(&mut self, case: &Case<'_>, unnamed: &HashSet<OpId>) {
        let mut free: HashMap<OpId, usize> = HashMap::new();
        let refused = |finding: &Finding| match finding.contradiction {
            Contradiction::FalseRefusal { op, .. } => Some(op).filter(|op| unnamed.contains(op)),
            _ => None,
        };
        for op in self.findings.iter().filter_map(refused) {
            *free.entry(op).or_insert(0) += 1;
        }
        let asked = |op: OpId| case.operation(op).map_or(0, |op| merged(&op.items).len());
        self.findings.retain(|finding| refused(finding).is_none_or(|op| free[&op] == asked(op)));
    }
}

/// The findings of one item, without an operation that an earlier method or basis named for the same harm.
fn without_repeats(findings: Vec<Finding>) -> impl Iterator<Item = Finding> {
    let mut seen = HashSet::new();
    findings.into_iter().filter(move |finding| match finding.contradiction {
        Contradiction::Oversold { op, .. } => seen.insert((true, op)),
        Contradiction::FalseRefusal { op, .. } => seen.insert((false, op)),
        _ => true,
    })
}
