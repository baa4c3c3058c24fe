//! A configuration file as a document: its members are read and edited one by one, and all else stays byte for byte.
//!
//! Pure: text in, text out. Nothing is formatted anew. An edit is some splices of the text; its result is parsed, and held
//! against what was there before: where more than the member differs, the edit is refused, and the document is as it was.

use super::error::DocumentError;
use super::outline::{Kind, Node, Outline};
use super::place::BYTE_ORDER_MARK;
use super::splice::{self, Splice};
use super::step::{Format, Step};
use super::{json, toml, yaml};
use serde_json::Value;
use std::collections::HashSet;
use std::ops::Range;

/// Claude Code's own file grows to some ten megabytes; its history is in it.
const JSON_BYTES_MAX: usize = 64 << 20;
/// These are written by hand; their parsers take some hundred times a text's size.
const BYTES_MAX: usize = 2 << 20;

/// A configuration file's text, and what stands where in it.
#[derive(Clone, Debug)]
pub(in crate::attach) struct Document {
    pub(super) format: Format,
    pub(super) text: String,
    pub(super) outline: Outline,
}

/// Where a way leads.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The value, and those that it lies in, from the document itself on.
    pub(super) nodes: Vec<usize>,
    /// The value's name; an item of a list has none.
    pub(super) name: Option<usize>,
    /// The first name on the way that stands twice beside itself.
    pub(super) doubled: Option<usize>,
}

impl Found {
    pub(super) fn value(&self) -> usize {
        self.nodes.last().copied().unwrap_or_default()
    }
}

impl Document {
    /// Reads a text, with or without a byte order mark. An empty one has no members.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Invalid`] and [`DocumentError::TooLarge`].
    pub(in crate::attach) fn parse(format: Format, text: &str) -> Result<Self, DocumentError> {
        let max_bytes = if format == Format::Json { JSON_BYTES_MAX } else { BYTES_MAX };
        if text.len() > max_bytes {
            return Err(DocumentError::TooLarge { bytes: text.len(), max_bytes });
        }
        let skipped = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let outline = match format {
            Format::Json => json::outline(text, skipped)?,
            Format::Toml => toml::outline(text, skipped)?,
            Format::Yaml => yaml::outline(text)?,
        };
        Ok(Self { format, text: text.to_owned(), outline })
    }

    /// The text as it stands now, with its byte order mark.
    pub(in crate::attach) fn text(&self) -> &str {
        &self.text
    }

