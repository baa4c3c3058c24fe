//! raft-engine: one raft group per thread (the indexes of a group are consecutive), one entry per batch, not synced.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use raft::eraftpb::Entry;
use raft_engine::{Config, Engine, LogBatch, MessageExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct RaftEngine {
    engine: Arc<Engine>,
    dir: PathBuf,
    groups: AtomicU64,
}

impl Log for RaftEngine {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        Ok(Self { engine: Arc::new(open(dir)?), dir: dir.into(), groups: AtomicU64::new(0) })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle {
            engine: Arc::clone(&self.engine),
            batch: LogBatch::with_capacity(1),
            // Group 0 is not a valid one.
            group: self.groups.fetch_add(1, Ordering::Relaxed) + 1,
            index: 0,
            bytes: Vec::with_capacity(512),
        })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        self.engine.sync()?;
        drop(self.engine);
        let engine = open(&self.dir)?;
        let groups = engine.raft_groups().into_iter();
        Ok(Some(groups.map(|group| 1 + last(&engine, group) - engine.first_index(group).unwrap_or(1)).sum()))
    }
}

fn open(dir: &Path) -> Result<Engine, Failure> {
    Ok(Engine::open(Config { dir: dir.to_string_lossy().into_owned(), ..Config::default() })?)
}

fn last(engine: &Engine, group: u64) -> u64 {
    engine.last_index(group).unwrap_or(0)
}

struct EntryIndex;

impl MessageExt for EntryIndex {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

pub(crate) struct Handle {
    engine: Arc<Engine>,
    batch: LogBatch,
    group: u64,
    index: u64,
    bytes: Vec<u8>,
}

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        event.encode_into(&mut self.bytes);
        self.index += 1;
        let mut entry = Entry::new();
        entry.set_index(self.index);
        entry.set_data(self.bytes.clone().into());
        // A refused entry is found missing when the engine is opened again.
        if self.batch.add_entries::<EntryIndex>(self.group, &[entry]).is_ok() {
            let _ = self.engine.write(&mut self.batch, false);
        }
    }
}
