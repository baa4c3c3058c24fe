//! What the recording threads and the appender share: the blocks, who has which, and whether the store is open.
//!
//! Recording threads come here for each event only to read two words that hardly ever change; the queues are for when a
//! block is full.

use super::block::Block;
use super::fence::AsymmetricFence;
use super::gap::GapCounter;
use super::memory::Memory;
use super::packing::{self, WORD_BYTES};
use super::refusal::Refusal;
use super::single_events::{SINGLE_EVENTS_MAX, SingleEvents};
use crate::event::Event;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// How many bytes an event counts for, where the channel's size is given in events. A typical request takes 190.
const EVENT_BYTES: usize = 256;
/// The largest block. It holds some 170 events, so that work that comes once a block concerns less than one event in a
/// hundred, and the few blocks that a thread uses in turn fit into its core's cache.
const BLOCK_BYTES_MAX: usize = 32 * 1024;
/// The smallest block.
const BLOCK_BYTES_MIN: usize = 1024;
/// How many blocks a channel has at least, where blocks are smaller than the largest: each recording thread occupies
/// one, and further threads record more slowly, in blocks of their own.
const BLOCKS_MIN: usize = 64;
/// How many empty blocks the appender keeps ready whose memory is there: half a MiB of the largest. At 100,000 events per
/// second that is 27 ms of them, and the appender looks each 3 ms then.
const READY_BLOCKS: usize = 16;
/// Events are accepted.
const OPEN: u8 = 0;
/// New events are refused; the appender takes what was accepted before.
const CLOSING: u8 = 1;
/// The appender settles in each block what it still takes.
const CLOSED: u8 = 2;
/// Each block says whether the appender took its last events.
const SETTLED: u8 = 3;

/// What the recording threads share with the appender.
pub(crate) struct Channel {
    watched: WatchedState,
    /// Empty blocks without an owner, whose memory is there.
    pool: (Sender<Arc<Block>>, Receiver<Arc<Block>>),
    /// Blocks that nobody has written yet, so that the system has not given their memory.
    untouched: Receiver<Arc<Block>>,
    /// Blocks on their way to the appender. Each comes once, when its owner begins to write it.
    to_appender: (Sender<Arc<Block>>, Receiver<Arc<Block>>),
    event_words_max: usize,
    singles: SingleEvents,
    lanes: Mutex<Lanes>,
    /// Events that were handed over in blocks of their own.
    accepted_singly: AtomicU64,
    taken: TakenCount,
    /// Whether the appender died or hangs, and is to take no more.
    abandoned: AtomicBool,
    pub(crate) gap: GapCounter,
}

/// What recording threads read for each event, on a cache line of its own, to which nobody writes before the store
/// closes.
#[repr(align(128))]
struct WatchedState {
    state: AtomicU8,
    fence: AsymmetricFence,
    shared_words_max: usize,
}

/// How many events the appender has taken. Only the appender stores the count, and so often that recording threads may
/// need nothing else of its cache line.
#[derive(Default)]
#[repr(align(128))]
struct TakenCount(AtomicU64);

/// How many events were handed over: by each thread that records, and by all threads that ended.
#[derive(Default)]
struct Lanes {
    accepted: Vec<Arc<AtomicU64>>,
    accepted_before: u64,
}

