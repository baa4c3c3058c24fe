//! The quarantine's part of a check: segments there that hold intact records which nobody has folded.
//!
//! By plain reads, like any reader. What was folded before its segment was moved aside is no finding: the database has it.

use super::finding::{Finding, Severity};
use crate::ground::position::WriterId;
use crate::segment::quarantine::{QuarantinedSegment, segments};
use crate::segment::reader::{Item, SegmentReader};
use std::path::Path;

/// Says which segments in `quarantine_dir` have records that are not folded. `owner` is whose log it is, if that is known.
pub(super) fn find_unfolded(quarantine_dir: &Path, owner: Option<WriterId>, findings: &mut Vec<Finding>) {
    for QuarantinedSegment { path, note } in segments(quarantine_dir) {
        // What has no header that can be read was named when it was moved there.
        let Ok(mut reader) = SegmentReader::open(&path) else { continue };
        let writer_id = reader.header().writer_id;
        let is_foreign = owner.is_some_and(|owner| owner != writer_id);
        let reserves_numbers = note.is_some_and(|note| note.last_sequence.is_some());
        let records = if is_foreign || reserves_numbers { intact_frames(&mut reader) } else { 0 };
        if records == 0 {
            continue;
        }
        let s = if records == 1 { "" } else { "s" };
        let text = match is_foreign {
            true => format!(
                "{records} intact record{s} of another store, {writer_id}, not folded here; move the file into wal/ of that \
                 store, or delete it"
            ),
            false => format!(
                "{records} intact record{s} that are not folded; `mcplog rebuild --from-log` folds them, or delete the file"
            ),
        };
        findings.push(Finding { severity: Severity::Unfinished, path, offset: None, text });
    }
}

fn intact_frames(reader: &mut SegmentReader) -> u64 {
    let mut frames = 0;
    loop {
        match reader.next() {
            Ok(Item::Frame(_)) => frames += 1,
            Ok(Item::Damage(_)) => {}
            Ok(Item::Stop(_)) | Err(_) => return frames,
        }
    }
}
