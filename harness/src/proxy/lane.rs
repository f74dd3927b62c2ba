//! One direction of one connection: reads from one side, writes to the other.
//!
//! In: two sockets and the settings in force. Out: how the direction ended. It never closes a socket itself.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Direction;
use super::counters::{End, LiveFlow};
use super::settings::Settings;

/// The smallest and the largest piece that is read at once.
const READ_MIN: usize = 16 * 1024;
const READ_MAX: usize = 256 * 1024;

/// One direction of a connection.
pub(super) struct Lane<'a> {
    pub(super) direction: Direction,
    pub(super) source: &'a TcpStream,
    pub(super) sink: &'a TcpStream,
    pub(super) flow: &'a LiveFlow,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
}

impl Lane<'_> {
    /// Moves bytes until the stream has ended and its end was passed on, or the connection has to end.
    pub(super) async fn run(mut self) -> End {
        let mut buffer = BytesMut::new();
        let mut read_size = READ_MIN;
        let mut open = true;
        loop {
            let stalled = self.settings.borrow_and_update().stalled(self.direction);
            if !stalled && !buffer.is_empty() {
                match self.sink.try_write(&buffer) {
                    Ok(written) => {
                        self.flow.forwarded(written);
                        buffer.advance(written);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return End::Broken,
                }
            }
            if !stalled && !open && buffer.is_empty() {
                return match SockRef::from(self.sink).shutdown(std::net::Shutdown::Write) {
                    Ok(()) => End::Finished,
                    Err(_) => End::Broken,
                };
            }
            tokio::select! {
                changed = self.settings.changed() => if changed.is_err() { return End::Closed },
                ready = self.sink.writable(), if !stalled && !buffer.is_empty() => if ready.is_err() { return End::Broken },
                ready = self.source.readable(), if open && buffer.len() < READ_MAX => {
                    if ready.is_err() { return End::Broken }
                    buffer.reserve(read_size);
                    match self.source.try_read_buf(&mut buffer) {
                        Ok(0) => open = false,
                        Ok(read) => {
                            self.flow.received(read);
                            if read >= read_size { read_size = (read_size * 2).min(READ_MAX) }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return End::Broken,
                    }
                }
            }
        }
    }
}
