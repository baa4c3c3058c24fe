//! okaywal: every commit is synced (threads share a sync); it knows no other.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use okaywal::{Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct OkayWal {
    log: WriteAheadLog,
    dir: PathBuf,
    checkpointed: Arc<AtomicU64>,
}

impl Log for OkayWal {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let checkpointed = Arc::new(AtomicU64::new(0));
        let log = WriteAheadLog::recover(dir, Counting(Arc::clone(&checkpointed)))?;
        Ok(Self { log, dir: dir.into(), checkpointed })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(self.handle())
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        self.log.shutdown()?;
        let left = Arc::new(AtomicU64::new(0));
        WriteAheadLog::recover(&self.dir, Counting(Arc::clone(&left)))?.shutdown()?;
        Ok(Some(self.checkpointed.load(Ordering::Relaxed) + left.load(Ordering::Relaxed)))
    }
}

impl OkayWal {
    pub(crate) fn handle(&self) -> Handle {
        Handle { log: self.log.clone(), bytes: Vec::with_capacity(512) }
    }
}

/// Counts the entries that leave the log for the storage behind it, and those that are still in it when it is opened.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl LogManager for Counting {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        if entry.read_all_chunks()?.is_some() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn checkpoint_to(&mut self, _last: EntryId, entries: &mut SegmentReader, _wal: &WriteAheadLog) -> io::Result<()> {
        while let Some(mut entry) = entries.read_entry()? {
            if entry.read_all_chunks()?.is_some() {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

pub(crate) struct Handle {
    log: WriteAheadLog,
    bytes: Vec<u8>,
}

impl Handle {
    /// Writes and waits until it is durable.
    pub(crate) fn commit(&mut self, event: &Event<'_>) -> io::Result<()> {
        event.encode_into(&mut self.bytes);
        let mut entry = self.log.begin_entry()?;
        entry.write_chunk(&self.bytes)?;
        entry.commit().map(|_| ())
    }
}

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        // A refused entry is found missing when the log is read back.
        let _ = self.commit(event);
    }
}
