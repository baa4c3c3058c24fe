//! What stands between brackets, separated by commas: adding to it and taking from it.
//!
//! Pure. JSON's objects and lists, TOML's inline tables and arrays, YAML's flow style. An addition keeps comments with what
//! they stand beside, and the commas as the file has them; taking away what was added gives the bytes from before.

use super::place;
use super::splice::Splice;
use std::ops::Range;

/// How a comment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comments {
    /// `//` to the line's end, `/* .. */`.
    Slashes,
    /// `#` to the line's end.
    Hash,
}

/// A mapping or list between brackets.
pub(super) struct Flow<'a> {
    pub(super) text: &'a str,
    pub(super) comments: Comments,
    /// Between the brackets.
    pub(super) inside: Range<usize>,
    /// Where its members or items stand.
    pub(super) items: Vec<Range<usize>>,
}

impl Flow<'_> {
    /// Adds one behind the last.
    pub(super) fn push(&self, item: &str) -> Vec<Splice> {
        let Some(last) = self.items.last() else { return vec![self.fill(item)] };
        let comma = self.behind_comma(last.end);
        let behind = self.behind_comments(comma.unwrap_or(last.end));
        let lead = if place::is_first_on_line(self.text, last.start) {
            self.line_like(last.start)
        } else if self.ends_in_line_comment(comma.unwrap_or(last.end), behind) {
            self.line_within()
        } else {
            self.gap().to_owned()
        };
        match comma {
            Some(_) => vec![Splice::insert(behind, format!("{lead}{item},"))],
            None => vec![Splice::insert(last.end, ","), Splice::insert(behind, format!("{lead}{item}"))],
        }
    }

    /// Adds some before the first, each as the first stands: on a line of its own, or beside it.
    pub(super) fn unshift(&self, items: &[String]) -> Vec<Splice> {
        let gap = self.separation();
        match self.items.first() {
            None => vec![self.fill(&items.join(&format!(",{gap}")))],
            Some(first) => {
                let added: String = items.iter().map(|item| format!("{item},{gap}")).collect();
                vec![Splice::insert(first.start, added)]
            }
        }
    }

    /// Takes the first ones away; comments between them stay.
    pub(super) fn shift(&self, count: usize) -> Vec<Splice> {
        let taken = &self.items[..count.min(self.items.len())];
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return Vec::new() };
        let next = self.items.get(count);
        let reach = &self.items[..self.items.len().min(count + 1)];
        if reach.windows(2).any(|pair| self.has_comment(pair[0].end..pair[1].start)) {
            return taken
                .iter()
                .enumerate()
                .flat_map(|(i, item)| self.cut(None, item, self.items.get(i + 1)))
                .collect();
        }
        match next {
            Some(next) => vec![Splice::cut(first.start..next.start)],
            None => self.cut(None, &(first.start..last.end), None),
        }
    }

    /// Takes one away.
    pub(super) fn remove(&self, index: usize) -> Vec<Splice> {
        let before = index.checked_sub(1).map(|before| &self.items[before]);
        self.cut(before, &self.items[index], self.items.get(index + 1))
    }

    /// Puts others into the place of all items; the commas and blanks around them stay.
    pub(super) fn replace(&self, items: &[String]) -> Vec<Splice> {
        match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) if !items.is_empty() => {
                vec![Splice::replace(first.start..last.end, items.join(&format!(",{}", self.separation())))]
            }
            (Some(_), _) => vec![Splice::cut(self.inside.clone())],
            (None, _) if items.is_empty() => Vec::new(),
            (None, _) => self.unshift(items),
        }
    }

    /// The first one of an empty list or mapping.
    fn fill(&self, item: &str) -> Splice {
        let behind = self.behind_all_comments();
        let rest = &self.text[behind..self.inside.end];
        if rest.contains(['\n', '\r']) {
            Splice::insert(behind, format!("{}{item}", self.line_within()))
        } else {
            Splice::insert(self.inside.end, format!("{item}{}", if rest.is_empty() { "" } else { " " }))
        }
    }

    /// Takes what stands there away, its comma with it, and the line where it has one of its own.
    fn cut(&self, before: Option<&Range<usize>>, item: &Range<usize>, next: Option<&Range<usize>>) -> Vec<Splice> {
        let comma = self.behind_comma(item.end);
        let end = comma.unwrap_or(item.end);
        let comma_before = before.filter(|_| comma.is_none()).and_then(|before| self.behind_comma(before.end));
        let mut splices: Vec<_> = comma_before.map(|comma| Splice::cut(comma - 1..comma)).into_iter().collect();
        if let Some(comma) = comma.filter(|comma| self.has_comment(item.end..*comma)) {
            return vec![Splice::cut(item.clone()), Splice::cut(comma - 1..comma)];
        }
        let behind = place::behind_blanks(self.text, end);
        let line_break = place::break_before(self.text, place::line_start(self.text, item.start));
        splices.push(Splice::cut(match line_break.filter(|_| place::is_first_on_line(self.text, item.start)) {
            Some(_) if next.is_some_and(|next| next.start == behind) => item.start..behind,
            Some(line_break) if self.can_join(line_break, end) => line_break..end,
            Some(_) => item.start..behind,
            None if before.is_some() => self.blanks_before(item.start)..end,
            None => item.start..behind,
        }));
        splices
    }

    /// Whether what stands behind `end` may move to the end of the line before, where no comment swallows it, and where it
    /// is no comment itself, which would seem to say something else there.
    fn can_join(&self, line_break: usize, end: usize) -> bool {
        let behind = place::behind_blanks(self.text, end);
        let before = self.items.iter().rev().find(|item| item.end <= line_break);
        let from = before.map_or(self.inside.start, |before| before.end);
        let ends_in_comment = self.ends_in_line_comment(from, line_break);
        place::is_last_on_line(self.text, end) || !(ends_in_comment || self.is_comment(behind))
    }

    /// What separates two items, behind the comma.
    fn separation(&self) -> String {
        match self.items.first() {
            Some(first) if place::is_first_on_line(self.text, first.start) => self.line_like(first.start),
            _ => self.gap().to_owned(),
        }
    }

    /// A new line, indented as the one of that byte.
    fn line_like(&self, at: usize) -> String {
        format!("{}{}", place::line_break(self.text, at), place::indentation(self.text, at))
    }

    /// A new line, indented further than the one that the brackets end on.
    fn line_within(&self) -> String {
        let end = self.inside.end;
        let line = place::line_start(self.text, end);
        let indented = &self.text[line..place::behind_blanks(self.text, line)];
        format!("{}{indented}{}", place::line_break(self.text, end), place::indentation_unit(self.text))
    }

    /// What stands between a comma and the next item on one line.
    fn gap(&self) -> &str {
        let is_dense = match &self.items[..] {
            [first, second, ..] => self.behind_comma(first.end) == Some(second.start),
            _ => {
                self.comments == Comments::Slashes
                    && !self.text.contains(['\n', '\r'])
                    && !self.text.contains(": ")
                    && !self.text.contains(", ")
            }
        };
        if is_dense { "" } else { " " }
    }

    /// The byte behind the next comma, if only blanks and comments stand before it.
    fn behind_comma(&self, mut at: usize) -> Option<usize> {
        loop {
            at += self.text[at..self.inside.end].bytes().take_while(u8::is_ascii_whitespace).count();
            match self.comment_end(at) {
                Some(end) => at = end,
                None => return self.text[at..self.inside.end].starts_with(',').then_some(at + 1),
            }
        }
    }

    /// The end of the comments that stand there on the same line; the byte itself where none does.
    fn behind_comments(&self, at: usize) -> usize {
        let line_end = place::line_end(self.text, at);
        let mut end = at;
        while let Some(next) = self.comment_end(place::behind_blanks(self.text, end)).filter(|next| *next <= line_end) {
            end = next;
        }
        end
    }

    /// The end of the last comment in an empty list or mapping; its beginning where there is none.
    fn behind_all_comments(&self) -> usize {
        let mut end = self.inside.start;
        loop {
            let blanks = self.text[end..self.inside.end].bytes().take_while(u8::is_ascii_whitespace).count();
            match self.comment_end(end + blanks) {
                Some(next) => end = next,
                None => return end,
            }
        }
    }

    /// Whether a comment that reaches to its line's end ends at `to`; only commas and other comments stand before it.
    fn ends_in_line_comment(&self, from: usize, to: usize) -> bool {
        let mut at = from;
        loop {
            let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
            at += self.text[at..to].bytes().take_while(is_between).count();
            match self.comment_end(at).filter(|end| *end <= to) {
                Some(end) if end == to => return !self.text[at..].starts_with("/*"),
                Some(end) => at = end,
                None => return false,
            }
        }
    }

    fn is_comment(&self, at: usize) -> bool {
        self.comment_end(at).is_some()
    }

    fn comment_end(&self, at: usize) -> Option<usize> {
        let rest = &self.text[at..self.inside.end.max(at)];
        match self.comments {
            Comments::Hash if rest.starts_with('#') => Some(place::line_end(self.text, at)),
            Comments::Slashes if rest.starts_with("//") => Some(place::line_end(self.text, at)),
            Comments::Slashes if rest.starts_with("/*") => rest[2..].find("*/").map(|end| at + end + 4),
            _ => None,
        }
    }

    /// Whether a comment stands there, between items.
    fn has_comment(&self, between: Range<usize>) -> bool {
        let between = &self.text[between];
        match self.comments {
            Comments::Hash => between.contains('#'),
            Comments::Slashes => between.contains("//") || between.contains("/*"),
        }
    }

    fn blanks_before(&self, at: usize) -> usize {
        self.text[..at].trim_end_matches([' ', '\t']).len()
    }
}
