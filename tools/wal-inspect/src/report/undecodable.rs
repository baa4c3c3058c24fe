//! How bad an intact frame with an undecodable record is. Pure.

use crate::report::finding::Finding;
use crate::report::severity::Severity;
use mcplog::record::RecordError;

/// A kind or version of a newer build is nothing wrong; a record that is not what its kind and version promise was
/// written by a bug.
pub(crate) const fn severity(error: &RecordError) -> Severity {
    if error.newer().is_some() { Severity::Sound } else { Severity::Damaged }
}

/// The same as a finding.
pub(crate) fn finding(sequence: u64, offset: u32, error: &RecordError) -> Finding {
    let reason = format!("record {sequence} at offset {offset}: {error}");
    match severity(error) {
        Severity::Sound => Finding::Note { reason },
        severity => Finding::Contradiction { reason, severity },
    }
}
