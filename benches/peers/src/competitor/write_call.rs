//! The obvious log: a mutex around a file, and one write(2) per event. Never synced.

use super::framing::{frame, framed_events};
use measure::log::Failure;
use measure::{Event, Log, Writer};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(crate) struct WriteCall {
    file: Arc<Mutex<File>>,
    path: PathBuf,
}

impl Log for WriteCall {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("events");
        Ok(Self { file: Arc::new(Mutex::new(File::create_new(&path)?)), path })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        Ok(Handle { file: Arc::clone(&self.file), event: Vec::with_capacity(512), framed: Vec::with_capacity(512) })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        framed_events(&self.path).map(Some)
    }
}

pub(crate) struct Handle {
    file: Arc<Mutex<File>>,
    event: Vec<u8>,
    framed: Vec<u8>,
}

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        frame(event, &mut self.event, &mut self.framed);
        let mut file = self.file.lock().expect("no thread panicked in a write");
        // A failed write is a lost event, and is found missing when the file is read back.
        let _ = file.write_all(&self.framed);
    }
}
