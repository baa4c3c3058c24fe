//! The quarantine's part of a check: segments there that hold intact records which nobody has folded, and databases that were
//! moved there.
//!
//! By plain reads, like any reader. What was folded before its segment was moved aside is no finding: the database has it.

use super::examined_log::ExaminedLog;
use super::folded::FoldedLog;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::SegmentId;
use crate::index::database::DATABASE_NAME;
use crate::segment::aside_file::{AsideFile, count_frames};
use crate::segment::directory::file_name;
use crate::segment::quarantine::{Note, notes_about, segments};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Says what in `quarantine_dir` somebody may want back, and returns how many files there are. The log is
/// what was `examined`, and `told` is what the database has of it.
pub(super) fn check_quarantine(
    quarantine_dir: &Path,
    examined: &ExaminedLog,
    told: &FoldedLog,
    findings: &mut Vec<Finding>,
) -> u64 {
    let files: Vec<PathBuf> = match std::fs::read_dir(quarantine_dir) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => return 0,
        Err(error) => {
            findings.push(Finding::new(FindingKind::UnreadableDirectory, quarantine_dir, error.to_string()));
            return 0;
        }
    };
    find_unfolded(quarantine_dir, examined, told, findings);
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

/// Says which segments have records that are not folded, or can't be read: as `mcplog rebuild` takes them.
fn find_unfolded(quarantine_dir: &Path, examined: &ExaminedLog, told: &FoldedLog, findings: &mut Vec<Finding>) {
    for aside in segments(quarantine_dir) {
        let path = &aside.path;
        let count = |notes: &[Note]| {
            // Numbers that were reserved are in no database, whatever was folded since.
            let is_reserved = notes.iter().any(|note| note.last_sequence.is_some());
            count_frames(path, |sequence| {
                let is_beyond = examined.folded.is_some_and(|folded| sequence > folded) || told.counts_lost(sequence);
                (is_reserved || is_beyond) && !examined.log.has(sequence)
            })
        };
        let found = match AsideFile::of(&aside, examined.owner) {
            AsideFile::Nothing => None,
            AsideFile::Unreadable(why) => {
                let text = format!("nothing tells which records it holds: {why}");
                Some(Finding::new(FindingKind::UnreadableInQuarantine, path, text))
            }
            AsideFile::Foreign(writer_id) => some(count_frames(path, |_| true)).map(|records| {
                let text = format!("{} of another store, {writer_id}, not folded here", intact(records));
                Finding::new(FindingKind::ForeignInQuarantine, path, text)
            }),
            // What was folded before it was moved reserves no numbers.
            AsideFile::Segment if aside.note.as_ref().is_some_and(|note| note.last_sequence.is_none()) => None,
            AsideFile::Segment => some(count(aside.note.as_slice())).map(|records| {
                let text = format!("{}, not folded", intact(records));
                Finding::new(FindingKind::UnfoldedInQuarantine, path, text)
            }),
            AsideFile::Misnamed(id) => Some(misnamed(path, id, count(&notes_about(quarantine_dir, id)))),
        };
        findings.extend(found);
    }
}

/// What there is to say of a file that is segment `id` by its header, and not by its name.
fn misnamed(path: &Path, id: SegmentId, records: u64) -> Finding {
    let name = format!("segment {id} by its header, under another name, so that nothing is read from it");
    match records {
        0 => {
            let text = format!("{name}: the database or the log has its records");
            Finding::new(FindingKind::UnreadableInQuarantine, path, text).next("nothing: delete the file, or keep it")
        }
        records => {
            let text = format!("{name}: {}, not folded", intact(records));
            Finding::new(FindingKind::UnfoldedInQuarantine, path, text).next(format!(
                "give it the name of its header, {}, in wal/ (if that name is free), then `mcplog rebuild --from-log`",
                file_name(id)
            ))
        }
    }
}

fn intact(records: u64) -> String {
    format!("{records} intact record{}", if records == 1 { "" } else { "s" })
}

fn some(records: u64) -> Option<u64> {
    (records > 0).then_some(records)
}

/// Whether the name is one that a database gets there: the database's, and a number.
fn is_database(path: &Path) -> bool {
    let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(DATABASE_NAME));
    number.and_then(|number| number.strip_prefix('.')).is_some_and(|number| number.parse::<u32>().is_ok())
}
