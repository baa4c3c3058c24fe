//! The part of a request that the upstream did not take.
//!
//! Read by the client connection's task, for the recording only, so that a request is known even if nobody received it.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcplog_observe::{Exchange, RequestReader};
use std::time::Duration;

/// How long the rest of a request is read after the upstream could not be reached, so that its row says what it was.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How much of it is read, in bytes. The memory for it does not grow.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The part of a request that the upstream did not take.
pub(super) struct Unread {
    body: Incoming,
    reader: RequestReader,
}

impl Unread {
    pub(super) fn new(body: Incoming, reader: RequestReader) -> Self {
        Self { body, reader }
    }

    /// Reads the rest.
    pub(super) async fn read_rest(self, exchange: &Exchange) {
        let Self { mut body, reader } = self;
        // Whoever reads may be dropped in the middle: the client goes away, or the proxy ends.
        let mut reading = Reading { reader: Some(reader), exchange };
        let mut total = 0;
        let rest = async {
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                if let Some(bytes) = frame.data_ref() {
                    total += bytes.len() as u64;
                    reading.push(bytes);
                }
                if total > DRAIN_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        let is_complete = tokio::time::timeout(DRAIN_TIME, rest).await.unwrap_or(false);
        reading.finish(is_complete);
    }

    /// Makes do with what was read.
    pub(super) fn read_partial(self, exchange: &Exchange) {
        self.reader.finish(false, exchange);
    }
}

/// A reader that makes do with what it has read when it is dropped.
struct Reading<'a> {
    reader: Option<RequestReader>,
    exchange: &'a Exchange,
}

impl Reading<'_> {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(reader) = &mut self.reader {
            reader.push(bytes, self.exchange);
        }
    }

    fn finish(&mut self, is_complete: bool) {
        if let Some(reader) = self.reader.take() {
            reader.finish(is_complete, self.exchange);
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.finish(false);
    }
}
