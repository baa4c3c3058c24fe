//! `quarantine/`: where the file of a damaged segment goes with all its bytes, and a note beside it that says why.
//!
//! Runs while a store opens and on the compactor. It moves files and never changes one.

use super::directory::{list, parse_file_name, sync_directory};
use super::log_owners::LogOwners;
use super::reader::SegmentReader;
use crate::ground::error::{AtPath, OpenError, PathError, SegmentError};
use crate::ground::position::{SegmentId, Sequence, WriterId};
use crate::ground::private_dir::{create_private_dir, no_follow};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The ending of a note's name, behind the name of the file that it is about.
const NOTE_EXTENSION: &str = "json";
/// No note is longer: what is longer was not written here.
const NOTE_BYTES_MAX: u64 = 1024 * 1024;
/// How many places of damage a note lists; the table `quarantine` has them all.
pub(crate) const NOTE_DAMAGE_MAX: usize = 1000;

/// What is known about a file in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The segment that the file's name gives.
    pub(crate) segment: u64,
    /// What is damaged, by offset.
    pub(crate) damage: Vec<DamagedPlace>,
    /// The last sequence number that the file may hold; absent where its numbers are known, or another store's. No
    /// number up to it is used again.
    pub(crate) last_sequence: Option<u64>,
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DamagedPlace {
    /// Where it starts.
    pub(crate) offset: u32,
    /// How far it goes.
    pub(crate) bytes: u64,
    /// What was expected, and what was found.
    pub(crate) reason: String,
}

impl Note {
    pub(crate) fn segment(&self) -> SegmentId {
        SegmentId(self.segment)
    }

    pub(crate) fn last_sequence(&self) -> Sequence {
        Sequence(self.last_sequence.unwrap_or(0))
    }

    /// The last number that the file may hold, if it is here because of a crash, which damages nothing that was promised.
    pub(crate) fn last_taken_by_crash(&self) -> Option<u64> {
        self.last_sequence.filter(|_| self.damage.is_empty())
    }
}

/// Moves a segment's file into the quarantine and returns where it is then.
///
/// The note comes first, so that a file in quarantine always has one. A crash before the move leaves a note without a
/// file, which the next attempt writes anew.
///
/// # Errors
/// The file can't be moved; it is then where it was.
pub(crate) fn move_aside(path: &Path, quarantine_dir: &Path, note: &Note) -> Result<PathBuf, OpenError> {
    create_private_dir(quarantine_dir)?;
    let to = free_name(path, quarantine_dir);
    write_note(&note_path(&to), note)?;
    sync_directory(quarantine_dir)?;
    std::fs::rename(path, &to).at("move to quarantine", path)?;
    // The new name first: a crash in between leaves two names, and never none.
    sync_directory(quarantine_dir)?;
    if let Some(from) = path.parent() {
        sync_directory(from)?;
    }
    Ok(to)
}

/// The store of which most segments in quarantine are: whose log it was, where nothing else says so.
pub(crate) fn most_are_of(quarantine_dir: &Path) -> Option<WriterId> {
    let mut owners = LogOwners::default();
    for file in list(quarantine_dir).ok()? {
        if let Ok(reader) = SegmentReader::open(&file.path)
            && reader.header().segment_id == file.id
        {
            owners.add(reader.header().writer_id);
        }
    }
    owners.told()
}

/// Everything intact in that file of the quarantine is in the database, and so is whatever number follows its own: the note
/// need not reserve numbers any more.
///
/// # Errors
/// The note can't be written anew. Then the file looks as if nobody had folded it, and does so again next time.
pub(crate) fn note_folded(segment: &Path) -> Result<(), PathError> {
    let path = note_path(segment);
    match read_note(&path) {
        Some(note) if note.last_sequence.is_some() => write_note(&path, &Note { last_sequence: None, ..note }),
        _ => Ok(()),
    }
}

