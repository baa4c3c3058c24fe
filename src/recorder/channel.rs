//! What the recording threads and the appender share: the blocks, who has which, and whether the store is open.
//!
//! Recording threads come here for each event only to read two words that hardly ever change; the queues are for when
//! a block is full.

use super::block::{self, Block};
use super::fence::AsymmetricFence;
use super::gap::GapCounter;
use super::packing::{self, WORD_BYTES};
use super::refusal::Refusal;
use crate::event::Event;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// What an event is taken to need when the channel's size is given in events. A typical request takes 190.
const EVENT_BYTES: usize = 256;
/// The largest block: it holds some 170 events, so that what happens once a block is rarer than one event in a hundred,
/// and the few that a thread goes round in fit into its core's cache.
const BLOCK_BYTES_MAX: usize = 32 * 1024;
/// The smallest.
const BLOCK_BYTES_MIN: usize = 1024;
/// Below the largest block's size, a channel is divided into so many: each recording thread occupies one.
const BLOCKS_MIN: usize = 64;
/// How many events may wait that are too large to share a block.
const SINGLE_EVENTS_MAX: usize = 1024;
/// Events are accepted.
const OPEN: u8 = 0;
/// New events are refused; the appender takes what was accepted before.
const CLOSING: u8 = 1;
/// The appender is settling what it still takes.
const CLOSED: u8 = 2;
/// Each block says whether what is in it was taken.
const SETTLED: u8 = 3;

/// What the recording threads share with the appender.
pub(crate) struct Channel {
    watched: WatchedState,
    /// Empty blocks that belong to nobody.
    pool: (Sender<Arc<Block>>, Receiver<Arc<Block>>),
    /// Blocks on their way to the appender; each comes once, when its owner begins to write it.
    to_appender: (Sender<Arc<Block>>, Receiver<Arc<Block>>),
    event_words_max: usize,
    /// Words of large events that wait, and how many may.
    single_event_words: AtomicUsize,
    single_event_words_max: usize,
    lanes: Mutex<Lanes>,
    /// Events that were handed over in blocks of their own.
    accepted_singly: AtomicU64,
    taken: TakenCount,
    /// Set when the appender died or hangs: it is to take no more.
    abandoned: AtomicBool,
    pub(crate) gap: GapCounter,
}

/// What recording threads read for each event, on a cache line of its own: nobody writes to it before the store closes.
#[repr(align(128))]
struct WatchedState {
    state: AtomicU8,
    fence: AsymmetricFence,
    shared_words_max: usize,
}

/// How many events the appender has taken. Only it stores this, and so often that no recording thread may need
/// anything else of the same cache line.
#[derive(Default)]
#[repr(align(128))]
struct TakenCount(AtomicU64);

