//! Ids: any text, in sixteen bytes where that is what it says. Pure.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// An id: a UUID in sixteen bytes where it is one, any text otherwise. Its text is always what was recorded.
///
/// The variants' order is the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Id<'a> {
    /// Any text.
    Text(&'a str),
    /// A UUID, written as 36 characters: lower-case hexadecimal with hyphens.
    Uuid([u8; 16]),
    /// Sixteen bytes, written as 32 characters: lower-case hexadecimal.
    Hex([u8; 16]),
}

/// The length of the longest text that is not kept as text.
const UUID_CHARS: usize = 36;
/// The hexadecimal digits of a UUID stand in the text as these ranges; hyphens between them.
const UUID_GROUPS: [std::ops::Range<usize>; 5] = [0..8, 9..13, 14..18, 19..23, 24..36];

/// Where [`Id::text_in`] writes a text that is not kept as text.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdBuffer(IdChars);

#[derive(Clone, Copy, Debug)]
struct IdChars([u8; UUID_CHARS]);

impl Default for IdChars {
    fn default() -> Self {
        Self([b'-'; UUID_CHARS])
    }
}

impl<'a> Id<'a> {
    /// The shortest form of that text.
    pub fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let short = match bytes.len() {
            UUID_CHARS => bytes.first_chunk().and_then(from_uuid).map(Self::Uuid),
            32 => bytes.first_chunk().and_then(from_hex).map(Self::Hex),
            _ => None,
        };
        short.unwrap_or(Self::Text(text))
    }

    /// The text.
    pub fn text(&self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Uuid(_) | Self::Hex(_) => Cow::Owned(self.text_in(&mut IdBuffer::default()).to_owned()),
        }
    }

    /// The text, without an allocation: in `buffer`, if it is not kept as text.
    pub fn text_in<'b>(&self, buffer: &'b mut IdBuffer) -> &'b str
    where
        'a: 'b,
    {
        let chars = &mut buffer.0.0;
        let length = match self {
            Self::Text(text) => return text,
            Self::Hex(bytes) => {
                put_hex(bytes, &mut chars[..32]);
                32
            }
            Self::Uuid(bytes) => {
                let mut rest = &bytes[..];
                for (group, hyphen) in UUID_GROUPS.into_iter().zip([8, 13, 18, 23, UUID_CHARS]) {
                    let (these, others) = rest.split_at(group.len() / 2);
                    put_hex(these, &mut chars[group]);
                    rest = others;
                    if hyphen < UUID_CHARS {
                        chars[hyphen] = b'-';
                    }
                }
                UUID_CHARS
            }
        };
        str::from_utf8(&chars[..length]).expect("hexadecimal digits are ASCII")
    }
}

/// As their texts.
impl Ord for Id<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text_in(&mut IdBuffer::default()).cmp(other.text_in(&mut IdBuffer::default()))
    }
}

impl PartialOrd for Id<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text_in(&mut IdBuffer::default()))
    }
}

/// Sixteen bytes from the text of a UUID.
fn from_uuid(text: &[u8; UUID_CHARS]) -> Option<[u8; 16]> {
    let four = |at: usize| u64::from(u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]));
    // Around the hyphens.
    let digits =
        [four(0) | four(4) << 32, four(9) | four(14) << 32, four(19) | four(24) << 32, four(28) | four(32) << 32];
    let hyphens = [8, 13, 18, 23].iter().all(|place| text[*place] == b'-');
    from_digits(digits).filter(|_| hyphens)
}

/// Sixteen bytes from 32 lower-case hexadecimal digits.
fn from_hex(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let chunks = digits.as_chunks::<8>().0;
    from_digits([chunks[0], chunks[1], chunks[2], chunks[3]].map(u64::from_le_bytes))
}

fn from_digits(digits: [u64; 4]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut valid = true;
    for (four, eight) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(digits) {
        let (value, good) = eight_digits(eight);
        *four = value.to_le_bytes();
        valid &= good;
    }
    valid.then_some(bytes)
}

/// The value of eight digits, the first in the lowest byte, and whether they are lower-case hexadecimal.
///
/// All eight at once, a byte of a word each: digit by digit, turning ids into bytes was a large part of the
/// instructions of appending an event.
const fn eight_digits(text: u64) -> (u32, bool) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // `0` to `9` are 0x30 to 0x39, `a` to `f` are 0x61 to 0x66: bit 6 tells them apart.
    let letters = text >> 6 & EACH;
    let values = (text & (0x0f * EACH)) + 9 * letters;
    // The high halves must be 3 and 6. A letter's value is 10 to 15 and a digit's 0 to 9; 6 more carries into bit 4 for
    // the one and not for the other, and what a byte holds beyond 15 shows there right away.
    let high_halves = text & (0xf0 * EACH) == 0x30 * EACH + 0x30 * letters;
    let in_range = values & (0xf0 * EACH) == 0 && (values + 6 * EACH) >> 4 & EACH == letters;
    // The first digit of a pair is the high half of its byte.
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    let value = fours | fours >> 16;
    ((value & 0xffff_ffff) as u32, high_halves && in_range)
}

/// Writes bytes as hexadecimal digits, two each.
fn put_hex(bytes: &[u8], chars: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(chars.as_chunks_mut::<2>().0) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_ids_are_shortened() {
        let uuid = "0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f";
        assert!(matches!(Id::new(uuid), Id::Uuid(_)));
        assert!(matches!(Id::new(&uuid.replace('-', "")), Id::Hex(_)));
        for text in [
            "",
            "abc",
            &uuid.to_uppercase(),
            "0197a1c07-b1e-7cc3-98c4-dc0c0c07398f",
            "0197a1c0-7b1e-7cc3-98c4-dc0c0c07398é",
        ] {
            assert!(matches!(Id::new(text), Id::Text(_)), "{text}");
        }
    }

    #[test]
    fn every_byte_in_every_place_is_a_digit_or_is_not() {
        for place in 0..32 {
            for byte in 0..=255_u8 {
                let mut digits = *b"0123456789abcdeffedcba9876543210";
                digits[place] = byte;
                let value = match byte {
                    b'0'..=b'9' => Some(byte - b'0'),
                    b'a'..=b'f' => Some(byte - b'a' + 10),
                    _ => None,
                };
                let found = from_hex(&digits).map(|bytes| bytes[place / 2] >> (4 * (1 - place % 2)) & 15);
                assert_eq!(found, value, "byte {byte:#x} in place {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn an_id_keeps_its_text(text in "[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|.{0,40}") {
            prop_assert_eq!(Id::new(&text).text(), text.as_str());
            prop_assert_eq!(Id::new(&text).to_string(), text);
        }
    }
}
