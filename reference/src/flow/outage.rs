//! Redis away: who sells meanwhile, and the way back.
//!
//! In: what the breaker saw, and a setting. Out: a refusal, or an item that MySQL admits (mode DB) until Redis has been well for a while.
//! Leaving and coming back are rebuilds under the same fence, so a process that still reaches Redis is stopped by its next order.

use std::time::Duration;

use super::{Flow, Refusal};
use crate::clock;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::Item;
use crate::ledger::{Degraded, EpochState, Mode, Rebuilt};

/// What becomes of orders while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisDown {
    /// They are refused, and may be tried again.
    FailFast,
    /// Once Redis has been away for this long, MySQL admits the orders of every item that is asked for.
    Database {
        /// A shorter outage is waited for: the change voids reservations that are not yet orders.
        after: Duration,
    },
}

impl Flow {
    /// Sees to it that an order of `item` can go another way than through Redis, which the breaker refuses to ask.
    ///
    /// # Errors
    /// It has to wait for Redis; or the item does not exist, or MySQL gave no answer.
    pub(super) async fn without_redis(&self, item: Item) -> Result<(), Refusal> {
        let away = self.redis.away_for().unwrap_or_default();
        let refusal = || Refusal::NotAdmitted(format!("redis has not answered for {} ms", away.as_millis()));
        match self.settings.redis_down {
            #[cfg(feature = "defects")]
            RedisDown::Database { after } if away >= after && planted(Defect::DegradeWithoutFence) => {
                self.modes.put(item, Mode::Db, clock::now());
                Ok(())
            }
            RedisDown::Database { after } if away >= after => {
                let flow = self.clone();
                self.degrading.join(item, || async move { flow.degrade(item).await }).await
            }
            RedisDown::Database { .. } | RedisDown::FailFast => {
                self.metrics.count("redis_down", "refused");
                Err(refusal())
            }
        }
    }

    /// Hands the item over to MySQL, unless Redis has no part in it already.
    async fn degrade(&self, item: Item) -> Result<(), Refusal> {
        let read_at = clock::now();
        let seen = self.ledger.epoch(item).await?.ok_or(Refusal::UnknownSku { item })?;
        let mode = match seen.mode {
            Mode::Db | Mode::Closed => seen.mode,
            Mode::Redis | Mode::Strict => match self.ledger.degrade(item, seen.epoch).await? {
                Rebuilt::Committed { mode, epoch, base } => {
                    self.tell_base(base);
                    tracing::warn!(%item, %epoch, mode = mode.name(), "redis is away and has no part in this item any more");
                    self.metrics.count("rebuild", "degrade");
                    self.sold_out.forget(item);
                    mode
                }
                Rebuilt::Superseded { current } => current.mode,
                Rebuilt::Unknown => return Err(Refusal::NotAdmitted("nobody can say whether mysql admits by now".to_owned())),
                Rebuilt::UnknownItem => return Err(Refusal::UnknownSku { item }),
                // A change of stock or a reopening can be stopped, which this is not.
                Rebuilt::Stopped(_) | Rebuilt::NotReopened(_) => return Err(Refusal::NotAdmitted("it was stopped".to_owned())),
            },
        };
        self.modes.put(item, mode, read_at);
        Ok(())
    }

    /// Whether MySQL admits orders while Redis is away.
    #[must_use]
    pub fn sells_without_redis(&self) -> bool {
        matches!(self.settings.redis_down, RedisDown::Database { .. })
    }

    /// Asks Redis whether it is there, unless the breaker refuses. For how long it has answered every time, as seen by this process.
    pub async fn feel_redis(&self) -> Option<Duration> {
        let mut pass = self.redis.pass()?;
        let answered = self.stock.ping().await.is_ok();
        pass.tell(answered);
        self.redis.well_for()
    }

    /// Gives an item back to Redis. False if somebody else changed it first.
    ///
    /// # Errors
    /// A store gave no answer. If MySQL had committed the change, the next touch of the item brings its counter up.
    pub async fn give_back(&self, degraded: Degraded) -> Result<bool, Refusal> {
        let Degraded { item, epoch, returns_to } = degraded;
        let (request, installer) = self.prepare_rebuild(item, Some(returns_to), "return").await?;
        if request.seen != epoch {
            return Ok(false);
        }
        let Rebuilt::Committed { epoch, base, mode } = self.ledger.rebuild(request).await? else { return Ok(false) };
        self.tell_base(base);
        self.metrics.count("rebuild", "return");
        self.sold_out.forget(item);
        tracing::info!(%item, %epoch, mode = mode.name(), "redis is back, and the item left mode DB");
        // A counter that did not arrive is brought up by the next touch.
        Ok(self.install(item, installer, EpochState { epoch, mode }, base).await?.is_some())
    }
}
