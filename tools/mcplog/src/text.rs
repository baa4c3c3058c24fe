//! Text from outside, made safe and measured for a terminal.
//!
//! Pure. Everything recorded may come from a stranger, so whatever reaches a terminal goes through [`escape`] first.

use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Makes `text` harmless on a terminal: characters that move the cursor, reorder the line or can't be seen are shown
/// as escapes (`\n`, `\u{1b}`). Everything else stays as it is, a backslash too.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_hidden) else { return Cow::Borrowed(text) };
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(&text[..first]);
    for character in text[first..].chars() {
        if is_hidden(character) {
            // `escape_default` knows \t, \r and \n, and turns the rest into \u{..}.
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character does something to a terminal other than show itself.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()                          // C0, DEL and C1: escape sequences begin with these
        || matches!(character,
            '\u{061c}' | '\u{200e}' | '\u{200f}'    // marks of direction
            | '\u{202a}'..='\u{202e}'               // bidirectional embeddings and overrides
            | '\u{2066}'..='\u{2069}'               // bidirectional isolates
            | '\u{2028}' | '\u{2029}'               // line and paragraph separators
            | '\u{00ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' // invisible
            | '\u{180e}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}') // tags: whole sentences that nobody sees
}

/// How many columns escaped text takes.
pub(crate) fn width(escaped: &str) -> usize {
    escaped.width()
}

/// Cuts escaped text to `columns`, the last of them an ellipsis if anything was cut.
pub(crate) fn fit(escaped: &str, columns: usize) -> Cow<'_, str> {
    if width(escaped) <= columns {
        return Cow::Borrowed(escaped);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let mut used = 0;
    let mut end = 0;
    for (start, character) in escaped.char_indices() {
        let next = used + character.width().unwrap_or(0);
        if next > columns - 1 {
            break;
        }
        used = next;
        end = start + character.len_utf8();
    }
    Cow::Owned(format!("{}…", escaped[..end].trim_end()))
}

/// What ids of derived sessions begin with. It says nothing that tells them apart, so people neither see nor type it.
pub(crate) const DERIVED_PREFIX: &str = "derived-";

/// A session's id as people see it: without the prefix of derived ones.
pub(crate) fn session_name(session_id: &str) -> &str {
    session_id.strip_prefix(DERIVED_PREFIX).unwrap_or(session_id)
}

/// How much of sessions' names must be shown on a terminal, in characters. `None` where nobody looks: there ids are
/// whole.
pub(crate) fn session_name_length<'a>(
    view: &crate::view::View,
    session_ids: impl Iterator<Item = &'a str>,
) -> Option<usize> {
    view.width.map(|_| distinct_length(session_ids.map(session_name)))
}

/// A session's id, shortened to what [`session_name_length`] said.
pub(crate) fn shown_session(session_id: &str, length: Option<usize>) -> &str {
    length.map_or(session_id, |length| beginning(session_name(session_id), length))
}

/// The shortest beginning that tells `ids` apart, in characters, and no shorter than 8: what a person has to type.
fn distinct_length<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let ids: std::collections::BTreeSet<_> = ids.collect();
    let common = |(a, b): (&&str, &&str)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    // Sorted, the nearest relative of an id is its neighbour.
    let longest = ids.iter().zip(ids.iter().skip(1)).map(common).max();
    longest.map_or(8, |common| (common + 1).max(8))
}

/// The first `characters` of a text.
pub(crate) fn beginning(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_left_alone_and_not_copied() {
        for text in ["", "search_docs", r"C:\temp", "größe 北京 👩‍💻", "\"quoted\""] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn everything_that_acts_on_a_terminal_is_shown_as_an_escape() {
        let cases = [
            ("two\nlines", r"two\nlines"),
            ("a\tb\rc", r"a\tb\rc"),
            ("\u{1b}[2Jgone", r"\u{1b}[2Jgone"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("nul\0 del\u{7f}", r"nul\u{0} del\u{7f}"),
            ("user\u{202e}txt.exe", r"user\u{202e}txt.exe"),
            ("\u{2067}isolate\u{2069}", r"\u{2067}isolate\u{2069}"),
            ("zero\u{200b}width\u{feff}", r"zero\u{200b}width\u{feff}"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
            ("line\u{2028}", r"line\u{2028}"),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected);
            assert!(!escape(text).chars().any(is_hidden), "{expected}");
        }
    }

    #[test]
    fn text_is_cut_by_columns_not_by_characters() {
        let cases = [
            ("search", 6, "search"),
            ("search", 5, "sear…"),
            ("search", 1, "…"),
            ("search", 0, ""),
            ("北京市", 6, "北京市"),
            ("北京市", 5, "北京…"),
            ("北京市", 4, "北…"),
            ("ab cdef", 4, "ab…"),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(fit(text, columns), expected, "{text} to {columns}");
            assert!(width(&fit(text, columns)) <= columns);
        }
    }

    #[test]
    fn ids_are_shortened_as_far_as_they_stay_distinct() {
        let cases: [(&[&str], usize); 5] = [
            (&[], 8),
            (&["0197a1c0-7b1e"], 8),
            (&["0197a1c0-7b1e", "0197a1c0-7b1e", "ffff"], 8),
            (&["0197a1c0-7b1e", "abc", "0197a1c0-7c00"], 11),
            (&["éééééééééx", "éééééééééy"], 10),
        ];
        for (ids, expected) in cases {
            assert_eq!(distinct_length(ids.iter().copied()), expected, "{ids:?}");
        }
        assert_eq!((beginning("ééabc", 3), beginning("ab", 3)), ("ééa", "ab"));
        assert_eq!((session_name("derived-0197"), session_name("0197")), ("0197", "0197"));
    }
}
