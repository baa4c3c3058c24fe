//! A line of text in several styles: measured, cut or wrapped to the terminal. Pure; it does not print.

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();

/// Pieces of text, each with its style. The text must be safe for a terminal: [`crate::escape`] it first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    pub(crate) fn of(style: Style, text: impl Into<String>) -> Self {
        let mut line = Self::new();
        line.push(style, text);
        line
    }

    pub(crate) fn push(&mut self, style: Style, text: impl Into<String>) {
        self.pieces.push((style, text.into()));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// How many columns of a terminal it takes.
    pub(crate) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text.width()).sum()
    }

    /// The line, cut to `width_max` columns with an ellipsis, without spaces at its end; coloured or not.
    pub(crate) fn render(&self, width_max: Option<usize>, colour: bool) -> String {
        let mut rendered = String::new();
        let fits = width_max.is_none_or(|max| self.width() <= max);
        let mut left = if fits { usize::MAX } else { width_max.unwrap_or(usize::MAX).saturating_sub(1) };
        let last = self.pieces.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        for (index, (style, text)) in self.pieces.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            let shown = cut(text, left);
            left -= shown.width().min(left);
            let ends = shown.len() < text.len();
            let shown = if Some(index) == last || ends { shown.trim_end() } else { shown };
            if !shown.is_empty() {
                if colour && *style != PLAIN {
                    rendered.push_str(&format!("{style}{shown}{style:#}"));
                } else {
                    rendered.push_str(shown);
                }
            }
            if ends {
                rendered.push('…');
                break;
            }
        }
        rendered
    }
}

/// The beginning of `text` that fits into `width` columns.
fn cut(text: &str, width: usize) -> &str {
    let mut taken = 0;
    for (index, character) in text.char_indices() {
        taken += character.width().unwrap_or(0);
        if taken > width {
            return &text[..index];
        }
    }
    text
}

/// The text in lines of at most `width_max` columns, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, width_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut width = 0;
    for word in text.split(' ') {
        let mut word = word;
        if width > 0 && width + 1 + word.width() > width_max {
            lines.push(String::new());
            width = 0;
        }
        while word.width() > width_max {
            let part = cut(word, width_max.max(2));
            word = &word[part.len()..];
            lines.extend([part.to_owned(), String::new()]);
        }
        let Some(line) = lines.last_mut() else { continue };
        if width > 0 {
            line.push(' ');
        }
        line.push_str(word);
        width = line.width();
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let mut line = Line::of(BAD, "red");
        line.push(PLAIN, " plain ");
        line.push(DIM, "日本語");
        line
    }

    #[test]
    fn a_line_is_cut_by_columns_not_by_characters() {
        assert_eq!(line().width(), 16);
        let cases =
            [(16, "red plain 日本語"), (15, "red plain 日本…"), (14, "red plain 日…"), (9, "red plai…"), (1, "…")];
        for (width, expected) in cases {
            let rendered = line().render(Some(width), false);
            assert_eq!(rendered, expected, "{width}");
            assert!(rendered.width() <= width);
        }
        assert_eq!(line().render(None, false), "red plain 日本語");
    }

    #[test]
    fn colours_are_closed_even_where_the_line_is_cut() {
        let rendered = line().render(Some(3), true);
        assert_eq!(rendered, format!("{BAD}re{BAD:#}…"));
    }

    #[test]
    fn spaces_at_the_end_are_left_out() {
        let mut line = Line::of(PLAIN, "a  ");
        line.push(DIM, "  ");
        assert_eq!(line.render(Some(80), true), "a");
    }

    #[test]
    fn wrapping_keeps_every_word_and_breaks_those_that_are_too_long() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a abcdefghij b", 4), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrap("", 4), [""; 0]);
    }
}
