//! A segment as a value: its header, its frames, how far it was synced, and where it ends. Pure.
//!
//! Bytes are made with the library's own encoders, so that an image without damage is what a store writes.

use mcplog::position::Offset;
use mcplog::segment::format::{
    Extent, FRAMES_OFFSET, FrameHeader, HEADER_BYTES, MARK_BYTES, Mark, SegmentHeader, frame_bytes,
};
use mcplog::segment::{Item, SegmentReader, Stop};
use std::ops::Range;
use std::path::Path;

/// A segment.
#[derive(Clone, Debug)]
pub struct SegmentImage {
    /// The header.
    pub header: SegmentHeader,
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

impl SegmentImage {
    /// The segment in a file that is intact and sealed.
    ///
    /// # Panics
    /// It is not.
    pub fn read(path: &Path) -> Self {
        let mut reader = SegmentReader::open(path).expect("a segment");
        let mut frames = Vec::new();
        loop {
            match reader.next().expect("a segment that can be read") {
                Item::Frame(frame) => frames.push(frame.payload.to_vec()),
                Item::Stop(Stop::Sealed) => break,
                other => panic!("{}: {other:?}", path.display()),
            }
        }
        Self {
            header: *reader.header(),
            durable_frames: frames.len(),
            frames,
            is_sealed: true,
            generation: 2,
            file_bytes: 0,
        }
    }

    /// The number of the first record, and of the one behind the last.
    pub fn numbers(&self) -> Range<u64> {
        let first = self.header.base_sequence.0;
        first..first + self.frames.len() as u64
    }

    /// How far so many frames reach.
    pub fn extent(&self, frames: usize) -> Extent {
        let bytes: u32 = self.frames[..frames].iter().map(|payload| frame_bytes(length(payload))).sum();
        Extent { end: Offset(FRAMES_OFFSET + bytes), frames: u32::try_from(frames).expect("few frames") }
    }

    /// Where the frames lie.
    pub fn places(&self) -> Vec<Range<usize>> {
        let end = |frames| self.extent(frames).end.0 as usize;
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
        let end = self.extent(self.frames.len()).end.0 as usize;
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

/// The bytes of a frame, padding included.
pub fn frame(salt: u32, index: u32, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader::for_payload(salt, index, payload);
    let words = [header.length, header.index, header.crc].map(u32::to_le_bytes);
    let mut bytes = [words.concat().as_slice(), payload].concat();
    bytes.resize(frame_bytes(header.length) as usize, 0);
    bytes
}

/// Writes a mark to its place.
pub fn put_mark(bytes: &mut [u8], mark: Mark, salt: u32) {
    put(bytes, Mark::offset(mark.generation) as usize, &mark.encode(salt));
}

/// Writes a mark to the place of the other one.
pub fn put_mark_at_wrong_place(bytes: &mut [u8], mark: Mark, salt: u32) {
    put(bytes, Mark::offset(mark.generation + 1) as usize, &mark.encode(salt));
}

fn put(bytes: &mut [u8], offset: usize, mark: &[u8; MARK_BYTES]) {
    if let Some(place) = bytes.get_mut(offset..offset + MARK_BYTES) {
        place.copy_from_slice(mark);
    }
}

fn length(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).expect("a short payload")
}
