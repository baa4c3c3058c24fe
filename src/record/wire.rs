//! The encodings that a request's fields are made of: postcard's, and two of our own. Pure.
//!
//! The other kinds of record go through serde. A request does not, because it is what the log is full of: written by
//! hand it takes a third less room (no byte for each absent field).

use crate::ground::varint;

/// Texts that most logs are full of: MCP's methods and the revisions of the protocol. Each is written as its place in
/// this list, counted from 1. `format.md` has the same list, and a test compares them; texts are only ever added at the
/// end, by a new version of the record.
pub(crate) const WORDS: [&str; 20] = [
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "server/discover",
    "subscriptions/listen",
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// Appends a signed number: zigzag, so that small negative ones are short too.
#[inline]
pub(super) fn put_i64(number: i64, to: &mut Vec<u8>) {
    varint::put((number << 1 ^ number >> 63).cast_unsigned(), to);
}

/// Appends a text with its length.
#[inline]
pub(super) fn put_text(text: &str, to: &mut Vec<u8>) {
    varint::put(text.len() as u64, to);
    to.extend_from_slice(text.as_bytes());
}

/// Appends a text: its place in [`WORDS`], or 0 and the text.
pub(super) fn put_word(text: &str, to: &mut Vec<u8>) {
    // Comparing the last bytes first spares nearly all calls that compare whole texts.
    let last = text.as_bytes().last();
    match WORDS.iter().position(|word| word.as_bytes().last() == last && *word == text) {
        // There are fewer than 127 of them.
        Some(place) => to.push(u8::try_from(place + 1).unwrap_or(0)),
        None => {
            to.push(0);
            put_text(text, to);
        }
    }
}

/// Reads fields, one after the other. `None`: the bytes are not such a field.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        varint::take(&mut self.0)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        let number = self.u64()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u64()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    pub(super) fn word(&mut self) -> Option<&'a str> {
        match usize::try_from(self.u64()?).ok()? {
            0 => self.text(),
            place => WORDS.get(place - 1).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_texts_survive_as_postcard_writes_them(number in any::<i64>(), bits in 0..64_u32, text in ".{0,200}") {
            // All magnitudes, not just the large ones.
            let number = number >> bits;
            let mut bytes = Vec::new();
            varint::put(number.cast_unsigned(), &mut bytes);
            put_i64(number, &mut bytes);
            put_text(&text, &mut bytes);
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&(number.cast_unsigned(), number, &text)).unwrap());
            put_word(&text, &mut bytes);
            let mut fields = Fields(&bytes);
            prop_assert_eq!((fields.u64(), fields.i64()), (Some(number.cast_unsigned()), Some(number)));
            prop_assert_eq!((fields.text(), fields.word()), (Some(text.as_str()), Some(text.as_str())));
            prop_assert_eq!(fields.0, &[] as &[u8]);
        }
    }

    #[test]
    fn every_word_takes_one_byte() {
        for word in WORDS {
            let mut bytes = Vec::new();
            put_word(word, &mut bytes);
            assert_eq!(bytes.len(), 1, "{word}");
            assert_eq!(Fields(&bytes).word(), Some(word));
        }
        assert_eq!(Fields(&[21]).word(), None, "a word of a later version");
    }

    #[test]
    fn the_list_of_words_is_that_of_the_document() {
        let document = include_str!("../../format.md");
        let list =
            document.split("The words, from 1: ").nth(1).and_then(|rest| rest.split(". A writer").next()).unwrap();
        let words: Vec<_> = list.split(',').map(|word| word.trim().trim_matches('`')).collect();
        assert_eq!(words, WORDS);
    }

    #[test]
    fn a_number_beyond_64_bits_is_none() {
        let mut bytes = [0xff; 10];
        bytes[9] = 0x01;
        assert_eq!(Fields(&bytes).u64(), Some(u64::MAX));
        bytes[9] = 0x02;
        assert_eq!(Fields(&bytes).u64(), None);
        assert_eq!(Fields(&[0x80; 11]).u64(), None);
        assert_eq!(Fields(&[0x80]).u64(), None);
    }
}
