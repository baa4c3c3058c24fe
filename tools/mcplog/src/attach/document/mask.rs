//! A document's text without what it says: names and lines stay, values and comments are covered.
//!
//! Pure. For what is shown on a terminal, and copied from there into a report.

use super::document::Document;
use super::outline::Kind;
use super::place;
use super::step::{Format, Step};
use std::ops::Range;

/// Stands for what is covered.
const COVER: char = '…';

impl Document {
    /// The text with `…` for every value for which `keep` is false, and for all comments. Names and lines stay.
    pub(in crate::attach) fn masked(&self, keep: &dyn Fn(&[Step]) -> bool) -> String {
        let mut parts = Vec::new();
        if let Some(root) = self.outline.root() {
            collect(self, root, &mut Vec::new(), keep, &mut parts);
        }
        // TOML's tables may go on elsewhere.
        parts.sort_by_key(|(range, _)| range.start);
        let text = &self.text;
        let mut masked = String::with_capacity(text.len());
        let mut behind = 0;
        for (range, is_covered) in parts.into_iter().filter(|(range, _)| !range.is_empty()) {
            cover_comments(self.format, &text[behind..range.start.max(behind)], &mut masked);
            let part = &text[range.start.max(behind)..range.end.max(behind)];
            if is_covered {
                cover(part, &mut masked)
            } else {
                masked.push_str(part)
            }
            behind = range.end.max(behind);
        }
        cover_comments(self.format, &text[behind..], &mut masked);
        masked
    }
}

/// Adds the ranges of names and values below a node, and whether they are covered. As deep as documents may be.
fn collect(
    document: &Document,
    index: usize,
    way: &mut Vec<Step>,
    keep: &dyn Fn(&[Step]) -> bool,
    parts: &mut Vec<(Range<usize>, bool)>,
) {
    let node = document.outline.node(index);
    if node.is_mapping() {
        for (name, value) in document.outline.members(index) {
            parts.push((document.outline.node(name).range(), false));
            way.push(Step::Key(document.name(name)));
            collect(document, value, way, keep, parts);
            way.pop();
        }
    } else if node.is_sequence() {
        for (number, item) in document.outline.items(index).enumerate() {
            way.push(Step::Index(number));
            collect(document, item, way, keep, parts);
            way.pop();
        }
    } else {
        parts.push((node.range(), node.kind == Kind::Scalar && !keep(way)));
    }
}

/// Covers each line of a value; its quotes stay.
fn cover(part: &str, masked: &mut String) {
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| part.starts_with(quote)).unwrap_or_default();
    masked.push_str(quote);
    for (number, line) in part.split_inclusive(['\n', '\r']).enumerate() {
        let content = line.trim_end_matches(['\n', '\r']);
        if number > 0 {
            masked.push_str(&content[..content.len() - content.trim_start_matches([' ', '\t']).len()]);
        }
        if !content.trim().is_empty() {
            masked.push(COVER);
        }
        masked.push_str(&line[content.len()..]);
    }
    masked.push_str(quote);
}

/// Covers the comments in what stands between names and values.
fn cover_comments(format: Format, between: &str, masked: &mut String) {
    let mut rest = between;
    while let Some((before, start, end)) = next_comment(format, rest) {
        masked.push_str(&rest[..before]);
        masked.push_str(&rest[before..start]);
        cover(&rest[start..end], masked);
        rest = &rest[end..];
    }
    masked.push_str(rest);
}

/// Where the next comment begins, where what it says begins, and where it ends.
fn next_comment(format: Format, text: &str) -> Option<(usize, usize, usize)> {
    if format != Format::Json {
        let hash = hash_outside_quotes(text)?;
        return Some((hash, hash + 1, place::line_end(text, hash)));
    }
    let start = text.find("//").into_iter().chain(text.find("/*")).min()?;
    if text[start..].starts_with("//") {
        Some((start, start + 2, place::line_end(text, start)))
    } else {
        let end = text[start + 2..].find("*/").map_or(text.len(), |end| start + 2 + end);
        Some((start, start + 2, end))
    }
}

/// Headers of TOML may have quoted names.
fn hash_outside_quotes(text: &str) -> Option<usize> {
    let mut quote = None;
    text.bytes().enumerate().find_map(|(at, byte)| {
        match (quote, byte) {
            (None, b'#') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte || byte == b'\n' => quote = None,
            _ => {}
        }
        None
    })
}
