//! tracing-appender's non-blocking writer without tracing: encoded bytes straight into it. Nobody uses it like that; it is
//! here so that formatting can't be what mcplog is faster than.

use super::framing::{frame, framed_events};
use super::tracing_appender::wait_until_still;
use measure::log::Failure;
use measure::{Event, Log, Writer};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};

pub(crate) struct NonBlockingBytes {
    writer: NonBlocking,
    guard: WorkerGuard,
    path: PathBuf,
}

impl Log for NonBlockingBytes {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let (writer, guard) = tracing_appender::non_blocking(tracing_appender::rolling::never(dir, "events"));
        Ok(Self { writer, guard, path: dir.join("events") })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle { writer: self.writer.clone(), event: Vec::with_capacity(512), framed: Vec::with_capacity(512) })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        wait_until_still(&self.path)?;
        drop(self.guard);
        framed_events(&self.path).map(Some)
    }
}

pub(crate) struct Handle {
    writer: NonBlocking,
    event: Vec<u8>,
    framed: Vec<u8>,
}

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        frame(event, &mut self.event, &mut self.framed);
        // It never fails: what does not fit is dropped, and found missing when the file is read back.
        let _ = self.writer.write_all(&self.framed);
    }
}
