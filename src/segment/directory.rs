//! How segment files are named and found. Reads the directory; never a segment's bytes.

use crate::ground::error::{AtPath, PathError};
use crate::ground::position::SegmentId;
use std::path::{Path, PathBuf};

/// The ending of a segment file's name.
pub const EXTENSION: &str = "seg";
/// The ending of the name of a segment that is being prepared and holds nothing yet.
pub(crate) const PREPARED_EXTENSION: &str = "new";

/// A segment file by name; its header has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The number that the name gives.
    pub id: SegmentId,
    /// Where it is.
    pub path: PathBuf,
}

/// The name of a segment's file: the id in twelve digits and `.seg`, so that names sort like ids.
pub fn file_name(id: SegmentId) -> String {
    format!("{id}.{EXTENSION}")
}

pub(crate) fn prepared_name(id: SegmentId) -> String {
    format!("{id}.{PREPARED_EXTENSION}")
}

/// The id that a file name gives, if it is a segment's.
pub fn parse_file_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    let id = digits.parse().ok().filter(|id| *id <= i64::MAX as u64).map(SegmentId)?;
    (file_name(id) == name).then_some(id)
}

/// The segments in a log directory, by ascending id. Other files are passed over.
///
/// # Errors
/// The directory can't be read.
pub fn list(wal_dir: &Path) -> Result<Vec<SegmentFile>, PathError> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(wal_dir).at("read directory", wal_dir)? {
        let entry = entry.at("read directory", wal_dir)?;
        if let Some(id) = entry.file_name().to_str().and_then(parse_file_name) {
            segments.push(SegmentFile { id, path: entry.path() });
        }
    }
    segments.sort_by_key(|segment| segment.id);
    Ok(segments)
}

/// The same, none left out.
///
/// A directory that changes while it is read may show a new file and not show one that was made a moment before. That
/// one was there before the reading of the newer one ended, so looking once more shows it.
///
/// # Errors
/// The directory can't be read.
pub fn list_whole(wal_dir: &Path) -> Result<Vec<SegmentFile>, PathError> {
    let files = list(wal_dir)?;
    let consecutive = files.windows(2).all(|pair| pair[0].id.next() == pair[1].id);
    if consecutive { Ok(files) } else { list(wal_dir) }
}

/// Removes the files that were being prepared when the last writer ended.
pub(crate) fn remove_prepared(wal_dir: &Path) -> Result<(), PathError> {
    for entry in std::fs::read_dir(wal_dir).at("read directory", wal_dir)? {
        let path = entry.at("read directory", wal_dir)?.path();
        if path.extension().is_some_and(|extension| extension == PREPARED_EXTENSION) {
            std::fs::remove_file(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

/// Makes the directory's entries durable: files created, renamed, removed.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), PathError> {
    std::fs::File::open(dir).and_then(|file| file.sync_all()).at("sync directory", dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_name_of_a_segment_is_one() {
        assert_eq!(parse_file_name("000000000042.seg"), Some(SegmentId(42)));
        assert_eq!(parse_file_name(&file_name(SegmentId(i64::MAX as u64))), Some(SegmentId(i64::MAX as u64)));
        for name in
            ["42.seg", "000000000042.new", "000000000042", "+00000000042.seg", "x.seg", ".seg", "000000000042.seg~"]
        {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