/// A name in the quarantine that no other file has; one of that name may have been moved there before.
fn free_name(path: &Path, quarantine_dir: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = std::iter::once(name.to_string()).chain((2_u32..).map(|count| format!("{name}.{count}")));
    let mut free = names.map(|name| quarantine_dir.join(name)).filter(|to| std::fs::symlink_metadata(to).is_err());
    free.next().unwrap_or_else(|| quarantine_dir.join(&*name))
}

/// Where the note about a file in the quarantine is.
pub(crate) fn note_path(segment: &Path) -> PathBuf {
    let mut name = segment.as_os_str().to_owned();
    name.push(".");
    name.push(NOTE_EXTENSION);
    PathBuf::from(name)
}

fn write_note(path: &Path, note: &Note) -> Result<(), PathError> {
    // What stands there is of an attempt that a crash cut short.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at("remove", path),
        _ => {}
    }
    let mut text = serde_json::to_vec_pretty(note).map_err(std::io::Error::from).at("describe", path)?;
    text.push(b'\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at("create", path)?;
    file.write_all(&text).and_then(|()| file.sync_all()).at("write", path)
}

/// A segment's file in the quarantine.
#[derive(Clone, Debug)]
pub(crate) struct QuarantinedSegment {
    /// The id that the name gives.
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    /// What is known about it, if its note is there and sound.
    pub(crate) note: Option<Note>,
}

impl QuarantinedSegment {
    /// Opens it for reading.
    ///
    /// # Errors
    /// Nothing tells which records it holds.
    pub(crate) fn open(&self) -> Result<SegmentReader, SegmentError> {
        SegmentReader::open(&self.path)
    }
}

/// The segments in the quarantine, by name. None if there is no quarantine, or it can't be read.
pub(crate) fn segments(quarantine_dir: &Path) -> Vec<QuarantinedSegment> {
    let Ok(entries) = std::fs::read_dir(quarantine_dir) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter_map(|path| Some((segment_named(&path)?, path))).collect();
    paths.sort_by(|(_, one), (_, other)| one.cmp(other));
    let segment =
        |(id, path): (SegmentId, PathBuf)| QuarantinedSegment { id, note: read_note(&note_path(&path)), path };
    paths.into_iter().map(segment).collect()
}

/// The notes whose segments are not there, by name: a crash left them, or somebody took the segment away.
pub(crate) fn notes_alone(quarantine_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(quarantine_dir).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| segment_of(path).is_some() && path.with_extension("").symlink_metadata().is_err());
    paths.sort();
    paths
}

/// The notes in the quarantine. What is no note, or can't be read, is passed over: nothing depends on it but numbers
/// that a damaged file may hold, and what the table `quarantine` shows.
pub(crate) fn notes(quarantine_dir: &Path) -> Vec<Note> {
    let Ok(entries) = std::fs::read_dir(quarantine_dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| is_note(path)).collect();
    paths.sort();
    paths.iter().filter_map(|path| read_note(path)).collect()
}

/// The notes about that segment, also where its file is not under its name any more.
pub(crate) fn notes_about(quarantine_dir: &Path, id: SegmentId) -> Vec<Note> {
    let entries = std::fs::read_dir(quarantine_dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| segment_of(path) == Some(id));
    paths.filter_map(|path| read_note(&path)).collect()
}

/// Whether the name is a note's, and the segment is there.
fn is_note(path: &Path) -> bool {
    segment_of(path).is_some() && std::fs::symlink_metadata(path.with_extension("")).is_ok()
}

/// The segment that a note's name gives: a segment's name, perhaps with a count behind it, and a note's ending.
fn segment_of(path: &Path) -> Option<SegmentId> {
    path.extension().filter(|extension| *extension == NOTE_EXTENSION)?;
    segment_named(&path.with_extension(""))
}

/// The segment that a file's name gives: a segment's name, perhaps with a count behind it.
fn segment_named(path: &Path) -> Option<SegmentId> {
    let name = path.file_name()?.to_str()?;
    let counted = |name: &str| {
        let (segment, count) = name.rsplit_once('.')?;
        count.parse::<u32>().ok().and_then(|_| parse_file_name(segment))
    };
    parse_file_name(name).or_else(|| counted(name))
}

