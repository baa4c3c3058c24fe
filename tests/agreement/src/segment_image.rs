//! A segment as a value: its header, its frames, how far it was synced, and where it ends. Pure.

use crate::bytes::{End, FRAMES_START, HEADER_BYTES, Header, MARK_BYTES, Mark, frame, frame_bytes};
use std::ops::Range;

/// A segment.
#[derive(Clone, Debug)]
pub struct SegmentImage {
    /// The header.
    pub header: Header,
    /// The payloads.
    pub frames: Vec<Vec<u8>>,
    /// How many frames lie before the durable end.
    pub durable_frames: usize,
    /// It is sealed behind its last frame.
    pub is_sealed: bool,
    /// The generation of its newest mark; 0 for none.
    pub generation: u64,
    /// How many bytes the file has at least: an open segment has its full size, with zeros behind its last frame.
    pub file_bytes: usize,
}

/// The size of a segment that nobody sealed.
pub const FULL_BYTES: usize = 64 * 1024;

impl SegmentImage {
    /// One that is whole.
    pub fn sealed(header: Header, frames: Vec<Vec<u8>>) -> Self {
        Self { header, durable_frames: frames.len(), frames, is_sealed: true, generation: 2, file_bytes: 0 }
    }

    /// Ends it behind so many frames, all of them durable, without a seal.
    pub fn leave_open(&mut self, frames: usize) {
        self.frames.truncate(frames);
        (self.durable_frames, self.is_sealed, self.file_bytes) = (self.frames.len(), false, FULL_BYTES);
    }

    /// The number of the first record, and of the one behind the last.
    pub fn numbers(&self) -> Range<u64> {
        let first = self.header.base;
        first..first + self.frames.len() as u64
    }

    /// How far so many frames reach.
    pub fn extent(&self, frames: usize) -> End {
        let bytes: u32 = self.frames[..frames].iter().map(|payload| frame_bytes(length(payload))).sum();
        End { offset: FRAMES_START + bytes, frames: u32::try_from(frames).expect("few frames") }
    }

    /// Where the frames lie.
    pub fn places(&self) -> Vec<Range<usize>> {
        let end = |frames| self.extent(frames).offset as usize;
        (0..self.frames.len()).map(|index| end(index)..end(index + 1)).collect()
    }

    /// The newest mark; [`Mark::UNWRITTEN`] if none was written yet.
    pub fn mark(&self) -> Mark {
        if self.generation == 0 {
            return Mark::UNWRITTEN;
        }
        let sealed = self.is_sealed.then(|| self.extent(self.frames.len()));
        Mark { generation: self.generation, durable: self.extent(self.durable_frames), sealed }
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let end = self.extent(self.frames.len()).offset as usize;
        let mut bytes = vec![0; end.max(self.file_bytes)];
        bytes[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        let newest = self.mark();
        let older = Mark {
            generation: self.generation.saturating_sub(1),
            durable: self.extent(self.durable_frames / 2),
            sealed: None,
        };
        for mark in [older, newest] {
            if mark.generation > 0 {
                put_mark(&mut bytes, mark, self.header.salt);
            }
        }
        for (index, (payload, place)) in self.frames.iter().zip(self.places()).enumerate() {
            let index = u32::try_from(index).expect("few frames");
            bytes[place.start..place.end].copy_from_slice(&frame(self.header.salt, index, payload));
        }
        bytes
    }
}

/// Writes a mark to its place.
pub fn put_mark(bytes: &mut [u8], mark: Mark, salt: u32) {
    put(bytes, mark.place(), &mark.encode(salt));
}

/// Writes a mark to the place of the other one.
pub fn put_mark_at_wrong_place(bytes: &mut [u8], mark: Mark, salt: u32) {
    let other = Mark { generation: mark.generation + 1, ..mark };
    put(bytes, other.place(), &mark.encode(salt));
}

fn put(bytes: &mut [u8], offset: usize, mark: &[u8; MARK_BYTES]) {
    if let Some(place) = bytes.get_mut(offset..offset + MARK_BYTES) {
        place.copy_from_slice(mark);
    }
}

fn length(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).expect("a short payload")
}
