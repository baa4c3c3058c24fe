//! tracing-appender's non-blocking writer, as its users have it: an `info!` event with fields, formatted as JSON by
//! tracing-subscriber on the caller's thread, one line per event. Its default: 128,000 lines, lossy.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_appender::non_blocking::WorkerGuard;

/// A file that has not grown for so long is complete.
const STILL: Duration = Duration::from_millis(100);

pub(crate) struct TracingAppender {
    guard: WorkerGuard,
    path: PathBuf,
}

impl Log for TracingAppender {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let (writer, guard) = tracing_appender::non_blocking(tracing_appender::rolling::never(dir, "events.log"));
        tracing_subscriber::fmt().json().with_writer(writer).try_init()?;
        Ok(Self { guard, path: dir.join("events.log") })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle)
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        wait_until_still(&self.path)?;
        drop(self.guard);
        let mut file = BufReader::new(File::open(&self.path)?);
        let mut lines = 0;
        while file.skip_until(b'\n')? > 0 {
            lines += 1;
        }
        Ok(Some(lines))
    }
}

pub(crate) struct Handle;

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        tracing::info!(
            request_id = event.request_id,
            ts = event.ts,
            proxy = event.proxy,
            session_id = event.session_id,
            method = event.method,
            tool = event.tool,
            latency_us = event.latency_us,
            status = if event.failure.is_some() { "error" } else { "ok" },
            error_code = event.failure.map(|failure| failure.code),
            error_msg = event.failure.map(|failure| failure.message),
            bytes_in = event.bytes_in,
            bytes_out = event.bytes_out,
        );
    }
}

/// Its guard gives the worker one second to write what is queued. That would lose lines that were accepted, so the file is
/// left to grow first.
pub(crate) fn wait_until_still(path: &Path) -> Result<(), Failure> {
    let bytes = || std::fs::metadata(path).map(|metadata| metadata.len());
    let mut before = bytes()?;
    loop {
        std::thread::sleep(STILL);
        let now = bytes()?;
        if now == before {
            return Ok(());
        }
        before = now;
    }
}
