//! What a server prints where only messages belong.
//!
//! Counted by whoever passes its bytes on, read by anybody. Of what it says nothing is kept.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a server printed on its standard output that is no message: banners, log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// How many lines. One that is empty, or nothing but whitespace, is none.
    pub lines: u64,
    /// How long they are together, in bytes, without the line feeds at their ends.
    pub bytes: u64,
}

/// The same, as it grows.
#[derive(Debug, Default)]
pub(super) struct NoiseCount {
    lines: AtomicU64,
    bytes: AtomicU64,
}

impl NoiseCount {
    /// One more line of that many bytes. Says how many there are now.
    pub(super) fn add(&self, bytes: u64) -> u64 {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.lines.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn get(&self) -> Noise {
        Noise { lines: self.lines.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
