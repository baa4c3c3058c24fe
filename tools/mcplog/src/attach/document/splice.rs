//! A piece of text in another one's place.
//!
//! Pure. All editing of a document is this; what no splice covers can't change.

use std::ops::Range;

/// What stands in that range is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) with: String,
}

impl Splice {
    pub(super) fn insert(at: usize, with: impl Into<String>) -> Self {
        Self { range: at..at, with: with.into() }
    }

    pub(super) fn cut(range: Range<usize>) -> Self {
        Self { range, with: String::new() }
    }

    pub(super) fn replace(range: Range<usize>, with: impl Into<String>) -> Self {
        Self { range, with: with.into() }
    }
}

/// The text with all of them applied, which must not overlap. Of two at one place the first comes first.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| splice.range.start);
    let added: usize = splices.iter().map(|splice| splice.with.len()).sum();
    let mut spliced = String::with_capacity(text.len() + added);
    let mut behind = 0;
    for splice in &splices {
        spliced.push_str(&text[behind..splice.range.start.max(behind)]);
        spliced.push_str(&splice.with);
        behind = splice.range.end.max(behind);
    }
    spliced.push_str(&text[behind..]);
    spliced
}
