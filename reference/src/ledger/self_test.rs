//! Does this server really lock? Tried on two connections before the first order.
//!
//! A server that parses the clause without locking breaks the fence in silence. Refusals are proved by the server's own error
//! 1205 and not by time, so a slow server is not mistaken for one that waits.

use super::LedgerError;
use super::connection::{Connection, Dial, Flavour};
use super::failure::{DUPLICATE_KEY, Failure, LOCK_WAIT_TIMEOUT, OUT_OF_RANGE};
use super::rows;

const ACT: &str = "test the locks of the server";
/// Longest wait of a statement that must be let through, seconds.
const LET_THROUGH_S: u32 = 5;

/// Runs the test on scratch rows that belong to this run alone.
///
/// # Errors
/// `Unsuitable` names what the server does not do. `Failed`: it could not be tried.
pub(super) async fn run(dial: &Dial, flavour: Flavour) -> Result<(), LedgerError> {
    let mut bench = Bench::set_up(dial, flavour).await.map_err(|failure| failure.into_error(ACT))?;
    let verdict = bench.try_all().await;
    bench.clear().await;
    verdict.map_err(|failure| failure.into_error(ACT))?.map_or(Ok(()), |missing| Err(LedgerError::Unsuitable(missing.into())))
}

struct Bench {
    first: Connection,
    second: Connection,
    key: String,
    shortest_wait_s: u32,
}

type Found = Result<Option<&'static str>, Failure>;

impl Bench {
    async fn set_up(dial: &Dial, flavour: Flavour) -> Result<Self, Failure> {
        let mut first = dial.connect().await?;
        let second = dial.connect().await?;
        let reply = first.query("SELECT CONNECTION_ID() AS id".into()).await?;
        let id = reply.rows(0).first().map_or(Ok(0), |row| rows::connection_id(row, "id"))?;
        // MariaDB takes 0 as "do not wait"; the least of MySQL is 1.
        let shortest_wait_s = if flavour == Flavour::MariaDb { 0 } else { 1 };
        let mut bench = Self { first, second, key: format!("boot.{id}"), shortest_wait_s };
        // A connection id is taken by one connection at a time, but may have left rows before a restart of the server.
        bench.first.autocommit(bench.delete()).await?;
        Ok(bench)
    }

    async fn try_all(&mut self) -> Found {
        if let Some(missing) = self.fresh_reads().await? {
            return Ok(Some(missing));
        }
        if let Some(missing) = self.row_locks().await? {
            return Ok(Some(missing));
        }
        if let Some(missing) = self.assumption_guards().await? {
            return Ok(Some(missing));
        }
        self.insert_waits().await
    }

    /// A statement that is written to fail unless a row stands as assumed ([`super::sql::share_epoch_as`]) must end its packet, and only then.
    async fn assumption_guards(&mut self) -> Found {
        let assume = |key: &str| {
            format!("SELECT CAST(COUNT(*) AS UNSIGNED) - 1 FROM boot_check WHERE id = '{key}' AND id <> '' LOCK IN SHARE MODE")
        };
        let insert = format!("INSERT INTO boot_check (id) VALUES ('{}.twin')", self.key);
        let (stands, fails) = (assume(&self.key), assume(&format!("{}.none", self.key)));
        if let Err(failure) = self.first.transact(&[stands]).await {
            return if failure.is_not_as_assumed() { Ok(Some("COUNT(*) does not count a row that stands")) } else { Err(failure) };
        }
        let refused = self.first.transact(&[fails, insert]).await;
        self.first.rollback().await?;
        let written = self.first.query(format!("SELECT COUNT(*) AS found FROM boot_check WHERE id = '{}.twin'", self.key)).await?;
        let kept_out = written.rows(0).first().map_or(Ok(1), |row| rows::int(row, "found"))? == 0;
        let told = matches!(refused, Err(Failure::Refused { code: OUT_OF_RANGE, .. }));
        Ok((!told || !kept_out).then_some("a statement that is refused does not keep the rest of its packet from being executed"))
    }

