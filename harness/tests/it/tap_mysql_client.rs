//! A small client of the MySQL protocol, for what the driver of the harness never does: old-style ends of rows, cursors, files, several commands at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Protocol 4.1 with secure passwords and plugins, several statements and results, transactions, local files.
pub(crate) const PLAIN: u32 = 1 | 1 << 7 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19;
/// Rows end with an OK.
pub(crate) const WITHOUT_EOF: u32 = 1 << 24;
/// Everything after the handshake is compressed.
pub(crate) const COMPRESSED: u32 = 1 << 5;

/// A connection of a user without a password.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Logs in with these capabilities.
    pub(crate) async fn connect(address: SocketAddr, user: &str, capabilities: u32) -> Self {
        let mut client = Self { stream: TcpStream::connect(address).await.unwrap() };
        client.stream.set_nodelay(true).unwrap();
        client.packet().await;
        let mut response = capabilities.to_le_bytes().to_vec();
        response.extend_from_slice(&(64_u32 << 20).to_le_bytes());
        response.push(45);
        response.extend_from_slice(&[0; 23]);
        response.extend_from_slice(user.as_bytes());
        response.extend_from_slice(b"\0\0mysql_native_password\0");
        client.send(1, &response).await;
        if capabilities & COMPRESSED == 0 {
            let answer = client.packet().await;
            assert_eq!(answer[0], 0, "{}", String::from_utf8_lossy(&answer));
        }
        client
    }

    /// Sends one packet.
    pub(crate) async fn send(&mut self, sequence: u8, content: &[u8]) {
        self.stream.write_all(&framed(sequence, content)).await.unwrap();
    }

    /// Sends a command.
    pub(crate) async fn command(&mut self, kind: u8, rest: &[u8]) {
        self.send(0, &[&[kind], rest].concat()).await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next packet of the server.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.unwrap();
        let mut content = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
        self.stream.read_exact(&mut content).await.unwrap();
        content
    }

    /// Reads packets up to and with the first that `is_last` accepts.
    pub(crate) async fn until(&mut self, is_last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        loop {
            packets.push(self.packet().await);
            if packets.last().is_some_and(|packet| is_last(packet)) {
                return packets;
            }
        }
    }

    /// Reads whatever comes until the server closes.
    pub(crate) async fn read_out(&mut self) {
        self.stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
}

/// A packet with its header.
pub(crate) fn framed(sequence: u8, content: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = u32::try_from(content.len()).unwrap().to_le_bytes();
    [&[low, middle, high, sequence], content].concat()
}
