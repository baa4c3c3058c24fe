//! Makes text safe for a terminal: whatever an event said can't move the cursor, change colours, or reorder what is
//! read. Pure. JSON goes through [`crate::json`], which keeps the text exact.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with control and invisible characters spelled out, as `\n`, `\t`, `\r` or `\u{1b}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ if is_unsafe(character) => {
                // Writing into a String has no way to fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal would act on the character instead of showing it, or show nothing where there is something.
pub(crate) const fn is_unsafe(character: char) -> bool {
    matches!(character,
        // C0, DEL and C1: escape sequences begin with one of these.
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Bidirectional marks, embeddings, overrides and isolates: they make text read as what it is not.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators.
        | '\u{2028}' | '\u{2029}'
        // Invisible: zero-width space, word joiner and its kin, byte order mark, interlinear marks, tags.
        | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_spelled_out() {
        let cases = [
            ("plain, ümläut, 日本, 👩‍💻", "plain, ümläut, 日本, 👩‍💻"),
            ("\x1b[31mred\x1b[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("a\u{9b}31mb", "a\\u{9b}31mb"),
            ("line\r\n\tnext\0\x7f", "line\\r\\n\\tnext\\u{0}\\u{7f}"),
            ("\u{202e}gpj.exe\u{2066}\u{2069}", "\\u{202e}gpj.exe\\u{2066}\\u{2069}"),
            ("a\u{2028}b\u{200b}c\u{feff}", "a\\u{2028}b\\u{200b}c\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_control_character_and_no_bidi_control_of_unicode_comes_through() {
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for character in ('\0'..=char::MAX).filter(|c| c.is_control() || bidi.contains(*c)) {
            let escaped = escape(&character.to_string()).into_owned();
            assert!(escaped.chars().all(|c| c.is_ascii_graphic()), "{character:?} gave {escaped:?}");
        }
    }
}
