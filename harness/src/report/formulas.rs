//! The formula of each claim, for the story of its violation.
//!
//! In: the name of a claim. Out: what has to be true, in the words and signs of `docs/verification.md` 6, which says it in full.

/// Name and formula.
const FORMULAS: [(&str, &str); 25] = [
    ("evidence_is_sound", "every rule of the history holds ∧ every snapshot is of one moment ∧ every injected fault was healed"),
    ("no_oversell", "for each item: Σ units of live orders ≤ supply ∧ Σ units accepted and not possibly undone ≤ supply"),
    ("no_false_sold_out", "for each refusal: units possibly out while it was open + units asked > supply"),
    ("acknowledged_is_durable", "for each acknowledged order: its row is there ∧ (it is live ∨ its end was asked for or due)"),
    (
        "rejected_left_no_trace",
        "for each id that was only refused: no live order, no SALE in LOCK or OUT, no event in NEW, no lock",
    ),
    ("nothing_unasked", "every row, lock and record belongs to an id that was sent, with its user, items and units"),
    ("once_per_order_id", "for each id: ≤ 1 order row, ≤ 1 ledger row per item and kind, and all acknowledgements agree"),
    ("carts_are_whole", "for each live order: exactly one SALE in LOCK or OUT per item asked, of that quantity, and no other"),
    ("legal_transitions", "every two states seen one after the other are an edge of the state machine"),
    ("ledger_balances", "for each item: current_stock = Σ IN − Σ OUT ∧ current_stock − locked_stock ≥ Σ SALE in LOCK"),
    ("redis_equals_ledger", "for each item at rest: stock in Redis = current_stock − locked_stock, in one epoch"),
    (
        "audits_find_nothing",
        "for each audit of the service: stock in Redis + held by tokens + increases under way = what the ledger has left",
    ),
    ("every_lock_resolved", "at rest: locks in Redis = 0 ∧ SALE rows in LOCK = 0"),
    ("outbox_drained", "at rest: events in NEW or DEAD = 0 ∧ every sale and every undo has its event"),
    ("one_epoch_commits", "for each item: no token in two SALE rows ∧ by ledger id, epochs never fall"),
    ("user_quota_respected", "for each user and item: Σ units of live orders ≤ limit ∧ user_quota = Σ units of live orders"),
    ("drain_sells_exactly_supply", "for each item after the drain: Σ units of live orders = supply ∧ stock in Redis = 0"),
    ("stops_cleanly", "every service process that was told to end did, with exit code 0, within 10 s"),
    ("recovers_in_time", "for each fault and component: time from the heal to the first of 10 good windows ≤ promised"),
    ("answers_without_error", "of create_order in the baseline: those without an answer ≤ 1 %"),
    ("latency_within_budget", "p99 of the response time of create_order ≤ budget, for accepted and refused orders each"),
    ("pre_deduct_failures_below", "in every 60 s: failed pre_deducts ÷ attempts ≤ the promised share"),
    ("deduct_failures_below", "in every 60 s: failed deduct transactions ÷ (failed + committed) ≤ the promised share"),
    ("inconsistencies_below", "items and orders out of balance ≤ the promised number"),
    ("alerts_match_history", "at every evaluation: the alert is on ⇔ what was counted exceeds its threshold"),
];

/// The formula of a claim; none for a claim that has no entry here.
#[must_use]
pub fn formula(invariant: &str) -> Option<&'static str> {
    FORMULAS.iter().find(|(name, _)| *name == invariant).map(|(_, formula)| *formula)
}
