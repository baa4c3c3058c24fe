//! The characters of a JSON string, decoded while its bytes pass.
//!
//! Pure, of constant size, and cannot fail: what is no text becomes a replacement character, as in
//! [`String::from_utf8_lossy`]. The same characters come out wherever the bytes are cut. `serde_json` was rejected for this
//! place because it wants the whole string, which may be megabytes long, to tell its beginning.

use std::char::REPLACEMENT_CHARACTER;

/// A high surrogate, the first half of a pair.
const HIGH: std::ops::RangeInclusive<u16> = 0xD800..=0xDBFF;
/// A low surrogate, the second half.
const LOW: std::ops::RangeInclusive<u16> = 0xDC00..=0xDFFF;

/// Decodes one string after the other.
#[derive(Debug, Default)]
pub(super) struct Unescape {
    state: State,
    /// The first half of a surrogate pair, whose other half may come.
    high: Option<u16>,
    /// The beginning of a character in UTF-8, whose other bytes may come.
    partial: [u8; 4],
    partial_len: usize,
}

/// Where the decoding stands between two bytes.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Plain,
    /// Behind a backslash.
    Escape,
    /// In the four hexadecimal digits behind `\u`.
    Unit { digits: u8, unit: u16 },
}

impl Unescape {
    /// Decodes the next bytes of a string; its quotes are none of them.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut on_text: impl FnMut(&str)) {
        while let Some(byte) = bytes.first() {
            match self.state {
                State::Plain => {
                    let len = memchr::memchr(b'\\', bytes).unwrap_or(bytes.len());
                    if len > 0 {
                        self.give_up_high(&mut on_text);
                        self.plain(&bytes[..len], &mut on_text);
                        bytes = &bytes[len..];
                    } else {
                        self.give_up_partial(&mut on_text);
                        self.state = State::Escape;
                        bytes = &bytes[1..];
                    }
                }
                State::Escape => {
                    self.state = State::Plain;
                    let text = match byte {
                        b'u' => {
                            self.state = State::Unit { digits: 0, unit: 0 };
                            ""
                        }
                        b'"' => "\"",
                        b'\\' => "\\",
                        b'/' => "/",
                        b'b' => "\u{8}",
                        b'f' => "\u{c}",
                        b'n' => "\n",
                        b'r' => "\r",
                        b't' => "\t",
                        // No escape: the byte stands for itself.
                        _ => continue,
                    };
                    if !text.is_empty() {
                        self.give_up_high(&mut on_text);
                        on_text(text);
                    }
                    bytes = &bytes[1..];
                }
                State::Unit { digits, unit } => match char::from(*byte).to_digit(16) {
                    Some(digit) => {
                        // A digit has four bits, and is no more than them.
                        let unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
                        self.state = State::Unit { digits: digits + 1, unit };
                        if digits == 3 {
                            self.state = State::Plain;
                            self.unit(unit, &mut on_text);
                        }
                        bytes = &bytes[1..];
                    }
                    None => self.give_up_escape(&mut on_text),
                },
            }
        }
    }

    /// The string is over.
    pub(super) fn finish(&mut self, mut on_text: impl FnMut(&str)) {
        self.give_up_escape(&mut on_text);
        self.give_up_high(&mut on_text);
        self.give_up_partial(&mut on_text);
    }

    /// Bytes without a backslash.
    fn plain(&mut self, mut bytes: &[u8], on_text: &mut impl FnMut(&str)) {
        while self.partial_len > 0
            && let Some((byte, rest)) = bytes.split_first()
        {
            self.partial[self.partial_len] = *byte;
            match str::from_utf8(&self.partial[..=self.partial_len]) {
                Ok(character) => {
                    on_text(character);
                    self.partial_len = 0;
                }
                Err(error) if error.error_len().is_none() => self.partial_len += 1,
                // The byte does not go on with it: what came before is no character.
                Err(_) => {
                    self.give_up_partial(on_text);
                    continue;
                }
            }
            bytes = rest;
        }
        // Nearly all of it is text, and this way of finding out is many times as fast.
        if let Ok(text) = str::from_utf8(bytes) {
            if !text.is_empty() {
                on_text(text);
            }
            return;
        }
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            if !chunk.valid().is_empty() {
                on_text(chunk.valid());
            }
            let broken = chunk.invalid();
            let is_beginning = || str::from_utf8(broken).is_err_and(|error| error.error_len().is_none());
            if chunks.peek().is_none() && is_beginning() {
                self.partial[..broken.len()].copy_from_slice(broken);
                self.partial_len = broken.len();
            } else if !broken.is_empty() {
                replacement(on_text);
            }
        }
    }

    /// A whole `\uXXXX`.
    fn unit(&mut self, unit: u16, on_text: &mut impl FnMut(&str)) {
        if let Some(high) = self.high.take_if(|_| LOW.contains(&unit)) {
            let pair = char::decode_utf16([high, unit]).next();
            character(pair.and_then(Result::ok).unwrap_or(REPLACEMENT_CHARACTER), on_text);
            return;
        }
        self.give_up_high(on_text);
        if HIGH.contains(&unit) {
            self.high = Some(unit);
        } else {
            character(char::from_u32(u32::from(unit)).unwrap_or(REPLACEMENT_CHARACTER), on_text);
        }
    }

    /// An escape that is none, or the end of the string in one.
    fn give_up_escape(&mut self, on_text: &mut impl FnMut(&str)) {
        if !matches!(std::mem::take(&mut self.state), State::Plain) {
            self.give_up_high(on_text);
            replacement(on_text);
        }
    }

    fn give_up_high(&mut self, on_text: &mut impl FnMut(&str)) {
        if self.high.take().is_some() {
            replacement(on_text);
        }
    }

    fn give_up_partial(&mut self, on_text: &mut impl FnMut(&str)) {
        if std::mem::take(&mut self.partial_len) > 0 {
            replacement(on_text);
        }
    }
}

