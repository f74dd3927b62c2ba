//! Settings of the MySQL side.

use std::fmt;

/// Where MySQL is and how much of it one process uses.
#[derive(Clone)]
pub struct LedgerSettings {
    /// `mysql://user:password@host:port/database`. Holds the password: never printed. A database that is missing is created.
    pub url: String,
    /// Most connections for requests at once.
    pub request_connections: u32,
    /// Most connections for looks of clients at once: however many look, payments and cancels have the others.
    pub look_connections: u32,
    /// Most connections for workers at once.
    pub worker_connections: u32,
    /// Connections that write orders, each one batch at a time.
    pub writer_connections: u32,
    /// Most orders waiting for a writer; beyond it an order is refused at once.
    pub writer_queue: usize,
    /// Most orders in one transaction.
    pub batch_max: usize,
    /// Whether to try the server's locks before use.
    pub self_test: bool,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            request_connections: 16,
            look_connections: 8,
            worker_connections: 8,
            writer_connections: 1,
            writer_queue: 4096,
            batch_max: 128,
            self_test: true,
        }
    }
}

impl fmt::Debug for LedgerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSettings")
            .field("request_connections", &self.request_connections)
            .field("look_connections", &self.look_connections)
            .field("worker_connections", &self.worker_connections)
            .field("writer_connections", &self.writer_connections)
            .field("writer_queue", &self.writer_queue)
            .field("batch_max", &self.batch_max)
            .field("self_test", &self.self_test)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_in_a_log_do_not_show_the_password() {
        let settings = LedgerSettings { url: "mysql://holdfast:secret@127.0.0.1:3306/sale".into(), ..LedgerSettings::default() };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
