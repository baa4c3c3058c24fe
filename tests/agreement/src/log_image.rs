//! A store as a value: the files of its log, its database, and what was recorded into it. Pure but for being written to a
//! directory.

use crate::segment_image::SegmentImage;
use mcplog::position::{SegmentId, WriterId};
use mcplog::segment::directory::file_name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The name of the file that says whose log it is.
pub const WRITER_ID_NAME: &str = "writer-id";

/// A file of a log.
#[derive(Clone, Debug)]
pub struct FileImage {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What a store wrote there, of whatever store it is; `None` if it is no segment.
    pub segment: Option<SegmentImage>,
}

/// A store, closed.
#[derive(Clone, Debug)]
pub struct LogImage {
    /// The files of `wal/`, by name.
    pub files: BTreeMap<String, FileImage>,
    /// The database's bytes, if there is one.
    pub database: Option<Vec<u8>>,
    /// The last number that the database has folded; 0 without one.
    pub folded: u64,
    /// Whose log it is.
    pub writer_id: WriterId,
    /// What the record of each number may say: what was recorded, and what was forged.
    pub told: BTreeMap<u64, BTreeSet<Vec<u8>>>,
}

impl LogImage {
    /// The names of the segments, own and foreign, by ascending id.
    pub fn segment_names(&self) -> Vec<String> {
        self.files.iter().filter(|(_, file)| file.segment.is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// The highest id of a name, plus one.
    pub fn next_id(&self) -> u64 {
        let ids = self.files.keys().filter_map(|name| mcplog::segment::directory::parse_file_name(name));
        ids.map(|id| id.0).max().unwrap_or(0) + 1
    }

    /// What stands in the file that says whose log it is, if it says so.
    pub fn told_writer_id(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.files.get(WRITER_ID_NAME)?.bytes).ok()?.strip_suffix('\n')?;
        let is_fitting = |(place, byte): (usize, u8)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        (text.len() == 36 && text.bytes().enumerate().all(is_fitting)).then_some(text)
    }

    /// Adds a segment under its own name.
    pub fn add(&mut self, segment: SegmentImage) {
        let name = file_name(segment.header.segment_id);
        self.files.insert(name, FileImage { bytes: segment.bytes(), segment: Some(segment) });
    }

    /// Notes that the record of that number may say this.
    pub fn note(&mut self, number: u64, payload: &[u8]) {
        self.told.entry(number).or_default().insert(payload.to_vec());
    }

    /// Writes the store to a directory, which must not exist.
    ///
    /// # Panics
    /// The system refuses.
    pub fn write(&self, dir: &Path) {
        std::fs::create_dir(dir).expect("a directory");
        let wal = dir.join("wal");
        std::fs::create_dir(&wal).expect("a directory");
        close_to_others(dir);
        close_to_others(&wal);
        for (name, file) in &self.files {
            write_file(&wal.join(name), &file.bytes);
        }
        if let Some(database) = &self.database {
            write_file(&dir.join("store.db"), database);
        }
    }
}

/// The name of the segment with that id.
pub fn name_of(id: u64) -> String {
    file_name(SegmentId(id))
}

fn write_file(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file");
    set_mode(path, 0o600);
}

fn close_to_others(dir: &Path) {
    set_mode(dir, 0o700);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}