    /// The names of a mapping's members, in the text's order, each once; none where no mapping is.
    pub(in crate::attach) fn keys(&self, at: &[Step]) -> Vec<String> {
        let Some(found) = self.find(at).filter(|found| self.outline.node(found.value()).is_mapping()) else {
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let names = self.outline.members(found.value()).map(|(name, _)| self.name(name));
        names.filter(|name| seen.insert(name.clone())).collect()
    }

    /// How many items a list has; none where no list is.
    pub(in crate::attach) fn len(&self, at: &[Step]) -> usize {
        let found = self.find(at).filter(|found| self.outline.node(found.value()).is_sequence());
        found.map_or(0, |found| self.outline.items(found.value()).count())
    }

    /// What stands there. Of members of one name it is the last, as for those who read the file. `None` where nothing is,
    /// or where it is said elsewhere (an alias of YAML).
    pub(in crate::attach) fn value(&self, at: &[Step]) -> Option<Value> {
        self.value_of(self.find(at)?.value())
    }

    /// How it stands there; `None` where nothing is, or where it has no place of its own, as a table of dotted keys.
    pub(in crate::attach) fn source(&self, at: &[Step]) -> Option<&str> {
        let node = self.outline.node(self.find(at)?.value());
        let stands = !matches!(node.kind, Kind::Section | Kind::Sections | Kind::Dotted | Kind::Implied);
        stands.then(|| &self.text[node.range()])
    }

    /// The way to a value, whose every step is there.
    pub(super) fn find(&self, at: &[Step]) -> Option<Found> {
        let mut found = Found { nodes: vec![self.outline.root()?], ..Found::default() };
        for step in at {
            let parent = found.value();
            let node = self.outline.node(parent);
            match step {
                Step::Key(key) if node.is_mapping() => {
                    let mut named = self.outline.members(parent).filter(|(name, _)| self.is_named(*name, key));
                    let first = named.next()?;
                    let last = named.last();
                    found.doubled = found.doubled.or(last.map(|(name, _)| name));
                    let (name, value) = last.unwrap_or(first);
                    (found.name, found.nodes) = (Some(name), [found.nodes, vec![value]].concat());
                }
                Step::Index(index) if node.is_sequence() => {
                    let item = self.outline.items(parent).nth(*index)?;
                    (found.name, found.nodes) = (None, [found.nodes, vec![item]].concat());
                }
                _ => return None,
            }
        }
        Some(found)
    }

    /// What a member is called.
    pub(super) fn name(&self, name: usize) -> String {
        match self.scalar(name) {
            Value::String(name) => name,
            _ => self.text[self.outline.node(name).range()].to_owned(),
        }
    }

    /// What a node says; `None` where an alias is in it.
    pub(super) fn value_of(&self, index: usize) -> Option<Value> {
        let node = self.outline.node(index);
        if node.kind == Kind::Alias {
            None
        } else if node.is_mapping() {
            let members = self.outline.members(index);
            members
                .map(|(name, value)| Some((self.name(name), self.value_of(value)?)))
                .collect::<Option<_>>()
                .map(Value::Object)
        } else if node.is_sequence() {
            self.outline.items(index).map(|item| self.value_of(item)).collect::<Option<_>>().map(Value::Array)
        } else {
            Some(self.scalar(index))
        }
    }

    /// Puts the splices into effect, if they change the value at `at`, or its being there, and nothing else, and if
    /// `is_meant` holds for the new document. Nothing happens otherwise.
    pub(super) fn splice(
        &mut self,
        at: &[Step],
        splices: Vec<Splice>,
        is_meant: impl FnOnce(&Self) -> bool,
    ) -> Result<(), DocumentError> {
        let place = splices.first().map_or(0, |splice| splice.range.start);
        let refused = || DocumentError::refused(&self.text, place, "it can't be changed without changing more than it");
        let edited = Self::parse(self.format, &splice::apply(&self.text, splices)).map_err(|_| refused())?;
        if !(is_meant(&edited) && self.differs_only_at(&edited, at)) {
            return Err(refused());
        }
        *self = edited;
        Ok(())
    }

    /// Whether all values but the one at `at`, in either document, are the same and stand in the same order.
    fn differs_only_at(&self, other: &Self, at: &[Step]) -> bool {
        let own = self.find(at);
        let others = other.find(at);
        let whole_member = own.is_some() != others.is_some();
        let range = |document: &Self, found: Option<Found>| -> Range<usize> {
            let Some(found) = found else { return 0..0 };
            let below = document.outline.below(found.value());
            found.name.filter(|_| whole_member).unwrap_or(below.start)..below.end
        };
        let (own, others) = (range(self, own), range(other, others));
        self.told(own).eq(other.told(others))
    }

    /// All nodes but some: how deep they lie, what they are, and what they say.
    fn told(&self, but: Range<usize>) -> impl Iterator<Item = (usize, Kind, bool, &str, Option<&Value>)> {
        let mut ends: Vec<usize> = Vec::new();
        (0..self.outline.len()).filter_map(move |index| {
            while ends.last().is_some_and(|end| *end <= index) {
                ends.pop();
            }
            let depth = ends.len();
            ends.push(self.outline.below(index).end);
            let node = self.outline.node(index);
            let read = self.outline.read(index);
            (!but.contains(&index)).then(|| (depth, node.kind, node.is_special, self.says(node), read))
        })
    }

    /// The source of what has no other node below.
    fn says(&self, node: Node) -> &str {
        match node.kind {
            Kind::Scalar | Kind::Alias | Kind::Section => &self.text[node.range()],
            _ => "",
        }
    }

    fn scalar(&self, index: usize) -> Value {
        match self.outline.read(index) {
            Some(read) => read.clone(),
            None => json::scalar(&self.text[self.outline.node(index).range()]),
        }
    }

    fn is_named(&self, name: usize, wanted: &str) -> bool {
        if let Some(read) = self.outline.read(name) {
            return read.as_str() == Some(wanted);
        }
        let source = &self.text[self.outline.node(name).range()];
        // Most names have no escapes, and are many in a large file.
        match source.strip_prefix('"').and_then(|source| source.strip_suffix('"')) {
            Some(plain) if !plain.contains('\\') => plain == wanted,
            _ => json::scalar(source) == wanted,
        }
    }
}