fn replacement(on_text: &mut impl FnMut(&str)) {
    character(REPLACEMENT_CHARACTER, on_text);
}

fn character(character: char, on_text: &mut impl FnMut(&str)) {
    on_text(character.encode_utf8(&mut [0; 4]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(pieces: &[&[u8]]) -> String {
        let (mut unescape, mut text) = (Unescape::default(), String::new());
        for piece in pieces {
            unescape.push(piece, |part| text.push_str(part));
        }
        unescape.finish(|part| text.push_str(part));
        // It is ready for the next string, whatever this one was.
        let mut next = String::new();
        unescape.push(b"next", |part| next.push_str(part));
        assert_eq!(next, "next");
        text
    }

    fn decoded_at_every_cut(bytes: &[u8]) -> String {
        let whole = decoded(&[bytes]);
        for cut in 0..=bytes.len() {
            for second in cut..=bytes.len() {
                let pieces = [&bytes[..cut], &bytes[cut..second], &bytes[second..]];
                assert_eq!(decoded(&pieces), whole, "cut at {cut} and {second} of {bytes:?}");
            }
        }
        assert_eq!(decoded(&bytes.chunks(1).collect::<Vec<_>>()), whole);
        whole
    }

    #[test]
    fn what_is_no_text_is_replaced_and_the_rest_is_kept() {
        let cases: [(&[u8], &str); 22] = [
            (br#"a\"b\\c\/d"#, "a\"b\\c/d"),
            (br"\b\f\n\r\t", "\u{8}\u{c}\n\r\t"),
            (br"\u00e4\u00E4\u0000", "ää\0"),
            (br"\ud83d\ude00", "😀"),
            ("ä日😀".as_bytes(), "ä日😀"),
            // Half of a pair: alone, at the end, twice, the other half first, before text and before an escape.
            (br"\ud83d", "\u{fffd}"),
            (br"\ude00", "\u{fffd}"),
            (br"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (br"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
            (br"\ud83d\n", "\u{fffd}\n"),
            (br"\ud83d\u0041", "\u{fffd}A"),
            // Escapes that are none.
            (br"\x\u12", "x\u{fffd}"),
            (br"\u12zz", "\u{fffd}zz"),
            (br"\u1\n", "\u{fffd}\n"),
            (br"\ud83d\u1z", "\u{fffd}\u{fffd}z"),
            (br"\ud83d\", "\u{fffd}\u{fffd}"),
            ("\\ä".as_bytes(), "ä"),
            // Bytes that are no UTF-8: too few, too many, before an escape, surrogates.
            (b"a\xF0\x9F\x98", "a\u{fffd}"),
            (b"\xF0\x9F\\n\x98z", "\u{fffd}\n\u{fffd}z"),
            (b"\xC3\xC3\xA4", "\u{fffd}ä"),
            (b"\xED\xA0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(decoded_at_every_cut(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn a_string_is_what_serde_json_says(text in any::<String>(), is_ascii in any::<bool>()) {
            let json = serde_json::Value::from(text.as_str()).to_string();
            let mut escaped = String::new();
            for character in json.trim_matches('"').chars() {
                if is_ascii && !character.is_ascii() {
                    character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped += &format!("\\u{unit:04x}"));
                } else {
                    escaped.push(character);
                }
            }
            // A quote at either end of the text is escaped, and its backslash must stay with it.
            let inner = if is_ascii { escaped.as_bytes() } else { &json.as_bytes()[1..json.len() - 1] };
            prop_assume!(!is_ascii || !text.starts_with('"') && !text.ends_with('"'));
            prop_assert_eq!(decoded_at_every_cut(inner), text);
        }

        #[test]
        fn any_bytes_are_decoded_as_if_they_came_at_once(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), prop::sample::select(b"\\\\\\uud8DcF0\xF0\x9F\xC3\xA4".to_vec())],
                0..24,
            ),
        ) {
            let text = decoded_at_every_cut(&bytes);
            if !bytes.contains(&b'\\') {
                prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
            }
        }
    }
}
