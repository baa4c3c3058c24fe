//! The bytes of headers, marks and frames, as the format's page has them. Pure.
//!
//! Written from the page, and not with the library's encoders: what is judged must not make what it is judged by.

/// Where the first frame starts.
pub const FRAMES_START: u32 = 4096;
/// The length of a header.
pub const HEADER_BYTES: usize = 96;
/// What of a header its checksum covers.
const HEADER_COVERED_BYTES: usize = 92;
/// The length of a mark.
pub const MARK_BYTES: usize = 32;
/// Where marks stand: even generations at the first place, odd ones at the second.
pub const MARK_PLACES: [usize; 2] = [512, 1024];
/// What comes before the payload of a frame.
pub const FRAME_HEADER_BYTES: u32 = 12;
/// The longest payload.
pub const PAYLOAD_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// The first bytes of a segment.
pub const MAGIC: [u8; 8] = *b"\x89MCPLOG\n";
/// The format's version.
pub const VERSION: u16 = 1;
/// The record level of the page.
pub const LEVEL: u16 = 1;

/// Sixteen bytes of a UUID: a store's id, or a writer's.
pub type Id = [u8; 16];

/// An id as the page writes it: 36 characters.
pub fn id_text(id: Id) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The id that a text is; `None` if it is none.
pub fn id_from(text: &str) -> Option<Id> {
    let mut id = [0; 16];
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    for (byte, place) in id.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    (id_text(id) == text).then_some(id)
}

/// A header, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format's version.
    pub version: u16,
    /// The record level.
    pub needs: u16,
    /// What seeds the checksums.
    pub salt: u32,
    /// Whose store it is part of.
    pub store: Id,
    /// Whose log it is part of.
    pub writer: Id,
    /// The segment's id.
    pub segment: u64,
    /// The number of the first record.
    pub base: u64,
    /// Unix milliseconds.
    pub created_at: i64,
}

impl Header {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.needs.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store);
        bytes[32..48].copy_from_slice(&self.writer);
        bytes[48..56].copy_from_slice(&self.segment.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.base.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.created_at.to_le_bytes());
        seal_header(&mut bytes);
        bytes
    }

    /// What the bytes say if the magic is there and the checksum fits.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let fits = crc(0, &bytes[..HEADER_COVERED_BYTES]).to_le_bytes() == bytes[HEADER_COVERED_BYTES..];
        let id = |at: usize| -> Id { std::array::from_fn(|place| bytes[at + place]) };
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|place| bytes[at + place]));
        (bytes[..8] == MAGIC && fits).then(|| Self {
            version: u16::from_le_bytes([bytes[8], bytes[9]]),
            needs: u16::from_le_bytes([bytes[10], bytes[11]]),
            salt: word(bytes, 12).unwrap_or_default(),
            store: id(16),
            writer: id(32),
            segment: number(48),
            base: number(56),
            created_at: number(64).cast_signed(),
        })
    }
}

/// Makes the checksum of a header fit.
pub fn seal_header(bytes: &mut [u8; HEADER_BYTES]) {
    let checksum = crc(0, &bytes[..HEADER_COVERED_BYTES]);
    bytes[HEADER_COVERED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
}

/// An end: where, and behind how many frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// In bytes from the start of the file.
    pub offset: u32,
    /// How many frames lie before it.
    pub frames: u32,
}

/// The end of a segment without frames.
pub const NO_FRAMES: End = End { offset: FRAMES_START, frames: 0 };

/// A mark, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many marks were written, with this one.
    pub generation: u64,
    /// How far the segment was synced.
    pub durable: End,
    /// Where it ends.
    pub sealed: Option<End>,
}

impl Mark {
    /// What counts as long as there is none.
    pub const UNWRITTEN: Self = Self { generation: 0, durable: NO_FRAMES, sealed: None };

    /// Where it stands.
    pub fn place(&self) -> usize {
        MARK_PLACES[usize::from(self.generation % 2 == 1)]
    }

