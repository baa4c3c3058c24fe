//! The appender's end of the channel: goes over the blocks and takes what is published.
//!
//! Runs on the appender only.

use super::block::Block;
use super::channel::Channel;
use super::unpacking;
use crate::event::Event;
use std::sync::Arc;

/// The appender's end of the channel, with the blocks that recording threads write.
pub(crate) struct Intake {
    channel: Arc<Channel>,
    blocks: Vec<BlockReader>,
    /// Some blocks have no memory yet.
    grows: bool,
    /// The bytes of the current event, copied out of its block.
    event: Vec<u8>,
}

/// A block, and the word of its memory up to which the appender has read.
struct BlockReader {
    block: Arc<Block>,
    at: usize,
}

impl Intake {
    pub(crate) fn new(channel: Arc<Channel>) -> Self {
        Self { grows: channel.keep_ready(), channel, blocks: Vec::new(), event: Vec::new() }
    }

    /// Takes every event that was handed over before this call; returns how many there were.
    ///
    /// Events of one thread come in their order, but for those too large to share a block: a thread begins its next
    /// block after the last event of the one before, and the blocks are gone over in the order in which they were
    /// begun. Events of different threads come in any order.
    pub(crate) fn take(&mut self, mut each: impl FnMut(Event<'_>)) -> u64 {
        let Self { channel, blocks, grows, event } = self;
        *grows = *grows && channel.keep_ready();
        blocks.extend(channel.new_blocks().map(BlockReader::new));
        let mut taken = 0;
        blocks.retain_mut(|reader| {
            // The order matters: what a block has published once it has ended is all that it will have.
            let ended = reader.block.has_ended();
            let end = reader.block.published();
            taken += reader.take_to(end, event, channel, &mut each);
            let read = ended && reader.at == end;
            if read && !reader.block.drain() {
                channel.recycle(Arc::clone(&reader.block));
            }
            !read
        });
        taken
    }

    /// Closes the channel and takes what was published before. Whoever publishes later learns that nobody took it.
    pub(crate) fn close(mut self, mut each: impl FnMut(Event<'_>)) -> u64 {
        self.channel.close();
        self.blocks.extend(self.channel.new_blocks().map(BlockReader::new));
        let ends: Vec<_> = self.blocks.iter().map(|reader| reader.block.settle()).collect();
        self.channel.mark_settled();
        let mut taken = 0;
        for (reader, end) in self.blocks.iter_mut().zip(ends) {
            taken += reader.take_to(end, &mut self.event, &self.channel, &mut each);
        }
        taken
    }
}

impl BlockReader {
    fn new(block: Arc<Block>) -> Self {
        let at = block.place().1.start;
        Self { block, at }
    }

    /// Takes the events before the word `end`; returns how many there were.
    fn take_to(&mut self, end: usize, event: &mut Vec<u8>, channel: &Channel, each: &mut impl FnMut(Event<'_>)) -> u64 {
        let mut taken = 0;
        while self.at < end && !channel.is_abandoned() {
            let words = unpacking::event_words(self.block.words(self.at..end));
            unpacking::copy(words, event);
            self.at += words.len();
            taken += 1;
            channel.add_taken(1);
            each(unpacking::unpack(event));
        }
        taken
    }
}
