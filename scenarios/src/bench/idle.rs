//! Connections that stand open beside a load, as those of buyers who look and wait.
//!
//! In: a run, a number. Out: how many of them were still open when the load ended. Each asks once whether the process lives and is silent from then
//! on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harness::run::{Reading, Watch};
use harness::stack::Endpoints;

/// Longest wait for a connection or its one reply.
const LIMIT: Duration = Duration::from_secs(5);

/// Holds connections open beside a run.
pub(super) struct Idle {
    wanted: usize,
    open: Mutex<Result<Vec<TcpStream>, String>>,
    stood: Mutex<usize>,
}

impl Idle {
    /// So many of them.
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted, open: Mutex::new(Ok(Vec::new())), stood: Mutex::new(0) }
    }

    /// Closes them.
    ///
    /// # Errors
    /// Not all could be opened, or not all stood until the load was over.
    pub(super) fn end(self) -> Result<(), String> {
        let stood = *self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        self.open.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        if stood == self.wanted { Ok(()) } else { Err(format!("{stood} of {} idle connections stood until the end", self.wanted)) }
    }
}

impl Watch for Idle {
    fn opened(&self, _folder: &Path) {}

    fn stage(&self, name: &str) {
        if name == "waiting for rest" {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let standing = open.as_ref().map_or(0, |open| open.iter().filter(|stream| is_open(stream)).count());
            let mut stood = self.stood.lock().unwrap_or_else(PoisonError::into_inner);
            // The first wait is the one behind the load; what the service closes later does not matter.
            *stood = standing.max(*stood);
        }
    }

    fn up(&self, endpoints: &Endpoints) {
        let opened = endpoints.api.first().map(|address| (0..self.wanted).map(|_| open(*address)).collect());
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) =
            opened.unwrap_or_else(|| Err("there is no api process".to_owned()));
    }

    fn reading(&self, _reading: &Reading<'_>) {}
}

fn open(address: SocketAddr) -> Result<TcpStream, String> {
    let failed = |error: std::io::Error| format!("open an idle connection: {error}");
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(failed)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(failed)?;
    stream.write_all(format!("GET /health/live HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).map_err(failed)?;
    let (mut reply, mut length) = ([0; 1_024], 0);
    // The body is the last of the reply.
    while !reply[..length].ends_with(b"live\n") {
        let read = stream.read(&mut reply[length..]).map_err(failed)?;
        if read == 0 {
            return Err("open an idle connection: it was closed".to_owned());
        }
        length += read;
    }
    stream.set_nonblocking(true).map_err(failed)?;
    Ok(stream)
}

/// Nothing to read and not closed.
fn is_open(stream: &TcpStream) -> bool {
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
