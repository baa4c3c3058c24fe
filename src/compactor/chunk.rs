//! A run of frames, copied out of the reader's buffer, so that their records can be folded together.
//!
//! Pure; runs on the compactor. SQLite takes many rows in one statement in much less time than in one each, but a
//! reader lends only one frame at a time. Copying a record takes a few nanoseconds.

use crate::ground::position::{Offset, Sequence};
use crate::index::request_rows::REQUESTS_PER_STATEMENT;
use crate::segment::reader::FrameAt;

/// A chunk also ends behind the record with which it has so many bytes: a large schema version waits for no others.
const CHUNK_BYTES: usize = 64 * 1024;

/// The frames.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Their payloads, one behind the other.
    payloads: Vec<u8>,
    frames: Vec<Place>,
    /// How many of them are requests.
    requests: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: Offset,
    sequence: Sequence,
    /// Where its payload ends in `payloads`.
    end: usize,
}

impl Chunk {
    /// Adds a frame, which is a request's or another record's.
    pub(crate) fn push(&mut self, frame: &FrameAt<'_>, is_request: bool) {
        self.requests += usize::from(is_request);
        self.payloads.extend_from_slice(frame.payload);
        self.frames.push(Place { offset: frame.offset, sequence: frame.sequence, end: self.payloads.len() });
    }

    /// Whether the chunk is to be folded before it gets more.
    pub(crate) fn is_full(&self) -> bool {
        self.requests >= REQUESTS_PER_STATEMENT || self.payloads.len() >= CHUNK_BYTES
    }

    /// The frames, in their order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = FrameAt<'_>> {
        let mut start = 0;
        self.frames.iter().map(move |place| {
            let payload = &self.payloads[std::mem::replace(&mut start, place.end)..place.end];
            FrameAt { offset: place.offset, sequence: place.sequence, payload }
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Empties the chunk.
    pub(crate) fn clear(&mut self) {
        self.payloads.clear();
        self.frames.clear();
        self.requests = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u32, payload: &[u8]) -> FrameAt<'_> {
        FrameAt { offset: Offset(number * 100), sequence: Sequence(u64::from(number)), payload }
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut chunk = Chunk::default();
        let frames = [frame(1, b"one"), frame(2, b""), frame(3, b"three")];
        frames.iter().for_each(|frame| chunk.push(frame, true));
        assert_eq!(chunk.frames().collect::<Vec<_>>(), frames);
        chunk.clear();
        assert_eq!(chunk.frames().count(), 0);
        chunk.push(&frames[2], true);
        assert_eq!(chunk.frames().collect::<Vec<_>>(), [frames[2]]);
    }

    #[test]
    fn it_is_full_with_its_last_request_or_with_a_large_record() {
        let (mut chunk, last) = (Chunk::default(), u32::try_from(REQUESTS_PER_STATEMENT).unwrap());
        for number in 1..last {
            chunk.push(&frame(number, b"x"), true);
            chunk.push(&frame(number, b"not a request"), false);
            assert!(!chunk.is_full(), "{number}");
        }
        chunk.push(&frame(last, b"x"), true);
        assert!(chunk.is_full());
        chunk.clear();
        assert!(!chunk.is_full());
        chunk.push(&frame(1, &[0; CHUNK_BYTES]), false);
        assert!(chunk.is_full());
    }
}
