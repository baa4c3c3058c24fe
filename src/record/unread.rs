//! What there is to say of an intact frame whose record can't be decoded. Pure.

use super::record::RecordError;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{Offset, Sequence};
use std::path::Path;

impl RecordError {
    /// How bad it is: a kind or version of a newer build is nothing wrong, and what no build writes is.
    pub const fn kind_of_finding(&self) -> FindingKind {
        if self.newer().is_some() { FindingKind::NewerRecords } else { FindingKind::UndecodableRecord }
    }

    /// The same as a finding about the record of that number, in the file at `path`.
    pub fn finding(&self, path: &Path, offset: Offset, sequence: Sequence) -> Finding {
        let text = format!("record {sequence}: {self}");
        Finding::new(self.kind_of_finding(), path, text).at(offset.0).of_records(sequence, 1)
    }
}
