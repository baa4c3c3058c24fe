//! A recording thread's own end of the channel: the block that it writes, and those that come back to it.
//!
//! Lives in thread-local storage and runs on the recording thread. Writing an event touches memory that this thread
//! wrote a moment ago, and nothing that another core writes.

use super::block::Block;
use super::channel::Channel;
use super::memory::Memory;
use super::packing;
use super::refusal::Refusal;
use crate::event::{Event, Observation};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// How many finished blocks a thread keeps, to write them again as soon as the appender has read them. As long as the
/// appender keeps up, a thread uses as few of these in turn as it needs, and they stay in its cache.
const HOME_BLOCKS: usize = 4;

thread_local! {
    static LANES: RefCell<Lanes> = const { RefCell::new(Lanes { latest: None, others: Vec::new() }) };
}

/// A lane for each store that this thread records into. Mostly there is one, which therefore has a place of its own.
struct Lanes {
    latest: Option<Lane>,
    others: Vec<Lane>,
}

/// A thread's end of one store's channel.
struct Lane {
    /// The store's channel, by whose address the lane is found: no address is used again while a weak reference exists.
    channel: Weak<Channel>,
    block: Arc<Block>,
    /// The block's memory, and the part of it that is still to be written. The lane has copies of these, so that
    /// handing an event over reads nothing of the block, whose cache lines may be cold or at the appender's core.
    memory: Arc<Memory>,
    room: Range<usize>,
    /// How many events this lane has handed over; the second is for others to read.
    accepted: u64,
    accepted_shared: Arc<AtomicU64>,
    /// Finished blocks that come back to this lane, oldest first.
    home: VecDeque<Arc<Block>>,
}

/// Hands an event over by this thread's lane, without waiting for anything.
#[inline]
pub(crate) fn offer<'a>(channel: &Arc<Channel>, event: &impl Observation<'a>) -> Result<(), Refusal> {
    if !channel.is_open() {
        return Err(Refusal::Closed);
    }
    let offered = LANES.try_with(|lanes| {
        let mut lanes = lanes.borrow_mut();
        match &mut lanes.latest {
            Some(lane) if lane.is_for(channel) => lane.write(channel, event),
            _ => match lanes.find(channel) {
                Some(lane) => lane.write(channel, event),
                // Other threads have all blocks, and keep them as long as they live, also those that are idle.
                None => channel.offer_in_own_block(&(*event).into()),
            },
        }
    });
    // There is no lane for a thread that records while its thread-local storage is being destroyed.
    offered.unwrap_or_else(|_| channel.offer_in_own_block(&(*event).into()))
}

impl Lanes {
    /// This thread's lane for that channel, which is the latest from now on. `None`: no block is free.
    #[cold]
    fn find(&mut self, channel: &Arc<Channel>) -> Option<&mut Lane> {
        self.others.extend(self.latest.take());
        self.others.retain(|lane| lane.channel.strong_count() > 0);
        let lane = match self.others.iter().position(|lane| lane.is_for(channel)) {
            Some(place) => self.others.swap_remove(place),
            None => Lane::new(channel)?,
        };
        Some(self.latest.insert(lane))
    }
}

impl Lane {
    fn new(channel: &Arc<Channel>) -> Option<Self> {
        let block = channel.take_block()?;
        let (memory, room) = block.place();
        Some(Self {
            channel: Arc::downgrade(channel),
            memory: Arc::clone(memory),
            room,
            block,
            accepted: 0,
            accepted_shared: channel.add_lane(),
            home: VecDeque::with_capacity(HOME_BLOCKS),
        })
    }

    #[inline]
    fn is_for(&self, channel: &Arc<Channel>) -> bool {
        std::ptr::eq(self.channel.as_ptr(), Arc::as_ptr(channel))
    }

    #[inline]
    fn write<'a>(&mut self, channel: &Arc<Channel>, event: &impl Observation<'a>) -> Result<(), Refusal> {
        let room = &self.memory[self.room.clone()];
        let words = packing::pack(event, room);
        if words > room.len() || words > channel.shared_words_max() {
            return self.write_elsewhere(channel, &(*event).into(), words);
        }
        self.publish(channel, words)
    }

    /// Hands over the event in the next `words` words.
    #[inline]
    fn publish(&mut self, channel: &Channel, words: usize) -> Result<(), Refusal> {
        self.room.start += words;
        self.block.publish(self.room.start);
        channel.check_published(&self.block)?;
        self.accepted += 1;
        self.accepted_shared.store(self.accepted, Ordering::Relaxed);
        Ok(())
    }

    /// Hands over an event that the block has no room for.
    #[cold]
    fn write_elsewhere(&mut self, channel: &Channel, event: &Event<'_>, words: usize) -> Result<(), Refusal> {
        if words > channel.shared_words_max() {
            return channel.offer_in_own_block(event);
        }
        self.next_block(channel)?;
        packing::pack(event, &self.memory[self.room.clone()]);
        self.publish(channel, words)
    }

    /// Goes on to an empty block: the oldest of the lane's own, if the appender has read it, or a block of the pool.
    fn next_block(&mut self, channel: &Channel) -> Result<(), Refusal> {
        let own = self.home.pop_front_if(|block| block.is_drained());
        let next = match own {
            Some(block) => channel.hand_over(block),
            None => channel.take_block(),
        };
        // Without an empty block, the current one stays: a smaller event may still fit.
        let next = next.ok_or(Refusal::Full)?;
        self.block.finish();
        self.home.push_back(std::mem::replace(&mut self.block, next));
        self.room = self.block.place().1;
        if self.home.len() > HOME_BLOCKS
            && let Some(oldest) = self.home.pop_front()
        {
            channel.let_go(oldest);
        }
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.block.finish();
        let Some(channel) = self.channel.upgrade() else { return };
        channel.let_go(Arc::clone(&self.block));
        for block in self.home.drain(..) {
            channel.let_go(block);
        }
        channel.remove_lane(&self.accepted_shared);
    }
}
