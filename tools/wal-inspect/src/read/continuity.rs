//! Whether segments of one directory fit together: ids, writer, sequence numbers. Pure.

use crate::report::finding::Finding;
use crate::report::severity::Severity;
use mcplog::position::{SegmentId, Sequence, WriterId};
use mcplog::segment::format::SegmentHeader;
use std::path::{Path, PathBuf};

/// Remembers the segment before.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    previous: Option<PreviousSegment>,
}

/// The segment that was read last.
#[derive(Debug)]
struct PreviousSegment {
    directory: PathBuf,
    segment: SegmentId,
    writer_id: WriterId,
    next_sequence: Sequence,
}

impl Continuity {
    /// What there is to say of a segment that comes next, by its header alone.
    pub(crate) fn check(&self, path: &Path, name_id: Option<SegmentId>, header: &SegmentHeader) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut contradicts = |reason| findings.push(Finding::Contradiction { reason, severity: Severity::Damaged });
        if let Some(name_id) = name_id.filter(|name_id| *name_id != header.segment_id) {
            contradicts(format!("the name says segment {}, the header {}", name_id.0, header.segment_id.0));
        }
        let Some(previous) = &self.previous else { return findings };
        // Files that a user picked from several places, or in another order, have nothing to do with each other.
        if path.parent() != Some(&previous.directory) || header.segment_id <= previous.segment {
            return findings;
        }
        if header.writer_id != previous.writer_id {
            contradicts(format!(
                "written by {}, the segment before it by {}; they were mixed up by hand",
                header.writer_id, previous.writer_id
            ));
        } else if header.base_sequence < previous.next_sequence {
            findings.push(Finding::Note {
                reason: format!(
                    "begins at record {} again, though {} is due: written again after a failed sync, these are the same \
                     records",
                    header.base_sequence, previous.next_sequence
                ),
            });
        } else if header.base_sequence > previous.next_sequence {
            let records = header.base_sequence.0 - previous.next_sequence.0;
            findings.push(Finding::Missing { first: previous.next_sequence, records });
        }
        findings
    }

    /// The number that is due next; what lies below was read before. 0 before the first segment was passed.
    pub(crate) fn due(&self) -> Sequence {
        self.previous.as_ref().map_or(Sequence(0), |previous| previous.next_sequence)
    }

    /// The segment was read up to `next_sequence`.
    pub(crate) fn passed(&mut self, path: &Path, header: &SegmentHeader, next_sequence: Sequence) {
        let follows = |previous: &&PreviousSegment| {
            path.parent() == Some(&previous.directory) && header.segment_id > previous.segment
        };
        let mut next_sequence = next_sequence;
        if let Some(previous) = self.previous.as_ref().filter(follows) {
            // A foreign segment must not make its neighbour look foreign.
            if previous.writer_id != header.writer_id {
                return;
            }
            next_sequence = next_sequence.max(previous.next_sequence);
        }
        self.previous = Some(PreviousSegment {
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            segment: header.segment_id,
            writer_id: header.writer_id,
            next_sequence,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(segment: u64, writer: u8, base: u64) -> SegmentHeader {
        SegmentHeader {
            salt: 0,
            writer_id: WriterId([writer; 16]),
            segment_id: SegmentId(segment),
            base_sequence: Sequence(base),
            created_at: 0,
        }
    }

    #[test]
    fn every_way_in_which_neighbours_do_not_fit_is_told() {
        let path = |name: &str| PathBuf::from("wal").join(name);
        let mut continuity = Continuity::default();
        continuity.passed(&path("a"), &header(1, 7, 1), Sequence(11));
        let cases = [
            (2, 7, 11, Severity::Sound, 0),
            (5, 7, 11, Severity::Sound, 0),
            (2, 7, 15, Severity::Sound, 1),
            (2, 7, 10, Severity::Sound, 1),
            (2, 8, 11, Severity::Damaged, 1),
        ];
        for (segment, writer, base, severity, count) in cases {
            let header = header(segment, writer, base);
            let findings = continuity.check(&path("b"), Some(SegmentId(segment)), &header);
            let worst = findings.iter().map(Finding::severity).max().unwrap_or_default();
            assert_eq!((worst, findings.len()), (severity, count), "{header:?}");
        }
        let elsewhere = continuity.check(Path::new("other/b"), None, &header(2, 8, 1));
        assert!(elsewhere.is_empty());
        let renamed = continuity.check(&path("c"), Some(SegmentId(9)), &header(2, 7, 11));
        assert_eq!(renamed.len(), 1);
    }

    #[test]
    fn a_directory_that_is_named_twice_begins_anew() {
        let mut continuity = Continuity::default();
        for _ in 0..2 {
            for (name, segment, base) in [("wal/a", 1, 1), ("wal/b", 2, 11)] {
                let header = header(segment, 7, base);
                assert!(continuity.check(Path::new(name), None, &header).is_empty());
                continuity.passed(Path::new(name), &header, Sequence(base + 10));
            }
        }
    }

    #[test]
    fn a_foreign_segment_does_not_make_the_next_one_look_foreign() {
        let mut continuity = Continuity::default();
        continuity.passed(Path::new("wal/a"), &header(1, 7, 1), Sequence(11));
        continuity.passed(Path::new("wal/b"), &header(2, 8, 1), Sequence(5));
        assert!(continuity.check(Path::new("wal/c"), None, &header(3, 7, 11)).is_empty());
    }
}