impl Channel {
    /// A channel for about `events` events of at most `event_bytes_max` bytes each.
    pub(crate) fn new(events: usize, event_bytes_max: usize) -> Self {
        let bytes = events * EVENT_BYTES;
        let block_bytes = (bytes / BLOCKS_MIN).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX).next_multiple_of(WORD_BYTES);
        let (blocks, block_words) = ((bytes / block_bytes).max(1), block_bytes / WORD_BYTES);
        let pool = crossbeam_channel::bounded(blocks);
        let untouched = crossbeam_channel::bounded(blocks);
        // All blocks share one piece of memory. With memory of its own for each block, recording at 1,000 events per
        // second took 430 to 620 ns in place of 300 to 440 (p50, three runs each in turn): at that pace the processor
        // has to look up where the page is.
        let memory = Arc::new(Memory::new(blocks * block_words));
        for number in 0..blocks {
            // The queue has room for all blocks.
            let place = number * block_words..(number + 1) * block_words;
            let _ = untouched.0.try_send(Arc::new(Block::pooled(&memory, place)));
        }
        let channel = Self {
            watched: WatchedState {
                state: AtomicU8::new(OPEN),
                fence: AsymmetricFence::new(),
                shared_words_max: (block_words / 2).min(event_bytes_max / WORD_BYTES),
            },
            pool,
            untouched: untouched.1,
            to_appender: crossbeam_channel::bounded(blocks + SINGLE_EVENTS_MAX),
            event_words_max: event_bytes_max / WORD_BYTES,
            singles: SingleEvents::new(bytes.max(event_bytes_max) / WORD_BYTES),
            lanes: Mutex::default(),
            accepted_singly: AtomicU64::new(0),
            taken: TakenCount::default(),
            abandoned: AtomicBool::new(false),
            gap: GapCounter::new(),
        };
        channel.keep_ready();
        channel
    }

    /// Checks, by the recording thread and after it has published an event, that the appender will still take the
    /// event.
    ///
    /// The thread may have passed the check in `lane::offer` before the store closed, and have published after the
    /// appender's last look. [`AsymmetricFence`] says why one of the two notices, and [`Block::settle`] tells which of
    /// them it was.
    #[inline]
    pub(super) fn check_published(&self, block: &Block) -> Result<(), Refusal> {
        self.watched.fence.light();
        if self.watched.state.load(Ordering::Acquire) >= CLOSED { self.check_published_late(block) } else { Ok(()) }
    }

    #[cold]
    fn check_published_late(&self, block: &Block) -> Result<(), Refusal> {
        // The appender goes from `CLOSED` to `SETTLED` without waiting for anything.
        while self.watched.state.load(Ordering::Acquire) == CLOSED {
            std::thread::yield_now();
        }
        // An abandoned channel does not say whether the event was still taken. If not, [`Self::dropped`] counts the
        // event.
        if block.was_taken() || self.is_abandoned() { Ok(()) } else { Err(Refusal::Closed) }
    }

    /// Hands over an event in a block of its own, because the event is too large to share a block, or its thread has no
    /// lane: the thread is ending, or there are more threads than blocks. This allocates, which may make a system call.
    #[cold]
    pub(super) fn offer_in_own_block(&self, event: &Event<'_>) -> Result<(), Refusal> {
        let words = packing::pack(event, &[]);
        if words > self.event_words_max {
            let (bytes, bytes_max) = (words * WORD_BYTES, self.event_words_max * WORD_BYTES);
            return Err(Refusal::TooLarge { bytes, bytes_max });
        }
        if !self.singles.reserve(words) {
            return Err(Refusal::Full);
        }
        let block = Arc::new(Block::for_single_event(words, |memory| _ = packing::pack(event, memory)));
        let block = self.send(block).ok_or(Refusal::Full)?;
        self.check_published(&block)?;
        self.accepted_singly.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many words an event may have to share a block: half a block's, so that not much of a block stays empty.
    #[inline]
    pub(super) fn shared_words_max(&self) -> usize {
        self.watched.shared_words_max
    }

    /// An empty block, which the appender knows of from now on: one that was in use, if there is any, so that memory that
    /// a burst took is the memory that the next one takes. `None`: the channel is full.
    pub(super) fn take_block(&self) -> Option<Arc<Block>> {
        let block = self.pool.1.try_recv().or_else(|_| self.untouched.try_recv()).ok()?;
        self.hand_over(block)
    }

    /// By the appender, at each look: has the memory of a few blocks given before recording threads come to them. `false`:
    /// all blocks have theirs.
    pub(super) fn keep_ready(&self) -> bool {
        while self.pool.1.len() < READY_BLOCKS {
            let Ok(block) = self.untouched.try_recv() else { return false };
            block.touch();
            // The pool has room for all its blocks.
            let _ = self.pool.0.try_send(block);
        }
        true
    }

    /// Tells the appender of a block that its owner is about to write.
    pub(super) fn hand_over(&self, block: Arc<Block>) -> Option<Arc<Block>> {
        block.restart();
        self.send(block)
    }

    /// Sends a block to the appender. The queue has room for each block of the pool, which is in it once at most, and
    /// for each event in a block of its own. `None` if it should have none all the same: the block is not lost then, but
    /// free again.
    fn send(&self, block: Arc<Block>) -> Option<Arc<Block>> {
        match self.to_appender.0.try_send(Arc::clone(&block)) {
            Ok(()) => Some(block),
            Err(_) => {
                self.recycle(block);
                None
            }
        }
    }

    /// By the owner of a finished block, who does not want the block back.
    pub(super) fn let_go(&self, block: Arc<Block>) {
        if !block.release() {
            self.recycle(block);
        }
    }

    /// Takes back an empty block that nobody uses any more.
    pub(super) fn recycle(&self, block: Arc<Block>) {
        if block.pooled {
            // The pool has room for all its blocks.
            let _ = self.pool.0.try_send(block);
        } else {
            self.singles.release(block.len());
        }
    }

    /// The blocks that recording threads have begun since the last call, for the appender.
    pub(super) fn new_blocks(&self) -> impl Iterator<Item = Arc<Block>> + '_ {
        self.to_appender.1.try_iter()
    }

    /// By the appender: adds to the count of events that it has taken.
    pub(super) fn add_taken(&self, events: u64) {
        self.taken.0.store(self.taken.0.load(Ordering::Relaxed) + events, Ordering::Relaxed);
    }

    /// Counts the events of one more recording thread.
    pub(super) fn add_lane(&self) -> Arc<AtomicU64> {
        let accepted = Arc::new(AtomicU64::new(0));
        self.lanes.lock().accepted.push(Arc::clone(&accepted));
        accepted
    }

    /// Notes that a recording thread has ended; its count is kept.
    pub(super) fn remove_lane(&self, accepted: &Arc<AtomicU64>) {
        let mut lanes = self.lanes.lock();
        lanes.accepted.retain(|other| !Arc::ptr_eq(other, accepted));
        lanes.accepted_before += accepted.load(Ordering::Relaxed);
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> u64 {
        if self.is_abandoned() { 0 } else { self.waiting() }
    }

    /// How many events were lost: dropped, or left behind by an appender that died or hangs. The number of those left
    /// behind is no constant: threads count their events a moment after they hand them over, maybe after the channel is
    /// abandoned.
    pub(crate) fn dropped(&self) -> u64 {
        self.gap.total() + if self.is_abandoned() { self.waiting() } else { 0 }
    }

    /// How many of these no gap in the log tells of: none, once an appender ended by itself and could write.
    pub(crate) fn dropped_untold(&self) -> u64 {
        self.gap.untaken() + if self.is_abandoned() { self.waiting() } else { 0 }
    }

    fn waiting(&self) -> u64 {
        let lanes = self.lanes.lock();
        let accepted: u64 = lanes.accepted.iter().map(|accepted| accepted.load(Ordering::Relaxed)).sum();
        let accepted = accepted + lanes.accepted_before + self.accepted_singly.load(Ordering::Relaxed);
        // The appender may have taken an event before its thread got to counting it.
        accepted.saturating_sub(self.taken.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.watched.state.load(Ordering::Relaxed) == OPEN
    }

    /// Refuses new events. The appender still takes the events that were accepted.
    pub(crate) fn begin_closing(&self) {
        self.watched.state.fetch_max(CLOSING, Ordering::SeqCst);
    }

    /// By the appender, before it looks at each block for the last time.
    pub(super) fn close(&self) {
        self.watched.state.fetch_max(CLOSED, Ordering::SeqCst);
        self.watched.fence.heavy();
    }

    /// By the appender, after it has looked at each block for the last time.
    pub(super) fn mark_settled(&self) {
        self.watched.state.store(SETTLED, Ordering::Release);
    }

    /// Closes the channel for an appender that died or hangs. The events that it did not take are lost.
    pub(crate) fn abandon(&self) {
        self.close();
        self.abandoned.store(true, Ordering::SeqCst);
        self.mark_settled();
    }

    /// Whether the appender is to take no more.
    #[inline]
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("queued", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All blocks that are free, handed over.
    fn take_all(channel: &Channel) -> Vec<Arc<Block>> {
        std::iter::from_fn(|| channel.take_block()).collect()
    }

    #[test]
    fn a_queue_without_room_costs_no_block() {
        let channel = Channel::new(16, 4_000);
        let mut blocks = take_all(&channel);
        let (all, read) = (blocks.len(), channel.new_blocks().count());
        assert!(all > 1 && read == all);
        let of_a_lane = blocks.pop().unwrap();
        blocks.into_iter().for_each(|block| channel.recycle(block));
        // Nothing takes more than its room; here something does.
        while channel.to_appender.0.try_send(Arc::new(Block::for_single_event(1, |_| ()))).is_ok() {}
        assert!((0..all).all(|_| channel.take_block().is_none()));
        assert!(channel.hand_over(of_a_lane).is_none());
        assert!(channel.new_blocks().count() >= all);
        assert_eq!(take_all(&channel).len(), all);
    }
}
