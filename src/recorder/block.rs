//! A block of memory in which one thread's events wait for the appender.
//!
//! The owner, a recording thread, writes words and publishes how far it came; the appender reads up to there. Words are
//! atomics, though only one thread writes them, so that sharing them needs no `unsafe`; a relaxed store is an ordinary
//! store to the processor.
//!
//! Who uses a block, over its life:
//!
//! | state | the owner | the appender | next |
//! |---|---|---|---|
//! | writing | writes and publishes | reads what is published | finished |
//! | finished | waits for it | reads the rest | drained by the appender, or released by the owner |
//! | drained | may write it again | has given it up | writing |
//! | released | has given it up | reads the rest, then puts it into the pool | |

use super::memory::Memory;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const WRITING: u8 = 0;
const FINISHED: u8 = 1;
const DRAINED: u8 = 2;
const RELEASED: u8 = 3;

/// In place of a position: the appender takes everything up to the position that stood here, and nothing after it.
const SETTLED: u64 = u64::MAX;

/// A block, aligned so that two blocks never share a cache line, nor the pair of lines that processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Block {
    /// The memory that the block is a part of.
    memory: Arc<Memory>,
    /// Which words of the memory the block has.
    place: Range<usize>,
    /// Whether the block belongs to the pool and goes back there. A block for a single event does not.
    pub(super) pooled: bool,
    /// Up to which word of the memory the owner has written; stored with release, so that whoever sees the position
    /// sees the words.
    published: AtomicU64,
    state: AtomicU8,
}

impl Block {
    /// A block of the pool, which has those words of `memory`.
    pub(super) fn pooled(memory: &Arc<Memory>, place: Range<usize>) -> Self {
        let (published, state) = (AtomicU64::new(place.start as u64), AtomicU8::new(WRITING));
        Self { memory: Arc::clone(memory), place, pooled: true, published, state }
    }

    /// A block for a single event, which `write` writes. No thread owns the block: the appender drops it.
    pub(super) fn for_single_event(words: usize, write: impl FnOnce(&[AtomicU64])) -> Self {
        let memory = Arc::new(Memory::new(words));
        write(&memory);
        let (published, state) = (AtomicU64::new(words as u64), AtomicU8::new(RELEASED));
        Self { memory, place: 0..words, pooled: false, published, state }
    }

    /// How many words the block has.
    pub(super) fn len(&self) -> usize {
        self.place.len()
    }

    /// The memory that the block is a part of, and which words of it.
    pub(super) fn place(&self) -> (&Arc<Memory>, Range<usize>) {
        (&self.memory, self.place.clone())
    }

    /// By whoever has the block, while nobody writes it: has its memory given.
    pub(super) fn touch(&self) {
        self.memory.touch(self.place.clone());
    }

    /// Those words of the memory.
    pub(super) fn words(&self, place: Range<usize>) -> &[AtomicU64] {
        &self.memory[place]
    }

    /// By the owner: everything before `end` is written.
    #[inline]
    pub(super) fn publish(&self, end: usize) {
        self.published.store(end as u64, Ordering::Release);
    }

    /// By the owner: nothing more will be published.
    pub(super) fn finish(&self) {
        self.state.store(FINISHED, Ordering::Release);
    }

    /// By the owner of a finished block: whether the appender has read all of it, so that it may be written again.
    pub(super) fn is_drained(&self) -> bool {
        self.state.load(Ordering::Acquire) == DRAINED
    }

    /// By the owner of a drained block, or of a block from the pool: writing starts from the beginning.
    pub(super) fn restart(&self) {
        self.published.store(self.place.start as u64, Ordering::Relaxed);
        // Handing the block over to the appender publishes both stores.
        self.state.store(WRITING, Ordering::Relaxed);
    }

    /// By the owner of a finished block, who gives the block up. `false`: the appender has given it up too.
    pub(super) fn release(&self) -> bool {
        self.state.compare_exchange(FINISHED, RELEASED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// By the owner, when the store is closed: whether the appender still took what the owner has just published.
    pub(super) fn was_taken(&self) -> bool {
        self.published.load(Ordering::Acquire) == SETTLED
    }

    /// By the appender: whether no more will be published than [`Self::published`] says from now on.
    pub(super) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Acquire) != WRITING
    }

    /// By the appender: how far it may read.
    pub(super) fn published(&self) -> usize {
        usize::try_from(self.published.load(Ordering::Acquire)).unwrap_or(usize::MAX)
    }

    /// By the appender of an ended block that it has read. `false`: the owner has given the block up, and it belongs
    /// into the pool.
    pub(super) fn drain(&self) -> bool {
        self.state.compare_exchange(FINISHED, DRAINED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// By the appender, for the last time: how far it may read. It does not take what is published after this call, and
    /// the owner can tell by [`Self::was_taken`].
    pub(super) fn settle(&self) -> usize {
        usize::try_from(self.published.swap(SETTLED, Ordering::AcqRel)).unwrap_or(usize::MAX)
    }
}
