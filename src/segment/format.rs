//! The bytes of a segment: header, marks and frames, over `&[u8]`.
//!
//! `format.md` is the authority on every offset here. Pure functions, on whichever thread calls them: no I/O, no
//! knowledge of what a payload means.

use crate::ground::error::SegmentError;
pub use crate::ground::position::PAYLOAD_BYTES_MAX;
use crate::ground::position::{Offset, SegmentId, Sequence, StoreId, WriterId};
use std::fmt;
use std::path::Path;

/// The version in every segment header. It grows when an older reader would misread the bytes.
///
/// - 1: the first.
pub const FORMAT_VERSION: u16 = 1;

/// The first eight bytes of a segment: a byte that no text file starts with, the name, and a line feed that a text-mode
/// transfer would mangle.
pub const MAGIC: [u8; 8] = *b"\x89MCPLOG\n";

/// Where the first frame starts: the header and the marks have a page of their own, so that writing a mark never
/// dirties a page of frames.
pub const FRAMES_OFFSET: u32 = 4096;
/// The highest segment id and base sequence that a header may have. No writer comes near, and sums and differences of
/// numbers up to it don't overflow.
pub const NUMBER_MAX: u64 = 1 << 62;
/// Size of the header's fields; the rest of its sector is reserved and zero.
pub const HEADER_BYTES: usize = 96;
/// Where the header's checksum lies, over all that is before it. The place is the same in every version.
pub const HEADER_CHECKSUM_OFFSET: usize = 92;
/// The two places of the mark, in disk sectors of their own: a torn write hurts one of them.
pub const MARK_OFFSETS: [u32; 2] = [512, 1024];
/// Size of a mark.
pub const MARK_BYTES: usize = 32;
/// Size of a frame's header.
pub const FRAME_HEADER_BYTES: u32 = 12;
/// Frames start at multiples of this, so that the length word can be stored and loaded atomically.
pub const FRAME_ALIGNMENT: u32 = 4;

const _: () =
    assert!(FRAMES_OFFSET.is_multiple_of(FRAME_ALIGNMENT) && FRAME_HEADER_BYTES.is_multiple_of(FRAME_ALIGNMENT));
const _: () = assert!(MARK_OFFSETS[1] as usize + MARK_BYTES <= FRAMES_OFFSET as usize);

/// What a segment says of itself, written once, before its first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The level of the records that the log may have, from 1 on: who knows a lower one may not know all of them.
    pub needs: u16,
    /// Seeds every checksum of this segment, so that a frame of another one never passes. Random.
    pub salt: u32,
    /// Which store this is a part of.
    pub store_id: StoreId,
    /// Whose log this is.
    pub writer_id: WriterId,
    /// This segment's number.
    pub segment_id: SegmentId,
    /// The sequence number of its first frame.
    pub base_sequence: Sequence,
    /// When it was started: Unix time in milliseconds, UTC.
    pub created_at: i64,
}

/// Why bytes are not a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Not what the format asks for.
    Corrupt {
        /// What it asks for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Written by a newer version.
    UnsupportedVersion(u16),
}

/// Whose log a segment is a part of, the same in all segments of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The store.
    pub store: StoreId,
    /// The writer.
    pub writer: WriterId,
    /// The level of the records that the writer may write.
    pub needs: u16,
}

