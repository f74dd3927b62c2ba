//! CREATE: take stock in Redis, then write order, ledger row and outbox message in one transaction of MySQL.
//!
//! Every failure but a lost COMMIT reply is definite for this attempt, because an order comes into being only by its
//! transaction; a lost reply is resolved, never guessed.

use std::sync::Arc;
use std::time::Duration;

use super::admit::{Admitted, Used, in_time};
use super::resolve::Held;
use super::{Flow, Refusal};
use crate::clock::{self, Deadline};
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::{Epoch, Item, OrderRequest, OrderStatus};
use crate::ledger::{Admission, LedgerError, NewOrder, Seat, StoredOrder, Written};

/// Order transactions of one request: each further one follows a new epoch.
const TRIES: u32 = 4;

/// Pauses between two looks for the order of a twin, ms. Together they are longer than its transaction takes on a busy machine, and each is a
/// wait that the answer may be late by, so they grow slowly.
const LOOKS_MS: [u64; 11] = [0, 1, 2, 2, 2, 2, 3, 3, 4, 5, 6];
/// The looks and their pauses take no longer than this: MySQL may be slow, or away, and the seat is taken meanwhile.
const LOOKS_MAX: Duration = Duration::from_millis(100);

/// An order that was committed just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What was asked.
    pub request: Arc<OrderRequest>,
    /// How each line was admitted.
    pub admissions: Vec<Admission>,
    /// Units left in Redis right after each line was taken; `None` where this attempt did not take it.
    pub left: Vec<Option<i64>>,
    /// Epoch that each line was committed in.
    pub epochs: Vec<Epoch>,
}

/// A success of CREATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// This attempt created the order.
    Now(Receipt),
    /// It stood already: same id, user and items.
    Before(StoredOrder),
}

/// What one order transaction led to.
enum Step {
    Answer(Result<Created, Refusal>),
    /// The item's epoch moved on: take stock again.
    Again(Item),
}

/// Whether this attempt may have created the order without knowing it.
#[derive(Clone, Copy)]
enum Doubt {
    None,
    LostCommit,
}

impl Flow {
    /// Creates an order. The same request again has the same answer and no second effect. `repeated` says that the client
    /// sent this id before, so that its row is read first.
    ///
    /// Dropping the future is safe: an order transaction under way goes on, and what it leaves is settled by the resolver.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] if nobody can say whether the order stands; every other refusal means that this attempt had no effect.
    pub async fn create(&self, request: Arc<OrderRequest>, repeated: bool) -> Result<Created, Refusal> {
        let started = clock::now();
        let result = self.create_within(request, repeated, Deadline::after(self.settings.admit_deadline)).await;
        self.metrics.count("create", created_word(&result));
        self.metrics.time("create", started);
        result
    }

    async fn create_within(&self, request: Arc<OrderRequest>, repeated: bool, deadline: Deadline) -> Result<Created, Refusal> {
        #[cfg(feature = "defects")]
        let repeated = repeated && !planted(Defect::RetryTakesAgain) && !planted(Defect::SoldOutBeforeRecord);
        if repeated {
            if let Some(stored) = self.ledger.order(request.order()).await? {
                return answer_from(&request, stored);
            }
        } else if let Some(line) = request.lines().iter().find(|line| self.sold_out.remembers(line.item)) {
            return Err(Refusal::SoldOut { item: line.item });
        }
        // Before any stock is taken: whoever is told to come back later left no trace.
        let seat = self.ledger.seat(request.lines().iter().map(|line| line.item))?;
        let mut used = Used::default();
        for _ in 0..TRIES {
            match self.attempt(&request, &seat, deadline, &mut used).await {
                Step::Answer(answer) => return answer.map_err(|refusal| used.speak_of(refusal)),
                Step::Again(item) if deadline.has_passed() => return Err(moved_on(item)),
                Step::Again(item) => {
                    used.forget(item);
                    in_time(deadline, item, self.make_ready(item, "epoch_moved")).await?;
                }
            }
        }
        Err(Refusal::NotAdmitted("the epoch moved on again and again".to_owned()))
    }

