//! JSON lines: one object per line, safe to show on a terminal.
//!
//! Pure but for the writer it is given.

use crate::text::is_hidden;
use serde::Serialize;
use std::io::{self, Write};

/// Writes one line. Characters that would act on a terminal are written as `\u` escapes, which every JSON reader turns
/// back into the same characters.
pub(crate) fn write_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Visible);
    value.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(position) = rest.find(is_hidden) {
            writer.write_all(&rest.as_bytes()[..position])?;
            let Some(character) = rest[position..].chars().next() else { break };
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[position + character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_escaped_and_read_back_the_same() {
        let text = "a\u{1b}[2J \u{9b} \u{202e}x\n\u{e0041} \"é\" 北";
        let mut line = Vec::new();
        write_line(&mut line, &text).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "\"a\\u001b[2J \\u009b \\u202ex\\n\\udb40\\udc41 \\\"é\\\" 北\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
