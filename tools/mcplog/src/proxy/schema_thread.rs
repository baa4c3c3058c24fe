//! The thread that looks at what the upstream offers.
//!
//! A thread of its own, because parsing and hashing a long list takes milliseconds, and a forwarding task must not spend
//! them. It must not hold up anybody: what does not fit in its queue is not looked at, and the next list result makes up
//! for it.

use mcplog_observe::{SchemaQueue, SchemaResult, SchemaWatch};
use parking_lot::Mutex;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// How many results may wait; with [`mcplog_observe::SCHEMA_BYTES_MAX`] each, 64 MiB.
const QUEUE_MAX: usize = 32;

/// The handle of the schema thread.
pub(super) struct SchemaThread {
    /// `None` once it was told to stop.
    queue: Mutex<Option<SyncSender<SchemaResult>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SchemaThread {
    /// Starts the thread.
    pub(super) fn start(mut watch: SchemaWatch) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("mcplog-schema".into()).spawn(move || {
            while let Ok(result) = receiver.recv() {
                watch.look_at(&result);
            }
        })?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread after what is queued. Blocks for as long as that takes.
    pub(super) fn stop(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the schema thread panicked");
        }
    }
}

impl SchemaQueue for SchemaThread {
    fn offer(&self, result: SchemaResult) {
        let Some(queue) = self.queue.lock().clone() else { return };
        if let Err(TrySendError::Full(result)) = queue.try_send(result) {
            tracing::warn!(method = result.method().name(), "too many schema results at once: one was not looked at");
        }
    }
}