    async fn attempt(&self, request: &Arc<OrderRequest>, seat: &Seat, deadline: Deadline, used: &mut Used) -> Step {
        // Before stock is taken: while MySQL is away every reservation would only wait for the resolver.
        let Some(mut pass) = self.mysql.pass() else {
            return Step::Answer(Err(Refusal::NotAdmitted("mysql does not answer".to_owned())));
        };
        // Orders of an item that is sold out write nothing, so they alone would never tell that MySQL is back.
        if pass.tries() {
            if let Err(error) = self.ledger.ping().await {
                pass.tell(false);
                return Step::Answer(Err(Refusal::NotAdmitted(error.to_string())));
            }
            pass.answered();
        }
        let attempt = self.admit(request, deadline, used).await;
        // Rarely asked for: an order that is created leaves what it holds to the deduct.
        let held = || used.with_earlier(request.order(), &attempt.held);
        let (admissions, left) = match attempt.result {
            Ok(Admitted::All { admissions, left }) => (admissions, left),
            Ok(Admitted::AskRow) => return Step::Answer(self.answer_by_resolving(request, &held(), Doubt::None).await),
            Ok(Admitted::SoldOutUnlessStored { item }) => {
                return Step::Answer(self.answer_unless_stored(request, &held(), item).await);
            }
            Err(refusal) => return Step::Answer(self.refuse_holding(request, &held(), refusal).await),
        };
        let twin = Twin::of(&admissions, used);
        #[cfg(feature = "defects")]
        let twin = if planted(Defect::RollbackOnDuplicate) { Twin::None } else { twin };
        if let Some(stored) = self.order_of_twin(request, twin).await {
            self.release(&stored, &held()).await;
            return Step::Answer(answer_from(request, stored));
        }
        let contested = twin != Twin::None;
        let order = NewOrder { request: request.clone(), admissions: admissions.clone(), ttl: self.settings.order_ttl, contested };
        let started = clock::now();
        let written = self.ledger.write_seated(order, seat.clone()).await;
        match &written {
            Ok(Written::Unknown) | Err(LedgerError::Away { .. } | LedgerError::Unknown { .. }) => pass.tell(false),
            Ok(_) | Err(_) => pass.tell(true),
        }
        self.metrics.count("order_write", written_word(&written));
        self.metrics.time("order_write", started);
        #[cfg(feature = "defects")]
        if let Some(answer) = self.answer_mistakenly(request, &held(), &written).await {
            return Step::Answer(answer);
        }
        match written {
            Ok(Written::Committed) => {
                let epochs = admissions.iter().filter_map(|admission| Some(admission.token?.epoch)).collect();
                Step::Answer(Ok(Created::Now(Receipt { request: request.clone(), admissions, left, epochs })))
            }
            Ok(Written::CommittedGuarded { epochs }) => {
                self.confirm_behind(attempt.held);
                Step::Answer(Ok(Created::Now(Receipt { request: request.clone(), admissions, left, epochs })))
            }
            Ok(Written::Exists) => Step::Answer(self.answer_by_resolving(request, &held(), Doubt::None).await),
            Ok(Written::Unknown) | Err(LedgerError::Unknown { .. }) => {
                Step::Answer(self.answer_by_resolving(request, &held(), Doubt::LostCommit).await)
            }
            Ok(Written::NotAdmitted { item }) => Step::Again(item),
            Ok(Written::GuardRefused { item }) => {
                if admissions.iter().any(|admission| admission.line.item == item && admission.token.is_some()) {
                    self.over_promised(item);
                }
                Step::Answer(self.refuse_holding(request, &held(), Refusal::SoldOut { item }).await)
            }
            Ok(Written::QuotaExceeded { item }) => {
                Step::Answer(self.refuse_holding(request, &held(), Refusal::QuotaExceeded { item }).await)
            }
            // Definite, and a repeat with this id finds the reservation again; if none comes, the resolver gives it back.
            Err(error) => Step::Answer(Err(error.into())),
        }
    }

