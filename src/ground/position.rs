//! Places in the log: which store, which segment, which byte, which record.
//!
//! Plain numbers, each a type of its own, so that an id, an offset and a sequence number are never mixed. Pure; used on
//! every thread.

use std::fmt;

/// The longest payload of a frame. A reader allocates no more than this for a frame, whatever the file says.
pub const PAYLOAD_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// The number of a segment within its log; it names the file and is never used twice there. Another log has segments of
/// the same numbers: only a writer and a segment together name one.
#[derive(serde::Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The id that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

/// The number of a record within its log: 1 for the first, and never used twice there. A writer and a number together name
/// a record for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The number of the record after that one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A byte position within a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u32);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a store: 16 random bytes, minted with its directory, and printed as a UUID. Every segment of its logs has it, so
/// that a folder of another store is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

/// Names one life of one process that records, and so the log that it writes: 16 random bytes, minted when it opens the
/// store, and printed as a UUID. Nobody goes on with the log of another life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub [u8; 16]);

impl StoreId {
    /// The id that is written so. There is one way to write an id: 36 characters, lower-case hexadecimal with hyphens.
    pub fn from_text(text: &str) -> Option<Self> {
        Some(Self(bytes_of(text)?))
    }
}

impl WriterId {
    /// The id that is written so. There is one way to write an id: 36 characters, lower-case hexadecimal with hyphens.
    pub fn from_text(text: &str) -> Option<Self> {
        Some(Self(bytes_of(text)?))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

fn write_uuid(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn bytes_of(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (WriterId(bytes).to_string() == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 16] = [0x01, 0x97, 0xa1, 0xc0, 0x7b, 0x1e, 0x4c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0, 7, 0x39, 0xff];
    const TEXT: &str = "0197a1c0-7b1e-4cc3-98c4-dc0c000739ff";

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_way() {
        assert_eq!((WriterId(BYTES).to_string().as_str(), StoreId(BYTES).to_string().as_str()), (TEXT, TEXT));
        assert_eq!(
            (WriterId::from_text(TEXT), StoreId::from_text(TEXT)),
            (Some(WriterId(BYTES)), Some(StoreId(BYTES)))
        );
        let [upper, longer, bare] = [TEXT.to_ascii_uppercase(), format!("{TEXT}0"), TEXT.replace('-', "")];
        for text in ["", "-", &TEXT[..35], &upper, &longer, &bare, " 0197a1c0-7b1e-4cc3-98c4-dc0c000739ff", "ä"] {
            assert_eq!(WriterId::from_text(text), None, "{text}");
        }
    }
}