#[cfg(test)]
impl LogIdentity {
    /// That writer's log, in one store and of one level for all tests.
    pub(crate) const fn sample(writer: WriterId) -> Self {
        Self { store: StoreId([5; 16]), writer, needs: 1 }
    }
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        self.encode_as(FORMAT_VERSION)
    }

    /// The bytes that the header would have in another version of the format, as far as they are the same in all: for
    /// who tries what a reader makes of a newer one.
    pub fn encode_as(&self, version: u16) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.needs.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store_id.0);
        bytes[32..48].copy_from_slice(&self.writer_id.0);
        bytes[48..56].copy_from_slice(&self.segment_id.0.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.base_sequence.0.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.created_at.to_le_bytes());
        let crc = checksum(0, &[&bytes[..HEADER_CHECKSUM_OFFSET]]);
        bytes[HEADER_CHECKSUM_OFFSET..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// An error if the log may have records of a higher level than `known`: who reads on would not know all of them.
    ///
    /// # Errors
    /// [`SegmentError::NeedsNewer`], about the file at `path`.
    pub fn check_level(&self, path: &Path, known: u16) -> Result<(), SegmentError> {
        if self.needs > known {
            return Err(SegmentError::NeedsNewer { path: path.to_owned(), supported: known, found: self.needs });
        }
        Ok(())
    }

    /// Whose log it is a part of.
    pub const fn identity(&self) -> LogIdentity {
        LogIdentity { store: self.store_id, writer: self.writer_id, needs: self.needs }
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`HeaderError`]. Magic and checksum have their places in every version, so they are looked at before the
    /// version: a flipped bit in the version's field is damage, and only what was written so is a newer version's.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[0..8] != MAGIC {
            let found = format!("{:02x?}", &bytes[0..8]);
            return Err(HeaderError::Corrupt { expected: "the magic \\x89MCPLOG\\n", found });
        }
        let (version, crc) = (u16_at(bytes, 8), checksum(0, &[&bytes[..HEADER_CHECKSUM_OFFSET]]));
        let found = u32_at(bytes, HEADER_CHECKSUM_OFFSET);
        if found != crc {
            let found = format!("{found:#010x} where {crc:#010x} fits");
            return Err(HeaderError::Corrupt { expected: "a matching checksum", found });
        }
        if version > FORMAT_VERSION {
            return Err(HeaderError::UnsupportedVersion(version));
        }
        if version == 0 {
            return Err(HeaderError::Corrupt { expected: "a version from 1 on", found: "version 0".into() });
        }
        let id_at = |at: usize| {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[at..at + 16]);
            id
        };
        let header = Self {
            needs: u16_at(bytes, 10),
            salt: u32_at(bytes, 12),
            store_id: StoreId(id_at(16)),
            writer_id: WriterId(id_at(32)),
            segment_id: SegmentId(u64_at(bytes, 48)),
            base_sequence: Sequence(u64_at(bytes, 56)),
            created_at: i64::from_le_bytes(u64_at(bytes, 64).to_le_bytes()),
        };
        if header.needs == 0 {
            return Err(HeaderError::Corrupt { expected: "a level from 1 on", found: "level 0".into() });
        }
        // A forged header must not make later arithmetic overflow.
        if [header.segment_id.0, header.base_sequence.0].iter().any(|number| !(1..=NUMBER_MAX).contains(number)) {
            let found = format!("segment {}, sequence {}", header.segment_id.0, header.base_sequence.0);
            return Err(HeaderError::Corrupt { expected: "numbers from 1 to 2^62", found });
        }
        Ok(header)
    }
}

/// How far into a segment: a byte offset and how many frames lie before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// The first byte after the last frame.
    pub end: Offset,
    /// How many frames there are.
    pub frames: u32,
}

impl Extent {
    /// No frames.
    pub const EMPTY: Self = Self { end: Offset(FRAMES_OFFSET), frames: 0 };

    /// The number of the last record within the extent, if `base` is that of the segment's first one. An extent without
    /// frames has the number before `base`.
    pub const fn last_sequence(self, base: Sequence) -> Sequence {
        Sequence(self.next_sequence(base).0 - 1)
    }

    /// The number of the record that comes behind the extent.
    pub const fn next_sequence(self, base: Sequence) -> Sequence {
        Sequence(base.0 + self.frames as u64)
    }

    /// The extent as one word, so that the pair can be published atomically.
    pub const fn to_word(self) -> u64 {
        (self.frames as u64) << 32 | self.end.0 as u64
    }

    /// The extent in a word made by [`Extent::to_word`].
    #[expect(clippy::cast_possible_truncation, reason = "each half of the word is 32 bits")]
    pub const fn from_word(word: u64) -> Self {
        Self { end: Offset(word as u32), frames: (word >> 32) as u32 }
    }
}

/// What a segment says of its progress: up to where it was synced, and whether and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts the marks of this segment, from 1. The valid mark with the higher generation counts.
    pub generation: u64,
    /// The durable mark: everything before it was synced before this mark was written.
    pub durable: Extent,
    /// Where the segment ends, once it is sealed.
    pub sealed: Option<Extent>,
}

