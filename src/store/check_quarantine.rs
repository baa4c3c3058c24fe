//! The quarantine's part of a check: segments there that hold intact records which nobody has folded, and databases that were
//! moved there.
//!
//! By plain reads, like any reader. What was folded before its segment was moved aside is no finding: the database has it.

use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::WriterId;
use crate::index::database::DATABASE_NAME;
use crate::segment::quarantine::{QuarantinedSegment, segments};
use crate::segment::reader::{Item, SegmentReader};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Says what in `quarantine_dir` somebody may want back, and returns how many files there are. `owner` is whose log it is,
/// if that is known.
pub(super) fn check_quarantine(quarantine_dir: &Path, owner: Option<WriterId>, findings: &mut Vec<Finding>) -> u64 {
    let files: Vec<PathBuf> = match std::fs::read_dir(quarantine_dir) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => return 0,
        Err(error) => {
            findings.push(Finding::new(FindingKind::UnreadableDirectory, quarantine_dir, error.to_string()));
            return 0;
        }
    };
    find_unfolded(quarantine_dir, owner, findings);
    let mut databases: Vec<_> = files.iter().filter(|path| is_database(path)).collect();
    databases.sort();
    for path in databases {
        findings.push(Finding::new(
            FindingKind::DatabaseAside,
            path,
            "a database that was set aside when a new one was made",
        ));
    }
    files.len() as u64
}

/// Says which segments have records that are not folded, or can't be read.
fn find_unfolded(quarantine_dir: &Path, owner: Option<WriterId>, findings: &mut Vec<Finding>) {
    for aside in segments(quarantine_dir) {
        let opened = aside.open();
        let QuarantinedSegment { path, note, .. } = aside;
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(error) => {
                let found = Finding::of_segment_error(&error);
                let text = format!("nothing tells which records it holds: {}", found.text);
                findings.push(Finding::new(FindingKind::UnreadableInQuarantine, &path, text));
                continue;
            }
        };
        let writer_id = reader.header().writer_id;
        let is_foreign = owner.is_some_and(|owner| owner != writer_id);
        let reserves_numbers = note.is_some_and(|note| note.last_sequence.is_some());
        let records = if is_foreign || reserves_numbers { intact_frames(&mut reader) } else { 0 };
        if records == 0 {
            continue;
        }
        let s = if records == 1 { "" } else { "s" };
        findings.push(match is_foreign {
            true => Finding::new(
                FindingKind::ForeignInQuarantine,
                &path,
                format!("{records} intact record{s} of another store, {writer_id}, not folded here"),
            ),
            false => Finding::new(
                FindingKind::UnfoldedInQuarantine,
                &path,
                format!("{records} intact record{s} that are not folded"),
            ),
        });
    }
}

/// Whether the name is one that a database gets there: the database's, and a number.
fn is_database(path: &Path) -> bool {
    let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(DATABASE_NAME));
    number.and_then(|number| number.strip_prefix('.')).is_some_and(|number| number.parse::<u32>().is_ok())
}

fn intact_frames(reader: &mut SegmentReader) -> u64 {
    let mut frames = 0;
    loop {
        match reader.next() {
            Ok(Item::Frame(_)) => frames += 1,
            Ok(Item::Damage(_) | Item::WrongMark(_)) => {}
            Ok(Item::Stop(_)) | Err(_) => return frames,
        }
    }
}
