//! A floor: the event's bytes copied into a mapped file, with nothing that could tell them apart again.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Of each thread's file; afterwards it starts again at the beginning.
const FILE_BYTES: usize = 32 * 1024 * 1024;
/// More than any event takes.
const EVENT_BYTES_MAX: usize = 512;

pub(crate) struct Memory {
    dir: PathBuf,
    files: AtomicU64,
}

impl Log for Memory {
    type Writer = Mapped;

    fn open(dir: &Path) -> Result<Self, Failure> {
        Ok(Self { dir: dir.into(), files: AtomicU64::new(0) })
    }

    fn writer(&self) -> Result<Mapped, Failure> {
        let path = self.dir.join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.set_len(FILE_BYTES as u64)?;
        // SAFETY: the file is new, in a directory of this process's own: nobody else changes or shortens it.
        let mut map = unsafe { MmapOptions::new().map_mut(&file) }?;
        // Page faults are not what this measures.
        map.fill(0);
        Ok(Mapped { map, at: 0 })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }
}

pub(crate) struct Mapped {
    map: MmapMut,
    at: usize,
}

impl Mapped {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.map[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

impl Writer for Mapped {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        if self.at + EVENT_BYTES_MAX > self.map.len() {
            self.at = 0;
        }
        for text in [event.request_id, event.proxy, event.session_id, event.method, event.tool] {
            self.put(text.as_bytes());
        }
        for number in [event.ts, event.latency_us, event.bytes_in, event.bytes_out] {
            self.put(&number.to_le_bytes());
        }
        if let Some(failure) = event.failure {
            self.put(failure.code.as_bytes());
            self.put(failure.message.as_bytes());
        }
    }
}
