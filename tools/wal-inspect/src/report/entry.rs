//! Something to be shown of a log: a record, or a finding, and where it lies. Plain data.

use crate::report::place::Place;
use mcplog::finding::Finding;
use mcplog::position::{Offset, Sequence};
use std::rc::Rc;

/// What comes next in a log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) place: Rc<Place>,
    /// By which logs are merged: that of the record; of what has none, that of the record before it in its log.
    pub(crate) time_ms: i64,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Record {
        offset: Offset,
        sequence: Sequence,
        payload: Vec<u8>,
    },
    /// With the first of the bytes that it is about.
    Finding(Finding, Vec<u8>),
}

impl Entry {
    /// Whether it is a record.
    pub(crate) fn is_record(&self) -> bool {
        matches!(self.content, Content::Record { .. })
    }
}
