//! The memory of a channel: all of it has its addresses from the start, and the system gives each page when that is first
//! written.
//!
//! Whoever makes the memory, and the appender, have pages given before recording threads come to them. Only a burst that
//! outruns the appender meets a page that nobody wrote: that costs half a microsecond once, for some twenty events.

use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicU64, Ordering};

/// Words in as many bytes as the smallest page of a machine that mcplog runs on.
const PAGE_WORDS: usize = 4096 / 8;

/// Words, all zero at first. They are atomics, so that sharing them needs no `unsafe`.
#[derive(Debug)]
pub(super) struct Memory(Box<[AtomicU64]>);

impl Memory {
    /// Memory of so many words, of which no page is there yet.
    pub(super) fn new(words: usize) -> Self {
        Self(bytemuck::zeroed_slice_box(words))
    }

    /// Has the pages of these words given, which nobody reads or writes meanwhile.
    pub(super) fn touch(&self, place: Range<usize>) {
        for word in self.0[place].iter().step_by(PAGE_WORDS) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl Deref for Memory {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of the memory of this process is there, in KiB.
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[test]
    fn memory_is_given_as_it_is_touched_and_not_before() {
        // So much that whatever the other tests of this process take meanwhile is little beside it.
        let words = 128 * 1024 * 1024;
        let before = resident_kib();
        let memory = Memory::new(words);
        let (made, half) = (resident_kib(), words as u64 / 2 * 8 / 1024);
        assert!(made < before + half / 2, "{before} KiB before, {made} KiB with memory that nobody touched");
        memory.touch(0..words / 2);
        let touched = resident_kib();
        assert!(touched > made + half / 2, "{made} KiB before, {touched} KiB with half of it touched");
        assert!(memory.iter().step_by(1000).all(|word| word.load(Ordering::Relaxed) == 0));
    }
}
