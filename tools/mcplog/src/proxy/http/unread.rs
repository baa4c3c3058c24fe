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
        let Self { mut body, mut reader } = self;
        let mut total = 0;
        let rest = async {
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                if let Some(bytes) = frame.data_ref() {
                    total += bytes.len() as u64;
                    reader.push(bytes, exchange);
                }
                if total > DRAIN_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        let is_complete = tokio::time::timeout(DRAIN_TIME, rest).await.unwrap_or(false);
        reader.finish(is_complete, exchange);
    }

    /// Makes do with what was read.
    pub(super) fn read_partial(self, exchange: &Exchange) {
        self.reader.finish(false, exchange);
    }
}
