//! Reads the JSON-RPC messages of a request's body.
//!
//! Runs inside the task that passes the body on. It must not do I/O or fail.

use super::exchange::Exchange;
use crate::read::{Coding, Decoder, Scanner};

/// Reads the JSON-RPC messages of one request's body.
pub struct RequestReader {
    decoder: Decoder,
    scanner: Scanner,
    is_unreadable: bool,
}

impl RequestReader {
    /// The reader for a body that is packed in that way.
    pub fn new(coding: Coding) -> Self {
        Self { decoder: Decoder::new(coding), scanner: Scanner::new(), is_unreadable: false }
    }

    /// Reads the next bytes of the body. To be called before they are passed on, so that no response overtakes its request.
    pub fn push(&mut self, bytes: &[u8], exchange: &Exchange) {
        let Self { decoder, scanner, is_unreadable } = self;
        let result = decoder.push(bytes, |bytes| {
            scanner.push(bytes, |message| exchange.on_request_message(message));
        });
        *is_unreadable |= result.is_err();
    }

    /// The body is over. A message that it broke off in counts if it is known to be a request.
    pub fn finish(mut self, is_complete: bool, exchange: &Exchange) {
        if let Some(message) = self.scanner.unfinished() {
            exchange.on_request_message(message);
        }
        if !is_complete || self.is_unreadable {
            exchange.on_request_unreadable();
        }
    }
}
