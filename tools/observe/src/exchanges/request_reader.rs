//! Reads the JSON-RPC messages of a request's body.
//!
//! Runs inside the task that passes the body on. It must not do I/O or fail.

use super::exchange::Exchange;
use super::limits::REQUEST_WORK_BYTES_MAX;
use crate::read::{Codings, Decoder, Scanner};

/// Reads the JSON-RPC messages of one request's body.
pub struct RequestReader {
    decoder: Decoder,
    scanner: Scanner,
    is_unread: bool,
}

impl RequestReader {
    /// The reader for a body of that exchange that is packed in that way.
    pub fn new(codings: Codings, exchange: &Exchange) -> Self {
        let budget = exchange.budget();
        let decoder = Decoder::new(codings, budget, REQUEST_WORK_BYTES_MAX);
        Self { decoder, scanner: Scanner::within(budget).without_error_text(), is_unread: false }
    }

    /// Reads the next bytes of the body. To be called before they are passed on, so that no response overtakes its request.
    pub fn push(&mut self, bytes: &[u8], exchange: &Exchange) {
        if self.is_unread || bytes.is_empty() {
            return;
        }
        let Self { decoder, scanner, is_unread } = self;
        let result = decoder.push(bytes, |bytes| {
            scanner.push(bytes, |message| exchange.on_request_message(message));
        });
        if result.is_err() || scanner.is_starved() {
            *is_unread = true;
            decoder.give_up();
        }
    }

    /// The body is over. A message that it broke off in counts if it is known to be a request.
    pub fn finish(mut self, is_complete: bool, exchange: &Exchange) {
        if is_complete {
            exchange.on_request_end();
        }
        let is_unread = self.is_unread || (is_complete && !self.decoder.is_whole());
        if is_unread {
            exchange.on_request_unread();
        }
        if let Some(message) = self.scanner.unfinished() {
            exchange.on_request_message_broken_off(message);
        }
        if is_unread || !is_complete {
            exchange.on_request_cut_short();
        }
    }
}
