//! Text from outside, made safe and measured for a terminal.
//!
//! Pure. Everything recorded may come from a stranger, so whatever reaches a terminal goes through [`escape`] first.

use crate::hidden::is_hidden;
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// So many marks may stand on one letter; more of them are no language, and would be drawn over the lines around.
const MARKS_MAX: usize = 4;

/// Makes `text` harmless on a terminal: characters that move the cursor, reorder the line or can't be seen are shown
/// as escapes (`\n`, `\u{1b}`), and so are marks that pile up. Everything else stays as it is, a backslash too.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    // Nearly all text is of these; looking at its bytes is much quicker than asking Unicode's tables.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let (mut is_changed, mut marks) = (false, 0);
    for character in text.chars() {
        marks = if character.width() == Some(0) { marks + 1 } else { 0 };
        if marks > MARKS_MAX || is_hidden(character) {
            is_changed = true;
            // `\t`, `\r`, `\n`; the rest becomes `\u{..}`.
            match character {
                '\t' | '\r' | '\n' => escaped.extend(character.escape_default()),
                _ => escaped.extend(character.escape_unicode()),
            }
        } else {
            escaped.push(character);
        }
    }
    if is_changed { Cow::Owned(escaped) } else { Cow::Borrowed(text) }
}

/// The same for a text of several lines that was put together here, such as an error that shows a part of a file: its
/// lines stay lines.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return escape(text);
    }
    Cow::Owned(text.split('\n').map(escape).collect::<Vec<_>>().join("\n"))
}

/// How many columns escaped text takes.
#[must_use]
pub fn width(escaped: &str) -> usize {
    escaped.width()
}

/// Cuts escaped text to `columns`, the last of them an ellipsis if anything was cut.
#[must_use]
pub fn fit(escaped: &str, columns: usize) -> Cow<'_, str> {
    if width(escaped) <= columns {
        return Cow::Borrowed(escaped);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    // Spaces before the ellipsis would only push it away.
    Cow::Owned(format!("{}…", fitting(escaped, columns - 1).trim_end()))
}

/// The beginning of escaped text that fits into `columns`.
#[must_use]
pub fn fitting(escaped: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, character) in escaped.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > columns {
            return &escaped[..at];
        }
    }
    escaped
}

/// Escaped text in lines of at most `columns`, broken at spaces where there are any; a word that is longer is broken
/// too. No columns are no reason to lose text: a line has one character at least.
#[must_use]
pub fn wrap(escaped: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in escaped.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while line.is_empty() && width(word) > columns {
            let first = word.chars().next().map_or(0, char::len_utf8);
            let (part, rest) = word.split_at(fitting(word, columns).len().max(first));
            word = rest;
            if word.is_empty() {
                line.push_str(part);
                break;
            }
            lines.push(part.to_owned());
        }
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The first `characters` of a text.
#[must_use]
pub fn beginning(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_left_alone_and_not_copied() {
        for text in ["", "search_docs", r"C:\temp", "größe 北京 👩💻", "\"quoted\"", "ก\u{e35}\u{e49}", "e\u{301}"]
        {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn everything_that_acts_on_a_terminal_is_shown_as_an_escape() {
        let cases = [
            ("two\nlines", r"two\nlines"),
            ("a\tb\rc", r"a\tb\rc"),
            ("\u{1b}[2Jgone", r"\u{1b}[2Jgone"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("nul\0 del\u{7f}", r"nul\u{0} del\u{7f}"),
            ("user\u{202e}txt.exe", r"user\u{202e}txt.exe"),
            ("\u{2067}isolate\u{2069}", r"\u{2067}isolate\u{2069}"),
            ("zero\u{200b}width\u{feff}", r"zero\u{200b}width\u{feff}"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
            ("line\u{2028}", r"line\u{2028}"),
            ("👩\u{200d}💻 ❤\u{fe0f}", r"👩\u{200d}💻 ❤\u{fe0f}"),
            ("e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}.", "e\u{301}\u{302}\u{303}\u{304}\\u{305}\\u{306}."),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected);
            assert!(!escape(text).chars().any(is_hidden), "{expected}");
        }
    }

    #[test]
    fn lines_that_are_meant_stay_lines_and_hold_nothing_that_acts() {
        assert_eq!(
            escape_lines("TOML parse error\n  |\n1 | a\u{1b}[2J\r\n"),
            "TOML parse error\n  |\n1 | a\\u{1b}[2J\\r\n"
        );
        assert!(matches!(escape_lines("one"), Cow::Borrowed("one")));
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
        }
        assert_eq!((beginning("ééabc", 3), beginning("ab", 3)), ("ééa", "ab"));
    }

    #[test]
    fn wrapping_keeps_every_word_and_breaks_those_that_are_too_long() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a abcdefghij b", 4), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrap("abcdefgh b", 4), ["abcd", "efgh", "b"]);
        assert_eq!(wrap("北京", 1), ["北", "京"]);
        assert_eq!(wrap("", 4), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_text_gets_wider_than_asked_or_loses_anything_but_spaces(text in "\\PC{0,40}|.{0,40}", columns in 1..30_usize) {
            let escaped = escape(&text);
            prop_assert!(!escaped.chars().any(is_hidden));
            prop_assert!(width(&fit(&escaped, columns)) <= columns, "{}", escaped);
            let lines = wrap(&escaped, columns);
            for line in &lines {
                prop_assert!(width(line) <= columns || line.chars().count() == 1, "{line:?} in {columns}");
            }
            let dense = |text: &str| text.chars().filter(|character| *character != ' ').collect::<String>();
            prop_assert_eq!(dense(&lines.concat()), dense(&escaped));
        }
    }
}