/// How many events were handed over: by each thread that records, and by those that ended.
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
        // In one piece. With memory of its own for each block, recording at 1,000 events per second took 430 to 620 ns in
        // place of 300 to 440 (p50, three runs each in turn): at that pace the processor has to look up where the page is.
        let memory = block::memory(blocks * block_words);
        for number in 0..blocks {
            // There is room for all of them.
            let place = number * block_words..(number + 1) * block_words;
            let _ = pool.0.try_send(Arc::new(Block::pooled(&memory, place)));
        }
        Self {
            watched: WatchedState {
                state: AtomicU8::new(OPEN),
                fence: AsymmetricFence::new(),
                shared_words_max: (block_words / 2).min(event_bytes_max / WORD_BYTES),
            },
            pool,
            to_appender: crossbeam_channel::bounded(blocks + SINGLE_EVENTS_MAX),
            event_words_max: event_bytes_max / WORD_BYTES,
            single_event_words: AtomicUsize::new(0),
            single_event_words_max: bytes.max(event_bytes_max) / WORD_BYTES,
            lanes: Mutex::default(),
            accepted_singly: AtomicU64::new(0),
            taken: TakenCount::default(),
            abandoned: AtomicBool::new(false),
            gap: GapCounter::new(),
        }
    }

    /// What a recording thread owes after publishing: a look at whether anybody will still take the event.
    ///
    /// It may have passed the check in `lane::offer` before the store closed, and have published after the
    /// appender's last look. [`AsymmetricFence`] says why one of the two notices, and [`Block::settle`] says which it was.
    #[inline]
    pub(super) fn check_published(&self, block: &Block) -> Result<(), Refusal> {
        self.watched.fence.light();
        if self.watched.state.load(Ordering::Acquire) >= CLOSED { self.check_published_late(block) } else { Ok(()) }
    }

    #[cold]
    fn check_published_late(&self, block: &Block) -> Result<(), Refusal> {
        // The appender goes from the one state to the other without waiting for anything.
        while self.watched.state.load(Ordering::Acquire) == CLOSED {
            std::thread::yield_now();
        }
        // An abandoned channel does not say whether the event was still taken. If not, [`Self::dropped`] has it.
        if block.was_taken() || self.is_abandoned() { Ok(()) } else { Err(Refusal::Closed) }
    }

    /// Hands over an event that has a block of its own: it is too large to share one, or its thread has no lane. This
    /// allocates, which may make a system call.
    #[cold]
    pub(super) fn offer_in_own_block(&self, event: &Event<'_>) -> Result<(), Refusal> {
        let words = packing::pack(event, &[]);
        if words > self.event_words_max {
            let (bytes, bytes_max) = (words * WORD_BYTES, self.event_words_max * WORD_BYTES);
            return Err(Refusal::TooLarge { bytes, bytes_max });
        }
        let words_before = self.single_event_words.fetch_add(words, Ordering::Relaxed);
        if words_before + words > self.single_event_words_max {
            self.single_event_words.fetch_sub(words, Ordering::Relaxed);
            return Err(Refusal::Full);
        }
        let block = Arc::new(Block::for_single_event(words, |memory| _ = packing::pack(event, memory)));
        if self.to_appender.0.try_send(Arc::clone(&block)).is_err() {
            self.single_event_words.fetch_sub(words, Ordering::Relaxed);
            return Err(Refusal::Full);
        }
        self.check_published(&block)?;
        self.accepted_singly.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// An event of more words gets a block of its own: half a block, so that not much of one stays empty.
    #[inline]
    pub(super) fn shared_words_max(&self) -> usize {
        self.watched.shared_words_max
    }

    /// An empty block, which the appender knows of. `None`: the channel is full.
    pub(super) fn take_block(&self) -> Option<Arc<Block>> {
        let block = self.pool.1.try_recv().ok()?;
        self.hand_over(block)
    }

    /// Tells the appender of a block that is about to be written.
    pub(super) fn hand_over(&self, block: Arc<Block>) -> Option<Arc<Block>> {
        block.restart();
        // There is room for every block there is, and a few more.
        self.to_appender.0.try_send(Arc::clone(&block)).ok()?;
        Some(block)
    }

    /// By the owner of a finished block: it does not want it back.
    pub(super) fn let_go(&self, block: Arc<Block>) {
        if !block.release() {
            self.recycle(block);
        }
    }

    /// An empty block that belongs to nobody any more.
    pub(super) fn recycle(&self, block: Arc<Block>) {
        if block.pooled {
            // The pool has room for all of them.
            let _ = self.pool.0.try_send(block);
        } else {
            self.single_event_words.fetch_sub(block.len(), Ordering::Relaxed);
        }
    }

    /// The blocks that recording threads have begun since the last call, for the appender.
    pub(super) fn new_blocks(&self) -> impl Iterator<Item = Arc<Block>> + '_ {
        self.to_appender.1.try_iter()
    }

    /// By the appender: so many more events are taken.
    pub(super) fn add_taken(&self, events: u64) {
        self.taken.0.store(self.taken.0.load(Ordering::Relaxed) + events, Ordering::Relaxed);
    }

    /// Counts the events of one more recording thread.
    pub(super) fn add_lane(&self) -> Arc<AtomicU64> {
        let accepted = Arc::new(AtomicU64::new(0));
        self.lanes.lock().accepted.push(Arc::clone(&accepted));
        accepted
    }

    /// That thread has ended.
    pub(super) fn remove_lane(&self, accepted: &Arc<AtomicU64>) {
        let mut lanes = self.lanes.lock();
        lanes.accepted.retain(|other| !Arc::ptr_eq(other, accepted));
        lanes.accepted_before += accepted.load(Ordering::Relaxed);
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> u64 {
        if self.is_abandoned() { 0 } else { self.waiting() }
    }

    /// How many events were lost: dropped, or left behind by an appender that died or hangs. Of those, the last ones show
    /// when their threads have counted them, a moment after they were handed over: so they are not counted once and for
    /// all when the channel is abandoned.
    pub(crate) fn dropped(&self) -> u64 {
        self.gap.total() + if self.is_abandoned() { self.waiting() } else { 0 }
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

    /// Refuses new events; those that were accepted are still taken.
    pub(crate) fn begin_closing(&self) {
        self.watched.state.fetch_max(CLOSING, Ordering::SeqCst);
    }

    /// By the appender, before it looks at each block for the last time.
    pub(super) fn close(&self) {
        self.watched.state.fetch_max(CLOSED, Ordering::SeqCst);
        self.watched.fence.heavy();
    }

    /// By the appender, after it has.
    pub(super) fn mark_settled(&self) {
        self.watched.state.store(SETTLED, Ordering::Release);
    }

    /// Closes for an appender that died or hangs: what it did not take is lost.
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