    /// Its bytes.
    pub fn encode(&self, salt: u32) -> [u8; MARK_BYTES] {
        let sealed = self.sealed.unwrap_or(End { offset: 0, frames: 0 });
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&self.generation.to_le_bytes());
        for (at, value) in
            [(8, self.durable.offset), (12, self.durable.frames), (16, sealed.offset), (20, sealed.frames)]
        {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let checksum = crc(salt, &bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The mark at a place of a file, if what stands there is a valid one.
    pub fn decode(bytes: &[u8], place: usize, salt: u32) -> Option<Self> {
        let bytes = bytes.get(place..place + MARK_BYTES)?;
        let value = |at| word(bytes, at);
        let end = |at| Some(End { offset: value(at)?, frames: value(at + 4)? });
        let (durable, sealed) = (end(8)?, end(16)?);
        let sealed = (sealed != End { offset: 0, frames: 0 }).then_some(sealed);
        let generation = u64::from(value(0)?) | u64::from(value(4)?) << 32;
        let mark = Self { generation, durable, sealed };
        let fits = |end: End| {
            end.offset.is_multiple_of(4)
                && end.offset >= FRAMES_START
                && u64::from(end.frames) * 16 <= u64::from(end.offset - FRAMES_START)
                && (end.frames > 0 || end.offset == FRAMES_START)
        };
        let is_valid = value(28)? == crc(salt, &bytes[..28])
            && (1..1 << 63).contains(&generation)
            && mark.place() == place
            && fits(durable)
            && sealed.is_none_or(fits)
            && sealed.is_none_or(|sealed| durable.offset <= sealed.offset && durable.frames <= sealed.frames);
        is_valid.then_some(mark)
    }
}

/// The bytes of a frame, padding included.
pub fn frame(salt: u32, index: u32, payload: &[u8]) -> Vec<u8> {
    let length = length_of(payload);
    let words = [length.to_le_bytes(), index.to_le_bytes()].concat();
    let checksum = crc(crc(salt, &words), payload);
    let mut bytes = [words.as_slice(), &checksum.to_le_bytes(), payload].concat();
    bytes.resize(frame_bytes(length) as usize, 0);
    bytes
}

/// How many bytes a frame takes.
pub fn frame_bytes(length: u32) -> u32 {
    (FRAME_HEADER_BYTES + length).next_multiple_of(4)
}

/// The frame at an offset, whatever index it says: index, payload, and where it ends.
pub fn frame_at(bytes: &[u8], offset: u32, salt: u32) -> Option<(u32, &[u8], u32)> {
    let at = offset as usize;
    let (length, index, checksum) = (word(bytes, at)?, word(bytes, at + 4)?, word(bytes, at + 8)?);
    if length == 0 || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let (start, behind) = (at + 12, at + 12 + length as usize);
    let end = behind.next_multiple_of(4);
    let (payload, padding) = (bytes.get(start..behind)?, bytes.get(behind..end)?);
    let fits = crc(crc(salt, &bytes[at..at + 8]), payload) == checksum && padding.iter().all(|byte| *byte == 0);
    Some((index, payload, u32::try_from(end).ok()?)).filter(|_| fits)
}

/// The checksum of the page, continued from a seed.
pub fn crc(seed: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!seed, |crc, byte| (crc >> 8) ^ CRC_OF_BYTE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

const CRC_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let (mut value, mut bit) = (byte, 0);
        while bit < 8 {
            value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
            bit += 1;
        }
        table[byte as usize] = value;
        byte += 1;
    }
    table
};

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..at + 4)?.first_chunk()?))
}

fn length_of(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).expect("a short payload")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_format() {
        assert_eq!(crc(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(crc(0, b"12345"), b"6789"), crc(0, b"123456789"));
    }

    #[test]
    fn what_is_written_is_read() {
        let mark = Mark { generation: 3, durable: NO_FRAMES, sealed: Some(End { offset: 4112, frames: 1 }) };
        let mut file = vec![0; 4096];
        file[mark.place()..mark.place() + MARK_BYTES].copy_from_slice(&mark.encode(7));
        assert_eq!(Mark::decode(&file, 1024, 7), Some(mark));
        assert_eq!(Mark::decode(&file, 512, 7), None);
        file.extend(frame(7, 5, b"abcde"));
        assert_eq!(frame_at(&file, 4096, 7), Some((5, &b"abcde"[..], 4116)));
    }
}