impl Mark {
    /// What holds before the first mark is written.
    pub const UNWRITTEN: Self = Self { generation: 0, durable: Extent::EMPTY, sealed: None };

    /// The mark's bytes.
    pub fn encode(&self, salt: u32) -> [u8; MARK_BYTES] {
        let sealed = self.sealed.unwrap_or(Extent { end: Offset(0), frames: 0 });
        let mut bytes = [0; MARK_BYTES];
        bytes[0..8].copy_from_slice(&self.generation.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.durable.end.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.durable.frames.to_le_bytes());
        bytes[16..20].copy_from_slice(&sealed.end.0.to_le_bytes());
        bytes[20..24].copy_from_slice(&sealed.frames.to_le_bytes());
        let crc = checksum(salt, &[&bytes[..28]]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads one mark; `None` if the bytes are not one. [`super::marks::Marks`] asks whether it stands in its place.
    pub fn decode(bytes: &[u8; MARK_BYTES], salt: u32) -> Option<Self> {
        let generation = u64_at(bytes, 0);
        if generation == 0 || generation > i64::MAX as u64 || u32_at(bytes, 28) != checksum(salt, &[&bytes[..28]]) {
            return None;
        }
        let extent = |at: usize| Extent { end: Offset(u32_at(bytes, at)), frames: u32_at(bytes, at + 4) };
        let (durable, sealed) = (extent(8), extent(16));
        // A forged mark must not make later arithmetic overflow: a frame has a header and at least a word. Nor must it
        // say that there are bytes without frames.
        let possible = |extent: Extent| {
            let frames_max = extent.end.0.saturating_sub(FRAMES_OFFSET) / (FRAME_HEADER_BYTES + FRAME_ALIGNMENT);
            extent.end.0 >= FRAMES_OFFSET
                && extent.end.0.is_multiple_of(FRAME_ALIGNMENT)
                && extent.frames <= frames_max
                && (extent.frames > 0 || extent == Extent::EMPTY)
        };
        let sealed = (sealed != Extent { end: Offset(0), frames: 0 }).then_some(sealed);
        let consistent =
            |sealed: Extent| possible(sealed) && durable.end <= sealed.end && durable.frames <= sealed.frames;
        (possible(durable) && sealed.is_none_or(consistent)).then_some(Self { generation, durable, sealed })
    }

    /// Where the mark of that generation is written.
    pub const fn offset(generation: u64) -> u32 {
        MARK_OFFSETS[(generation % 2) as usize]
    }
}

/// The header of a frame, ready to be written: all of it but the length, whose store publishes the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Length of the payload in bytes.
    pub length: u32,
    /// How many frames of the segment lie before this one.
    pub index: u32,
    /// The checksum.
    pub crc: u32,
}

impl FrameHeader {
    /// The header for a payload of 1 to [`PAYLOAD_BYTES_MAX`] bytes.
    ///
    /// # Panics
    /// If the payload is empty or too long: the caller's bug.
    pub fn for_payload(salt: u32, index: u32, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        assert!((1..=PAYLOAD_BYTES_MAX).contains(&length), "a payload of {} bytes", payload.len());
        Self { length, index, crc: frame_checksum(salt, length, index, payload) }
    }
}

/// How many bytes a frame with such a payload takes, header and padding included.
pub const fn frame_bytes(payload_bytes: u32) -> u32 {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(FRAME_ALIGNMENT)
}

/// A valid frame in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// How many frames of the segment lie before it.
    pub index: u32,
    /// What it holds; opaque here.
    pub payload: &'a [u8],
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The length word is zero: nothing was written here yet.
    Unwritten,
    /// More bytes are needed to tell; the number counts from the frame's start.
    Incomplete(u32),
    /// The length is beyond the format's limit, or beyond the end of the file.
    Length(u32),
    /// The checksum does not fit.
    Checksum {
        /// What was computed over the bytes.
        expected: u32,
        /// What the frame says.
        found: u32,
    },
    /// The bytes between payload and next frame are not zero.
    Padding,
    /// An intact frame that belongs elsewhere.
    Index {
        /// The index that is due here.
        expected: u32,
        /// The frame's.
        found: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritten => f.write_str("expected a frame, found zeros"),
            Self::Incomplete(bytes) => write!(f, "expected {bytes} bytes of frame, found the end of the file"),
            Self::Length(found) => {
                write!(f, "expected a length from 1 to {PAYLOAD_BYTES_MAX} within the file, found {found}")
            }
            Self::Checksum { expected, found } => write!(f, "expected checksum {expected:#010x}, found {found:#010x}"),
            Self::Padding => f.write_str("expected zeros after the payload, found other bytes"),
            Self::Index { expected, found } => write!(f, "expected frame number {expected}, found {found}"),
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`, without regard to its index.
    ///
    /// # Errors
    /// [`FrameError`]; never [`FrameError::Index`].
    pub fn decode(bytes: &'a [u8], salt: u32) -> Result<Self, FrameError> {
        let Some(header) = bytes.get(..FRAME_HEADER_BYTES as usize) else {
            return Err(FrameError::Incomplete(FRAME_HEADER_BYTES));
        };
        let (length, index, found) = (u32_at(header, 0), u32_at(header, 4), u32_at(header, 8));
        if length == 0 {
            return Err(FrameError::Unwritten);
        }
        if length > PAYLOAD_BYTES_MAX {
            return Err(FrameError::Length(length));
        }
        let total = frame_bytes(length);
        let Some(frame) = bytes.get(..total as usize) else {
            return Err(FrameError::Incomplete(total));
        };
        let (payload, padding) = frame[FRAME_HEADER_BYTES as usize..].split_at(length as usize);
        let expected = frame_checksum(salt, length, index, payload);
        if expected != found {
            return Err(FrameError::Checksum { expected, found });
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(FrameError::Padding);
        }
        Ok(Self { index, payload })
    }
}

/// The checksum of a frame: over its length and index words and its payload.
fn frame_checksum(salt: u32, length: u32, index: u32, payload: &[u8]) -> u32 {
    let mut words = [0; 8];
    words[..4].copy_from_slice(&length.to_le_bytes());
    words[4..].copy_from_slice(&index.to_le_bytes());
    checksum(salt, &[&words, payload])
}

/// CRC-32 as in zlib and gzip, continued from `seed` as zlib's `crc32(seed, data)` does.
pub(super) fn checksum(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            needs: 3,
            salt: 0x1234_5678,
            store_id: StoreId(*b"abcdef0123456789"),
            writer_id: WriterId(*b"0123456789abcdef"),
            segment_id: SegmentId(7),
            base_sequence: Sequence(1001),
            created_at: 1_760_000_000_000,
        }
    }

    fn frame(salt: u32, index: u32, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader::for_payload(salt, index, payload);
        let mut bytes = Vec::new();
        for word in [header.length, header.index, header.crc] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(payload);
        bytes.resize(frame_bytes(header.length) as usize, 0);
        bytes
    }

    #[test]
    fn header_round_trips_and_every_flipped_bit_is_noticed() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        assert_eq!(header().identity(), LogIdentity { store: header().store_id, writer: header().writer_id, needs: 3 });
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_has_numbers_from_1_to_the_highest() {
        for (number, is_sound) in
            [(0, false), (1, true), (NUMBER_MAX, true), (NUMBER_MAX + 1, false), (u64::MAX, false)]
        {
            for of_segment in [true, false] {
                let mut header = header();
                let changed = if of_segment { &mut header.segment_id.0 } else { &mut header.base_sequence.0 };
                *changed = number;
                let decoded = SegmentHeader::decode(&header.encode());
                assert_eq!(decoded.is_ok(), is_sound, "{number}, of the segment: {of_segment}");
            }
        }
    }

    #[test]
    fn a_header_that_needs_nothing_is_none_and_any_level_else_is_told() {
        for (needs, is_sound) in [(0, false), (1, true), (2, true), (u16::MAX, true)] {
            let header = SegmentHeader { needs, ..header() };
            assert_eq!(SegmentHeader::decode(&header.encode()).is_ok_and(|read| read == header), is_sound, "{needs}");
            for known in [1, needs, needs.saturating_add(1)] {
                let checked = header.check_level(Path::new("segment"), known);
                assert_eq!(checked.is_ok(), needs <= known, "{needs} where {known} is known");
            }
        }
    }

    #[test]
    fn newer_version_is_told_apart_from_corruption() {
        assert_eq!(SegmentHeader::decode(&header().encode_as(2)), Err(HeaderError::UnsupportedVersion(2)));
        for bit in 0..16 {
            let mut damaged = header().encode();
            damaged[8 + bit / 8] ^= 1 << (bit % 8);
            let error = SegmentHeader::decode(&damaged).unwrap_err();
            assert!(matches!(error, HeaderError::Corrupt { expected: "a matching checksum", .. }), "{bit}: {error:?}");
        }
        let error = SegmentHeader::decode(&header().encode_as(0)).unwrap_err();
        assert!(matches!(error, HeaderError::Corrupt { expected: "a version from 1 on", .. }), "{error:?}");
    }

    #[test]
    fn a_mark_round_trips_and_every_flipped_bit_is_noticed() {
        let durable = Extent { end: Offset(FRAMES_OFFSET + 40), frames: 2 };
        for sealed in [None, Some(durable)] {
            let mark = Mark { generation: 2, durable, sealed };
            let bytes = mark.encode(9);
            assert_eq!(Mark::decode(&bytes, 9), Some(mark));
            assert_eq!(Mark::decode(&bytes, 10), None, "a mark of another segment");
            for bit in 0..MARK_BYTES * 8 {
                let mut damaged = bytes;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Mark::decode(&damaged, 9), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_mark_names_only_ends_that_a_segment_can_have_and_a_seal_that_is_not_before_what_is_durable() {
        let at = |bytes, frames| Extent { end: Offset(FRAMES_OFFSET + bytes), frames };
        let is_sound = |durable, sealed| {
            let mark = Mark { generation: 1, durable, sealed };
            Mark::decode(&mark.encode(9), 9) == Some(mark)
        };
        for (extent, expected) in [
            (Extent::EMPTY, true),
            (at(40, 1), true),
            (at(40, 2), true),
            // More frames than fit, and none where there are some; an end that no frame has; one in the first page.
            (at(40, 3), false),
            (at(0, 1), false),
            (at(40, 0), false),
            (at(42, 2), false),
            (Extent { end: Offset(FRAMES_OFFSET - 8), frames: 0 }, false),
        ] {
            assert_eq!(is_sound(extent, None), expected, "{extent:?}");
            assert_eq!(is_sound(Extent::EMPTY, Some(extent)), expected, "sealed at {extent:?}");
        }
        for (sealed, expected) in [(at(40, 2), true), (at(44, 2), true), (at(36, 2), false), (at(40, 1), false)] {
            assert_eq!(is_sound(at(40, 2), Some(sealed)), expected, "{sealed:?}");
        }
    }

    #[test]
    fn frame_round_trips_and_every_flipped_bit_is_noticed() {
        for payload in [&b"x"[..], b"four", b"some payload"] {
            let bytes = frame(5, 3, payload);
            assert_eq!(Frame::decode(&bytes, 5), Ok(Frame { index: 3, payload }));
            assert!(Frame::decode(&bytes, 6).is_err(), "a frame of another segment passed");
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(Frame::decode(&damaged, 5).is_err(), "{payload:?}, bit {bit}");
            }
        }
    }

    #[test]
    fn every_shorter_buffer_asks_for_more() {
        let bytes = frame(5, 3, b"some payload!");
        for length in 0..bytes.len() {
            let expected = if length < 12 { FRAME_HEADER_BYTES } else { frame_bytes(13) };
            assert_eq!(Frame::decode(&bytes[..length], 5), Err(FrameError::Incomplete(expected)));
        }
    }

    #[test]
    fn zeros_are_never_a_frame() {
        assert_eq!(Frame::decode(&[0; 64], 0), Err(FrameError::Unwritten));
    }

    #[test]
    fn extent_survives_the_word() {
        let extent = Extent { end: Offset(0xffff_fffc), frames: 0xffff_ffff };
        assert_eq!(Extent::from_word(extent.to_word()), extent);
    }
}
