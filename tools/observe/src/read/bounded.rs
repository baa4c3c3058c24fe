//! Buffers that grow by doubling, never past a limit, and within the budget of all exchanges.
//!
//! Pure. `Vec` alone would do but for its last doubling, which may go up to twice as far, and for the budget.

use crate::budget::{Budget, Share};
use std::ops::Range;

/// What a buffer begins with, in bytes: most captured values fit in together.
const FIRST_BYTES: usize = 64;

/// What became of bytes that were to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// All of them are kept.
    Whole,
    /// The limit left room for some of them.
    Cut,
    /// The budget gave nothing: none of them is kept.
    Refused,
}

/// A buffer that takes what it holds from the budget.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    share: Share,
}

impl Buffer {
    /// An empty buffer. Up to `free_bytes` it takes nothing from the budget.
    pub(crate) fn new(budget: &Budget, free_bytes: usize) -> Self {
        Self { bytes: Vec::new(), share: budget.share(free_bytes) }
    }

    /// Another one, empty, as this one was when it was new.
    pub(crate) fn another(&self) -> Self {
        Self { bytes: Vec::new(), share: self.share.another() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends as much of `part` as `bytes_max` leaves room for.
    pub(crate) fn append(&mut self, part: &[u8], bytes_max: usize) -> Appended {
        let fitting = part.len().min(bytes_max.saturating_sub(self.bytes.len()));
        if !self.reserve(self.bytes.len() + fitting, bytes_max) {
            return Appended::Refused;
        }
        self.bytes.extend_from_slice(&part[..fitting]);
        if fitting == part.len() { Appended::Whole } else { Appended::Cut }
    }

    /// Moves bytes to the front of the buffer.
    pub(crate) fn copy_within(&mut self, range: Range<usize>, to: usize) {
        self.bytes.copy_within(range, to);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Empties it, and keeps room for no more than `idle_bytes`.
    pub(crate) fn clear(&mut self, idle_bytes: usize) {
        self.bytes.clear();
        if self.bytes.capacity() > idle_bytes {
            self.bytes.shrink_to(idle_bytes);
            self.share.resize(self.bytes.capacity());
        }
    }

    fn reserve(&mut self, needed: usize, bytes_max: usize) -> bool {
        let before = self.bytes.capacity();
        if needed > before {
            let after = needed.max(before * 2).max(FIRST_BYTES).min(bytes_max);
            // Both are there while what is in it is copied.
            if !self.share.resize(before + after) {
                return false;
            }
            self.bytes.reserve_exact(after - self.bytes.len());
            self.share.resize(self.bytes.capacity());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_takes_what_fits_and_never_grows_past_its_limit() {
        for bytes_max in [0, 1, 63, 64, 65, 1000, 1024] {
            let budget = Budget::default();
            let mut buffer = Buffer::new(&budget, 0);
            for taken in (0..2000).step_by(7) {
                let fits = buffer.append(&[b'x'; 7], bytes_max) == Appended::Whole;
                assert_eq!(fits, taken + 7 <= bytes_max, "{taken} of {bytes_max}");
                assert_eq!(buffer.bytes().len(), (taken + 7).min(bytes_max));
                assert!(buffer.capacity() <= bytes_max, "{} of {bytes_max}", buffer.capacity());
                assert_eq!(budget.taken(), buffer.capacity());
            }
            buffer.clear(64);
            assert!(buffer.capacity() <= 64 && budget.taken() == buffer.capacity());
        }
    }

    #[test]
    fn a_buffer_that_gets_nothing_keeps_what_it_has() {
        let budget = Budget::new(1000);
        let mut buffer = Buffer::new(&budget, 128);
        let mut appended = 0;
        while buffer.append(&[b'x'; 50], usize::MAX) == Appended::Whole {
            appended += 50;
        }
        assert_eq!(buffer.append(b"y", appended), Appended::Cut, "which asks for nothing");
        assert_eq!(buffer.bytes(), vec![b'x'; appended]);
        assert!(buffer.capacity() <= 128 + 1000 && budget.taken() <= 1000);
        let mut another = buffer.another();
        assert_eq!(another.append(&[b'z'; 128], usize::MAX), Appended::Whole, "what is free is free");
        drop((buffer, another));
        assert_eq!(budget.taken(), 0);
    }
}
