//! The bytes of one client connection, on their way to and from the HTTP library.
//!
//! Polled by the connection's task. It tells the connection's clock what passes, and puts words to the refusals that the
//! library sends for heads that it can't read, which have none. It must not look at anything else.

use super::buffer::BUFFER_BYTES_MAX;
use super::connection_clock::ConnectionClock;
use super::refusal::{FIELDS_MAX, text_response};
use http::StatusCode;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// One client connection.
pub(super) struct ClientStream {
    tcp: TcpStream,
    clock: Arc<ConnectionClock>,
    /// What is sent in the place of a refusal without words, as far as it is not sent yet.
    refusal: Vec<u8>,
}

impl ClientStream {
    pub(super) fn new(tcp: TcpStream, clock: Arc<ConnectionClock>) -> Self {
        Self { tcp, clock, refusal: Vec::new() }
    }

    /// Sends as much as fits at once; who is sent away for being slow is not waited for.
    pub(super) fn send_now(&self, bytes: &[u8]) {
        if let Err(error) = self.tcp.try_write(bytes) {
            tracing::debug!(%error, "a last word to a client");
        }
    }

    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let sent = std::task::ready!(Pin::new(&mut self.tcp).poll_write(context, &self.refusal))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.on_read(Instant::now());
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_refusal(context))?;
        if self.clock.on_write(Instant::now())
            && let Some(worded) = worded(bytes)
        {
            self.refusal = worded;
            std::task::ready!(self.poll_refusal(context))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        std::task::ready!(self.poll_refusal(context))?;
        self.clock.on_write(Instant::now());
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// The refusal with words in the place of one without.
fn worded(refusal: &[u8]) -> Option<Vec<u8>> {
    let code = refusal.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let status = StatusCode::from_bytes(code).ok().filter(|_| refusal.ends_with(b"\r\n\r\n"))?;
    let words = match status {
        StatusCode::BAD_REQUEST => "the request's head is no HTTP/1.1 that can be told from an attack".to_owned(),
        StatusCode::URI_TOO_LONG => "the request target is too long: the limit is 65534 bytes".to_owned(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the request's head is too large: the limits are {FIELDS_MAX} header fields and {} KiB",
            BUFFER_BYTES_MAX / 1024
        ),
        _ => return None,
    };
    Some(text_response(status, "", &words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_words_gets_some_and_nothing_else_is_touched() {
        let head = |status: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        for (status, part) in [
            ("431 Request Header Fields Too Large", "100 header fields"),
            ("400 Bad Request", "no HTTP/1.1"),
            ("414 URI Too Long", "65534 bytes"),
        ] {
            let text = String::from_utf8(worded(head(status).as_bytes()).unwrap()).unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")) && text.contains(part), "{text}");
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())), "{text}");
        }
        for other in [head("404 Not Found"), "HTTP/1.1 431 x\r\n\r\nbody".to_owned(), "HTTP/1.1 4".to_owned()] {
            assert_eq!(worded(other.as_bytes()), None, "{other}");
        }
    }
}