    /// What somebody answers who takes an outcome for another one.
    #[cfg(feature = "defects")]
    async fn answer_mistakenly(
        &self,
        request: &OrderRequest,
        held: &[Held],
        written: &Result<Written, LedgerError>,
    ) -> Option<Result<Created, Refusal>> {
        let unknown = matches!(written, Ok(Written::Unknown) | Err(LedgerError::Unknown { .. }));
        if matches!(written, Ok(Written::Exists)) && planted(Defect::RollbackOnDuplicate) {
            self.roll_back_blindly(held).await;
            return Some(self.answer_by_resolving(request, &[], Doubt::None).await);
        }
        let gives_back = (unknown && planted(Defect::RollbackOnUnknownCommit))
            || (written.is_err() && planted(Defect::RollbackWithoutTombstone))
            || ((unknown || written.is_err()) && planted(Defect::AllErrorsAlike));
        if gives_back {
            self.roll_back_blindly(held).await;
        }
        let fails = gives_back || (unknown && planted(Defect::TimeoutReportedAsFailure));
        fails.then(|| Err(Refusal::NotAdmitted("the order could not be written".to_owned())))
    }

    /// The order, if a twin of this attempt commits it within some 30 ms. One that died leaves it to this attempt.
    async fn order_of_twin(&self, request: &OrderRequest, twin: Twin) -> Option<StoredOrder> {
        let looks = async {
            for pause in twin.looks_ms() {
                tokio::time::sleep(Duration::from_millis(*pause)).await;
                match self.ledger.order(request.order()).await {
                    Ok(None) => {}
                    Ok(stored) => return stored,
                    // Nothing is known of the order: its transaction will meet it, or the error, again.
                    Err(_) => return None,
                }
            }
            None
        };
        tokio::time::timeout(LOOKS_MAX, looks).await.unwrap_or_default()
    }

    /// Confirms the locks of an order whose balances have moved, without keeping its answer waiting. One that is lost is the resolver's.
    fn confirm_behind(&self, held: Vec<Held>) {
        if held.is_empty() {
            return;
        }
        let flow = self.clone();
        tokio::spawn(async move {
            for Held { item, member } in &held {
                flow.confirm_quietly(*item, member.token.epoch, std::slice::from_ref(member)).await;
            }
        });
    }

    /// Settles what is held and answers from the row. Without an answer of MySQL only a lost COMMIT leaves doubt.
    async fn answer_by_resolving(&self, request: &OrderRequest, held: &[Held], doubt: Doubt) -> Result<Created, Refusal> {
        match (self.resolve(request.order(), held).await, doubt) {
            (Ok(stored), _) => answer_from(request, stored),
            (Err(error), Doubt::LostCommit) => Err(Refusal::Unknown(error.to_string())),
            (Err(error), Doubt::None) => Err(Refusal::NotAdmitted(error.to_string())),
        }
    }

    /// Refuses for lack of stock, unless an attempt of an earlier epoch became an order.
    async fn answer_unless_stored(&self, request: &OrderRequest, held: &[Held], item: Item) -> Result<Created, Refusal> {
        match self.ledger.order(request.order()).await? {
            Some(_) => self.answer_by_resolving(request, held, Doubt::None).await,
            None => self.refuse_holding(request, held, Refusal::SoldOut { item }).await,
        }
    }

    /// Refuses. A partial cart is settled first: another process may be about to commit the same order with the same tokens, so
    /// its units never go back directly.
    async fn refuse_holding(&self, request: &OrderRequest, held: &[Held], refusal: Refusal) -> Result<Created, Refusal> {
        let leave_to_resolver =
            held.is_empty() || matches!(refusal, Refusal::NotAdmitted(_) | Refusal::Throttled | Refusal::Mismatch);
        if leave_to_resolver {
            return Err(refusal);
        }
        #[cfg(feature = "defects")]
        if planted(Defect::CartRollbackPerItem) {
            self.roll_back_blindly(held).await;
            return Err(refusal);
        }
        match self.resolve_unwritten(request.order(), held).await {
            Ok(stored) if stored.status == OrderStatus::Fenced => Err(refusal),
            Ok(stored) => answer_from(request, stored),
            // This attempt wrote no order, so its refusal stands; the resolver gives the units back.
            Err(_) => Err(refusal),
        }
    }
}

