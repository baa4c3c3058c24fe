//! What stands where in a document: its values as ranges of its text.
//!
//! Pure. All formats come to this one shape. It is a flat list, in the order of the text's structure, of 16 bytes for each
//! value: a file of ten megabytes takes little, and no depth of nesting overflows a stack.

use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;

/// How a value is written, which decides how it is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{ .. }`.
    FlowMapping,
    /// `[ .. ]`.
    FlowSequence,
    /// YAML: a line each.
    BlockMapping,
    /// YAML: a dash each.
    BlockSequence,
    /// TOML: members behind a header `[a.b]`; the range is the header's. The document itself is one too.
    Section,
    /// TOML: `a` of `a.b = 1`.
    Dotted,
    /// TOML: `a` of `[a.b]`, which has no header of its own.
    Implied,
    /// TOML: `[[a]]`.
    Sections,
    /// YAML: `*a`.
    Alias,
    /// Text, number, and so on; names of members too.
    Scalar,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Whether something belongs to it that an edit would break: an anchor, a tag, an unusual spelling.
    pub(super) is_special: bool,
    start: u32,
    end: u32,
    /// The first node that is not below it.
    next: u32,
}

impl Node {
    pub(super) fn is_mapping(self) -> bool {
        matches!(self.kind, Kind::FlowMapping | Kind::BlockMapping | Kind::Section | Kind::Dotted | Kind::Implied)
    }

    pub(super) fn is_sequence(self) -> bool {
        matches!(self.kind, Kind::FlowSequence | Kind::BlockSequence | Kind::Sections)
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }
}

/// The values of a document. A mapping is followed by name and value in turn, a sequence by its items.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    nodes: Vec<Node>,
    /// What scalars say, where only the format's parser could tell; the others are read from the text when they are asked for.
    read: HashMap<u32, Value>,
}

impl Outline {
    /// The whole document's value; `None` in an empty one.
    pub(super) fn root(&self) -> Option<usize> {
        if self.nodes.is_empty() { None } else { Some(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, index: usize) -> Node {
        self.nodes[index]
    }

    /// The nodes of a value, itself and those below.
    pub(super) fn below(&self, index: usize) -> Range<usize> {
        index..self.nodes[index].next as usize
    }

    /// What a scalar says, if the parser told.
    pub(super) fn read(&self, index: usize) -> Option<&Value> {
        self.read.get(&as_u32(index))
    }

    /// Items of a sequence.
    pub(super) fn items(&self, index: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[index].next as usize;
        let first = Some(index + 1).filter(|first| *first < end);
        std::iter::successors(first, move |item| Some(self.nodes[*item].next as usize).filter(|next| *next < end))
    }

    /// Names and values of a mapping.
    pub(super) fn members(&self, index: usize) -> impl Iterator<Item = (usize, usize)> {
        self.items(index).step_by(2).map(|name| (name, name + 1))
    }

    /// Adds a value that has nothing below; returns its number.
    pub(super) fn leaf(&mut self, kind: Kind, range: Range<usize>) -> usize {
        let index = self.open(kind, range.start);
        self.close(index, range.end);
        index
    }

    /// Adds a scalar with what the parser read.
    pub(super) fn scalar(&mut self, range: Range<usize>, says: Value) -> usize {
        let index = self.leaf(Kind::Scalar, range);
        self.read.insert(as_u32(index), says);
        index
    }

    /// Begins a value; what is added until it is closed lies below it.
    pub(super) fn open(&mut self, kind: Kind, start: usize) -> usize {
        let index = self.nodes.len();
        let start = as_u32(start);
        self.nodes.push(Node { kind, is_special: false, start, end: start, next: 0 });
        index
    }

    /// Ends a value.
    pub(super) fn close(&mut self, index: usize, end: usize) {
        let next = as_u32(self.nodes.len());
        let node = &mut self.nodes[index];
        (node.end, node.next) = (as_u32(end), next);
    }

    pub(super) fn set_start(&mut self, index: usize, start: usize) {
        self.nodes[index].start = as_u32(start);
    }

    pub(super) fn set_special(&mut self, index: usize) {
        self.nodes[index].is_special = true;
    }
}

/// Documents are far shorter than 4 GiB: `Document::parse` refuses longer ones.
fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
