//! What is asked of a segment's file by itself, beside its frames.
//!
//! Reads only; prints nothing.

use crate::failure::Failure;
use mcplog::error::SegmentError;
use mcplog::finding::{Finding, FindingKind};
use mcplog::position::SegmentId;
use mcplog::segment::directory::parse_file_name;
use mcplog::segment::{Examination, SegmentReader, folder_lock};
use std::path::Path;
use std::time::Duration;

/// A writer may be interrupted in the middle of a mark. It gets this long to go on, this many times, before what is there
/// counts as damaged. Where none lives, nothing will change.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const RETRY_ATTEMPTS: u32 = 5;

/// The id in a file's name, if it is a segment's name.
pub(crate) fn name_id(path: &Path) -> Option<SegmentId> {
    path.file_name().and_then(|name| name.to_str()).and_then(parse_file_name)
}

/// The folder of a file.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        // The parent of a file that is named without its directory.
        _ => Path::new("."),
    }
}

/// Whether the writer of that folder lives, or nobody can tell.
pub(crate) fn has_writer(folder: &Path) -> bool {
    folder_lock::probe(folder).unwrap_or(true)
}

/// What there is to say of a segment's marks, and of what is behind the end that one of them seals it at.
pub(crate) fn mark_findings(path: &Path) -> Vec<Finding> {
    let mut attempts = RETRY_ATTEMPTS;
    loop {
        // What can't be read says so where its frames are read.
        let Ok(mut reader) = SegmentReader::open(path) else { return Vec::new() };
        let damaged = reader.marks().ok().and_then(|marks| marks.finding(path));
        if damaged.is_some() && attempts > 0 && has_writer(folder(path)) {
            attempts -= 1;
            std::thread::sleep(RETRY_PAUSE);
            continue;
        }
        return damaged.into_iter().chain(bytes_behind_seal(&mut reader)).collect();
    }
}

fn bytes_behind_seal(reader: &mut SegmentReader) -> Option<Finding> {
    let (path, sealed) = (reader.path().to_owned(), reader.mark().sealed?);
    if reader.file_bytes().ok()? <= u64::from(sealed.end.0) {
        return None;
    }
    reader.seek(sealed);
    let examined = Examination::of_reader(reader, |_| Ok::<_, SegmentError>(())).ok()?;
    let mut findings = examined.end_findings(&path, true).into_iter();
    findings.find(|finding| finding.kind == FindingKind::BytesBehindSeal)
}

/// What there is to say of a torn tail.
pub(crate) fn tail_finding(path: &Path) -> Result<Option<Finding>, Failure> {
    let examined = Examination::of(path, |_| Ok::<_, SegmentError>(()))?;
    Ok(examined.end_findings(path, false).into_iter().find(|finding| finding.kind == FindingKind::TornTail))
}