/// The answer that the row of an order gives to a request with its id.
fn answer_from(request: &OrderRequest, stored: StoredOrder) -> Result<Created, Refusal> {
    match stored.status {
        OrderStatus::Fenced => Err(Refusal::Fenced),
        #[cfg(feature = "defects")]
        OrderStatus::Created | OrderStatus::Paid if planted(Defect::QuantityIgnoredOnRetry) => Ok(Created::Before(stored)),
        _ if stored.hash != *request.hash() => Err(Refusal::Mismatch),
        OrderStatus::Created | OrderStatus::Paid => Ok(Created::Before(stored)),
        status => Err(Refusal::Cancelled { status: status.name() }),
    }
}

/// Another request with this id, of which reservations were found: it may be writing the order right now, or have died. Its order is written
/// apart from the others, who would share the wait for its transaction, or the rollback once that one is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twin {
    /// Nothing of one was found.
    None,
    /// It made the reservation of the first line, so it is likely to commit first.
    Ahead,
    /// It was second at the first line. Two attempts at a cart can each find some of the other's, and should not wait for each other.
    Behind,
}

impl Twin {
    fn of(admissions: &[Admission], used: &Used) -> Self {
        let mut reserved = admissions.iter().filter(|admission| admission.token.is_some());
        match reserved.next() {
            Some(first) if used.found(first) => Self::Ahead,
            Some(_) if reserved.any(|admission| used.found(admission)) => Self::Behind,
            _ => Self::None,
        }
    }

    /// Pauses before each look for its order, ms.
    fn looks_ms(self) -> &'static [u64] {
        match self {
            Self::None => &[],
            Self::Ahead => &LOOKS_MS,
            Self::Behind => &LOOKS_MS[..1],
        }
    }
}

fn moved_on(item: Item) -> Refusal {
    Refusal::NotAdmitted(format!("the epoch of item {item} moved on"))
}

fn written_word(written: &Result<Written, LedgerError>) -> &'static str {
    match written {
        Ok(Written::Committed) => "committed",
        Ok(Written::CommittedGuarded { .. }) => "committed_guarded",
        Ok(Written::QuotaExceeded { .. }) => "quota_exceeded",
        Ok(Written::Exists) => "exists",
        Ok(Written::NotAdmitted { .. }) => "not_admitted",
        Ok(Written::GuardRefused { .. }) => "guard_refused",
        Ok(Written::Unknown) | Err(LedgerError::Unknown { .. }) => "unknown",
        Err(_) => "failed",
    }
}

fn created_word(result: &Result<Created, Refusal>) -> &'static str {
    match result {
        Ok(Created::Now(_)) => "created",
        Ok(Created::Before(_)) => "stood",
        Err(refusal) => refusal.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Line, Quantity, Token};
    use crate::flow::admit::Made;

    #[test]
    fn of_two_attempts_at_a_cart_the_one_that_took_the_first_line_waits_for_nobody() {
        let item = |sku| Item::new(1, 1, sku).unwrap();
        let token = |sku: i64| Token { epoch: Epoch(1), version: sku.unsigned_abs() };
        let line = |sku| Line { item: item(sku), quantity: Quantity::new(1).unwrap() };
        let by_redis = |sku| Admission { line: line(sku), token: Some(token(sku)) };
        let by_ledger = |sku| Admission { line: line(sku), token: None };
        let made = |sku: &i64| Made { item: item(*sku), token: token(*sku), quantity: Quantity::new(1).unwrap() };
        let twin = |admissions: &[Admission], own: &[i64]| Twin::of(admissions, &Used::that_made(own.iter().map(made).collect()));
        let cart = [by_ledger(1), by_redis(2), by_redis(3)];
        assert_eq!(twin(&cart, &[2, 3]), Twin::None, "it took all of them, now or in an attempt before");
        assert_eq!(twin(&cart, &[2]), Twin::Behind, "it was first, and the other one found this");
        assert_eq!(twin(&cart, &[3]), Twin::Ahead, "the other one was first");
        assert_eq!(twin(&cart, &[]), Twin::Ahead, "a repeat");
        assert_eq!(twin(&[by_ledger(1)], &[]), Twin::None, "nothing is reserved");
        assert_eq!(Twin::Behind.looks_ms(), [0], "no pause");
    }
}
