//! The endpoint that both clients load: accepts every order, on one thread, and does nothing else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Starts it on a free port and a thread of its own, which ends with the process.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::spawn(move || runtime.block_on(accept(listener)));
    Ok(address)
}

async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut reply) = (Vec::with_capacity(4096), Vec::with_capacity(512));
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some(length) = whole_request(&buffer) {
            answer(&buffer[..length], &mut reply);
            buffer.drain(..length);
            stream.write_all(&reply).await?;
        }
    }
    Ok(())
}

/// Length of the first request, once its body has arrived.
fn whole_request(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")? + 4;
    let length = after(&buffer[..head], b"ontent-length: ").or_else(|| after(&buffer[..head], b"ontent-Length: "))?;
    let digits = length.iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    (buffer.len() >= head + length).then_some(head + length)
}

/// Accepts the order that the request names, as the service words it.
fn answer(request: &[u8], reply: &mut Vec<u8>) {
    let order = after(request, b"\"order_id\":\"").and_then(|rest| rest.split(|byte| *byte == b'"').next()).unwrap_or_default();
    let (before, behind) = (
        br#"{"order_id":""#,
        br#"","status":"CREATED","items":[{"store_id":1,"product_id":1,"sku_id":1,"quantity":1,"token":"1:4711","epoch":1,"version":4711,"stock_after":5289}]}"#,
    );
    reply.clear();
    let length = before.len() + order.len() + behind.len();
    reply.extend_from_slice(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: ");
    reply.extend_from_slice(length.to_string().as_bytes());
    reply.extend_from_slice(b"\r\n\r\n");
    [before.as_slice(), order, behind.as_slice()].into_iter().for_each(|part| reply.extend_from_slice(part));
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn after<'a>(text: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    find(text, wanted).map(|at| &text[at + wanted.len()..])
}
