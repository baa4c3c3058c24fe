//! walrus-rust: one topic, its default sync every 200 ms.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use std::path::Path;
use std::sync::Arc;
use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

const TOPIC: &str = "events";
/// What is read back at a time.
const READ_BYTES: usize = 4 * 1024 * 1024;

pub(crate) struct WalrusLog(Arc<Walrus>);

impl Log for WalrusLog {
    type Writer = Handle;

    /// The directory comes from the environment, where the parent put it: this crate takes it from nowhere else.
    fn open(_dir: &Path) -> Result<Self, Failure> {
        let consistency = ReadConsistency::AtLeastOnce { persist_every: 1_000_000 };
        Ok(Self(Arc::new(Walrus::with_consistency_and_schedule(consistency, FsyncSchedule::Milliseconds(200))?)))
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle { walrus: Arc::clone(&self.0), bytes: Vec::with_capacity(512) })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        let mut events = 0;
        loop {
            let entries = self.0.batch_read_for_topic(TOPIC, READ_BYTES, true)?;
            if entries.is_empty() {
                return Ok(Some(events));
            }
            events += entries.len() as u64;
        }
    }
}

pub(crate) struct Handle {
    walrus: Arc<Walrus>,
    bytes: Vec<u8>,
}

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        event.encode_into(&mut self.bytes);
        // A refused event is found missing when the topic is read back.
        let _ = self.walrus.append_for_topic(TOPIC, &self.bytes);
    }
}
