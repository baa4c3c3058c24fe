//! A line of text in several styles: measured, and cut to the terminal.
//!
//! Pure; it does not print. What is put into a line is escaped there, so that no caller can forget it.

use crate::style::PLAIN;
use crate::text::{escape, fitting, width};
use anstyle::Style;
use std::fmt;

/// Pieces of text, each with its style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    #[must_use]
    pub fn of(style: Style, text: impl AsRef<str>) -> Self {
        let mut line = Self::new();
        line.push(style, text);
        line
    }

    /// Adds text from anywhere.
    pub fn push(&mut self, style: Style, text: impl AsRef<str>) {
        self.pieces.push((style, escape(text.as_ref()).into_owned()));
    }

    /// Adds so many spaces.
    pub fn push_spaces(&mut self, count: usize) {
        self.pieces.push((PLAIN, " ".repeat(count)));
    }

    /// Adds another line behind this one.
    pub fn extend(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// How many columns of a terminal it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// The line, cut to `width_max` columns with an ellipsis, without spaces at its end; coloured or not.
    #[must_use]
    pub fn render(&self, width_max: Option<usize>, colour: bool) -> String {
        let mut rendered = String::new();
        let fits = width_max.is_none_or(|max| self.width() <= max);
        let mut left = if fits { usize::MAX } else { width_max.unwrap_or(usize::MAX).saturating_sub(1) };
        let last = self.pieces.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        for (index, (style, text)) in self.pieces.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            let shown = fitting(text, left);
            left -= width(shown).min(left);
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

/// The whole line in its styles, for a stream that takes them out where nobody would see them.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(None, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::{BAD, DIM};

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
        for (columns, expected) in cases {
            let rendered = line().render(Some(columns), false);
            assert_eq!(rendered, expected, "{columns}");
            assert!(width(&rendered) <= columns);
        }
        assert_eq!(line().render(None, false), "red plain 日本語");
    }

    #[test]
    fn colours_are_closed_even_where_the_line_is_cut() {
        assert_eq!(line().render(Some(3), true), format!("{BAD}re{BAD:#}…"));
        assert_eq!(line().to_string(), format!("{BAD}red{BAD:#} plain {DIM}日本語{DIM:#}"));
    }

    #[test]
    fn spaces_at_the_end_are_left_out() {
        let mut line = Line::of(PLAIN, "a  ");
        line.push_spaces(2);
        assert_eq!(line.render(Some(80), true), "a");
    }

    #[test]
    fn what_is_put_into_a_line_can_not_act_on_the_terminal() {
        let mut line = Line::of(BAD, "a\u{1b}[2J");
        line.push(PLAIN, "\u{202e}");
        assert_eq!(line.render(None, false), "a\\u{1b}[2J\\u{202e}");
    }
}
