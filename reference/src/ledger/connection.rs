//! One connection to MySQL that knows whether it is inside a transaction, and whether it can still be trusted.
//!
//! BEGIN and COMMIT are sent here and not by the driver: whether COMMIT was sent decides between "certainly not" and "nobody
//! can say". From the moment a statement is sent until its reply is read the connection counts as spent, so a future that is
//! dropped on the way leaves a connection that nobody uses again.

use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Either};

use super::failure::Failure;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};

/// Longest wait for a new connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for one reply. Above every wait that the server itself allows, so only a dead link reaches it.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// Which family of server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

/// How connections of one purpose are made.
#[derive(Clone)]
pub(super) struct Dial {
    options: MySqlConnectOptions,
    session: String,
}

impl Dial {
    /// Connections without session settings, for boot.
    ///
    /// # Errors
    /// The URL is none.
    pub(super) fn plain(url: &str) -> Result<Self, Failure> {
        // The text of the error could show the URL, and with it the password.
        let options = MySqlConnectOptions::from_str(url).map_err(|_| Failure::Broken { why: "the URL is not valid".into() })?;
        Ok(Self { options: options.disable_statement_logging(), session: String::new() })
    }

    /// Connections for units of work that wait at most `lock_wait_s` seconds for a lock.
    ///
    /// A client that stalls must not hold locks for hours, so the server closes a session that is idle for ten seconds.
    pub(super) fn session(&self, flavour: Flavour, lock_wait_s: u32) -> Self {
        let limits = match flavour {
            Flavour::MariaDb => "idle_transaction_timeout = 10, max_statement_time = 20",
            Flavour::MySql => "max_execution_time = 20000",
        };
        let session = format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION autocommit = 1, wait_timeout = 10, \
             innodb_lock_wait_timeout = {lock_wait_s}, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', {limits}"
        );
        #[cfg(feature = "defects")]
        let session = if planted(Defect::NoSessionTimeout) {
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION autocommit = 1".to_owned()
        } else {
            session
        };
        Self { options: self.options.clone(), session }
    }

    /// The same server without a database.
    pub(super) fn without_database(&self) -> Self {
        Self { options: self.options.clone().database(""), session: self.session.clone() }
    }

    /// Name of the database.
    pub(super) fn database(&self) -> Option<&str> {
        self.options.get_database()
    }

    /// A new connection with its session set up.
    ///
    /// # Errors
    /// Nothing was changed: not reachable in time, or refused.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let dial = tokio::time::timeout(CONNECT_LIMIT, self.options.connect()).await;
        let link = match dial {
            Ok(link) => link.map_err(|error| Failure::of(&error))?,
            Err(_) => return Err(Failure::Lost { why: format!("connect: no answer within {CONNECT_LIMIT:?}") }),
        };
        let mut connection = Connection { link, state: State::Clean, reused: false, answered: false, refused_at: None };
        if !self.session.is_empty() {
            connection.query(self.session.clone()).await?;
            connection.answered = false;
        }
        Ok(connection)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside a transaction.
    Clean,
    /// Inside one.
    Open,
    /// A reply is outstanding, or something went wrong: never to be used again.
    Spent,
}

/// Replies to the statements of one packet, in their order.
#[derive(Debug, Default)]
pub(super) struct Reply {
    steps: Vec<Step>,
}

#[derive(Debug, Default)]
struct Step {
    rows: Vec<MySqlRow>,
    affected: u64,
}

impl Reply {
    /// Rows of the statement `at`, from 0.
    pub(super) fn rows(&self, at: usize) -> &[MySqlRow] {
        self.steps.get(at).map_or(&[], |step| &step.rows)
    }

    /// Rows that the statement `at` matched (the driver asks for matched, not for changed rows).
    pub(super) fn affected(&self, at: usize) -> u64 {
        self.steps.get(at).map_or(0, |step| step.affected)
    }

    /// Number of statements that were answered.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }
}

/// A connection.
pub(super) struct Connection {
    link: MySqlConnection,
    state: State,
    reused: bool,
    answered: bool,
    /// Place of the statement that was refused in the last packet, from 0, a BEGIN at its head not counted.
    refused_at: Option<usize>,
}

impl Connection {
    /// Sends statements that commit nothing by themselves: reads, or steps inside a transaction.
    ///
    /// # Errors
    /// `Refused`, or `Lost` which means that the open transaction will not be committed.
    pub(super) async fn query(&mut self, sql: String) -> Result<Reply, Failure> {
        let state = self.state;
        self.send(sql, state, REPLY_LIMIT).await
    }

