//! How many clients are served at once, and what those beyond are told.
//!
//! Runs in the accepting task and in small ones beside it. Descriptors run out for everybody, the store included, so the limit
//! comes before they do.

use super::fault_log::QUIET;
use super::refusal::text_response;
use http::StatusCode;
use mcplog::burst::Burst;
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Descriptors for everything but clients: the store's files, the admin server's connections, who is being refused.
const DESCRIPTORS_KEPT: u64 = 128;
/// A client's own, and the one to the upstream.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// How many are being refused at once; those beyond are cut off without a word.
const REFUSALS_MAX: usize = 32;
/// How long one that is refused may take to hear it.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How much of its request is read meanwhile, in bytes: closing before would take the answer away from it.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// How many connections there are at most where descriptors are without limit.
const CONNECTIONS_MAX: u64 = 1_000_000;

/// Lets clients in.
pub(super) struct Gate {
    connections_max: usize,
    free: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    /// Too many come, as the diagnostics tell it.
    crowd: Mutex<Burst>,
}

impl Gate {
    /// A gate for so many, or for as many as there are descriptors.
    pub(super) fn new(connections_max: Option<usize>) -> Self {
        let descriptors = raise_descriptor_limit();
        let possible = possible_connections(descriptors);
        let connections_max = connections_max.unwrap_or(possible);
        if connections_max > possible {
            tracing::warn!(connections_max, possible, "there are not enough file descriptors for --max-connections");
        }
        Self {
            connections_max,
            free: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            crowd: Mutex::new(Burst::new(QUIET)),
        }
    }

    /// Lets one in, until the permit is dropped. `None` if it is one too many.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// Tells when it is over that too many come.
    pub(super) fn look(&self, now: Instant) {
        let over = self.crowd.lock().over(now);
        if let Some(over) = over {
            tracing::warn!(times = over.times, lasted_ms = over.lasted_ms(), "no more connections are too many");
        }
    }

    /// What becomes of one too many: it is told, if that is cheap.
    pub(super) fn refuse(&self, stream: TcpStream) -> Option<impl Future<Output = ()> + Send + use<>> {
        if self.crowd.lock().note(1, Instant::now()) {
            let limit = self.connections_max;
            tracing::warn!(limit, "too many connections (see --max-connections)");
        }
        let permit = self.refusals.clone().try_acquire_owned().ok()?;
        let words = format!("too many connections: the limit is {} (--max-connections)", self.connections_max);
        let response = text_response(StatusCode::SERVICE_UNAVAILABLE, "retry-after: 1\r\n", &words);
        Some(async move {
            // Whoever does not listen is cut off.
            let _ = tokio::time::timeout(REFUSAL_TIME, tell(stream, &response)).await;
            drop(permit);
        })
    }
}

async fn tell(mut stream: TcpStream, response: &[u8]) -> std::io::Result<()> {
    stream.write_all(response).await?;
    stream.shutdown().await?;
    let mut buffer = [0; 4096];
    let mut left = REFUSAL_BYTES_MAX;
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

/// How many descriptors the process may have, after asking for as many as it may ask for.
fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit on file descriptors stays");
            limit.current
        }
    }
}

/// How many connections fit into that many descriptors; `None` is no limit.
fn possible_connections(descriptors: Option<u64>) -> usize {
    let possible = descriptors.map_or(CONNECTIONS_MAX, |descriptors| {
        let left = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(descriptors / 2);
        (left / DESCRIPTORS_PER_CONNECTION).clamp(1, CONNECTIONS_MAX)
    });
    usize::try_from(possible).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_two_descriptors_and_the_store_has_some_left() {
        for (descriptors, expected) in
            [(Some(0), 1), (Some(64), 16), (Some(1024), 448), (Some(1_048_576), 524_224), (None, 1_000_000)]
        {
            assert_eq!(possible_connections(descriptors), expected, "{descriptors:?}");
        }
    }
}