    /// The rows are made here, which also shows that a statement sees what was committed before it began.
    async fn fresh_reads(&mut self) -> Found {
        let count = format!("SELECT COUNT(*) AS found FROM boot_check WHERE id = '{}'", self.key);
        self.first.begin(&count).await?;
        self.second.autocommit(format!("INSERT INTO boot_check (id) VALUES ('{}')", self.key)).await?;
        let seen = self.first.query(count).await?;
        self.first.rollback().await?;
        let fresh = seen.rows(0).first().map_or(Ok(0), |row| rows::int(row, "found"))? == 1;
        Ok((!fresh).then_some("a transaction does not see what others committed since it began (READ COMMITTED)"))
    }

    async fn row_locks(&mut self) -> Found {
        let share = format!("SELECT id FROM boot_check WHERE id = '{}' LOCK IN SHARE MODE", self.key);
        let exclusive = format!("SELECT id FROM boot_check WHERE id = '{}' FOR UPDATE", self.key);
        if !self.blocks(&share, &exclusive).await? {
            return Ok(Some("LOCK IN SHARE MODE does not block FOR UPDATE"));
        }
        if !self.blocks(&exclusive, &share).await? {
            return Ok(Some("FOR UPDATE does not block LOCK IN SHARE MODE"));
        }
        Ok(None)
    }

    async fn insert_waits(&mut self) -> Found {
        let insert = format!("INSERT INTO boot_check (id) VALUES ('{}.twin')", self.key);
        if !self.blocks(&insert, &insert).await? {
            return Ok(Some("an INSERT does not wait for an uncommitted INSERT of the same key"));
        }
        self.second.query(format!("SET SESSION innodb_lock_wait_timeout = {LET_THROUGH_S}")).await?;
        self.first.begin(&insert).await?;
        let (waited, ended) = tokio::join!(self.second.autocommit(insert.clone()), self.first.rollback());
        ended?;
        if waited.is_err() {
            return Ok(Some("an INSERT fails although the uncommitted INSERT of the same key was rolled back"));
        }
        self.second.autocommit(self.delete_twin()).await?;
        self.first.begin(&insert).await?;
        let (waited, ended) = tokio::join!(self.second.autocommit(insert), self.first.commit());
        ended?;
        let refused = matches!(waited, Err(Failure::Refused { code: DUPLICATE_KEY, .. }));
        Ok((!refused).then_some("an INSERT succeeds although another INSERT of the same key was committed"))
    }

    /// Whether `taken`, held by the first connection, makes `wanted` wait on the second.
    async fn blocks(&mut self, taken: &str, wanted: &str) -> Result<bool, Failure> {
        self.first.begin(taken).await?;
        self.second.query(format!("SET SESSION innodb_lock_wait_timeout = {}", self.shortest_wait_s)).await?;
        let outcome = self.second.begin(wanted).await;
        // Taken back even if the server said yes: the next test begins on free rows.
        self.second.rollback().await?;
        self.first.rollback().await?;
        match outcome {
            Ok(_) => Ok(false),
            Err(Failure::Refused { code: LOCK_WAIT_TIMEOUT, .. }) => Ok(true),
            Err(Failure::Refused { code: DUPLICATE_KEY, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn clear(mut self) {
        // Rows that stay behind are deleted by the next process that gets this connection id, and read by nobody.
        let _ = self.first.autocommit(self.delete()).await;
        self.first.close().await;
        self.second.close().await;
    }

    fn delete(&self) -> String {
        format!("DELETE FROM boot_check WHERE id IN ('{0}', '{0}.twin')", self.key)
    }

    fn delete_twin(&self) -> String {
        format!("DELETE FROM boot_check WHERE id = '{}.twin'", self.key)
    }
}
