//! A segment of which everything is folded, as far as what becomes of it is concerned.
//!
//! On the compactor, and on whichever thread makes a plan. Reads the file's first page, and changes nothing.

use crate::ground::file_time::written_at_ms;
use crate::ground::position::{SegmentId, WriterId};
use crate::segment::directory::SegmentFile;
use crate::segment::number_set::NumberSet;
use crate::segment::reader::SegmentReader;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// The segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoldedSegment {
    pub(crate) writer: WriterId,
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// When it was begun: Unix time in milliseconds, UTC. Of one without a sound header, when it was last written.
    pub(crate) created_at: i64,
    /// It lies in `kept/` already.
    pub(crate) is_kept: bool,
    pub(crate) is_damaged: bool,
    /// It has records that were missing when its log was folded past them, and that count as lost.
    pub(crate) is_passed_over: bool,
}

/// What the database says of segments that are folded.
#[derive(Debug, Default)]
pub(crate) struct SegmentFaults {
    /// Those in which damage was found.
    pub(crate) damaged: HashSet<(WriterId, SegmentId)>,
    /// The numbers of records that count as lost, by whose they are.
    pub(crate) missing: HashMap<WriterId, NumberSet>,
}

impl FoldedSegment {
    /// Looks at a segment in the log or in `kept/`. `None`: it is not there any more.
    pub(crate) fn read(writer: WriterId, file: SegmentFile, is_kept: bool, faults: &SegmentFaults) -> Option<Self> {
        let bytes = std::fs::symlink_metadata(&file.path).ok()?.len();
        let header = SegmentReader::open(&file.path).map(|reader| (*reader.header(), reader.mark()));
        let created_at = match &header {
            Ok((header, _)) => header.created_at,
            Err(_) => written_at_ms(&file.path).unwrap_or(i64::MAX),
        };
        let missing = faults.missing.get(&writer);
        let is_passed_over = header.is_ok_and(|(header, mark)| {
            let (first, end) = (header.base_sequence.0, mark.sealed.unwrap_or(mark.durable));
            let last = end.last_sequence(header.base_sequence).0;
            missing.is_some_and(|missing| last >= first && missing.count_within(first, last) > 0)
        });
        let is_damaged = faults.damaged.contains(&(writer, file.id));
        Some(Self { writer, id: file.id, path: file.path, bytes, created_at, is_kept, is_damaged, is_passed_over })
    }
}