    /// [`Self::query`] for a statement that may take as long as `limit`.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(super) async fn patient_query(&mut self, sql: String, limit: Duration) -> Result<Reply, Failure> {
        let state = self.state;
        self.send(sql, state, limit).await
    }

    /// Sends BEGIN and, in the same packet, `first`; its replies are counted from 0.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub(super) async fn begin(&mut self, first: &str) -> Result<Reply, Failure> {
        self.refused_at = None;
        let mut reply = Reply::default();
        match self.send_into(&mut reply, format!("BEGIN; {first}"), State::Open, REPLY_LIMIT).await {
            Ok(()) => {
                reply.steps.remove(0);
                Ok(reply)
            }
            Err(failure) => {
                self.refused_at = reply.steps.len().checked_sub(1);
                Err(failure)
            }
        }
    }

    /// Sends a whole transaction in one packet: BEGIN, these statements, COMMIT. The server executes none behind one that it refuses, so
    /// what must hold for the COMMIT has to be a statement that is refused otherwise.
    ///
    /// # Errors
    /// `Refused`: one of `statements`, which leaves the transaction open. `Unknown`: the connection was lost, or COMMIT itself failed.
    pub(super) async fn transact(&mut self, statements: &[String]) -> Result<(), Failure> {
        self.refused_at = None;
        let mut reply = Reply::default();
        let sent = self.send_into(&mut reply, format!("BEGIN; {}; COMMIT", statements.join("; ")), State::Clean, REPLY_LIMIT).await;
        let answered = reply.len();
        sent.map_err(|failure| match failure {
            Failure::Refused { code, why } if answered > statements.len() => {
                self.state = State::Spent;
                Failure::Unknown { why: format!("error {code}: {why}") }
            }
            Failure::Refused { .. } => {
                self.state = State::Open;
                self.refused_at = answered.checked_sub(1);
                failure
            }
            other => other.of_commit(),
        })
    }

    /// Place in the last packet of the statement that was refused, from 0; a BEGIN at its head does not count. `None` if all were answered.
    pub(super) const fn refused_at(&self) -> Option<usize> {
        self.refused_at
    }

    /// Sends one statement that commits by itself.
    ///
    /// # Errors
    /// `Refused`: certainly no effect. `Unknown`: the connection was lost.
    pub(super) async fn autocommit(&mut self, sql: String) -> Result<Reply, Failure> {
        self.send(sql, State::Clean, REPLY_LIMIT).await.map_err(Failure::of_commit)
    }

    /// Sends COMMIT, in a packet of its own.
    ///
    /// # Errors
    /// Always `Unknown`: once it was sent, no error proves that it had no effect.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        let sent = self.send("COMMIT".into(), State::Clean, REPLY_LIMIT).await;
        sent.map(drop).map_err(|failure| match failure {
            Failure::Refused { code, why } => {
                self.state = State::Spent;
                Failure::Unknown { why: format!("error {code}: {why}") }
            }
            other => other.of_commit(),
        })
    }

    /// Sends ROLLBACK. A connection that does not answer it is spent.
    ///
    /// # Errors
    /// As [`Self::query`]; the transaction will not be committed in any case.
    pub(super) async fn rollback(&mut self) -> Result<(), Failure> {
        let sent = self.send("ROLLBACK".into(), State::Clean, REPLY_LIMIT).await;
        if sent.is_err() {
            self.state = State::Spent;
        }
        sent.map(drop)
    }

    /// Makes the connection fit for the next unit after `failure`, or spends it.
    pub(super) async fn recover(&mut self, failure: &Failure) {
        if !failure.leaves_connection_usable() {
            self.state = State::Spent;
        } else if self.state == State::Open {
            // A failed rollback has spent the connection, which is all there is to do.
            let _ = self.rollback().await;
        }
    }

    /// Whether the next unit may use it.
    pub(super) fn is_clean(&self) -> bool {
        self.state == State::Clean
    }

    /// Notes that a new unit begins on a connection that has been idle.
    pub(super) const fn reuse(&mut self) {
        self.reused = true;
        self.answered = false;
    }

    /// Whether it had died while it was idle: the first statement of this unit was never answered.
    pub(super) const fn died_idle(&self) -> bool {
        self.reused && !self.answered
    }

    /// Says goodbye, so that the server need not find out.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.link.close()).await;
    }

    /// The driver's connection, for its migrations.
    pub(super) const fn link(&mut self) -> &mut MySqlConnection {
        &mut self.link
    }

    async fn send(&mut self, sql: String, after: State, limit: Duration) -> Result<Reply, Failure> {
        let mut reply = Reply::default();
        self.refused_at = None;
        match self.send_into(&mut reply, sql, after, limit).await {
            Ok(()) => Ok(reply),
            Err(failure) => {
                self.refused_at = Some(reply.len());
                Err(failure)
            }
        }
    }

    /// What was answered before a failure is in `reply`.
    async fn send_into(&mut self, reply: &mut Reply, sql: String, after: State, limit: Duration) -> Result<(), Failure> {
        if self.state == State::Spent {
            return Err(Failure::Lost { why: "the connection is spent".into() });
        }
        let before = std::mem::replace(&mut self.state, State::Spent);
        match tokio::time::timeout(limit, read(&mut self.link, sql, reply)).await {
            Ok(Ok(())) => {
                (self.state, self.answered) = (after, true);
                Ok(())
            }
            Ok(Err(error)) => {
                let failure = Failure::of(&error);
                if matches!(failure, Failure::Refused { .. }) {
                    // A refused statement of the first packet may stand behind a BEGIN that was not refused.
                    self.state = if after == State::Open { State::Open } else { before };
                    self.answered = true;
                }
                Err(failure)
            }
            Err(_) => Err(Failure::Lost { why: format!("no reply within {limit:?}") }),
        }
    }
}

async fn read(link: &mut MySqlConnection, sql: String, reply: &mut Reply) -> Result<(), sqlx::Error> {
    let mut replies = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(link);
    let mut step = Step::default();
    while let Some(part) = replies.try_next().await? {
        match part {
            Either::Right(row) => step.rows.push(row),
            Either::Left(done) => {
                step.affected = done.rows_affected();
                reply.steps.push(std::mem::take(&mut step));
            }
        }
    }
    Ok(())
}