fn read_note(path: &Path) -> Option<Note> {
    let flags = no_follow() | i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(NOTE_BYTES_MAX).read_to_end(&mut text).ok()?;
    let note: Note = serde_json::from_slice(&text).ok()?;
    // What none of ours says: the table can't take such numbers, and a segment that is called damaged is moved aside.
    let numbers = note.damage.iter().map(|damaged| damaged.bytes).chain(note.last_sequence);
    let is_sound = segment_of(path) == Some(note.segment()) && numbers.max() <= Some(i64::MAX as u64);
    is_sound.then_some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(last_sequence: Option<u64>) -> Note {
        let damage = vec![DamagedPlace { offset: 4096, bytes: 28, reason: "expected a frame, found zeros".into() }];
        Note { segment: 3, damage, last_sequence }
    }

    #[test]
    fn a_moved_file_keeps_its_bytes_and_gets_a_note_and_names_never_clash() {
        let dir = tempfile::tempdir().unwrap();
        let (wal, quarantine) = (dir.path().join("wal"), dir.path().join("quarantine"));
        std::fs::create_dir(&wal).unwrap();
        let path = wal.join("000000000003.seg");
        for (bytes, name) in [(b"one", "000000000003.seg"), (b"two", "000000000003.seg.2")] {
            std::fs::write(&path, bytes).unwrap();
            let to = move_aside(&path, &quarantine, &note(Some(7))).unwrap();
            assert_eq!((to.as_path(), path.exists()), (quarantine.join(name).as_path(), false));
            assert_eq!(std::fs::read(&to).unwrap(), bytes);
        }
        assert_eq!(notes(&quarantine), [note(Some(7)), note(Some(7))]);
        assert_eq!((note(None).last_sequence(), note(Some(7)).segment()), (Sequence(0), SegmentId(3)));
    }

    #[test]
    fn a_note_that_a_crash_left_without_its_file_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = dir.path().join("quarantine");
        std::fs::create_dir(&quarantine).unwrap();
        std::fs::write(quarantine.join("000000000003.seg.json"), b"{\"segm").unwrap();
        assert_eq!(notes(&quarantine), []);
        let path = dir.path().join("000000000003.seg");
        std::fs::write(&path, b"bytes").unwrap();
        move_aside(&path, &quarantine, &note(None)).unwrap();
        assert_eq!(notes(&quarantine), [note(None)]);
    }

    #[test]
    fn what_is_no_note_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["000000000001.seg", "000000000002.seg", "000000000003.seg", "other"] {
            std::fs::write(at(name), b"").unwrap();
        }
        std::fs::write(at("000000000001.seg.json"), b"\xff").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", at("000000000002.seg.json")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("000000000003.seg.json"), rustix::fs::Mode::RUSR).unwrap();
        std::fs::write(at("other.json"), serde_json::to_vec(&note(None)).unwrap()).unwrap();
        assert_eq!(notes(dir.path()), []);
        assert_eq!(notes(&at("absent")), []);
    }

    #[test]
    fn a_note_of_another_segment_or_with_numbers_that_no_table_takes_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let damaged = |bytes| vec![DamagedPlace { offset: 0, bytes, reason: "forged".into() }];
        let beyond = i64::MAX as u64 + 1;
        let forged = [
            Note { segment: 4, damage: vec![], last_sequence: None },
            Note { segment: beyond, damage: vec![], last_sequence: None },
            Note { segment: 3, damage: damaged(beyond), last_sequence: None },
            Note { segment: 3, damage: vec![], last_sequence: Some(beyond) },
        ];
        for name in ["000000000003.seg", "000000000003.seg.2"] {
            let path = dir.path().join(name);
            std::fs::write(&path, b"").unwrap();
            for note in &forged {
                std::fs::write(note_path(&path), serde_json::to_vec(note).unwrap()).unwrap();
                assert_eq!(notes(dir.path()), [], "{note:?}");
            }
            std::fs::write(note_path(&path), serde_json::to_vec(&note(Some(7))).unwrap()).unwrap();
            assert_eq!(notes(dir.path()), [note(Some(7))], "the note is sound");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
