//! The quarantine's part of a check: segments there that hold intact records which nobody has folded, and databases
//! that were moved there.
//!
//! By plain reads, like any reader. What was folded before its segment was moved aside is no finding: the database has
//! it.

use super::examined_log::ExaminedLog;
use super::folded::FoldedLogs;
use crate::ground::finding::{Finding, FindingKind};
use crate::ground::position::{SegmentId, StoreId, WriterId};
use crate::index::database::DATABASE_NAME;
use crate::segment::aside_file::{AsideFile, count_frames};
use crate::segment::directory::file_name;
use crate::segment::quarantine::segments;
use crate::segment::writer_folder::WriterFolder;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The logs that were examined, and what the database has of them.
pub(super) struct KnownLogs<'a> {
    pub(super) store: Option<StoreId>,
    pub(super) told: &'a FoldedLogs,
    pub(super) logs: &'a HashMap<WriterId, ExaminedLog>,
}

/// Says what in `quarantine_dir` somebody may want back, and returns how many files there are.
pub(super) fn check_quarantine(quarantine_dir: &Path, known: &KnownLogs<'_>, findings: &mut Vec<Finding>) -> u64 {
    let found = match std::fs::read_dir(quarantine_dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return 0,
        Err(error) => {
            findings.push(Finding::new(FindingKind::UnreadableDirectory, quarantine_dir, error.to_string()));
            return 0;
        }
    };
    let mut paths: Vec<PathBuf> = found.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let mut files = 0;
    for path in &paths {
        match (WriterFolder::at(path), std::fs::read_dir(path)) {
            (Some(folder), Ok(entries)) => {
                files += entries.count() as u64;
                find_unfolded(&folder, known, findings);
            }
            _ => files += 1,
        }
    }
    for path in paths.iter().filter(|path| is_database(path)) {
        findings.push(Finding::new(
            FindingKind::DatabaseAside,
            path,
            "a database that was set aside when a new one was made",
        ));
    }
    files
}

/// Says which segments of a writer have records that are not folded, or can't be read: as `mcplog rebuild` takes them.
/// What is there was folded before it was moved.
fn find_unfolded(folder: &WriterFolder, known: &KnownLogs<'_>, findings: &mut Vec<Finding>) {
    let writer = folder.writer;
    let (folded, log) = (known.told.of_log(writer), known.logs.get(&writer));
    for aside in segments(&folder.path) {
        let path = &aside.path;
        let count = || {
            count_frames(path, |sequence| {
                let is_beyond = folded.is_some_and(|folded| sequence > folded);
                let is_elsewhere = log.is_some_and(|log| log.log.has(sequence));
                (is_beyond || known.told.counts_lost(writer, sequence)) && !is_elsewhere
            })
        };
        let found = match AsideFile::of(writer, &aside, known.store) {
            AsideFile::Nothing => None,
            AsideFile::Unreadable(why) => {
                let text = format!("nothing tells which records it holds: {why}");
                Some(Finding::new(FindingKind::UnreadableInQuarantine, path, text))
            }
            AsideFile::Foreign(store) => some(count_frames(path, |_| true)).map(|records| {
                let text = format!("{} of another store, {store}, not folded here", intact(records));
                Finding::new(FindingKind::ForeignInQuarantine, path, text)
            }),
            AsideFile::Segment => some(count()).map(|records| {
                let text = format!("{}, not folded", intact(records));
                Finding::new(FindingKind::UnfoldedInQuarantine, path, text)
            }),
            AsideFile::Misnamed(id) => Some(misnamed(path, id, count())),
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
                "give it the name of its header, {}, in the folder of its writer (if that name is free), then `mcplog rebuild --from-log`",
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
