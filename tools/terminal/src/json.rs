//! JSON lines: one object per line, safe to show on a terminal.
//!
//! Pure but for the writer it is given.

use crate::hidden::is_hidden;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Writes one object and ends the line. Characters that would act on a terminal are written as `\u` escapes, which every
/// JSON reader turns back into the same characters.
///
/// # Errors
/// What the writer says.
pub fn write_line(out: &mut (impl Write + ?Sized), object: &(impl Serialize + ?Sized)) -> io::Result<()> {
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Visible))?;
    out.write_all(b"\n")
}

/// Compact JSON without a raw character that a terminal would act on.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // serde_json escapes C0 by itself; of ASCII only DEL is left.
        if fragment.is_ascii() && !fragment.contains('\x7f') {
            return writer.write_all(fragment.as_bytes());
        }
        let mut done = 0;
        for (at, character) in fragment.char_indices().filter(|(_, character)| is_hidden(*character)) {
            writer.write_all(&fragment.as_bytes()[done..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            done = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[done..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(text: &str) -> String {
        let mut line = Vec::new();
        write_line(&mut line, text).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn hidden_characters_are_escaped() {
        let line = line_of("a\u{1b}[2J \u{9b} \u{202e}x\n\u{e0041} \"é\" 北\x7f");
        assert_eq!(line, "\"a\\u001b[2J \\u009b \\u202ex\\n\\udb40\\udc41 \\\"é\\\" 北\\u007f\"\n");
    }

    #[test]
    fn no_character_of_unicode_is_written_raw_if_it_is_hidden_and_all_are_read_back() {
        let text: String = ('\0'..=char::MAX).collect();
        let line = line_of(&text);
        assert!(!line.trim_end_matches('\n').chars().any(is_hidden));
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
