//! `quarantine/`: where the file of a damaged segment goes with all its bytes, and a note beside it that says why. Each
//! writer's have a folder of their own, as in `wal/`.
//!
//! Runs on the compactor. It moves files and never changes one.

use super::directory::{parse_file_name, sync_directory};
use super::writer_folder::writer_folders;
use crate::ground::error::{AtPath, OpenError, PathError};
use crate::ground::position::{SegmentId, WriterId};
use crate::ground::private_dir::create_private_dir;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The ending of a note's name, behind the name of the file that it is about.
const NOTE_EXTENSION: &str = "json";
/// How many places of damage a note lists; the table `quarantine` has them all.
pub(crate) const NOTE_DAMAGE_MAX: usize = 1000;

/// What is known about a file in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct Note {
    /// The segment that the file's name gives.
    pub(crate) segment: u64,
    /// What is damaged, by offset.
    pub(crate) damage: Vec<DamagedPlace>,
}

/// A damaged place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub(crate) struct DamagedPlace {
    /// Where it starts.
    pub(crate) offset: u32,
    /// How far it goes.
    pub(crate) bytes: u64,
    /// What was expected, and what was found.
    pub(crate) reason: String,
}

/// Moves a segment's file into its writer's folder in the quarantine and returns where it is then.
///
/// The note comes first, so that a file in quarantine always has one. A crash before the move leaves a note without a
/// file, which the next attempt writes anew.
///
/// # Errors
/// The file can't be moved; it is then where it was.
pub(crate) fn move_aside(path: &Path, folder: &Path, note: &Note) -> Result<PathBuf, OpenError> {
    create_private_dir(folder)?;
    let to = free_name(path, folder);
    write_note(&note_path(&to), note)?;
    sync_directory(folder)?;
    std::fs::rename(path, &to).at("move to quarantine", path)?;
    // The new name first: a crash in between leaves two names, and never none.
    sync_directory(folder)?;
    if let Some(from) = path.parent() {
        sync_directory(from)?;
    }
    Ok(to)
}

/// A name in the folder that no other file has; one of that name may have been moved there before.
fn free_name(path: &Path, folder: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = std::iter::once(name.to_string()).chain((2_u32..).map(|count| format!("{name}.{count}")));
    let mut free = names.map(|name| folder.join(name)).filter(|to| std::fs::symlink_metadata(to).is_err());
    free.next().unwrap_or_else(|| folder.join(&*name))
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
}

/// The segments in a writer's folder of the quarantine, by name. None if there is no such folder, or it can't be read.
pub(crate) fn segments(folder: &Path) -> Vec<QuarantinedSegment> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter_map(|path| Some((segment_named(&path)?, path))).collect();
    paths.sort_by(|(_, one), (_, other)| one.cmp(other));
    paths.into_iter().map(|(id, path)| QuarantinedSegment { id, path }).collect()
}

/// Those of all writers.
pub(crate) fn all_segments(quarantine_dir: &Path) -> Vec<(WriterId, QuarantinedSegment)> {
    let folders = writer_folders(quarantine_dir).unwrap_or_default().folders;
    let of = |writer, path: &Path| segments(path).into_iter().map(move |segment| (writer, segment));
    folders.iter().flat_map(|folder| of(folder.writer, &folder.path)).collect()
}

/// The notes of all writers whose segments are not there, by name: a crash left them, or somebody took the segment
/// away.
pub(crate) fn notes_alone(quarantine_dir: &Path) -> Vec<PathBuf> {
    let folders = writer_folders(quarantine_dir).unwrap_or_default().folders;
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(&folder.path).into_iter().flatten().flatten());
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| segment_of(path).is_some() && path.with_extension("").symlink_metadata().is_err());
    paths.sort();
    paths
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::writer_folder::WriterFolder;

    const WRITER: WriterId = WriterId([7; 16]);

    fn note() -> Note {
        let damage = vec![DamagedPlace { offset: 4096, bytes: 28, reason: "expected a frame, found zeros".into() }];
        Note { segment: 3, damage }
    }

    /// The notes that a folder has of its segments.
    fn notes(folder: &Path) -> Vec<Note> {
        let read = |segment: QuarantinedSegment| std::fs::read(note_path(&segment.path)).unwrap();
        segments(folder).into_iter().map(read).map(|text| serde_json::from_slice(&text).unwrap()).collect()
    }

    #[test]
    fn a_moved_file_keeps_its_bytes_and_gets_a_note_and_names_never_clash() {
        let dir = tempfile::tempdir().unwrap();
        let (wal, quarantine) = (dir.path().join("wal"), dir.path().join("quarantine"));
        [&wal, &quarantine].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        let (path, folder) = (wal.join("000000000003.seg"), WriterFolder::within(&quarantine, WRITER).path);
        for (bytes, name) in [(b"one", "000000000003.seg"), (b"two", "000000000003.seg.2")] {
            std::fs::write(&path, bytes).unwrap();
            let to = move_aside(&path, &folder, &note()).unwrap();
            assert_eq!((to.as_path(), path.exists()), (folder.join(name).as_path(), false));
            assert_eq!(std::fs::read(&to).unwrap(), bytes);
        }
        assert_eq!(notes(&folder), [note(), note()]);
        let found: Vec<_> =
            all_segments(&quarantine).into_iter().map(|(writer, segment)| (writer, segment.id)).collect();
        assert_eq!(found, [(WRITER, SegmentId(3)); 2]);
        assert!(all_segments(&dir.path().join("absent")).is_empty());
        std::fs::remove_file(folder.join("000000000003.seg")).unwrap();
        assert_eq!(notes_alone(&quarantine), [folder.join("000000000003.seg.json")]);
    }

    #[test]
    fn a_note_that_a_crash_left_without_its_file_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("000000000003.seg.json"), b"{\"segm").unwrap();
        let path = dir.path().join("000000000003.seg");
        std::fs::write(&path, b"bytes").unwrap();
        move_aside(&path, &folder, &note()).unwrap();
        assert_eq!(notes(&folder), [note()]);
    }

    #[test]
    fn only_what_has_a_segments_name_is_one_and_a_note_is_alone_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = WriterFolder::within(dir.path(), WRITER).path;
        std::fs::create_dir(&folder).unwrap();
        for name in ["000000000001.seg", "000000000002.seg.7", "000000000002.seg.x", "other", "other.json"] {
            std::fs::write(folder.join(name), b"").unwrap();
        }
        for name in ["000000000001.seg.json", "000000000002.seg.7.json", "000000000003.seg.json"] {
            std::fs::write(folder.join(name), b"{}").unwrap();
        }
        let ids: Vec<_> = segments(&folder).into_iter().map(|segment| segment.id.0).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(notes_alone(dir.path()), [folder.join("000000000003.seg.json")]);
    }
}
